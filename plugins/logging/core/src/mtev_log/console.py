"""Console commands about streams. Pure functions from words to lines; `plugin` registers them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from .errors import LogError
from .logs import Logs

__all__ = ["CommandRegistry", "register"]


class CommandRegistry(Protocol):
    """What is needed of the console."""

    def command(
        self, words: str, function: Callable[[Sequence[str]], Iterable[str]], *, summary: str, usage: str = ""
    ) -> object: ...


def register(console: CommandRegistry, logs: Logs) -> None:
    """Register `show logs`, `log to|details|connect|disconnect`, and `[no] log enable|facility|debug|timestamps`."""
    console.command("show logs", lambda words: _show(logs, words), summary="list the log streams")
    console.command("log to", lambda words: _log_to(logs, words), summary="log a line", usage="<log> text...")
    console.command(
        "log details", lambda words: _details(logs, words), summary="describe a log stream as JSON", usage="<log>"
    )
    console.command(
        "log connect",
        lambda words: _connect(logs, words),
        summary="let a log stream feed another, until the next reload",
        usage="<log> <outlet> [filter]",
    )
    console.command(
        "log disconnect",
        lambda words: _disconnect(logs, words),
        summary="undo 'log connect', or part what the configuration connects, until the next reload",
        usage="<log> <outlet>",
    )
    for flag, effect in (
        ("enable", "let a log stream pass lines on"),
        ("facility", "prefix lines with the stream's name"),
        ("debug", "prefix lines with thread, file and line"),
        ("timestamps", "prefix lines with the time"),
    ):
        console.command(f"log {flag}", _setter(logs, flag, True), summary=effect, usage="<log>")
        console.command(f"no log {flag}", _setter(logs, flag, False), summary=f"do not {effect}", usage="<log>")


def _show(logs: Logs, words: Sequence[str]) -> Iterable[str]:
    if words:
        raise ValueError("show logs: no arguments expected; 'log details <log>' describes one")
    for name in sorted(logs.streams):
        told = logs.describe(name)
        state = [
            "enabled" if told["enabled"] else "disabled",
            *(flag for flag in ("timestamps", "facility", "debugging") if told[flag]),
        ]
        if told["enabled"] and not told["enabled_below"]:
            state.append("leads nowhere")
        line = f"{name}: {', '.join(state)}"
        if "type" in told:
            line += f"; type {told['type']}, path '{told['path']}', {told['written']} written, {told['lost']} lost"
            if told["queued"]:
                line += f", {told['queued']} queued"
        if "failing" in told:
            line += f"; FAILING: {told['failing']}"
        if outlets := logs.outlets(name):
            line += f"; to {', '.join(outlets)}"
        yield line


def _log_to(logs: Logs, words: Sequence[str]) -> Iterable[str]:
    if len(words) < 2 or words[0] not in logs.streams:
        return ["log <logname> thing to log"]
    logs.stream(words[0]).log(" ".join(words[1:]))
    return ["logged."]


def _details(logs: Logs, words: Sequence[str]) -> Iterable[str]:
    if len(words) != 1 or words[0] not in logs.streams:
        return ["log details <logname>: no such log" if words else "log details <logname>"]
    return [json.dumps(logs.describe(words[0]), ensure_ascii=False)]


def _connect(logs: Logs, words: Sequence[str]) -> Iterable[str]:
    if len(words) < 2:
        raise ValueError("log connect <log> <outlet> [filter]")
    for name in words[:2]:
        if name not in logs.streams:
            raise LookupError(f"no such log: {name}")
    try:
        changed = logs.connect(words[0], words[1], " ".join(words[2:]))
    except LogError as error:
        return str(error).split("\n")
    return [] if changed else [f"{words[0]} feeds {words[1]} already; disconnect it first to change its filter"]


def _disconnect(logs: Logs, words: Sequence[str]) -> Iterable[str]:
    if len(words) != 2:
        raise ValueError("log disconnect <log> <outlet>")
    return [] if logs.disconnect(*words) else [f"{words[0]} does not feed {words[1]}"]


def _setter(logs: Logs, flag: str, value: bool) -> Callable[[Sequence[str]], Iterable[str]]:
    def change(words: Sequence[str]) -> Iterable[str]:
        if len(words) != 1:
            return ["no such log"]
        if flag == "enable":
            logs.set_flags(words[0], enabled=value)
        elif flag == "facility":
            logs.set_flags(words[0], facility=value)
        elif flag == "debug":
            logs.set_flags(words[0], debug=value)
        else:
            logs.set_flags(words[0], timestamps=value)
        return []

    return change
