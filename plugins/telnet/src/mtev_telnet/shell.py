"""What a session does with a line: split it, find the command, run it. No I/O: lines come in, lines go out.

A shell holds a stack of levels: the console's own, and the modes that were entered. `exit` leaves the topmost; leaving
the last one ends the session. Wording is libmtev's throughout, since scripts parse it:

    No such command: 'x'            nothing is meant by the word
    Ambiguous command: 'x'          several are, and they follow, each after a tab
      ==> 'name'                    sub-commands of an incomplete command, then `incomplete command.`
    arguments expected              after the commands, for a line without words
    no arguments allowed to this command.
    command not understood.         `help` does not know the words

A command that fails with ValueError or LookupError refused what it was given: its text is shown. Any other failure is
its own fault: the operator sees one line with an id, the log has the traceback under that id.

What commands yield may hold text from anywhere, so control characters other than tab and LF are shown, not sent.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from .errors import LineError
from .hookspecs import Operator
from .tokenizer import tokenize
from .tree import Command, Handler, State

__all__ = ["Background", "Output", "Shell", "UnknownOperator", "basic_state", "printable"]

Lines = Generator[str, None, None]

Background = Callable[[str, Callable[[], Lines], Callable[[BaseException], object]], Iterator[str | None]]
"""Runs a command that may block: `background(name, lines, failed)` calls and walks `lines` where blocking harms nobody.

It returns the lines as they come, with None for "nothing yet", and raises behind the last one what the command raised.
`failed` logs a failure that nobody will ask for any more.
"""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CAUGHT = (Exception, SystemExit, asyncio.CancelledError)
_MISHAPS = (KeyError, IndexError, UnicodeError)
"""Kinds of LookupError and ValueError that happen to a command, rather than being raised by it on purpose."""


@dataclass(frozen=True, slots=True)
class UnknownOperator:
    """An `Operator` of whom nothing is known: for a shell without a connection."""

    name: str = "console"
    peer: str = "unnamed"
    user: str = ""
    columns: int = 80


@dataclass(frozen=True, slots=True)
class _Level:
    name: str
    state: State
    prompt: Callable[[], str]
    close: Callable[[], object] | None = None


class Shell:
    """The state of one session. Belongs to one thread.

    Args:
        root: the level to begin with.
        prompt: what the top level asks with.
        log: where failures of commands go, with their tracebacks.
        intercept: sees each line first, and answers whether it has taken care of it.
        operator: whose session it is.
        background: runs commands that may block; without it they run as all others do.

    Attributes:
        finished: the operator has left the last level.
        level: where the command that runs was found: the current level or one below it.
        operator: whose session it is.
    """

    def __init__(
        self,
        root: State,
        prompt: str,
        log: logging.Logger,
        intercept: Callable[[str], bool] | None = None,
        *,
        operator: Operator = UnknownOperator(),
        background: Background | None = None,
    ) -> None:
        self._stack = [_Level("", root, lambda: prompt)]
        self._log = log
        self._intercept = intercept
        self._background = background or _in_place
        self._running: list[str] = []
        self.level = root
        self.operator = operator
        self.finished = False

    @property
    def prompt(self) -> str:
        """The prompt of the current level. A mode's may fail: then it is logged, and replaced by the mode's name."""
        level = self._stack[-1]
        try:
            return printable(level.prompt())
        except _CAUGHT as error:
            self._log.error("the prompt of the console mode '%s' failed", printable(level.name), exc_info=error)
            return f"{printable(level.name)}# "

    @property
    def state(self) -> State:
        """The current level."""
        return self._stack[-1].state

    @property
    def command(self) -> str:
        """The own name of the command that runs, the last one of its words; `""` before any was found."""
        return self._running[-1] if self._running else ""

    @property
    def breadcrumbs(self) -> list[str]:
        """The commands that led to the levels below the current one, nearest first."""
        return [level.name for level in reversed(self._stack[1:])]

    def push(
        self, name: str, state: State, prompt: Callable[[], str], close: Callable[[], object] | None = None
    ) -> None:
        """Enter another level.

        Args:
            name: the command that leads there, for `help`.
            state: its commands, `exit` among them.
            prompt: what it asks with; called for each prompt.
            close: called when the level is left.
        """
        self._stack.append(_Level(name, state, prompt, close))

    def pop(self) -> object:
        """Leave the current level; from the first one, the session.

        Returns:
            What the level's `close` returned; None when it has none.
        """
        if len(self._stack) == 1:
            self.finished = True
            return None
        close = self._stack.pop().close
        return None if close is None else close()

    def run(self, line: str) -> Output:
        """Carry out a line. Nothing happens until the first line of output is asked for."""
        self._running = []
        return Output(self._carry_out(line), partial(self._failed, self._running))

    def leave(self) -> Output:
        """Leave the current level, as `exit` does: what Ctrl-D means. Nothing happens until it is asked for output."""
        self._running = ["exit"]
        return Output(_exit(self, ()), partial(self._failed, self._running))

    def close(self) -> None:
        """The session is over: leave every level. Never raises; a failure is logged. Harmless to repeat."""
        while len(self._stack) > 1:
            name = self._stack[-1].name
            try:
                self.pop()
            except _CAUGHT as error:
                self._log.error("the console mode '%s' failed to close", printable(name), exc_info=error)

    def _carry_out(self, line: str) -> Generator[str | None, None, None]:
        if self._intercept is None or not self._intercept(line):
            yield from self._dispatch(self.state, tokenize(line))

    def _descend(self, state: State, words: Sequence[str]) -> Iterator[str | None]:
        if not words:
            yield from _listing(state)
            yield "incomplete command."
        else:
            yield from self._dispatch(state, words)

    def _dispatch(self, state: State, words: Sequence[str]) -> Iterator[str | None]:
        if not words:
            yield from _listing(state)
            yield "arguments expected"
            return
        found = state.match(words[0])
        command, rest = found.command, words[1:]
        if command is None and not found.candidates and words[0] != "?":
            command, rest = state.find(""), words
        if command is None:
            yield from _unmatched(state, words[0], found.candidates)
            return
        self._running.append(command.name)
        self.level = state
        if command.state is not None:
            yield from self._descend(command.state, rest)
        elif command.handler is not None:
            lines = partial(self._lines, command.handler, rest)
            if command.threaded:
                running = tuple(self._running)
                yield from self._background(printable(" ".join(running)), lines, partial(self._failed, running))
            else:
                yield from lines()

    def _lines(self, handler: Handler, words: Sequence[str]) -> Lines:
        """Call a command and check what it hands back, which the type checker of its author may not have seen."""
        output: object = handler(self, words)
        if isinstance(output, str) or not isinstance(output, Iterable):
            raise TypeError(f"a console command returned {type(output).__name__}; expected an iterable of lines")
        lines = iter(output)
        try:
            for line in lines:
                if not isinstance(line, str):
                    raise TypeError(f"a console command yielded {type(line).__name__}; expected lines of text")
                yield line
        finally:
            if isinstance(lines, Generator):
                lines.close()

    def _failed(self, running: Sequence[str], error: BaseException) -> str:
        if isinstance(error, LineError):
            return str(error)
        name = printable(" ".join(running))
        if isinstance(error, ValueError | LookupError) and not isinstance(error, _MISHAPS) and error.args:
            self._log.debug("console command '%s' refused its arguments: %s", name, printable(str(error.args[0])))
            return str(error.args[0])
        incident = secrets.token_hex(4)
        self._log.error("console command '%s' failed (id %s)", name, incident, exc_info=error)
        return f"Internal error {incident}: the command '{name}' failed; the log has the details under this id."


class Output(Iterator[str | None]):
    """What a line that is being carried out prints. Never raises; a failure is its last line.

    Where the shell has a background, None stands for "nothing yet"; who runs the background knows when to ask again.

    Args:
        lines: the lines.
        failed: logs a failure and puts it in a line.
    """

    def __init__(self, lines: Generator[str | None, None, None], failed: Callable[[BaseException], str]) -> None:
        self._lines = lines
        self._failed = failed

    def __next__(self) -> str | None:
        try:
            line = next(self._lines)
        except StopIteration:
            raise
        except _CAUGHT as error:
            line = self._failed(error)
        if line is None:
            return None
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", line)

    def close(self) -> None:
        """Interrupt the command: its iterator is closed."""
        try:
            self._lines.close()
        except _CAUGHT as error:
            self._failed(error)


def basic_state() -> State:
    """A top level that holds `exit` and `help`, and whose sub-levels hold `help`."""
    root = State([Command("help", _help, summary="the commands; what one of them does", usage="[COMMAND ...]")])
    root.add((), Command("exit", _exit, summary="leave this level, or the console"))
    return root


def printable(text: str) -> str:
    """Text that cannot steer a terminal or forge a log line: what is not printable is escaped."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def _in_place(name: str, lines: Callable[[], Lines], failed: Callable[[BaseException], object]) -> Lines:
    return lines()


