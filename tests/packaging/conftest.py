"""What the packaging tests share: the workspace's distributions, their wheels and their manifests."""

from __future__ import annotations

import importlib.util
import os
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def _script(name: str):
    """One of the modules in `scripts/`, which is not on the path."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_workspace = _script("workspace")
MEMBERS = {member.name: member for member in _workspace.members()}


@dataclass(frozen=True)
class Wheel:
    """A built distribution, read without installing it."""

    path: Path

    @property
    def files(self) -> list[str]:
        with zipfile.ZipFile(self.path) as archive:
            return archive.namelist()

    @property
    def distribution(self) -> PathDistribution:
        (folder,) = {name.split("/")[0] for name in self.files if name.split("/")[0].endswith(".dist-info")}
        return PathDistribution(zipfile.Path(self.path, f"{folder}/"))

    @property
    def requirements(self) -> dict[str, Requirement]:
        """What it needs when installed without extras."""
        needs = [Requirement(line) for line in self.distribution.requires or ()]
        return {need.name: need for need in needs if "extra" not in str(need.marker)}

    def text(self, name: str) -> str:
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(name).decode()

    def entry_points(self, group: str) -> dict[str, str]:
        return {point.name: point.value for point in self.distribution.entry_points if point.group == group}

    def manifests(self) -> dict[str, dict]:
        """The manifests by the names of their entry points, found as discovery finds them."""
        found = {}
        for name, value in self.entry_points("mtev.manifests").items():
            package, _, file = value.partition(":")
            found[name] = tomllib.loads(self.text(f"{package.replace('.', '/')}/{file}"))
        return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`member` means every distribution; `plugin` every one but the kernel."""
    for argument, left_out in (("member", ()), ("plugin", ("mtev-kernel",))):
        if argument in metafunc.fixturenames:
            chosen = {name: member for name, member in MEMBERS.items() if name not in left_out}
            metafunc.parametrize(argument, list(chosen.values()), ids=list(chosen))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def members() -> dict:
    return MEMBERS


@pytest.fixture(scope="session")
def summary():
    return _script("summary")


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Wheel]:
    """Every distribution's wheel: those that tox built, else built here."""
    folder = Path(os.environ.get("MTEV_WHEELS", ""))
    if "MTEV_WHEELS" not in os.environ:
        folder = tmp_path_factory.mktemp("wheels") / "dist"
        assert _workspace.build(folder) == 0
    return {path.name.split("-")[0].replace("_", "-"): Wheel(path) for path in folder.glob("*.whl")}
