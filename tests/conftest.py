"""What the tests that cross plugins share: wheels of the workspace, and environments made of chosen ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).with_name("support")))

from environment import Environment, projects  # found through the line above
from wheel_writer import write_wheel  # as above


@pytest.fixture(scope="session")
def own_wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of every distribution of the workspace, by name: those that tox built, else written here."""
    if "MTEV_WHEELS" in os.environ:
        wheels = Path(os.environ["MTEV_WHEELS"]).resolve().glob("*.whl")
        return {path.name.split("-")[0].replace("_", "-"): path for path in wheels}
    folder = tmp_path_factory.mktemp("own")
    return {name: write_wheel(project, folder) for name, project in projects().items()}


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, own_wheels: dict[str, Path]) -> Callable[..., Environment]:
    """Make an environment of distributions of ours, by name, and of other wheels."""

    def make(names: Iterable[str], wheels: Iterable[Path] = ()) -> Environment:
        made = Environment(tmp_path_factory.mktemp("environment"))
        made.install([*(own_wheels[name] for name in names), *wheels])
        return made

    return make
