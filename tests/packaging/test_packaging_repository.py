"""The repository itself: its layout, lists that must agree, and what no file of it may name."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

FIXED = {
    "pyproject.toml",
    "tox.ini",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "LICENSE",
    "kernel",
    "plugins",
    "tests",
    "bench",
    "examples",
    "docs",
}
TOOLING = {".ci", ".gitignore", "run-demo", "run-tests", "scripts", "toxfile.py"}

# In pieces, so that this file does not name them either.
REGISTRIES = ("py" + "pi.org", "python" + "hosted.org", "python" + "mirror", "npm" + "js.org", "crates" + ".io/api")
WORKPLACE = ("shared" + "/design", "shared" + "/golden", "shared" + "/reference", "/wo" + "rk/", "/tmp/" + "probe")


@pytest.fixture(scope="module")
def tracked(root) -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git clone: which files belong to the repository is not known")
    return [Path(name) for name in listing.stdout.split("\0") if name and (root / name).exists()]


@pytest.fixture(scope="module")
def configuration(root) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text())


def test_root_layout(tracked):
    assert {path.parts[0] for path in tracked} == FIXED | TOOLING


def test_a_folder_with_a_pyproject_is_a_member_and_a_family_folder_has_none(root, tracked, members):
    projects = [path for path in tracked if path.name == "pyproject.toml" and path.parts[0] in ("kernel", "plugins")]
    folders = {root / path.parent for path in projects if "templates" not in path.parts}
    assert folders == {member.path for member in members.values()}
    assert [folder for folder in folders if any(parent in folders for parent in folder.parents)] == []


def test_every_member_is_laid_out_alike(member, root):
    listed = {path.name for path in member.path.iterdir()}
    assert {"README.md", "LICENSE", "pyproject.toml", "src", "tests"} <= listed
    assert [path.name for path in (member.path / "src").iterdir() if path.name != "__pycache__"] == [member.package]
    assert list((member.path / "tests").glob("**/__init__.py")) == []
    assert list((member.path / "tests").glob("**/test_*.py")), "nothing proves it alone"


def test_test_modules_have_unique_names(tracked):
    names = [path.name for path in tracked if path.name.startswith("test_") and path.suffix == ".py"]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_every_list_of_distributions_is_complete(configuration, members):
    packages = {member.package for member in members.values()}
    tool = configuration["tool"]
    assert len(members) == len(tool["uv"]["workspace"]["members"])
    assert set(tool["uv"]["sources"]) == set(members)
    assert set(tool["ruff"]["lint"]["isort"]["known-first-party"]) == packages
    assert set(tool["importlinter"]["root_packages"]) == packages
    (layers,) = [contract for contract in tool["importlinter"]["contracts"] if contract["type"] == "layers"]
    assert {name.strip() for layer in layers["layers"] for name in layer.split("|")} == packages


@pytest.mark.parametrize("forbidden", [*REGISTRIES, *WORKPLACE])
def test_no_file_names_a_registry_or_a_workplace(root, tracked, forbidden):
    assert [str(path) for path in tracked if forbidden in _text(root / path)] == []


def test_no_file_names_where_this_clone_or_its_owner_lives(root, tracked):
    places = (f"{root}/", f"{Path.home()}/.")
    found = [f"{path}: {place}" for path in tracked for place in places if place in _text(root / path)]
    assert found == []


def test_no_lock_file_is_tracked(tracked):
    assert [str(path) for path in tracked if path.name in ("uv.lock", "poetry.lock", "Pipfile.lock")] == []


def test_every_ignore_names_its_rule_and_gives_its_reason(root, tracked):
    bare = re.compile(r"#\s*(noqa(?!: ?[A-Z]+[0-9])|type: ignore(?!\[))")
    unexplained = re.compile(r"#\s*(noqa: ?[A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*|type: ignore\[[^\]]*\])\s*$")
    found = []
    for path in tracked:
        before = ""
        for number, line in enumerate(_text(root / path).splitlines() if path.suffix == ".py" else [], start=1):
            # The reason stands behind it, or in a comment of its own above it.
            if bare.search(line) or (unexplained.search(line) and not before.strip().startswith("# ")):
                found.append(f"{path}:{number}: {line.strip()}")
            before = line
    assert [line for line in found if Path(__file__).name not in line] == []


@pytest.mark.parametrize("script", ["run-demo", "run-tests", ".ci/run", "scripts/setup.sh"])
def test_entry_scripts_are_sound_bash(root, script):
    subprocess.run(["bash", "-n", script], cwd=root, check=True)
    assert script.endswith(".sh") or (root / script).stat().st_mode & 0o111, "not executable"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
