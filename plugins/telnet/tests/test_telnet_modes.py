"""Modes: levels of commands that a plugin makes for one session, and commands that know whose they are."""

from __future__ import annotations

import asyncio
import logging

import pytest

from mtev_telnet import CommandExists, Console, ConsoleError
from mtev_telnet.shell import Shell, UnknownOperator

LOG = logging.getLogger("test.console")
ANN = UnknownOperator("console/42", "[::1]:5", "ann", 132)


class Editor:
    """A mode as a plugin has it: it knows where the operator is, and nothing of mtev-telnet."""

    def __init__(self, operator, words):
        if len(words) > 1:
            raise ValueError("expected one PATH at most")
        self.operator = operator
        self.path = words[0] if words else "/"
        self.closed = 0

    @property
    def prompt(self):
        return f"conf:{self.path}# "

    def register(self, commands):
        commands.command("cd", self.cd, summary="goes there", usage="PATH")
        commands.command("ls", lambda words: [f"in {self.path}"], summary="lists")
        commands.command("section", lambda words: [f"made {words[0]}"], summary="makes a section", usage="NAME")
        commands.command("no section", lambda words: [f"removed {words[0]}"], summary="removes one", usage="NAME")
        commands.command("no attribute", lambda words: [], summary="removes an attribute", usage="NAME")
        commands.command("who", lambda session, words: [f"{session.user} at {session.peer}"], summary="x", session=True)
        commands.command('""', lambda words: [f"set {'='.join(words)}"], summary="anything else")
        commands.mode("edit", lambda session, words: Editor(session, words), summary="goes deeper", usage="[PATH]")

    def cd(self, words):
        self.path = words[0]
        return ()

    def close(self):
        self.closed += 1


@pytest.fixture
def entered():
    return []


@pytest.fixture
def console(entered):
    def enter(session, words):
        entered.append(Editor(session, words))
        return entered[-1]

    console = Console(lambda function: "plugin 'test' (test 1)")
    console.mode("configure terminal", enter, summary="edits the configuration", usage="[PATH]")
    console.command("configure reload", lambda words: ["reload complete"], summary="reads it again")
    console.command("who", lambda session, words: [session.name], summary="who asks", session=True)
    return console


@pytest.fixture
def shell(console):
    return Shell(console.root, "app# ", LOG, operator=ANN)


def run(shell, line):
    return list(shell.run(line))


def test_entering_working_and_leaving(shell, entered):
    assert run(shell, "conf term") == []
    assert shell.prompt == "conf:/# "
    assert run(shell, "cd /listeners") == []
    assert shell.prompt == "conf:/listeners# "
    assert run(shell, "ls") == ["in /listeners"]
    assert run(shell, "exit") == []
    assert (shell.prompt, shell.finished, entered[0].closed) == ("app# ", False, 1)
    assert run(shell, "configure reload") == ["reload complete"]


def test_names_work_in_a_mode_as_they_do_on_the_top_level(shell):
    run(shell, "configure terminal /x")
    assert run(shell, "SEC a") == ["made a"]
    assert run(shell, "no sec a") == ["removed a"]
    assert run(shell, "no") == ["  ==> 'attribute'", "  ==> 'section'", "incomplete command."]
    assert run(shell, "no ?") == ["\tattribute", "\thelp", "\tsection"]
    assert run(shell, "?") == ["\t", "\tcd", "\tedit", "\texit", "\thelp", "\tls", "\tno", "\tsection", "\twho"]
    assert run(shell, "e") == ["Ambiguous command: 'e'", "\tedit", "\texit"]
    assert run(shell, "exit now") == ["no arguments allowed to this command."]
    assert run(shell, "port 80") == ["set port=80"]
    assert run(shell, "")[-1] == "arguments expected"
    assert run(shell, "configure terminal") == ["set configure=terminal"]


def test_help_in_a_mode(shell):
    run(shell, "configure terminal")
    assert run(shell, "help")[:4] == [" -> 'terminal'", "", "= Commands =", "  ==> ''"]
    assert run(shell, "help no section") == [
        "Help for 'no section':",
        "  no section NAME",
        "  removes one",
        "  from plugin 'test' (test 1)",
    ]
    run(shell, "edit deeper")
    assert run(shell, "help")[:2] == [" -> 'edit'", " -> 'terminal'"]


def test_help_explains_what_leads_into_a_mode(shell):
    assert run(shell, "help configure terminal") == [
        "Help for 'configure terminal':",
        "  configure terminal [PATH]",
        "  edits the configuration",
        "  from plugin 'test' (test 1)",
    ]


def test_modes_lie_in_each_other(shell):
    run(shell, "configure terminal /a")
    run(shell, "edit /b")
    assert shell.prompt == "conf:/b# "
    run(shell, "exit")
    assert shell.prompt == "conf:/a# "
    assert list(shell.leave()) == []
    assert shell.prompt == "app# "
    assert list(shell.leave()) == []
    assert shell.finished


def test_each_session_has_a_mode_of_its_own(console, entered):
    one, other = Shell(console.root, "app# ", LOG, operator=ANN), Shell(console.root, "app# ", LOG)
    run(one, "configure terminal /one")
    run(other, "configure terminal /other")
    run(one, "cd /else")
    assert (one.prompt, other.prompt) == ("conf:/else# ", "conf:/other# ")
    assert entered[0].operator is ANN
    assert [entered[0].operator.name, entered[1].operator.name] == ["console/42", "console"]


def test_commands_are_told_whose_they_are(shell):
    assert run(shell, "who") == ["console/42"]
    run(shell, "configure terminal")
    assert run(shell, "who") == ["ann at [::1]:5"]


