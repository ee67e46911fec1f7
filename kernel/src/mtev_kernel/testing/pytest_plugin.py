"""pytest fixtures for authors of plugins. Loaded into every pytest run, so it imports next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ._context import ContextMaker
    from ._project import ProjectInstaller
    from ._running import KernelStarter

__all__ = ["installed_project", "make_context", "mtev_kernel"]

pytest.register_assert_rewrite("mtev_kernel.testing.conformance")


@pytest.fixture
def mtev_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelStarter]:
    """Start kernels in threads of this process; see `KernelStarter`. All are stopped at the end of the test.

    A kernel that ended badly fails the test, unless the test looked at its `stop()`, `wait()` or `errors` itself.
    """
    from ._running import KernelStarter

    starter = KernelStarter(tmp_path_factory.mktemp("kernel"))
    yield starter
    if complaints := starter.stop_all():
        pytest.fail("\n".join(complaints), pytrace=False)


@pytest.fixture
def make_context() -> ContextMaker:
    """Make a `Context` for a plugin that is tested alone, without a kernel; see `ContextMaker`."""
    from ._context import ContextMaker

    return ContextMaker()


@pytest.fixture
def installed_project(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> ProjectInstaller:
    """Make a project directory look installed for the length of a test, without building it; see `ProjectInstaller`."""
    from ._project import ProjectInstaller

    return ProjectInstaller(tmp_path_factory.mktemp("site"), request.path, monkeypatch.syspath_prepend)
