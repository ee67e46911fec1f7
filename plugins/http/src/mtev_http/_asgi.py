"""ASGI applications (ASGI 3.0; HTTP and websocket specification 2.3) behind our routes, whatever engine is below.

How one request of HTTP goes:

1. The application runs in a task of its own. What it is handed, and what it hands back, goes through `_Exchange`.
2. Its response begins with `http.response.start`; that is when the handler has a response, with the rest as a stream.
   An application that sends everything at once gets a whole response.
3. Back-pressure: `send` returns when the engine has taken the piece; `receive` reads from the peer only when asked.
4. When the peer leaves, the stream is closed: `receive` says `http.disconnect`, and the task is cancelled.

A websocket is accepted or refused by the application before anything is answered (the denial is a 403).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress

from ._request import Request
from ._response import Response, error_response
from ._stream import Stream
from ._websocket import Frames, WebSocketOptions, WebSocketUpgrade, refusal
from .errors import ClientGone, HttpError, WebSocketClosed

__all__ = ["AsgiApplication", "AsgiMount"]

Event = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
AsgiApplication = Callable[[MutableMapping[str, object], Receive, Send], Awaitable[None]]
"""`async def application(scope, receive, send)`."""

_LIFESPAN_S = 10.0
_FRAMING = frozenset(("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"))


class AsgiMount:
    """An ASGI application at a path.

    Args:
        application: the application.
        prefix: where it is; without a slash at its end.
        log: for what it does wrong.
        options: for its websockets; their subprotocols are the application's to choose.
    """

    def __init__(
        self, application: AsgiApplication, prefix: str, log: logging.Logger, options: WebSocketOptions
    ) -> None:
        self._application = application
        self._prefix = prefix
        self._log = log
        self._options = options
        self._state: dict[str, object] = {}
        self._lifespan: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    async def start(self) -> None:
        """Tell the application that the service starts, if it wants to know.

        Raises:
            RuntimeError: it failed to start, or did not within 10 s.
        """
        started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._lifespan = asyncio.ensure_future(self._live(started))
        try:
            async with asyncio.timeout(_LIFESPAN_S):
                problem = await started
        except TimeoutError:
            problem = f"it was not ready within {_LIFESPAN_S:g} s"
        if problem:
            raise RuntimeError(f"the ASGI application at {self._prefix}/ did not start: {problem}")

    async def stop(self) -> None:
        """Tell it that the service stops, and wait for up to 10 s."""
        self._ending.set()
        if self._lifespan is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LIFESPAN_S):
                    await asyncio.gather(self._lifespan, return_exceptions=True)

    async def answer(self, request: Request) -> Response:
        """The application's response to a request, or to the handshake of a websocket."""
        if request.is_websocket:
            return await self._socket(request)
        exchange = _Exchange(request)
        task = asyncio.ensure_future(self._application(self._scope(request), exchange.receive, exchange.send))
        try:
            begun = await exchange.begun(task)
        except BaseException:
            await _cancelled(task)
            raise
        status, headers, body, more = begun
        kind, length, fields = _split(headers)
        if not more and request.method != "HEAD":
            task.add_done_callback(self._ended)
            return _response(status, kind, fields, body)
        return _response(status, kind, fields, Stream(exchange.pieces(task, body, more=more), length))

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What an application does after its response is its own affair; that it fails is worth a line."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("the ASGI application at %s/ failed after its response", self._prefix, exc_info=error)

    async def _live(self, started: asyncio.Future[str]) -> None:
        first = True

        async def receive() -> Event:
            nonlocal first
            if first:
                first = False
                return {"type": "lifespan.startup"}
            await self._ending.wait()
            return {"type": "lifespan.shutdown"}

        async def send(event: Event) -> None:
            if started.done():
                return
            if event["type"] == "lifespan.startup.complete":
                started.set_result("")
            elif event["type"] == "lifespan.startup.failed":
                started.set_result(str(event.get("message", "")) or "it says so")

        scope: MutableMapping[str, object] = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self._state,
        }
        try:
            await self._application(scope, receive, send)
        except Exception:  # an application that does not know of this raises; the specification says to go on
            self._log.debug("the ASGI application at %s/ has no lifespan", self._prefix, exc_info=True)
        finally:
            if not started.done():
                started.set_result("")

    def _scope(self, request: Request, kind: str = "http") -> MutableMapping[str, object]:
        tls = request.tls is not None
        scheme = {"http": "http", "websocket": "ws"}[kind] + ("s" if tls else "")
        scope: MutableMapping[str, object] = {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.version,
            "scheme": scheme,
            "path": request.path,
            "raw_path": request.raw_path.encode("utf-8", "surrogateescape"),
            "query_string": request.raw_query.encode("utf-8", "surrogateescape"),
            "root_path": self._prefix,
            "headers": [(name.lower(), value) for name, value in request.raw_headers],
            "client": request.peer if isinstance(request.peer, tuple) else None,
            "server": request.local if isinstance(request.local, tuple) else (request.local, None),
            "state": dict(self._state),
            "extensions": {},
        }
        if kind == "http":
            scope["method"] = request.method
        return scope

    async def _socket(self, request: Request) -> Response:
        wanted = [name.strip() for name in request.headers.get("sec-websocket-protocol", "").split(",")]
        judged = refusal(request, self._options)
        if isinstance(judged, Response):
            return judged
        scope = self._scope(request, "websocket")
        scope["subprotocols"] = [name for name in wanted if name]
        conversation = _Conversation()
        task = asyncio.ensure_future(self._application(scope, conversation.receive, conversation.send))
        try:
            accepted = await conversation.decided(task)
        except BaseException:
            await _cancelled(task)
            raise
        if accepted is None:
            await _cancelled(task)
            return error_response(403, "refused")

        async def run(frames: Frames) -> None:
            conversation.opened(frames)
            try:
                await task
            except WebSocketClosed:
                pass
            except Exception:
                self._log.exception("the ASGI application at %s/ failed in a websocket", self._prefix)
                await frames.close(1011, "internal error")
            finally:
                await _cancelled(task)
            await frames.close(1000, "")

        protocol, headers = accepted
        upgrade = WebSocketUpgrade(run, protocol, self._options)
        for name, value in _split(headers)[2]:
            upgrade.headers.add(name, value)
        return upgrade