def test_entering_may_be_refused(shell, caplog):
    assert run(shell, "configure terminal a b") == ["expected one PATH at most"]
    assert shell.prompt == "app# "
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]


class Plain:
    """A mode without a close."""

    prompt = "plain# "

    def register(self, commands):
        commands.command("x", lambda words: ["y"], summary="x")


def test_a_mode_need_not_be_closed(console, shell):
    console.mode("plain", lambda session, words: Plain(), summary="plain")
    run(shell, "plain")
    assert run(shell, "x") == ["y"]
    run(shell, "exit")
    run(shell, "plain")
    shell.close()
    assert shell.prompt == "app# "


@pytest.mark.parametrize("result", [None, "text", object()])
def test_what_is_no_mode_is_not_entered(console, shell, caplog, result):
    console.mode("odd", lambda session, words: result, summary="odd")
    (line,) = run(shell, "odd")
    assert line.startswith("Internal error ")
    assert "expected an object with 'prompt' and 'register'" in str(caplog.records[0].exc_info[1])
    assert shell.prompt == "app# "


def test_a_mode_that_cannot_register_is_closed_and_not_entered(console, shell, caplog):
    class Clumsy(Editor):
        def register(self, commands):
            commands.command("ls", lambda words: [], summary="lists")
            commands.command("ls", lambda words: [], summary="lists again")

    made = []
    console.mode("clumsy", lambda session, words: made.append(Clumsy(session, words)) or made[0], summary="clumsy")
    (line,) = run(shell, "clumsy")
    assert line.startswith("Internal error ")
    assert caplog.records[0].exc_info[0] is CommandExists
    assert "plugin 'test' (test 1) registers the console command 'ls'" in str(caplog.records[0].exc_info[1])
    assert (shell.prompt, made[0].closed) == ("app# ", 1)


@pytest.mark.parametrize("failure", [RuntimeError("gone"), SystemExit(1), asyncio.CancelledError(), 7])
def test_a_prompt_that_fails_is_replaced_and_logged(console, shell, caplog, failure):
    class Lost(Plain):
        @property
        def prompt(self):
            if isinstance(failure, int):
                return failure
            raise failure

    console.mode("lost", lambda session, words: Lost(), summary="lost")
    run(shell, "lost")
    assert shell.prompt == "lost# "
    assert "the prompt of the console mode 'lost' failed" in caplog.text
    assert run(shell, "x") == ["y"]


def test_a_prompt_cannot_steer_the_terminal(console, shell):
    class Evil(Plain):
        prompt = "\x1b[2J\nconf:/é# "

    console.mode("evil", lambda session, words: Evil(), summary="evil")
    run(shell, "evil")
    assert shell.prompt == "\\x1b[2J\\nconf:/é# "


class Sticky(Plain):
    prompt = "sticky# "

    def close(self):
        raise RuntimeError("will not go")


def test_a_mode_that_fails_to_close_is_left_all_the_same(console, shell, caplog):
    console.mode("sticky", lambda session, words: Sticky(), summary="sticky")
    run(shell, "sticky")
    (line,) = run(shell, "exit")
    assert line.startswith("Internal error ")
    assert "the command 'exit' failed" in line
    assert shell.prompt == "app# "
    run(shell, "sticky")
    (line,) = shell.leave()
    assert line.startswith("Internal error ")
    assert not shell.finished


def test_the_end_of_the_session_leaves_every_mode(console, shell, entered, caplog):
    console.mode("sticky", lambda session, words: Sticky(), summary="sticky")
    run(shell, "configure terminal")
    shell.push("sticky", shell.state, lambda: "", Sticky().close)
    run(shell, "edit")
    shell.close()
    shell.close()
    assert entered[0].closed == 1
    assert "the console mode 'sticky' failed to close" in caplog.text
    assert not shell.finished


def test_a_mode_is_registered_and_taken_back_as_a_command_is(console, shell):
    with pytest.raises(CommandExists, match="'configure terminal'"):
        console.mode("configure terminal", lambda session, words: Plain(), summary="again")
    with pytest.raises(ConsoleError, match="without a summary"):
        console.mode("x", lambda session, words: Plain(), summary="")
    registration = console.mode("plain", lambda session, words: Plain(), summary="plain")
    run(shell, "plain")
    registration.remove()
    registration.remove()
    assert run(shell, "x") == ["y"]
    run(shell, "exit")
    assert run(shell, "plain") == ["No such command: 'plain'"]


def test_commands_come_and_go_in_a_mode_too(console, shell):
    held = []

    class Open(Plain):
        def register(self, commands):
            held.append(commands)

    console.mode("open", lambda session, words: Open(), summary="open")
    run(shell, "open")
    registration = held[0].command("a b", lambda words: ["c"], summary="x")
    assert run(shell, "a b") == ["c"]
    registration.remove()
    assert run(shell, "a b") == ["No such command: 'a'"]


def test_without_a_background_commands_that_may_block_run_in_place(console, shell):
    def fail(words):
        yield "first"
        raise ValueError("not now")

    console.command("slow", fail, summary="slow", threaded=True)
    assert run(shell, "slow") == ["first", "not now"]


def test_a_background_runs_exactly_the_commands_that_ask_for_it(console, entered):
    told = []

    def background(name, lines, failed):
        told.append(name)
        yield None
        yield from lines()
        yield None
        failed(RuntimeError("afterwards"))

    shell = Shell(console.root, "app# ", LOG, operator=ANN, background=background)
    console.command(
        "write file", lambda session, words: [session.user, *words], summary="x", session=True, threaded=True
    )
    assert run(shell, "wr f a") == [None, "ann", "a", None]
    run(shell, "configure terminal")
    run(shell, "ls")
    assert told == ["write file"]
