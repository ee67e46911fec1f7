"""REST over the graph of streams: `/mtev/logs.json` and what is below `/mtev/logs/`.

    GET     /mtev/logs.json                         every stream
    GET     /mtev/logs/<name>.json                  one, with all that it feeds
    PATCH   /mtev/logs/<name>.json                  {"enabled": false, "debug": true}
    PUT     /mtev/logs/<name>/outlets/<outlet>      let it feed another; {"filter": "..."} or nothing
    DELETE  /mtev/logs/<name>/outlets/<outlet>      the reverse

1. Changes need `<logs rest_write="on">`, as those of the document need `<conf rest_write="on">`; 403 otherwise. They
   last until the configuration is next read, as those of the console do.
2. Each is said in the log, and by whom. What takes lines away is said before it is done, so that nobody can silence it.
3. What is refused is `{"error": ...}`; nothing has changed then.
4. Options of backends may be secret, so their values are not shown.

HTTP itself is not imported: this knows the shape of its requests and answers only.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .errors import FilterError, GraphError
from .logs import Logs

__all__ = ["Answer", "LogRoutes", "Refusal", "Request", "RestRegistry", "edge_of", "filter_of", "flags_of"]

_FLAGS = ("enabled", "debug", "facility", "timestamps")
_BODY_LIMIT_BYTES = 64 * 1024
_OUTLETS = "/outlets/"


class Request(Protocol):
    """What is used here of an HTTP request."""

    @property
    def user(self) -> str: ...
    @property
    def peer_text(self) -> str: ...
    async def body(self) -> bytes: ...


class RestRegistry(Protocol):
    """Where routes are registered: what is used here of the HTTP service."""

    def resource(
        self,
        method: str,
        base: str,
        expression: str,
        function: Callable[..., object],
        *,
        summary: str,
        body_limit_bytes: int | None = None,
    ) -> object: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What HTTP makes a response of."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None


class Refusal(Exception):
    """A request is not carried out.

    Args:
        status: 400 to 499.
        message: why, for the client.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class LogRoutes:
    """The functions behind the routes.

    Args:
        logs: what they show and change.
        writable: whether changes are switched on now.
        log: for what was changed.
    """

    def __init__(self, logs: Logs, writable: Callable[[], bool], log: logging.Logger) -> None:
        self._logs = logs
        self._writable = writable
        self._log = log

    def register(self, rest: RestRegistry) -> None:
        """Add the routes."""
        one, edge = r"^(.+)\.json$", r"^(.+/outlets/.+)$"
        rest.resource("GET", "/mtev/", r"^logs\.json$", self.show_all, summary="every log stream, and what it feeds")
        rest.resource("GET", "/mtev/logs/", one, self.show, summary="a log stream, with all that it feeds")
        changes: tuple[tuple[str, str, Callable[..., Awaitable[Answer]], str], ...] = (
            ("PATCH", one, self.set_flags, "set flags of a log stream, until the next reload"),
            ("PUT", edge, self.connect, "let a log stream feed another, until the next reload"),
            ("DELETE", edge, self.disconnect, "part two log streams, until the next reload"),
        )
        for method, expression, function, summary in changes:
            rest.resource(
                method, "/mtev/logs/", expression, function, summary=summary, body_limit_bytes=_BODY_LIMIT_BYTES
            )

    def show_all(self, request: Request) -> Answer:
        """`GET /mtev/logs.json`."""
        return _json([self._described(name, nested=False) for name in sorted(self._logs.streams)])

    def show(self, request: Request, name: str) -> Answer:
        """`GET /mtev/logs/<name>.json`.

        Raises:
            Refusal: there is no such stream.
        """
        self._check_known(name)
        return _json(self._described(name))

    async def set_flags(self, request: Request, name: str) -> Answer:
        """`PATCH /mtev/logs/<name>.json`.

        Raises:
            Refusal: there is no such stream, the body is something else, or changes are switched off.
        """
        self._check_writable()
        self._check_known(name)
        flags = flags_of(await request.body())
        return await asyncio.to_thread(self._set_flags, _who(request), name, flags)

    async def connect(self, request: Request, path: str) -> Answer:
        """`PUT /mtev/logs/<name>/outlets/<outlet>`.

        Raises:
            Refusal: a stream is unknown, the filter is malformed, the two cannot be connected or are so with another
                filter, or changes are switched off.
        """
        self._check_writable()
        name, outlet = self._edge(path)
        self._check_known(outlet)
        wanted = filter_of(await request.body())
        return await asyncio.to_thread(self._connect, _who(request), name, outlet, wanted)

    async def disconnect(self, request: Request, path: str) -> Answer:
        """`DELETE /mtev/logs/<name>/outlets/<outlet>`.

        Raises:
            Refusal: there is nothing to part, or changes are switched off.
        """
        self._check_writable()
        name, outlet = self._edge(path)
        return await asyncio.to_thread(self._disconnect, _who(request), name, outlet)

    def _set_flags(self, who: str, name: str, flags: Mapping[str, bool]) -> Answer:
        told = ", ".join(f"{flag} {'on' if value else 'off'}" for flag, value in flags.items())
        silencing = flags.get("enabled") is False
        if silencing:
            self._log.info("rest %s sets log '%s': %s", who, name, told)
        try:
            self._logs.set_flags(name, **flags)
        except GraphError as error:
            raise Refusal(409, str(error)) from None
        if flags and not silencing:
            self._log.info("rest %s sets log '%s': %s", who, name, told)
        return _json(self._described(name))

    def _connect(self, who: str, name: str, outlet: str, wanted: str) -> Answer:
        try:
            new = self._logs.connect(name, outlet, wanted)
        except FilterError as error:
            raise Refusal(400, str(error)) from None
        except GraphError as error:
            raise Refusal(409, str(error)) from None
        if new:
            through = f", filter {wanted!a}" if wanted else ""
            self._log.info("rest %s lets log '%s' feed '%s'%s", who, name, outlet, through)
        elif self._logs.filter_between(name, outlet) != wanted:
            raise Refusal(409, f"{name} feeds {outlet} already; disconnect it first to change its filter")
        return _json(self._described(name), 201 if new else 200)

    def _disconnect(self, who: str, name: str, outlet: str) -> Answer:
        if outlet in self._logs.outlets(name):
            self._log.info("rest %s parts log '%s' from '%s'", who, name, outlet)
        if not self._logs.disconnect(name, outlet):
            raise Refusal(404, f"{name} does not feed {outlet}")
        return Answer(204)

    def _described(self, name: str, *, nested: bool = True) -> dict[str, object]:
        told = self._logs.describe(name, nested=nested)
        config = told.get("config")
        if isinstance(config, dict):
            told["config"] = dict.fromkeys(config, "***")
        return told

    def _edge(self, path: str) -> tuple[str, str]:
        edge = edge_of(path, self._logs.streams.keys())
        self._check_known(edge[0])
        return edge

    def _check_known(self, name: str) -> None:
        if name not in self._logs.streams:
            raise Refusal(404, f"no such log: {name}")

    def _check_writable(self) -> None:
        if not self._writable():
            raise Refusal(403, 'changes over REST are switched off; rest_write="on" in <logs> switches them on')


