"""The distributions of this workspace, as the root's pyproject.toml lists them, and what is done to all of them.

    python scripts/workspace.py install [FOLDER...]   # everything editable into the running environment, FOLDERs too
    python scripts/workspace.py build DIR             # every wheel into DIR, and DIR/constraints.txt that pins them
    python scripts/workspace.py deptry                # declared dependencies against imports, one by one
    python scripts/workspace.py mypy [OPTION...]      # types, all together

Needs on the PATH: `uv` for the first two, the command of the same name for the others.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "ROOT",
    "Member",
    "build",
    "check_dependencies",
    "check_types",
    "constraints",
    "install",
    "members",
    "needs_of_tests",
]

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Member:
    """One distribution.

    Attributes:
        path: its folder.
        pyproject: its pyproject.toml, parsed.
    """

    path: Path
    pyproject: dict[str, Any]

    @property
    def name(self) -> str:
        """The distribution's name, such as `mtev-log-file`."""
        return str(self.pyproject["project"]["name"])

    @property
    def package(self) -> str:
        """The import package, such as `mtev_log_file`."""
        return self.name.replace("-", "_")

    @property
    def source(self) -> Path:
        """The folder of the import package."""
        return self.path / "src" / self.package


def members(root: Path = ROOT) -> list[Member]:
    """The distributions in the order in which the root lists them: lower layers first."""
    paths = _read(root)["tool"]["uv"]["workspace"]["members"]
    return [Member(root / path, _read(root / path)) for path in paths if (root / path / "pyproject.toml").exists()]


def needs_of_tests(member: Member, root: Path = ROOT) -> list[str]:
    """What the tests of one distribution need beside it: the group `test` of the root and its own."""
    groups = [_read(root)["dependency-groups"], member.pyproject.get("dependency-groups", {})]
    return [str(need) for group in groups for need in group.get("test", [])]


def install(*folders: Path) -> int:
    """Install every distribution, and those in the folders, editable into the environment that runs this."""
    paths = [*(member.path for member in members()), *(folder.resolve() for folder in folders)]
    editables = [argument for path in paths for argument in ("-e", str(path))]
    return _run("uv", "pip", "install", "--quiet", "--no-sources", "--python", sys.executable, *editables)


def build(folder: Path) -> int:
    """Build every wheel into the folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    status = _run("uv", "build", "--quiet", "--all-packages", "--wheel", "--out-dir", str(folder))
    if status == 0:
        (folder / "constraints.txt").write_text("".join(f"{line}\n" for line in constraints(folder)))
    return status


def constraints(folder: Path) -> list[str]:
    """Pin each distribution that has a wheel in the folder to that wheel, so that no index can offer another one."""
    wheels = sorted(folder.resolve().glob("*.whl"))
    return [f"{wheel.name.split('-')[0].replace('_', '-')} @ {wheel.as_uri()}" for wheel in wheels]


def check_dependencies() -> int:
    """Run deptry over each distribution with its own pyproject.toml; the number of those with a finding.

    A sibling may be needed without being imported, when only its plugin has to run; that such a need stands in the
    manifest is what `tests/packaging` checks.
    """
    siblings = "|".join(member.name for member in members())
    failed = 0
    for member in members():
        print(f"{member.name}:", flush=True)
        project = str(member.path / "pyproject.toml")
        options = ("--no-ansi", "--per-rule-ignores", f"DEP002={siblings}", "--config", project)
        failed += bool(_run("deptry", *options, str(member.source)))
    return failed


def check_types(*options: str) -> int:
    """Run mypy once over every distribution's package."""
    return _run("mypy", *options, *(str(member.source) for member in members()))


def _run(*command: str) -> int:
    return subprocess.run(command, cwd=ROOT, stderr=subprocess.STDOUT, check=False).returncode


def _read(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["install", *extra]:
            sys.exit(install(*map(Path, extra)))
        case ["build", target]:
            sys.exit(build(Path(target)))
        case ["deptry"]:
            sys.exit(check_dependencies())
        case ["mypy", *options]:
            sys.exit(check_types(*options))
        case _:
            sys.exit(__doc__)
