"""What an operator sees for what is typed. The wording is libmtev's where libmtev has one."""

from __future__ import annotations

import asyncio
import logging

import pytest

from mtev_telnet import CommandExists, Console, ConsoleError
from mtev_telnet.shell import Shell
from mtev_telnet.tree import Command, State

LOG = logging.getLogger("test.console")


@pytest.fixture
def console():
    console = Console(lambda function: "plugin 'test' (test 1)")
    console.command("show version", lambda words: ["1.0"], summary="the version")
    console.command("show value", lambda words: [f"<{word}>" for word in words], summary="values", usage="[VALUE ...]")
    console.command("shutdown", lambda words: ["bye"], summary="the end")
    return console


@pytest.fixture
def shell(console):
    return Shell(console.root, "app# ", LOG)


def run(shell, line):
    return list(shell.run(line))


def test_a_command_runs_with_the_words_after_its_name(shell):
    assert run(shell, "show value a 'b c'") == ["<a>", "<b c>"]


def test_unique_prefixes_run_in_any_case(shell):
    assert run(shell, "SHO ve") == ["1.0"]


def test_unknown_words(shell):
    assert run(shell, "nonsense") == ["No such command: 'nonsense'"]
    assert run(shell, "show nonsense") == ["No such command: 'nonsense'"]
    assert run(shell, "'\x1b[2J'") == [r"No such command: '\x1b[2J'"]


def test_ambiguous_words_list_the_candidates(shell):
    assert run(shell, "sh") == ["Ambiguous command: 'sh'", "\tshow", "\tshutdown"]


def test_incomplete_commands_list_what_may_follow(shell):
    assert run(shell, "show") == ["  ==> 'value'", "  ==> 'version'", "incomplete command."]


def test_a_line_without_words_lists_the_commands(shell):
    assert run(shell, "  ") == ["  ==> 'exit'", "  ==> 'show'", "  ==> 'shutdown'", "arguments expected"]


def test_question_mark_lists_names_on_every_level(shell):
    assert run(shell, "?") == ["\texit", "\thelp", "\tshow", "\tshutdown"]
    assert run(shell, "show ?") == ["\thelp", "\tvalue", "\tversion"]


def test_help_lists_commands_on_every_level(shell):
    assert run(shell, "help")[:5] == ["", "= Commands =", "  ==> 'exit'", "  ==> 'show'", "  ==> 'shutdown'"]
    assert run(shell, "show help")[:4] == ["", "= Commands =", "  ==> 'value'", "  ==> 'version'"]


def test_help_explains_a_command(shell):
    assert run(shell, "help sho val") == [
        "Help for 'sho val':",
        "  show value [VALUE ...]",
        "  values",
        "  from plugin 'test' (test 1)",
    ]
    assert "  ==> 'value'    values" in run(shell, "help show")


@pytest.mark.parametrize("words", ["nonsense", "show nonsense", "show version further", "ex"])
def test_help_for_what_is_none(shell, words):
    assert run(shell, f"help {words}") == [f"Help for '{words}':", "command not understood."]


def test_lines_that_cannot_be_split(shell):
    assert run(shell, "show 'version") == ["Error at offset: 5"]
    assert run(shell, "x " * 3000) == ["Command length too long."]


def test_exit_has_to_be_in_full_and_alone(shell):
    assert run(shell, "ex") == ["No such command: 'ex'"]
    assert run(shell, "exit now") == ["no arguments allowed to this command."]
    assert not shell.finished
    assert run(shell, "EXIT") == []
    assert shell.finished


def test_exit_leaves_one_level_at_a_time(shell):
    level = State()
    level.add((), shell.state.find("exit"))
    level.add((), shell.state.find("help"))
    shell.push("configure", level, lambda: "conf# ")
    assert shell.prompt == "conf# "
    assert run(shell, "help")[0] == " -> 'configure'"
    run(shell, "exit")
    assert (shell.prompt, shell.finished) == ("app# ", False)


def test_a_nameless_command_takes_what_its_level_does_not_know(console, shell):
    console.command('show ""', lambda words: [",".join(words)], summary="anything else")
    assert run(shell, "show me more") == ["me,more"]
    assert run(shell, "show version") == ["1.0"]


