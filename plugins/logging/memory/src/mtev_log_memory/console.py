"""What the console shows of memory logs; `plugin` registers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from mtev_log import Logs

from .backend import MemoryBackend

__all__ = ["CommandRegistry", "number", "register_command", "show_log"]

DEFAULT_SHOWN = 23
_FLUSH_S = 0.2


class CommandRegistry(Protocol):
    """What is needed of the console."""

    def command(
        self, words: str, function: Callable[[Sequence[str]], Iterable[str]], *, summary: str, usage: str = ""
    ) -> object: ...


def register_command(console: CommandRegistry, logs: Logs) -> None:
    """Register `show log`."""
    console.command(
        "show log",
        lambda words: show_log(logs, words),
        summary="the latest lines of a memory log",
        usage="<log> [lines]",
    )


def show_log(logs: Logs, words: Sequence[str]) -> Iterable[str]:
    """The console's `show log <log> [lines]`: `[idx] line` for each.

    Raises:
        LookupError: there is no such log.
        ValueError: the words are not a log and a number.
    """
    if not 1 <= len(words) <= 2:
        raise ValueError("show log <log> [lines]")
    if words[0] not in logs.streams:
        raise LookupError("No such log.")
    backend = logs.backend(words[0])
    if not isinstance(backend, MemoryBackend):
        raise LookupError(f"No memory log '{words[0]}'")
    logs.flush(words[0], _FLUSH_S)
    count = DEFAULT_SHOWN
    if len(words) == 2:
        count = number(words[1], "lines")
    return [
        line
        for entry in backend.lines_since(last=count)
        for line in f"[{entry.idx}] {entry.text.decode('utf-8', 'replace')}".removesuffix("\n").split("\n")
    ]


def number(text: str, what: str) -> int:
    """A text as an integer of at most 20 digits.

    Args:
        text: the text.
        what: what it is, for the error.

    Raises:
        ValueError: it is none.
    """
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise ValueError(f"{what}: '{text}' is not a number")
    return int(text)
