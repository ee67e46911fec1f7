"""For tests of plugins: start kernels in-process, make contexts, pretend to be installed, run the conformance suite.

The fixtures come from `pytest_plugin`, which pytest finds by itself where mtev-kernel is installed. The names below are
for annotations and for use without the fixtures; they are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._context import ContextMaker, RecordingControl, StandaloneContext
    from ._project import ProjectInstaller, write_metadata
    from ._running import KernelStarter, NotReady, PlainDocument, RunningKernel, inline
    from .conformance import PluginConformance

__all__ = [
    "ContextMaker",
    "KernelStarter",
    "NotReady",
    "PlainDocument",
    "PluginConformance",
    "ProjectInstaller",
    "RecordingControl",
    "RunningKernel",
    "StandaloneContext",
    "inline",
    "write_metadata",
]

_MODULES = ("_context", "_project", "_running", "conformance")


def __getattr__(name: str) -> object:
    if name in __all__:
        for module in _MODULES:
            home = import_module(f".{module}", __name__)
            if name in home.__all__:
                value: object = getattr(home, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
