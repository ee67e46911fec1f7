"""The reference says what the code offers: all of it, and nothing else."""

from __future__ import annotations

import inspect
import re
import shlex

import pytest

from mtev_kernel import ExitCode, discover, hookspecs
from mtev_kernel.cli._arguments import KINDS, SHELLS, build_parser, parse
from mtev_kernel.cli.list_plugins import _COLUMNS


def headings(text):
    """The words in code that a page has in its headings."""
    lines = re.findall(r"^#{2,4} (.*`.*)$", text, re.MULTILINE)
    return [words for line in lines for words in re.findall(r"`([^`]+)`", line)]


def test_no_page_is_out_of_date(generate, root):
    found = [str(page.relative_to(root)) for page in generate.stale()]
    assert found == [], "run: python docs/generate.py"


def test_what_the_generator_writes_it_finds_up_to_date(generate, root):
    page = root / "docs" / "reference" / "hooks.md"
    worn = re.sub(r"^Sync; .*\n", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert generate.fill(worn, page) == page.read_text(encoding="utf-8")


# Hook points


@pytest.fixture(scope="module")
def manifests():
    return [each.manifest for each in discover() if each.origin == "first-party"]


def test_every_hook_that_a_manifest_declares_is_documented(manifests, read):
    declared = {*hookspecs.__all__, *(name for manifest in manifests for name in manifest.hooks)}
    assert set(headings(read("docs/reference/hooks.md"))) >= declared


def test_every_hook_that_is_declared_is_in_its_manifest(generate, manifests):
    stated = {(manifest.id, name) for manifest in manifests for name in manifest.hooks}
    real = {(each.facts.owner, each.facts.name) for each in generate.hook_points()}
    assert {pair for pair in real if pair[0] != "kernel"} == stated


def test_every_hook_says_what_it_is_for_and_names_its_arguments(generate):
    silent = []
    for hook in generate.hook_points():
        text = inspect.getdoc(hook.function) or ""
        arguments = inspect.signature(hook.function).parameters
        words = [*arguments, *(["Returns"] if hook.facts.returns != "decision" else [])]
        silent += [f"{hook.facts.name}: {word}" for word in words if not re.search(rf"\b{word}\b", text)]
        if len(text.split()) < 5:
            silent.append(hook.facts.name)
    assert silent == []


def test_what_is_implemented_exists(manifests):
    declared = {*hookspecs.__all__, *(name for manifest in manifests for name in manifest.hooks)}
    assert {name for manifest in manifests for name in manifest.implements} <= declared


# The console and REST, as a running service has them


def test_every_console_command_is_described(generate, read):
    described = headings(read("docs/reference/commands.md"))
    for command in generate.offered().commands:
        words = command.words.removeprefix("no ")
        assert any(each == words or each.startswith(f"{words} ") for each in described), f"'{command.words}' is missing"


def test_every_described_console_command_exists(generate, read):
    commands = {each.words for each in generate.offered().commands}
    for described in headings(read("docs/reference/commands.md")):
        if described not in ("?", "no log ..."):
            assert any(described == each or described.startswith(f"{each} ") for each in commands), described


def test_arguments_of_console_commands_are_those_of_the_code(generate, read):
    usages = {f"{each.words} {each.usage}".strip() for each in generate.offered().commands}
    for described in headings(read("docs/reference/commands.md")):
        if re.search(r"[<\[]", described):
            assert described in usages


def answers(endpoint, described):
    method, _, path = described.partition(" ")
    rest = path.removeprefix(endpoint.base)
    return method == endpoint.method and rest != path and re.search(endpoint.expression, rest) is not None


def test_every_rest_route_is_described(generate, read):
    described = headings(read("docs/reference/endpoints.md"))
    for endpoint in generate.offered().endpoints:
        name = f"{endpoint.method} {endpoint.base} {endpoint.expression}"
        assert any(answers(endpoint, each) for each in described), f"{name} is missing"


def test_every_described_rest_route_exists(generate, read):
    for described in headings(read("docs/reference/endpoints.md")):
        assert [each for each in generate.offered().endpoints if answers(each, described)], described


def test_commands_and_routes_are_attributed_to_their_plugins(generate):
    offered = generate.offered()
    owners = {each.words: each.plugin for each in offered.commands}
    assert (owners["show eventer debug jobq"], owners["show rest"], owners["exit"]) == ("eventer", "http", "telnet")
    offering = {
        "conf",
        "eventer",
        "http",
        "http.cookie",
        "http_observer",
        "listener",
        "log",
        "log.memory",
        "stats",
        "tls",
    }
    assert {each.plugin for each in offered.endpoints} == offering


# The command line


def test_every_option_and_choice_is_described(read):
    text = read("docs/reference/cli.md")
    parsers = [build_parser()]
    for action in parsers[0]._actions:
        if isinstance(action.choices, dict):
            parsers += action.choices.values()
            assert all(f"`mtev-kernel {name}`" in text for name in action.choices)
    options = {option for parser in parsers for action in parser._actions for option in action.option_strings}
    missing = [option for option in options if not re.search(rf"`[^`]*{option}\b", text)]
    assert missing == []
    assert [word for word in (*KINDS, *SHELLS) if f"`{word}`" not in text] == []


def test_every_exit_code_is_described(read):
    for page in ("docs/reference/exit-codes.md", "kernel/README.md"):
        codes = {int(code) for code in re.findall(r"^\| (\d+) \|", read(page), re.MULTILINE)}
        assert set(ExitCode) <= codes, page
        assert "130" in read(page)


def test_every_column_of_the_listing_is_described(read):
    text = read("docs/reference/cli.md")
    explained = {*re.findall(r"^\| ([A-Z, ]+) \|", text, re.MULTILINE), "VERSION", "DISTRIBUTION"}
    assert set(_COLUMNS) <= explained


def commands_in(text):
    """The calls of mtev-kernel in a block of console input."""
    for line in text.splitlines():
        if match := re.match(r"\$ (?:\S*/)?mtev-kernel\b([^|&>]*)", line):
            yield shlex.split(match[1], comments=True)


def test_every_command_line_in_the_docs_is_one(console_block, capsys):
    for arguments in commands_in(console_block.text):
        try:
            parse(arguments)
        except SystemExit as end:
            assert end.code == 0, f"{arguments}: {capsys.readouterr().err}"
