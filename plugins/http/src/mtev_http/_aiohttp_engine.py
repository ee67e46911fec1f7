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
8. Websockets take messages of the size of their limit, and frames that are not masked are a violation.
9. A body whose framing breaks leaves its reader waiting; here the reader is told.
10. Each request gets a task, a writer and a request of aiohttp's; here one without a body, and that asks for no other
    protocol, is answered in the task of its connection, in a context of its own. From the first other one on, the
    connection is left to aiohttp.
"""

from __future__ import annotations

import asyncio
import logging
from contextvars import copy_context
from typing import cast

from aiohttp import HttpVersion10, HttpVersion11, WSCloseCode, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from ._engine import FAREWELL_S, Dispatcher, EngineSettings, malformed, named
from ._http1 import CONTINUE, SERVER, DateLine, chunk, head, last_chunk
from ._masking import MaskCheck
from ._request import BodySource, Link, Request
from ._response import Response, error_response
from ._sendfile import can_send_file, send_file
from ._stepping import Waiting, first_step, rest
from ._stream import FileStream, Stream
from ._websocket import GOING_AWAY, NORMAL, Frames, WebSocketUpgrade
from .errors import BadRequest, ClientGone, WebSocketClosed

__all__ = ["AiohttpEngine"]

_VERSIONS = {HttpVersion10: "1.0", HttpVersion11: "1.1"}
_CLOSE_GRACE_S = 0.1
_NO_CODE, _BROKEN = 1005, 1006  # what stands for a close frame without a code, and for none
_MIN_RATE = 256  # bytes a second that a peer has to take of a response, once its connection is full


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
        self.clock = DateLine()
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
        connection = cast(_Connection, raw._protocol)  # its attributes: aiohttp's properties cost more than they hold
        message = raw._message
        connection.link.touch()
        version = _VERSIONS.get(message.version)
        if version is None:
            raise BadHttpMessage(f"HTTP version {message.version[0]}.{message.version[1]}")
        body = None
        if raw._payload is not EMPTY_PAYLOAD:
            _check_framing(message)
            body = _Body(raw)
        request = Request(
            message.method,
            message.path,
            version,
            message.raw_headers,
            connection.link,
            body,
            self.settings.body,
            message.upgrade,
        )
        response = await self.dispatcher.respond(request)
        connection.link.touch()
        close = response.close or message.should_close or connection.ends or (body is not None and body.uninvited)
        answer = _Answer(connection, request, response, close)
        if isinstance(response, WebSocketUpgrade):
            await answer.serve(raw, response)  # here: once this has returned, aiohttp takes an upgrade for declined
        return cast(web.StreamResponse, answer)


class _Connection(web.RequestHandler):
    """aiohttp's protocol, with what this engine has to know of a connection."""

    __slots__ = ("_answers", "_cut", "_farewell", "_last", "engine", "link", "socket")

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
        self.socket: _Frames | None = None
        self._last = False
        self._answers = 0
        self._farewell: asyncio.TimerHandle | None = None
        self._cut: asyncio.TimerHandle | None = None
        link.add_drain(self.drain)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.engine.opened(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.socket is not None:
            self.socket.ended(None, "")
        super().connection_lost(exc)
        for timer in (self._farewell, self._cut):
            if timer is not None:
                timer.cancel()
        self.engine.closed(self)

    async def start(self) -> None:
        """Answer the requests of this connection, one after the other."""
        loop, messages = self._loop, self._messages
        while not self._force_close:
            if not messages:
                waiter = self._waiter = loop.create_future()
                try:
                    await waiter
                finally:
                    self._waiter = None
            message, payload = messages[0]
            if payload is not EMPTY_PAYLOAD or message.__class__ is not RawRequestMessage or message.upgrade:
                await super().start()
                return
            version = _VERSIONS.get(message.version)
            if version is None:
                await super().start()
                return
            messages.popleft()
            if self._parser is not None:
                self._parser.message_consumed()
            if self._buffer_paused and len(messages) <= self._msg_queue_resume_size:
                self._resume_reading_if_drained()
            self._request_in_progress = True
            try:
                goes_on = await self._plain(message, version)
            except ConnectionError:
                break
            except asyncio.CancelledError:
                self.force_close()
                raise
            except Exception as error:
                self.log_exception("a response could not be sent", exc_info=error)
                self.force_close()
                break
            finally:
                self._request_in_progress = False
                if self._handler_waiter is not None:
                    self._handler_waiter.set_result(None)
            if not goes_on or self._close or self._force_close:
                break
            self._next_keepalive_close_time = close_time = loop.time() + self._keepalive_timeout
            if self._keepalive_handle is None:
                self._keepalive_handle = loop.call_at(close_time, self._process_keepalive)
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def _plain(self, message: RawRequestMessage, version: str) -> bool:
        """Answer a request that has no body.

        Returns:
            Whether the connection goes on.
        """
        engine, link = self.engine, self.link
        link.touch()
        request = Request(
            message.method, message.path, version, message.raw_headers, link, None, engine.settings.body, False
        )
        context = copy_context()
        try:
            response = engine.dispatcher.respond(request)
            step = context.run(first_step, response)
            answered = await rest(response, step, context) if isinstance(step, Waiting) else step
        except Exception as error:
            answer = cast(_Answer, self.handle_error(None, exc=error))
        else:
            link.touch()
            answer = _Answer(self, request, answered, answered.close or message.should_close or self.ends)
        self._keepalive = answer.keep_alive
        await answer.prepare(None)
        return answer.keep_alive

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
    def ends(self) -> bool:
        """Whether the response that is made now is the last one."""
        limit = self.engine.settings.requests_per_connection
        return self._last or self.engine.draining or (limit > 0 and self._answers + 1 >= limit)

    def write(self, data: bytes) -> None:
        """Write to the peer.

        Raises:
            ConnectionResetError: it has left.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the peer has left")
        transport.write(data)

    async def flushed(self, *, whole: bool = False) -> None:
        """Wait until the peer has taken most of what was written, or all of it. One that takes next to nothing is cut.

        Raises:
            ConnectionResetError: it has left, or was cut.
        """
        transport = self.transport
        if transport is None:
            raise ConnectionResetError("the peer has left")
        if whole:
            transport.set_write_buffer_limits(0)
        try:
            while self.writing_paused:
                before = transport.get_write_buffer_size()
                limit_s = self.engine.settings.write_timeout_s
                try:
                    async with asyncio.timeout(limit_s):
                        await self._drain_helper()
                except TimeoutError:
                    self._drain_waiter = None  # it was cancelled; the next wait is to have one of its own
                    if before - transport.get_write_buffer_size() < limit_s * _MIN_RATE:
                        self.cut("took next to nothing of a response")
                        raise ConnectionResetError("the peer did not read") from None
        finally:
            if whole:
                transport.set_write_buffer_limits()

    def abort(self) -> None:
        """Break the connection off, so that the peer does not take a part of a response for the whole."""
        if self.transport is not None:
            self.transport.abort()

    def cut(self, why: str) -> None:
        """Break the connection off, with a line in the log."""
        transport = self.transport
        if transport is not None:
            self.engine.log.warning("%s was cut off: it %s", named(self.link.peer), why)
            transport.abort()

    def force_close(self) -> None:
        """Close; what is written already is sent, if the peer takes it in time."""
        transport = self.transport
        unsent = transport is not None and not transport.is_closing() and transport.get_write_buffer_size() > 0
        super().force_close()
        if transport is not None and unsent:
            self._cut = self._loop.call_later(self.engine.settings.write_timeout_s, transport.abort)

    @property
    def _owing(self) -> bool:
        return self._request_count > self._answers  # aiohttp counts a request as soon as its header is parsed

    def drain(self) -> None:
        """Close, unless a response is owed; that response will close the connection.

        An idle connection is given a moment: what its peer sends just now is on its way, and would be lost.
        """
        self._last = True
        if self.socket is not None:
            self.socket.leave()
        elif not self._owing and self._farewell is None:
            self._farewell = self._loop.call_later(FAREWELL_S, self._close_idle)

    def _close_idle(self) -> None:
        self._farewell = None
        if not self._owing:
            self.close()
            self.force_close()

    @property
    def early_data(self) -> bytes:
        """What came behind the request for an upgrade, before it was accepted."""
        return bytes(self._message_tail)

    def data_received(self, data: bytes) -> None:
        if self.socket is not None and not self.socket.saw(data):
            return
        super().data_received(data)
        request = self._current_request
        if request is not None and self._messages:
            error = getattr(self._messages[-1][0], "exc", None)
            if error is not None and not request.content.is_eof():
                request.content.set_exception(web.RequestPayloadError(str(error)))

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response: without the detour over what this engine does not use."""
        if self._upgraded:  # or has asked for it in vain: aiohttp goes back to HTTP
            return await super().finish_response(request, resp, start_time)
        try:
            await resp.prepare(request)
        except ConnectionError:
            return resp, True
        return resp, False

    def handle_error(
        self,
        request: web.BaseRequest | None,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or what went wrong in a dispatcher that may not raise."""
        if not isinstance(exc, HttpProcessingError):
            self.engine.log.error("the dispatcher failed", exc_info=exc)
            return self._refusal(error_response(500, "internal error"))
        status, text = _verdict(exc, self.engine.settings)
        malformed(self.engine.log, self.link.peer, f"{text}: {_detail(exc)}")
        return self._refusal(error_response(status, text))

    def _refusal(self, response: Response) -> web.StreamResponse:
        return cast(web.StreamResponse, _Answer(self, None, response, True))

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
                await self._writer.write(CONTINUE)
                self._writer.output_size = 0
        try:
            return await self._content.readany()
        except (web.RequestPayloadError, HttpProcessingError):
            raise BadRequest("the body is malformed", close=True) from None
        except ConnectionError as error:
            raise ClientGone(str(error)) from error


class _Answer:
    """A response on its way. What aiohttp asks of one: `prepare`, `write_eof`, and whether the connection goes on.

    Args:
        connection: where to.
        request: what it answers; None for what never became one.
        response: what is sent.
        close: whether the connection ends with it.
    """

    __slots__ = ("_connection", "_request", "_response", "keep_alive")

    def __init__(self, connection: _Connection, request: Request | None, response: Response, close: bool) -> None:
        self._connection = connection
        self._request = request
        self._response = response
        self.keep_alive = not close

    async def prepare(self, raw: web.BaseRequest | None) -> None:
        """Send all of it."""
        response, sent = self._response, 0
        try:
            if not response.special:
                sent = self._whole(response)
                if self._connection.writing_paused:
                    await self._connection.flushed()
            elif response.stream is not None:
                sent = await self._stream(response)
            else:
                return  # it was a websocket
        finally:
            if not isinstance(response, WebSocketUpgrade):
                self._done(sent)

    async def serve(self, raw: web.BaseRequest, response: WebSocketUpgrade) -> None:
        """Accept a websocket, and let it run."""
        self.keep_alive = False
        frames: _Frames | None = None
        try:
            frames = await self._accepted(raw, response)
            await response.run(frames)
        finally:
            self._connection.socket = None
            self._done(frames.sent_bytes if frames is not None else 0)

    def _done(self, sent_bytes: int) -> None:
        self._connection.answered()
        if self._request is not None:
            self._connection.engine.dispatcher.completed(self._request, self._response, sent_bytes)

    async def write_eof(self) -> None:
        """Nothing is left to send."""

    def _whole(self, response: Response) -> int:
        body = response.body
        status = response.status
        request = self._request
        if status == 304 or status == 204:
            framing, body = "", b""
        else:
            framing = f"Content-Length: {len(body)}\r\n"
            if request is not None and request.method == "HEAD":
                body = b""
        data = self._head(response, framing) + body
        self._connection.write(data)
        return len(data)

    def _head(self, response: Response, framing: str) -> bytes:
        if not self.keep_alive:
            framing += "Connection: close\r\n"
        elif self._request is not None and self._request.version == "1.0":
            framing += "Connection: keep-alive\r\n"
        clock = self._connection.engine.clock
        return head(response.status, response.content_type, response.header_pairs(), framing, clock.text())

    async def _stream(self, response: Response) -> int:
        stream, request, connection = response.stream, self._request, self._connection
        assert stream is not None, "what is special and no upgrade is a stream"
        assert request is not None, "what is refused has a whole body"
        chunked = stream.length is None and request.version == "1.1"
        if stream.length is not None:
            framing = f"Content-Length: {stream.length}\r\n"
        elif chunked:
            framing = "Transfer-Encoding: chunked\r\n"
        else:
            framing, self.keep_alive = "", False
        try:
            begun = self._head(response, framing)
            connection.write(begun)
            sent = len(begun)
            if request.method == "HEAD":
                return sent
            return sent + await (self._chunks(stream) if chunked else self._plain(stream))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            connection.engine.dispatcher.broke(request, error)
            connection.abort()
            raise ConnectionResetError("the body could not be finished") from error
        finally:
            await stream.close()

    async def _chunks(self, stream: Stream) -> int:
        connection, sent = self._connection, 0
        async for piece in stream:
            if piece:
                framed = chunk(piece)
                connection.write(framed)
                sent += len(framed)
                connection.link.touch()
                if connection.writing_paused:
                    await connection.flushed()
        end = last_chunk(stream.last_fields())
        connection.write(end)
        return sent + len(end)

    async def _plain(self, stream: Stream) -> int:
        connection, sent, length = self._connection, 0, stream.length
        transport = connection.transport
        if isinstance(stream, FileStream) and length and transport is not None and can_send_file(transport):
            await connection.flushed(whole=True)
            try:
                await send_file(transport, stream, connection.engine.settings.write_timeout_s)
            except TimeoutError:
                connection.cut("took next to nothing of a response")
                raise ConnectionResetError("the peer did not read") from None
            return length
        async for piece in stream:
            sent += len(piece)
            if length is not None and sent > length:
                raise ValueError(f"the body has more than the {length} bytes that it was to have")
            connection.write(piece)
            connection.link.touch()
            if connection.writing_paused:
                await connection.flushed()
        if length is not None and sent < length:
            raise ValueError(f"the body has {sent} of the {length} bytes that it was to have")
        return sent

    async def _accepted(self, raw: web.BaseRequest, response: WebSocketUpgrade) -> _Frames:
        options, connection = response.options, self._connection
        socket = web.WebSocketResponse(
            timeout=options.close_timeout_s,
            heartbeat=options.ping_s,
            autoclose=False,
            protocols=(response.protocol,),
            compress=options.compress,
            max_msg_size=options.message_limit_bytes + 1,  # aiohttp's is the first size that is too large
            writer_limit=1 << 62,  # it would wait for a slow reader without end; `flushed` does not
        )
        socket.headers.extend(response.header_pairs())
        socket.headers["Server"] = SERVER
        frames = connection.socket = _Frames(socket, connection)
        early = connection.early_data
        await socket.prepare(_agreed(raw, response.protocol))
        if frames.saw(early) and connection.ends:
            frames.leave()
        return frames


def _agreed(raw: web.BaseRequest, protocol: str) -> web.BaseRequest:
    """The handshake with the one subprotocol that was agreed on: aiohttp would complain about the others in its log."""
    if "Sec-WebSocket-Protocol" not in raw.headers:
        return raw
    headers = raw.headers.copy()
    del headers["Sec-WebSocket-Protocol"]
    if protocol:
        headers["Sec-WebSocket-Protocol"] = protocol
    return raw.clone(headers=headers)


class _Frames(Frames):
    """A websocket of aiohttp's, which also sees to what that does not: that clients mask what they send."""

    def __init__(self, socket: web.WebSocketResponse, connection: _Connection) -> None:
        self.close_code: int | None = None
        self.close_reason = ""
        self.sent_bytes = 0
        self._socket = socket
        self._connection = connection
        self._masking = MaskCheck()
        self._ending: asyncio.Task[None] | None = None

    async def receive(self) -> str | bytes | None:
        while not self._socket.closed:
            message = await self._socket.receive()
            self._connection.link.touch()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    data: str | bytes = message.data
                    return data
                case WSMsgType.CLOSE:
                    code = message.data or _NO_CODE
                    self.ended(code, message.extra or "")
                    await self._socket.close(code=code if code != _NO_CODE else NORMAL, drain=False)
                    return None
                case _:
                    break
        self.ended(self._socket.close_code, "")
        return None

    async def send(self, data: str | bytes) -> None:
        try:
            if isinstance(data, str):
                await self._socket.send_str(data)
            else:
                await self._socket.send_bytes(data)
            self.sent_bytes += len(data)
            if self._connection.writing_paused:
                await self._connection.flushed()
        except (ConnectionError, RuntimeError):
            raise self._gone() from None

    async def ping(self, data: bytes) -> None:
        try:
            await self._socket.ping(data)
        except (ConnectionError, RuntimeError):
            raise self._gone() from None

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code=code, message=reason.encode())
        self.ended(self._socket.close_code, "")

    def saw(self, data: bytes) -> bool:
        """Look at what the peer sent, before it is read.

        Returns:
            Whether it may be read.
        """
        if self._masking.feed(data):
            return True
        malformed(self._connection.engine.log, self._connection.link.peer, "a frame of a websocket is not masked")
        self._end(WSCloseCode.PROTOCOL_ERROR, "a frame is not masked")
        return False

    def leave(self) -> None:
        """Tell the peer that the service goes away."""
        self._end(GOING_AWAY, "the service goes away")

    def ended(self, code: int | None, reason: str) -> None:
        """It is closed; what is told first counts."""
        if self.close_code is None:
            self.close_code, self.close_reason = code or _BROKEN, reason

    def _end(self, code: int, reason: str) -> None:
        if self._ending is None:
            self._ending = asyncio.ensure_future(self.close(code, reason))

    def _gone(self) -> WebSocketClosed:
        self.ended(self._socket.close_code, "")
        return WebSocketClosed(self.close_code or _BROKEN, self.close_reason)


def _check_framing(message: RawRequestMessage) -> None:
    """See to it that a body is framed in a way that everybody between us and the client reads alike.

    Raises:
        BadHttpMessage: it is encoded on its way otherwise than in chunks, or in chunks for HTTP/1.0.
    """
    encoding = message.headers.get("Transfer-Encoding")
    if encoding is None:
        return
    if message.version != HttpVersion11:
        raise BadHttpMessage("Transfer-Encoding in a request of HTTP/1.0")
    if encoding.strip().lower() != "chunked":
        raise BadHttpMessage("a Transfer-Encoding other than chunked")


def _verdict(error: HttpProcessingError, settings: EngineSettings) -> tuple[int, str]:
    if isinstance(error, LineTooLong):
        return 431, "a line of the request header is too long"
    if "Too many headers" in str(error):
        return 431, f"the request has more than {settings.header_count} header fields"
    return 400, "the request is not valid HTTP"


def _detail(error: HttpProcessingError) -> str:
    return " ".join(error.message.split())