def edge_of(path: str, known: Collection[str]) -> tuple[str, str]:
    """The two streams of `<name>/outlets/<outlet>`. Where names hold that word too, those that exist count.

    Args:
        path: the path.
        known: the names of all streams.

    Returns:
        The stream that feeds, and the one that is fed.
    """
    parts = path.split(_OUTLETS)
    ways = [(_OUTLETS.join(parts[:at]), _OUTLETS.join(parts[at:])) for at in range(1, len(parts))]
    return next((way for way in ways if way[0] in known and way[1] in known), ways[0])


def flags_of(body: bytes) -> dict[str, bool]:
    """The flags that the body of a PATCH sets.

    Raises:
        Refusal: it is no object of those flags.
    """
    found: dict[str, bool] = {}
    for flag, value in _object(body, _FLAGS).items():
        if not isinstance(value, bool):
            raise Refusal(400, f"'{flag}' is neither true nor false")
        found[flag] = value
    return found


def filter_of(body: bytes) -> str:
    """The filter that the body of a PUT states; `""` for none.

    Raises:
        Refusal: it is no object with a filter.
    """
    text = _object(body, ("filter",)).get("filter", "") if body.strip() else ""
    if not isinstance(text, str):
        raise Refusal(400, "'filter' is no text")
    return text


def _object(body: bytes, known: Collection[str]) -> dict[str, object]:
    expected = f"expected an object that may have {', '.join(known)}"
    try:
        data: object = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, f"the body is no JSON; {expected}") from None
    if not isinstance(data, dict):
        raise Refusal(400, f"the body is no JSON object; {expected}")
    for key in data:
        if key not in known:
            raise Refusal(400, f"'{key[:100]}' is unknown; {expected}")
    return data


def _who(request: Request) -> str:
    return ascii(request.user)[1:-1] if request.user else request.peer_text


def _json(data: object, status: int = 200) -> Answer:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Answer(status, text.encode("utf-8", "backslashreplace") + b"\n", content_type="application/json")
