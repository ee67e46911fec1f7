"""A clean virtual environment that holds the distributions a test chooses, and nothing that they do not declare.

Our own distributions and a test's are installed from wheels, as a user's would be. The libraries that they declare are
links to those of the running interpreter: no network, no copy, and whatever is not declared is not there.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from daemon import Daemon
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["ROOT", "Environment", "projects"]

ROOT = Path(__file__).resolve().parents[2]
_DEADLINE_S = 30.0
_FOREIGN = ("PYTHON", "UV_", "VIRTUAL_ENV", "COLUMNS", "MTEV_")


def projects() -> dict[str, Path]:
    """Every distribution of the workspace by name, with its folder."""
    members = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    folders = [ROOT / member for member in members]
    return {_project(folder)["name"]: folder for folder in folders if (folder / "pyproject.toml").exists()}


class Environment:
    """A virtual environment.

    Args:
        folder: where it is made.
    """

    def __init__(self, folder: Path) -> None:
        venv.EnvBuilder(symlinks=True).create(folder)
        self.folder = folder
        self.python = folder / "bin" / "python"
        (self.packages,) = (folder / "lib").glob("python*/site-packages")

    def install(self, wheels: Iterable[Path]) -> None:
        """Install wheels, and the libraries that they need; what they need of each other is up to the caller."""
        wheels = list(wheels)
        for distribution in _closure(wheels):
            for top in {Path(str(file)).parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
                self._link(Path(str(distribution.locate_file(top))))
        installer = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-config", "--offline", "--no-cache"]
        to_here = ["--no-index", "--no-deps", "--link-mode", "copy", "--python", str(self.python)]
        subprocess.run([*installer, *to_here, *map(str, wheels)], check=True)

    def without(self, distribution: str, folder: Path) -> Environment:
        """Make another one that has all that this one has, but for one distribution."""
        other = Environment(folder)
        gone = re.compile(rf"{distribution.replace('-', '_')}(-[0-9].*)?")
        for each in self.packages.iterdir():
            if not gone.fullmatch(each.name):
                other._link(each)
        return other

    def run(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `mtev-kernel` to its end, as `python -m mtev_kernel`; blocks."""
        return self.run_module("mtev_kernel", *arguments, **variables)

    def run_module(self, module: str, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a module to its end; blocks."""
        return subprocess.run(
            self._argv(arguments, module),
            env=_environment(variables),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )

    def start(self, *arguments: str | Path, **variables: str) -> Daemon:
        """Start `mtev-kernel`; use it in a `with`, whose end kills what is left of it."""
        return Daemon(self._argv(arguments), env=_environment(variables), cwd=self.folder)

    def _argv(self, arguments: Iterable[str | Path], module: str = "mtev_kernel") -> list[str]:
        return [str(self.python), "-m", module, *map(str, arguments)]

    def _link(self, target: Path) -> None:
        link = self.packages / target.name
        if target.exists() and not link.exists():
            link.symlink_to(target)


def _requirements(wheel: Path) -> list[Requirement]:
    """What a wheel says it needs."""
    info = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/"
    distribution = importlib.metadata.PathDistribution(zipfile.Path(wheel, info))
    return [Requirement(each) for each in distribution.requires or ()]


def _closure(wheels: Iterable[Path]) -> Iterator[importlib.metadata.Distribution]:
    """The libraries that the wheels need, and what those need; our own distributions left out."""
    waiting = [each for wheel in wheels for each in _requirements(wheel)]
    own = {canonicalize_name(name) for name in projects()}
    seen: set[str] = set()
    while waiting:
        need = waiting.pop()
        name = canonicalize_name(need.name)
        if name in seen | own or (need.marker is not None and not need.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        distribution = importlib.metadata.distribution(name)
        waiting += [Requirement(each) for each in distribution.requires or ()]
        yield distribution


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, "PYTHONWARNINGS": "error", "NO_COLOR": "1", **variables}


def _project(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]
