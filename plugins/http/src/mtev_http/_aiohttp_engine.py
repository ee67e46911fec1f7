"""The engine on aiohttp's low-level server: its parser and writer, none of its application layer.

What aiohttp does by default, and what it does here:

1. Idle connections are kept for an hour; here for the time set, which also bounds the first request of a connection.
2. A body that drips in is waited for without end; here `Request.body` limits it, and an unread one is dropped briefly.
3. Bad requests are logged with a traceback each; here with one bounded line.
4. Every request is written to an access log through the standard library; here to none: that is `http_request_log`.
5. `Expect: 100-continue` is left to the application; here the first read of the body answers it.
6. A client that closes its sending side gets nothing; here it gets what it has asked for, if that comes soon. Then its
   handler is cancelled, for there is no telling whether it has left altogether.
7. What calls itself HTTP/0.9 is answered; here it is refused.
8. A body whose framing breaks leaves its reader waiting; here the reader is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong
from aiohttp.streams import StreamReader

from ._engine import Dispatcher, EngineSettings, malformed
from ._request import BodySource, Link, Request
from ._response import Response, error_response
from .errors import BadRequest, ClientGone

__all__ = ["AiohttpEngine"]

_SERVER = "mtev-http"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_VERSIONS = (HttpVersion10, HttpVersion11)
_CLOSE_GRACE_S = 0.1


class AiohttpEngine:
    """HTTP/1.1 on the connections of the running loop; an `Engine`.

    Args:
        dispatcher: answers the requests.
        settings: limits and time-outs.
        log: for requests that are no HTTP.
    """

    def __init__(self, dispatcher: Dispatcher, settings: EngineSettings, log: logging.Logger) -> None:
        self.dispatcher = dispatcher
        self.settings = settings
        self.log = log
        self.draining = False
        self._open: set[_Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._loop = asyncio.get_running_loop()
        self._server = web.Server(self._handle, handler_cancellation=True)

    def protocol(self, link: Link) -> asyncio.BaseProtocol:
        """A protocol for one new connection."""
        return _Connection(self, self._server, self._loop, link)

    async def drain(self, timeout_s: float) -> int:
        """Close idle connections at once and others after the response they are owed; see `Engine`."""
        self.draining = True
        for connection in list(self._open):
            connection.drain()
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return len(self._open)
        return 0

    async def close(self) -> None:
        """Cancel what runs and close every connection."""
        self.draining = True
        await self._server.shutdown(_CLOSE_GRACE_S)

    def opened(self, connection: _Connection) -> None:
        """A connection began."""
        self._open.add(connection)
        self._empty.clear()

    def closed(self, connection: _Connection) -> None:
        """A connection ended."""
        self._open.discard(connection)
        if not self._open:
            self._empty.set()

    async def _handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        connection = raw.protocol
        assert isinstance(connection, _Connection), "protocols of this server are made by this engine"
        connection.link.touch()
        if raw.version not in _VERSIONS:
            raise BadHttpMessage(f"HTTP version {raw.version[0]}.{raw.version[1]}")
        body = _Body(raw) if raw.body_exists else None
        request = Request(
            raw.method,
            raw.raw_path,
            f"{raw.version[0]}.{raw.version[1]}",
            raw.raw_headers,
            connection.link,
            body,
            self.settings.body,
        )
        response = await self.dispatcher.respond(request)
        connection.link.touch()
        close = response.close or self.draining or connection.last or (body is not None and body.uninvited)
        return _Answer(response, close, lambda sent: self._sent(connection, request, response, sent))

    def _sent(self, connection: _Connection, request: Request, response: Response, sent_bytes: int) -> None:
        connection.answered()
        self.dispatcher.completed(request, response, sent_bytes)


class _Connection(web.RequestHandler):
    """aiohttp's protocol, with what this engine has to know of a connection."""

    __slots__ = ("_answers", "_farewell", "engine", "last", "link")

    def __init__(self, engine: AiohttpEngine, server: web.Server, loop: asyncio.AbstractEventLoop, link: Link) -> None:
        settings = engine.settings
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=settings.keepalive_timeout_s,
            logger=engine.log,
            access_log=None,  # type: ignore[arg-type]  # None switches it off, as web.AppRunner does; the hint is stale
            max_line_size=settings.target_limit_bytes,
            max_field_size=settings.header_limit_bytes,
            max_headers=settings.header_count,
            lingering_time=settings.linger_timeout_s,
            auto_decompress=False,
        )
        self.engine = engine
        self.link = link
        self.last = False
        self._answers = 0
        self._farewell: asyncio.TimerHandle | None = None
        link.add_drain(self.drain)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.engine.opened(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._farewell is not None:
            self._farewell.cancel()
        self.engine.closed(self)

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp says None, which asyncio reads as False
        """The peer sends no more: stay open for a while if responses are owed and can be made."""
        transport, request = self.transport, self._current_request
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return False
        if not self._owing or (request is not None and not request.content.is_eof()):
            return False
        self._farewell = self._loop.call_later(self.engine.settings.linger_timeout_s, self.force_close)
        return True

    def answered(self) -> None:
        """A response was sent, or could not be."""
        self._answers += 1
        if self._farewell is not None and not self._owing:
            self.close()

    @property
    def _owing(self) -> bool:
        return self._request_count > self._answers  # aiohttp counts a request as soon as its header is parsed

    def drain(self) -> None:
        """Close, unless a response is owed; that response will close the connection."""
        self.last = True
        if not self._owing:
            self.close()
            self.force_close()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        request = self._current_request
        if request is not None and self._messages:
            error = getattr(self._messages[-1][0], "exc", None)
            if error is not None and not request.content.is_eof():
                request.content.set_exception(web.RequestPayloadError(str(error)))

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or what went wrong in a dispatcher that may not raise."""
        if not isinstance(exc, HttpProcessingError):
            self.engine.log.error("the dispatcher failed", exc_info=exc)
            return _Answer(error_response(500, "internal error"), True, self._refused)
        status, text = _verdict(exc, self.engine.settings)
        malformed(self.engine.log, self.link.peer, f"{text}: {_detail(exc)}")
        return _Answer(error_response(status, text), True, self._refused)

    def _refused(self, sent_bytes: int) -> None:
        self.answered()

    def log_exception(self, *args: object, **kw: object) -> None:
        """Say what aiohttp reports, in one line when it is about the peer."""
        error = kw.get("exc_info")
        if isinstance(error, (web.RequestPayloadError, HttpProcessingError)):
            malformed(self.engine.log, self.link.peer, str(error))
        else:
            trace = error if isinstance(error, BaseException) else True
            self.engine.log.error("%s", args[0] if args else "", exc_info=trace)


class _Body(BodySource):
    """The body of one request."""

    __slots__ = ("_content", "_writer", "uninvited")

    def __init__(self, raw: web.BaseRequest) -> None:
        self._content: StreamReader = raw.content
        self._writer: AbstractStreamWriter = raw.writer
        self.uninvited = raw.headers.get("Expect", "").lower() == "100-continue" and raw.version >= (1, 1)

    async def read(self) -> bytes:
        """The next piece; `b""` at the end."""
        if self.uninvited:
            self.uninvited = False
            if not self._content.total_bytes:
                await self._writer.write(_CONTINUE)
                self._writer.output_size = 0
        try:
            return await self._content.readany()
        except (web.RequestPayloadError, HttpProcessingError):
            raise BadRequest("the body is malformed", close=True) from None
        except ConnectionError as error:
            raise ClientGone(str(error)) from error


class _Answer(web.Response):
    """A `Response` in aiohttp's clothes, which tells when it has been sent."""

    def __init__(self, response: Response, close: bool, sent: Callable[[int], None]) -> None:
        headers = [*response.header_pairs(), ("Server", _SERVER)]
        if response.content_type:
            headers.append(("Content-Type", response.content_type))
        if close:
            headers.append(("Connection", "close"))
        super().__init__(status=response.status, body=response.body, headers=headers)
        if close:
            self.force_close()
        self._sent: Callable[[int], None] | None = sent

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the header."""
        try:
            return await super().prepare(request)
        except BaseException:
            self._tell(0)
            raise

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the body."""
        try:
            await super().write_eof(data)
        except BaseException:
            self._tell(0)
            raise
        self._tell(self.body_length)  # aiohttp's name for all that was written, header included

    def _tell(self, sent_bytes: int) -> None:
        sent, self._sent = self._sent, None
        if sent is not None:
            sent(sent_bytes)


def _verdict(error: HttpProcessingError, settings: EngineSettings) -> tuple[int, str]:
    if isinstance(error, LineTooLong):
        return 431, "a line of the request header is too long"
    if "Too many headers" in str(error):
        return 431, f"the request has more than {settings.header_count} header fields"
    return 400, "the request is not valid HTTP"


def _detail(error: HttpProcessingError) -> str:
    return " ".join(error.message.split())
