"""What `new-plugin` writes works at once: its tests pass, offline and unbuilt."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mtev_kernel
from mtev_kernel import ExitCode
from mtev_kernel.cli import main
from mtev_kernel.cli._arguments import KINDS
from mtev_kernel.cli.new_plugin import BadName, names_for, rendered
from mtev_kernel.manifest import parse_manifest
from mtev_kernel.testing import write_metadata

NEEDS = {"hook": [], "rest": ["mtev_http"], "log-backend": ["mtev_log"], "listener": ["mtev_listener"]}


@pytest.mark.parametrize(
    ("name", "package", "plugin", "class_name"),
    [
        ("acme-greeter", "acme_greeter", "acme.greeter", "AcmeGreeter"),
        ("greeter", "greeter", "greeter", "Greeter"),
        ("a-b2-c", "a_b2_c", "a.b2.c", "AB2C"),
    ],
)
def test_one_name_gives_all_others(name, package, plugin, class_name):
    names = names_for(name)
    assert (names.distribution, names.package, names.id, names.class_name) == (name, package, plugin, class_name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Acme", "lower-case words"),
        ("acme_greeter", "lower-case words"),
        ("acme--greeter", "lower-case words"),
        ("acme-2nd", "lower-case words"),
        ("../acme", "lower-case words"),
        ("acme\n", "lower-case words"),
        ("", "lower-case words"),
        ("a" * 61, "at most 60"),
        ("mtev-greeter", "reserved"),
        ("http", "reserved"),
        ("log-file", "reserved"),
        ("class", "word or module of Python"),
        ("json", "word or module of Python"),
    ],
)
def test_names_that_would_not_work_are_refused(name, message):
    with pytest.raises(BadName, match=message):
        names_for(name)


def test_a_bad_name_is_a_usage_error(capsys):
    assert main(["new-plugin", "Acme", "--kind", "hook"]) == ExitCode.USAGE
    assert "acme-greeter" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_whole(kind):
    files = {str(path): text for path, text in rendered(names_for("acme-sample"), kind).items()}
    assert {"pyproject.toml", "README.md", ".gitignore", "tests/conftest.py", "tests/test_acme_sample.py"} <= set(files)
    assert {
        f"src/acme_sample/{name}" for name in ("__init__.py", "plugin.py", "plugin.toml", "py.typed", "sample.xml")
    } <= (set(files))
    for path, text in files.items():
        assert "${" not in text, path
        assert "__package__" not in path + text
        if path.endswith(".py"):
            ast.parse(text, path)
    manifest = parse_manifest(files["src/acme_sample/plugin.toml"])
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert manifest.id == "acme.sample"
    assert project["name"] == "acme-sample"
    assert set(project["entry-points"]["mtev.plugins"]) == {manifest.id}
    imported = {
        (node.module or "").partition(".")[0]
        for path, text in files.items()
        if path.endswith(".py")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
    }
    declared = {each.partition(">")[0].replace("-", "_") for each in project["dependencies"]}
    assert {name for name in imported if name.startswith("mtev_")} <= declared


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_tests_pass_offline_and_unbuilt(kind, tmp_path):
    for module in NEEDS[kind]:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed, which plugins of this kind extend")
    directory = tmp_path / "project"
    assert main(["new-plugin", "acme-sample", "--kind", kind, "--directory", str(directory)]) == 0
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(_site(tmp_path)), *filter(None, sys.path)]))
    for leaking in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "COLUMNS"):
        environment.pop(leaking, None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"],
        capture_output=True,
        text=True,
        cwd=directory,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " skipped" not in done.stdout


def _site(tmp_path):
    """Metadata of whatever of this project runs from its sources here, without being installed."""
    site = tmp_path / "site"
    site.mkdir()
    kernel = Path(mtev_kernel.__file__).parents[2]
    for project in (kernel, *kernel.parent.glob("plugins/**/")):
        if (project / "pyproject.toml").is_file() and (project / "src").is_dir():
            name = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
            if importlib.util.find_spec(name.replace("-", "_")) and not _is_installed(name):
                write_metadata(project, site)
    return site


def _is_installed(name):
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def test_the_next_steps_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new-plugin", "acme-sample", "--kind", "hook"]) == 0
    printed = capsys.readouterr().out
    assert "wrote acme-sample/pyproject.toml" in printed
    assert "cd acme-sample" in printed
    assert "python -m pytest" in printed


def test_nothing_is_overwritten(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    assert main(["new-plugin", "acme-sample", "--kind", "hook", "--directory", str(tmp_path)]) == ExitCode.FAILURE
    assert "nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    file = tmp_path / "notes.txt"
    assert main(["new-plugin", "acme-sample", "--kind", "hook", "--directory", str(file)]) == ExitCode.FAILURE
    assert file.read_text(encoding="utf-8") == "mine"


def test_a_directory_that_cannot_be_written_is_an_error_without_traceback(tmp_path, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    below = tmp_path / "file" / "below"
    assert main(["new-plugin", "acme-sample", "--kind", "hook", "--directory", str(below)]) == ExitCode.FAILURE
    assert "Traceback" not in capsys.readouterr().err
