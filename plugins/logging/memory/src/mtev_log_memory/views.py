"""What REST and the console show of memory logs. Pure functions; `plugin` registers them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from mtev_log import Logs

from .backend import MemoryBackend

__all__ = ["CommandRegistry", "RestRoutes", "log_lines", "register_command", "register_view", "show_log"]

DEFAULT_SHOWN = 23
_FLUSH_S = 0.2


class RestRoutes(Protocol):
    """What is needed of REST."""

    def view(self, base: str, expression: str, function: Callable[..., object], *, summary: str) -> object: ...


class CommandRegistry(Protocol):
    """What is needed of the console."""

    def command(
        self, words: str, function: Callable[[Sequence[str]], Iterable[str]], *, summary: str, usage: str = ""
    ) -> object: ...


def register_view(rest: RestRoutes, logs: Logs) -> None:
    """Add `GET /eventer/logs/<name>.json`."""
    rest.view(
        "/eventer/",
        r"^logs/(.+)\.json$",
        lambda query, name: log_lines(logs, query, name),
        summary="the lines of a memory log; since=<idx> for those after one, last=<n> for the latest",
    )


def register_command(console: CommandRegistry, logs: Logs) -> None:
    """Register `show log`."""
    console.command(
        "show log",
        lambda words: show_log(logs, words),
        summary="the latest lines of a memory log",
        usage="<log> [lines]",
    )


def log_lines(logs: Logs, query: Mapping[str, str], name: str) -> list[dict[str, object]]:
    """Lines of a memory log as libmtev shows them.

    Args:
        logs: the streams.
        query: `since` and `last`, both optional; see `Ring.lines_since`.
        name: the log's name. Unlike in libmtev, asking for one does not make it.

    Raises:
        LookupError: there is no such log, or it is not in memory.
        ValueError: `since` or `last` is not a number.
    """
    backend = logs.backend(name)
    if not isinstance(backend, MemoryBackend):
        raise LookupError(f"log '{name}' not found")
    logs.flush(name, _FLUSH_S)
    found = backend.lines_since(_number(query, "since"), _number(query, "last"))
    return [
        {"idx": entry.idx, "whence": entry.time_ns // 1_000_000, "line": entry.text.decode("utf-8", "replace")}
        for entry in found
    ]


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
        count = _parsed(words[1], "lines")
    return [
        line
        for entry in backend.lines_since(last=count)
        for line in f"[{entry.idx}] {entry.text.decode('utf-8', 'replace')}".removesuffix("\n").split("\n")
    ]


def _number(query: Mapping[str, str], key: str) -> int | None:
    text = query.get(key)
    return None if text is None or text == "" else _parsed(text, key)


def _parsed(text: str, what: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise ValueError(f"{what}: '{text}' is not a number")
    return int(text)
