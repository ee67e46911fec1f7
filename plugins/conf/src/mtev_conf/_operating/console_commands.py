"""What a console command is, as far as the configuration's commands need to know. The console itself is not imported.

A command that may block runs on a thread of its own. What it refuses it says by a ValueError or LookupError, whose text
the console shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, Protocol

from mtev_kernel.errors import ConfigurationError, MtevError, describe

from .._apply import Pending

__all__ = [
    "CommandRegistry",
    "Function",
    "Mode",
    "Operator",
    "checked_reason",
    "generation_number",
    "more",
    "none_of",
    "reasons",
    "remedy",
    "told",
]

_MAX_DIGITS = 18
_MAX_REASON_CHARS = 1000


class Operator(Protocol):
    """Whoever gives a command: what is used here of the console's session."""

    @property
    def name(self) -> str: ...
    @property
    def peer(self) -> str: ...
    @property
    def user(self) -> str: ...


class Mode(Protocol):
    """A level of commands with a prompt of its own, for one session."""

    @property
    def prompt(self) -> str: ...
    def register(self, commands: CommandRegistry) -> None: ...


Function = Callable[[Operator, Sequence[str]], Iterable[str]]
"""What a command does: given whose it is and the words after its name, yields lines."""


class CommandRegistry(Protocol):
    """Where commands are registered: what is used here of the console, or of a mode of it."""

    def command(
        self,
        words: str,
        function: Function,
        *,
        summary: str,
        usage: str = "",
        session: Literal[True],
        threaded: bool = False,
    ) -> object: ...

    def mode(
        self, words: str, enter: Callable[[Operator, Sequence[str]], Mode], *, summary: str, usage: str = ""
    ) -> object: ...


def told(function: Function) -> Function:
    """The same command, whose errors of ours are refusals: all their reasons, one per line."""

    def command(operator: Operator, words: Sequence[str]) -> Iterator[str]:
        try:
            yield from function(operator, words)
        except MtevError as error:
            raise ValueError("\n".join(reasons(error))) from error

    command.__module__ = function.__module__  # `help` names the owner by it
    return command


def reasons(error: BaseException) -> list[str]:
    """Everything that an error reports, one by one."""
    parts = error.parts if isinstance(error, ConfigurationError) else ()
    return [text for part in parts for text in reasons(part)] or [describe(error)]


def remedy(pending: Pending) -> str:
    """What it takes for a change to come into force."""
    who = f"plugin '{pending.plugin}'" if pending.policy == "restart-plugin" else "the service"
    return f"in force once {who} is restarted"


def none_of(words: Sequence[str]) -> None:
    """Refuse arguments.

    Raises:
        ValueError: there are some.
    """
    if words:
        raise ValueError("no arguments allowed to this command.")


def generation_number(word: str) -> int:
    """The number of a generation, as an operator writes it.

    Raises:
        ValueError: it is none.
    """
    if not (word.isascii() and word.isdecimal() and len(word) <= _MAX_DIGITS):
        raise ValueError(f"'{word}' is not the number of a generation; 'history' lists them")
    return int(word)


def checked_reason(text: str) -> str:
    """What somebody gives as the reason of a change, for the history and the log.

    Raises:
        ValueError: it is too long, or more than one line of text.
    """
    if len(text) > _MAX_REASON_CHARS or not text.isprintable():
        raise ValueError(f"the reason has to be one line of text with at most {_MAX_REASON_CHARS} characters")
    return text


def more(count: int, what: str) -> Iterator[str]:
    """A line that says how many are not shown, if any."""
    if count > 0:
        yield f"... and {count} more {what}"