def test_a_command_refuses_its_arguments(console, shell, caplog):
    def refuse(words):
        yield "first"
        raise LookupError("no queue named 'x'; there are a, b")

    console.command("refuse", refuse, summary="refuses")
    assert run(shell, "refuse") == ["first", "no queue named 'x'; there are a, b"]
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]


@pytest.mark.parametrize(
    "error", [RuntimeError("broken"), KeyError("x"), SystemExit(3), asyncio.CancelledError(), ValueError()]
)
def test_a_failing_command_shows_an_id_and_logs_its_traceback(console, shell, caplog, error):
    def fail(words):
        yield "before"
        raise error

    console.command("fail", fail, summary="fails")
    before, line = run(shell, "fail")
    assert before == "before"
    (record,) = caplog.records
    incident = line.split()[2].rstrip(":")
    assert line == f"Internal error {incident}: the command 'fail' failed; the log has the details under this id."
    assert incident in record.getMessage()
    assert record.exc_info[1] is error
    assert run(shell, "show version") == ["1.0"]


@pytest.mark.parametrize("result", [None, "text", 7, [b"bytes"]])
def test_a_command_that_returns_something_else_has_failed(console, shell, caplog, result):
    console.command("odd", lambda words: result, summary="odd")
    (line,) = run(shell, "odd")
    assert line.startswith("Internal error ")
    assert caplog.records[0].exc_info[0] is TypeError


def test_output_cannot_steer_the_terminal(console, shell):
    console.command("evil", lambda words: ["\x1b]0;owned\x07\tx\ny\r\x9b2J"], summary="evil")
    assert run(shell, "evil") == ["\\x1b]0;owned\\x07\tx\ny\\x0d\\x9b2J"]


def test_closing_the_output_closes_the_command(console, shell, caplog):
    ended = []

    def endless(words):
        try:
            while True:
                yield "tick"
        finally:
            ended.append(True)
            raise RuntimeError("in cleaning up")

    console.command("endless", endless, summary="endless")
    output = shell.run("endless")
    assert [next(output), next(output)] == ["tick", "tick"]
    output.close()
    assert ended == [True]
    assert "in cleaning up" in str(caplog.records[0].exc_info[1])


def test_an_interceptor_sees_a_line_first(console):
    seen = []
    shell = Shell(console.root, "# ", LOG, lambda line: bool(seen.append(line)) or line.startswith("secret"))
    assert run(shell, "show version") == ["1.0"]
    assert run(shell, "secret") == []
    assert seen == ["show version", "secret"]


def test_registering_twice_is_an_error_and_removing_makes_room(console):
    def again(words):
        return []

    with pytest.raises(CommandExists, match="'show version'"):
        console.command("show version", again, summary="again")
    registration = console.command("show again", again, summary="again")
    registration.remove()
    registration.remove()
    console.command("show again", again, summary="again")


@pytest.mark.parametrize("words", ["", "  ", "'open", 'a "" b', '"a\\nb"', "show ?"])
def test_words_that_cannot_be_a_name(console, words):
    with pytest.raises(ConsoleError, match="plugin 'test'"):
        console.command(words, lambda rest: [], summary="x")


@pytest.mark.parametrize("summary", ["", " ", "two\nlines"])
def test_a_command_needs_a_summary(console, summary):
    with pytest.raises(ConsoleError, match="without a summary"):
        console.command("x", lambda rest: [], summary=summary)


def test_without_plugins_the_owner_is_the_function():
    console = Console()
    console.command("x", run, summary="x")
    with pytest.raises(CommandExists, match=r"test_telnet_shell\.run"):
        console.command("x", run, summary="x")


def test_a_state_can_hold_what_no_console_registered():
    state = State()
    state.add((), Command("x", lambda shell, words: [shell.prompt]))
    assert run(Shell(state, "p# ", LOG), "x") == ["p# "]


def test_closing_the_output_of_what_cannot_be_closed(console, shell):
    console.command("count", lambda words: map(str, range(10)), summary="counts")
    output = shell.run("count")
    assert next(output) == "0"
    output.close()
    assert list(output) == []
