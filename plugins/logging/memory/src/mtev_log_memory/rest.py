"""`GET /eventer/logs/<name>.json`: the lines of a memory log, and those that are still to come.

HTTP itself is not imported: this knows the shape of its requests and answers only.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mtev_log import Logs

from .backend import MemoryBackend, TooManyWaiting
from .console import number
from .ring import Entry

__all__ = ["MAX_WAIT_S", "Answer", "LogLines", "Request", "RestRoutes"]

MAX_WAIT_S = 60
"""How long a request may wait for lines, in seconds."""

_FLUSH_S = 0.2
_RETRY_AFTER_S = 5
_SECONDS = re.compile(r"\d{1,10}(?:\.\d{0,10})?|\.\d{1,10}", re.ASCII)


class Request(Protocol):
    """What is used here of an HTTP request."""

    @property
    def query(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What HTTP makes a response of."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class RestRoutes(Protocol):
    """What is needed of REST."""

    def resource(
        self, method: str, base: str, expression: str, function: Callable[..., Awaitable[Answer]], *, summary: str
    ) -> object: ...


class LogLines:
    """The lines of memory logs as libmtev shows them.

    Args:
        logs: the streams.
    """

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._stopping = False

    def register(self, rest: RestRoutes) -> None:
        """Add the route."""
        rest.resource(
            "GET",
            "/eventer/",
            r"^logs/(.+)\.json$",
            self.show,
            summary="the lines of a memory log; since=<idx> for those after one, last=<n> for the latest, "
            "wait=<seconds> for those to come",
        )

    async def show(self, request: Request, name: str) -> Answer:
        """What the route answers.

        Args:
            request: its query may have `since`, `last` and `wait`.
            name: the log's name. Unlike in libmtev, asking for one does not make it.

        Raises:
            LookupError: there is no such log, or it is not in memory.
            ValueError: a parameter is not what it has to be.
        """
        query = request.query
        since, last, wait_s = _number(query, "since"), _number(query, "last"), _wait(query)
        backend = self._logs.backend(name)
        if not isinstance(backend, MemoryBackend):
            raise LookupError(f"log '{name}' not found")
        if wait_s is None or self._stopping:
            await asyncio.to_thread(self._logs.flush, name, _FLUSH_S)
            return _answer(_told(backend.lines_since(since, last)))
        try:
            return _answer(_told(await backend.next_lines(since, last, wait_s=wait_s)))
        except TooManyWaiting as error:
            return _answer({"error": str(error)}, 503, {"Retry-After": str(_RETRY_AFTER_S)})

    def end_waits(self) -> None:
        """Answer whoever waits, and let nobody wait any more: the service stops. Thread-safe; does not block."""
        self._stopping = True
        for name in self._logs.with_backend:
            backend = self._logs.backend(name)
            if isinstance(backend, MemoryBackend):
                backend.end_waits()


def _answer(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Answer(text.encode() + b"\n", status, headers or {})


def _told(found: Sequence[Entry]) -> list[dict[str, object]]:
    return [
        {"idx": entry.idx, "whence": entry.time_ns // 1_000_000, "line": entry.text.decode("utf-8", "replace")}
        for entry in found
    ]


def _number(query: Mapping[str, str], key: str) -> int | None:
    text = query.get(key, "")
    return number(text, key) if text else None


def _wait(query: Mapping[str, str]) -> float | None:
    text = query.get("wait", "")
    if not text:
        return None
    if not _SECONDS.fullmatch(text) or not 0 < float(text) <= MAX_WAIT_S:
        raise ValueError(f"wait: '{text}' is not a number of seconds above 0, {MAX_WAIT_S} at most")
    return float(text)