def _exit(shell: Shell, words: Sequence[str]) -> Lines:
    if words:
        yield "no arguments allowed to this command."
    elif isinstance(parting := shell.pop(), str) and parting:
        yield parting


def _help(shell: Shell, words: Sequence[str]) -> Iterator[str]:
    if words:
        yield f"Help for '{printable(' '.join(words))}':"
        yield from _explained(shell.level, words)
        return
    if shell.level is shell.state:
        for name in shell.breadcrumbs:
            yield f" -> '{name}'"
    yield ""
    yield "= Commands ="
    yield from _listing(shell.level)
    yield ""
    yield "'help COMMAND' explains a command; '?' lists the names; a unique beginning of a name is enough."


def _explained(state: State, words: Sequence[str]) -> Iterator[str]:
    path: list[str] = []
    command = None
    for word in words:
        found = state.match(word)
        command = found.command
        if command is None:
            if found.candidates:
                yield from _unmatched(state, word, found.candidates)
            yield "command not understood."
            return
        path.append(command.name)
        if command.state is None:
            break
        state = command.state
    if command is None or len(path) < len(words):
        yield "command not understood."
    elif command.state is not None:
        width = max(len(each.name) for each in command.state)
        for each in command.state:
            yield f"  ==> '{each.name}'{' ' * (width - len(each.name))}  {_summary(each)}".rstrip()
    else:
        yield f"  {' '.join(path)} {command.usage}".rstrip()
        yield f"  {_summary(command)}"
        if command.owner:
            yield f"  from {command.owner}"


def _summary(command: Command) -> str:
    return command.summary or ", ".join(each.name for each in command.state or () if each.name != "help")


def _listing(state: State) -> Iterator[str]:
    for command in state:
        if command.name != "help":
            yield f"  ==> '{command.name}'"


def _unmatched(state: State, word: str, candidates: Sequence[Command]) -> Iterator[str]:
    if candidates:
        yield f"Ambiguous command: '{printable(word)}'"
    elif word != "?":
        yield f"No such command: '{printable(word)}'"
        return
    for command in candidates or state:
        yield f"\t{command.name}"