class _Exchange:
    """What goes to and fro for one request of HTTP."""

    def __init__(self, request: Request) -> None:
        self._body = request.stream()
        self._gone = asyncio.Event()
        self._read = False
        self._start: Event | None = None
        self._begun: asyncio.Future[tuple[int, object, bytes, bool]] = asyncio.get_running_loop().create_future()
        self._pieces: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue(1)

    async def receive(self) -> Event:
        """For the application: the next part of the body, or that the peer has left."""
        if self._read:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        try:
            piece = await anext(self._body, b"")
        except (ClientGone, HttpError):
            self._read = True
            self._gone.set()
            return {"type": "http.disconnect"}
        self._read = not piece
        return {"type": "http.request", "body": piece, "more_body": bool(piece)}

    async def send(self, event: Event) -> None:
        """For the application: a part of its response."""
        match event["type"]:
            case "http.response.start":
                if self._start is not None:
                    raise RuntimeError("the response has begun already")
                self._start = event
            case "http.response.body":
                await self._send_body(bytes(event.get("body", b"")), more=bool(event.get("more_body", False)))  # type: ignore[call-overload]  # bytes-like by the specification
            case other:
                raise RuntimeError(f"no event of HTTP: {other}")

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        if self._start is None:
            raise RuntimeError("a body before its response has begun")
        if self._gone.is_set():
            return
        if not self._begun.done():
            status = self._start["status"]
            assert isinstance(status, int), "by the specification"
            self._begun.set_result((status, self._start.get("headers", ()), body, more))
        else:
            await self._pieces.put((body, more))

    async def begun(self, task: asyncio.Task[None]) -> tuple[int, object, bytes, bool]:
        """Wait for the beginning of the response.

        Raises:
            RuntimeError: the application ended without one.
        """
        await asyncio.wait((task, self._begun), return_when=asyncio.FIRST_COMPLETED)
        if not self._begun.done():
            task.result()
            raise RuntimeError("the ASGI application ended without a response")
        return self._begun.result()

    async def pieces(self, task: asyncio.Task[None], first: bytes, *, more: bool) -> AsyncIterator[bytes]:
        """What the application sends, from the beginning on."""
        getting: asyncio.Task[tuple[bytes, bool]] | None = None
        try:
            yield first
            while more:
                getting = asyncio.ensure_future(self._pieces.get())
                await asyncio.wait((task, getting), return_when=asyncio.FIRST_COMPLETED)
                if not getting.done() and self._pieces.empty():
                    task.result()
                    raise RuntimeError("the ASGI application ended in the middle of its response")
                piece, more = await getting
                yield piece
        finally:
            self._gone.set()
            if getting is not None:
                getting.cancel()
            if not task.done():
                await asyncio.sleep(0)  # it may be about to end by itself
            await _cancelled(task)


