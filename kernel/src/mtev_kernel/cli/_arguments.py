"""The arguments of `mtev-kernel`: what there is, and what may stand together."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from ..exitcodes import ExitCode

__all__ = ["KINDS", "SHELLS", "Arguments", "build_parser", "parse"]

KINDS = ("hook", "rest", "log-backend", "listener")
SHELLS = ("bash", "zsh", "tcsh")

_EPILOG = """\
Exit codes: 0 done, or stopped in order; 1 a plugin failed; 64 wrong command line; 66 no such configuration file;
69 a needed distribution is not installed; 70 a step blocked the process, or an unexpected error; 78 wrong
configuration.
"""


class Arguments(argparse.Namespace):
    """What the command line asks for.

    Attributes:
        action: name of the command module.
        config: the configuration file, or None.
        json, hooks, strict, safe_mode, debug: the options of these names.
        name, kind, directory: what `new-plugin` is to write, and where; `directory` None means "./NAME".
        shell: which completion script.
        root: of `schema`: name of the document's outermost element.
        plugins: of `sample-config`: ids of the plugins to show.
    """

    action: str
    config: str | None
    json: bool
    hooks: bool
    strict: bool
    safe_mode: bool
    debug: bool
    name: str
    kind: str
    directory: str | None
    shell: str
    root: str
    plugins: list[str]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\ntry '{self.prog} --help'\n")


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line to argparse, and through it to the generator of the completion scripts."""
    parser = _Parser(
        prog="mtev-kernel",
        description="Run a service made of plugins.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    config = parser.add_argument(
        "-c", "--config", metavar="FILE", help="configuration; alone: run it in the foreground"
    )
    _complete_files(config)
    actions = parser.add_mutually_exclusive_group()
    for flag, action, text in (
        ("--list-plugins", "list_plugins", "list installed plugins; with -c, say which are enabled and why"),
        ("--check", "check", "configure everything and start nothing; report each problem with its place"),
        ("--dump-config", "dump_config", "print the effective configuration, secrets masked"),
        ("--version", "version", "print versions"),
    ):
        actions.add_argument(flag, dest="action", action="store_const", const=action, help=text)
    parser.add_argument("--json", action="store_true", help="with --list-plugins or --version: print JSON")
    parser.add_argument("--hooks", action="store_true", help="with --list-plugins: hook points and who is attached")
    parser.add_argument("--safe-mode", action="store_true", help="leave out third-party plugins")
    parser.add_argument("--strict", action="store_true", help="no failure is ignored; warnings are errors")
    parser.add_argument("-d", "--debug", action="store_true", help="log more, and show where errors come from")
    parser.set_defaults(action=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    new = commands.add_parser("new-plugin", help="write a new plugin that passes its own tests", allow_abbrev=False)
    new.add_argument("name", metavar="NAME", help="name of its distribution, such as acme-greeter")
    new.add_argument("--kind", choices=KINDS, required=True, help="what it extends")
    where = new.add_argument("--directory", metavar="DIR", help="where to write it; default: ./NAME")
    _complete_directories(where)
    new.set_defaults(command="new_plugin")
    schema = commands.add_parser(
        "schema", help="print one schema of what the installed plugins take in a configuration", allow_abbrev=False
    )
    schema.add_argument(
        "--root", metavar="NAME", default="app", help="name of the configuration's outermost element; default: app"
    )
    schema.set_defaults(command="schema")
    sample = commands.add_parser(
        "sample-config", help="print a commented configuration made of plugins' samples", allow_abbrev=False
    )
    sample.add_argument("plugins", metavar="PLUGIN", nargs="+", help="id of an installed plugin, such as http")
    sample.set_defaults(command="sample_config")
    completion = commands.add_parser("completion", help="print a completion script for a shell", allow_abbrev=False)
    completion.add_argument("shell", choices=SHELLS, help="which shell")
    completion.set_defaults(command="completion")
    parser.set_defaults(command=None)
    return parser


def parse(argv: Sequence[str] | None = None) -> Arguments:
    """Read the command line.

    Raises:
        SystemExit: with code 64 and a message on standard error when it is wrong; with 0 after `--help`.
    """
    parser = build_parser()
    arguments = parser.parse_args(argv, namespace=Arguments())
    if wrong := _clash(arguments):
        parser.error(wrong)
    arguments.action = arguments.command or arguments.action or "run"
    return arguments


def _clash(arguments: argparse.Namespace) -> str:
    """What does not go together, or `""`."""
    action = arguments.action
    if arguments.command:
        given = [
            option
            for option, value in (
                ("-c", arguments.config is not None),
                ("--json", arguments.json),
                ("--hooks", arguments.hooks),
                ("--safe-mode", arguments.safe_mode),
                ("--strict", arguments.strict),
                ("an action such as --check", action is not None),
            )
            if value
        ]
        return f"{given[0]} does not go with '{arguments.command.replace('_', '-')}'" if given else ""
    if arguments.json and action not in ("list_plugins", "version"):
        return "--json goes with --list-plugins or --version"
    if arguments.hooks and action != "list_plugins":
        return "--hooks goes with --list-plugins"
    if arguments.config is None:
        if action is None:
            return "nothing to do: -c FILE names the configuration to run"
        if action in ("check", "dump_config"):
            return f"--{action.replace('_', '-')} needs -c FILE"
        if arguments.safe_mode:
            return "--safe-mode needs -c FILE: without one, nothing is loaded anyway"
    if arguments.strict and action in ("version", "dump_config"):
        return f"--strict does not go with --{action.replace('_', '-')}"
    return ""


def _complete_files(action: argparse.Action) -> None:
    # Read by shtab when it generates the completion scripts; nothing to anybody else.
    action.complete = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}  # type: ignore[attr-defined]  # see above


def _complete_directories(action: argparse.Action) -> None:
    action.complete = {"bash": "_shtab_compgen_dirs", "zsh": "_files -/", "tcsh": "d"}  # type: ignore[attr-defined]  # as above
