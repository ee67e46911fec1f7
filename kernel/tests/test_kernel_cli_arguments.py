"""The command line as such: what is accepted, what is refused, and what it costs to ask for little."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mtev_kernel import ExitCode
from mtev_kernel.cli import main
from mtev_kernel.cli._arguments import build_parser, parse


@pytest.mark.parametrize(
    ("argv", "action"),
    [
        (["-c", "app.conf"], "run"),
        (["--config", "app.conf", "--strict", "--safe-mode", "-d"], "run"),
        (["--list-plugins", "--json", "--hooks", "--strict"], "list_plugins"),
        (["--list-plugins", "-c", "app.conf", "--safe-mode"], "list_plugins"),
        (["--check", "-c", "app.conf", "--strict"], "check"),
        (["-c", "app.conf", "--dump-config"], "dump_config"),
        (["--version", "--json"], "version"),
        (["new-plugin", "acme-greeter", "--kind", "rest"], "new_plugin"),
        (["completion", "zsh"], "completion"),
        (["schema"], "schema"),
        (["schema", "--root", "shop"], "schema"),
        (["sample-config", "http", "log.file"], "sample_config"),
    ],
)
def test_each_command_is_understood(argv, action):
    assert parse(argv).action == action


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "-c FILE names the configuration"),
        (["--check"], "--check needs -c FILE"),
        (["--dump-config"], "--dump-config needs -c FILE"),
        (["--json", "-c", "app.conf"], "--json goes with"),
        (["--hooks", "--version"], "--hooks goes with --list-plugins"),
        (["--version", "--strict"], "--strict does not go with --version"),
        (["--list-plugins", "--safe-mode"], "--safe-mode needs -c FILE"),
        (["--list-plugins", "--check", "-c", "app.conf"], "not allowed with"),
        (["-c", "app.conf", "completion", "bash"], "-c does not go with 'completion'"),
        (["--check", "new-plugin", "acme-x", "--kind", "hook"], "does not go with 'new-plugin'"),
        (["new-plugin", "acme-x"], "--kind"),
        (["new-plugin", "acme-x", "--kind", "poem"], "invalid choice"),
        (["completion", "fish"], "invalid choice"),
        (["sample-config"], "required: PLUGIN"),
        (["--safe-mode", "sample-config", "http"], "--safe-mode does not go with 'sample-config'"),
        (["-c", "app.conf", "schema"], "-c does not go with 'schema'"),
        (["schema", "http"], "unrecognized arguments: http"),
        (["--list"], "unrecognized arguments"),
        (["stray"], "invalid choice"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_said(argv, message, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(argv)
    assert caught.value.code == ExitCode.USAGE
    assert message in capsys.readouterr().err


def test_help_lists_options_and_exit_codes(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for word in ("--list-plugins", "--safe-mode", "new-plugin", "completion", "Exit codes"):
        assert word in text
    for code in ExitCode:
        assert f"{int(code)} " in text


def test_version(capsys):
    assert main(["--version"]) == 0
    assert "plugin API 1." in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv", [["--version"], ["--version", "--json"], ["--list-plugins"], ["--list-plugins", "--json"]]
)
def test_asking_for_metadata_imports_nothing_heavy(argv):
    code = (
        "import sys; from mtev_kernel.cli import main; code = main(sys.argv[1:]); "
        "heavy = {'pluggy', 'stevedore', 'anyio', 'asyncio', 'lxml', 'aiohttp'} & set(sys.modules); "
        "plugins = {name for name in sys.modules if name.startswith('mtev_') and not name.startswith('mtev_kernel')}; "
        "sys.exit(f'imported {heavy | plugins}' if heavy | plugins else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unexpected_error_is_one_line_and_a_traceback_only_when_asked_for(monkeypatch, capsys):
    from mtev_kernel.cli import version

    def broken(arguments):
        raise ExceptionGroup("outer", [ZeroDivisionError("by nothing")])

    monkeypatch.setattr(version, "main", broken)
    assert main(["--version"]) == ExitCode.SOFTWARE
    assert capsys.readouterr().err.splitlines() == [
        "mtev-kernel: unexpected error, please report it: ZeroDivisionError: by nothing; -d shows where"
    ]
    assert main(["--version", "-d"]) == ExitCode.SOFTWARE
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--help", "--version", "--list-plugins"])
def test_a_reader_that_has_gone_away_is_no_error(option):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "mtev_kernel", option]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_readme_names_every_option_and_exit_code():
    readme = Path(__file__).parents[1] / "README.md"
    if not readme.is_file():
        pytest.skip("the README is not beside the tests here")
    text = readme.read_text(encoding="utf-8")
    options = {
        option
        for parser in (build_parser(), *_subparsers(build_parser()))
        for action in parser._actions
        for option in action.option_strings
    }
    assert {option for option in options if f"`{option}" not in text and f" {option}" not in text} == set()
    assert {code for code in ExitCode if f"| {int(code)} | " not in text} == set()


def _subparsers(parser):
    for action in parser._actions:
        if isinstance(action.choices, dict):
            yield from action.choices.values()