class _Conversation:
    """What goes to and fro for one websocket."""

    def __init__(self) -> None:
        self._connected = False
        self._frames: asyncio.Future[Frames] = asyncio.get_running_loop().create_future()
        self._decided: asyncio.Future[tuple[str, object] | None] = asyncio.get_running_loop().create_future()

    def opened(self, frames: Frames) -> None:
        """The engine has accepted it."""
        self._frames.set_result(frames)

    async def decided(self, task: asyncio.Task[None]) -> tuple[str, object] | None:
        """The subprotocol and the headers that the application accepts it with; None when it refuses.

        Raises:
            RuntimeError: it did neither.
        """
        await asyncio.wait((task, self._decided), return_when=asyncio.FIRST_COMPLETED)
        if not self._decided.done():
            task.result()
            raise RuntimeError("the ASGI application ended without accepting the websocket")
        return self._decided.result()

    async def receive(self) -> Event:
        """For the application: the next event."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        frames = await self._frames
        message = await frames.receive()
        if message is None:
            return {"type": "websocket.disconnect", "code": frames.close_code or 1006, "reason": frames.close_reason}
        return {"type": "websocket.receive", "text" if isinstance(message, str) else "bytes": message}

    async def send(self, event: Event) -> None:
        """For the application: accept, a message, or the end."""
        match event["type"]:
            case "websocket.accept":
                self._decided.set_result((str(event.get("subprotocol") or ""), event.get("headers", ())))
            case "websocket.close" if not self._decided.done():
                self._decided.set_result(None)
            case "websocket.close":
                frames = await self._frames
                await frames.close(int(str(event.get("code", 1000))), str(event.get("reason") or ""))
            case "websocket.send":
                frames = await self._frames
                text, data = event.get("text"), event.get("bytes")
                await frames.send(text if isinstance(text, str) else bytes(data or b""))  # type: ignore[call-overload]  # bytes-like by the specification
            case other:
                raise RuntimeError(f"no event of a websocket: {other}")


def _split(headers: object) -> tuple[str | None, int | None, list[tuple[str, str]]]:
    """The content type, the length, and the other fields but those of the framing."""
    kind: str | None = None
    length: int | None = None
    fields: list[tuple[str, str]] = []
    assert isinstance(headers, Iterable), "by the specification"
    for raw_name, raw_value in headers:
        name, value = bytes(raw_name).decode("latin-1").lower(), bytes(raw_value).decode("latin-1")
        if name == "content-type":
            kind = value
        elif name == "content-length":
            length = int(value)
        elif name not in _FRAMING:
            fields.append((name, value))
    return kind, length, fields


def _response(status: int, kind: str | None, fields: list[tuple[str, str]], body: bytes | Stream) -> Response:
    if status in (204, 304):
        body = b""
    response = Response(status, body, content_type=kind, headers=fields)
    if kind is None:
        response.content_type = ""
    return response


async def _cancelled(task: asyncio.Task[None]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
