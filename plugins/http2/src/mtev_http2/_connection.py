"""One connection of HTTP/2 (RFC 9113): h2 keeps the protocol, this keeps the peer.

Rules:

1. Each stream is answered by a task of its own. A reset stream has its task cancelled.
2. Room to send is given back to the peer as its body is read, so what nobody reads stays with the peer, but for a
   window. What a finished stream leaves unread is given back to the connection, and its sender is told to stop.
3. Responses take turns: a frame at a time, under the windows of stream and connection, and no faster than the
   transport is emptied. A peer that gives no room for `write_timeout_s` has its stream reset.
4. A draining connection says so (GOAWAY), refuses what is new, and ends when the last response is sent.
5. Frames that move nothing have a price (`_guard`). An error of the protocol ends the connection with its code, and a
   line in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, cast

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    UnknownFrameReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from mtev_http import Link, Request, Response, Stream, error_response, malformed

from ._exchange import Exchange
from ._fields import RequestHead, request_head, response_fields, trailer_fields, verdict
from ._guard import Guard

if TYPE_CHECKING:
    from .engine import Http2Engine

__all__ = ["Http2Connection"]

_STREAMS = 100
_WINDOW_BYTES = 1024 * 1024  # of a connection: what all bodies together may keep here unread
_FRAME_BYTES = 16384
_FIELDS = 8  # how many of the longest header fields there may be in all
_LINGER_S = 1.0
_FAREWELL_S = 0.1


class Http2Connection(asyncio.Protocol):
    """The protocol of one connection.

    Args:
        engine: whose.
        link: the connection.
    """

    def __init__(self, engine: Http2Engine, link: Link) -> None:
        self._engine = engine
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._exchanges: dict[int, Exchange] = {}
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._guard = Guard(self._loop.time())
        self._last_stream = 0
        self._served = 0
        self._going = False
        self._used_s = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        link.add_drain(self.drain)

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it
        self._engine.opened(self)
        settings = self._engine.settings
        head_bytes = settings.header_limit_bytes * _FIELDS + settings.target_limit_bytes
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: _STREAMS,
                SettingCodes.MAX_HEADER_LIST_SIZE: head_bytes,
                SettingCodes.ENABLE_CONNECT_PROTOCOL: 0,
            },
        )
        self._h2.decoder.max_header_list_size = head_bytes
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW_BYTES - 65535)
        self._flush()
        self._timer = self._loop.call_later(settings.keepalive_timeout_s, self._look)
        if self._engine.draining:
            self.drain()

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._used_s = self._loop.time()
        try:
            events = self._h2.receive_data(data)
            for event in events:
                self._take(event)
        except _Flood as error:
            self._h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM, last_stream_id=self._last_stream)
            self._broken(str(error))
            return
        except ProtocolError as error:  # h2 has written a GOAWAY already
            self._broken(str(error) or type(error).__name__)
            return
        self._flush()
        self._end_if_done()

    def eof_received(self) -> bool:
        """The peer sends no more; what it has asked for completely is still answered."""
        for exchange in [each for each in self._exchanges.values() if not each.ended]:
            exchange.lost()
        self._going = True
        transport = self._transport
        if transport is None or transport.get_extra_info("sslcontext") is not None or not self._exchanges:
            return False
        self._loop.call_later(self._engine.settings.linger_timeout_s, transport.abort)  # it may have left altogether
        return True

    def pause_writing(self) -> None:
        self._writable.clear()
        if self._transport is not None:
            self._transport.pause_reading()  # answers to what it sends would pile up

    def resume_writing(self) -> None:
        self._writable.set()
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None
        self._writable.set()
        if self._timer is not None:
            self._timer.cancel()
        for exchange in list(self._exchanges.values()):
            exchange.lost()
        self._engine.closed(self)

    # What the engine calls.

    def drain(self) -> None:
        """End after the responses that are owed."""
        if self._transport is None or self._going:
            return
        self._going = True
        self._say_farewell(ErrorCodes.NO_ERROR)
        if self._exchanges:
            return
        self._loop.call_later(_FAREWELL_S, self._end_if_done)  # so that the peer reads why, and asks elsewhere

    def cut(self) -> list[asyncio.Task[None]]:
        """End at once.

        Returns:
            The tasks that were cancelled.
        """
        tasks = [exchange.task for exchange in self._exchanges.values() if exchange.task is not None]
        for exchange in list(self._exchanges.values()):
            exchange.lost()
        if self._transport is not None:
            self._transport.abort()
        return tasks

    # What exchanges call.

    def invite(self, exchange: Exchange) -> None:
        """Ask for a body that waits to be asked for."""
        if not exchange.gone and self._transport is not None:
            self._h2.send_headers(exchange.number, [(":status", "100")])
            self._flush()

    def consumed(self, exchange: Exchange, size: int) -> None:
        """Some of a body was read."""
        self._give_back(exchange.number, size)

    # What comes in.

    def _take(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=number, headers=headers):
                assert number is not None
                assert headers is not None
                self._begin(number, request_head((bytes(name), bytes(value)) for name, value in headers))
            case DataReceived(stream_id=number, data=data, flow_controlled_length=size, stream_ended=ended):
                assert number is not None
                self._data(number, bytes(data or b""), size or 0, ended=ended is not None)
            case StreamEnded(stream_id=number) if number in self._exchanges:
                self._exchanges[number].finished()
            case StreamReset(stream_id=number):
                self._price("reset")
                exchange = self._exchanges.get(number or 0)
                if exchange is not None:
                    exchange.lost()
            case WindowUpdated(stream_id=number):
                self._price("window")
                self._widen(number or 0)
            case RemoteSettingsChanged():
                self._price("settings")
                self._widen(0)
            case PingReceived():
                self._price("ping")
            case PriorityUpdated():
                self._price("priority")
            case TrailersReceived():
                pass  # nobody asks for those of a request yet
            case UnknownFrameReceived():
                self._price("unknown")
            case ConnectionTerminated():
                self._going = True
                # To h2 that is the end of everything; but what was asked for before is still to be answered.
                self._h2.state_machine.state = ConnectionState.SERVER_OPEN

    def _begin(self, number: int, head: RequestHead) -> None:
        self._last_stream = max(self._last_stream, number)
        settings = self._engine.settings
        if self._going:
            self._reset(number, ErrorCodes.REFUSED_STREAM)
            return
        self._served += 1
        expects = any(name == b"expect" and value.lower() == b"100-continue" for name, value in head.headers)
        exchange = self._exchanges[number] = Exchange(self, number, expects_continue=expects)
        excess = verdict(head, settings)
        if excess:
            malformed(self._engine.log, self._link.peer, excess)
            answering = partial(self._send_only, exchange, error_response(431, excess))
        elif head.method == "CONNECT":
            malformed(self._engine.log, self._link.peer, "CONNECT, which is not served here")
            answering = partial(self._send_only, exchange, error_response(400, "this is no proxy"))
        else:
            request = Request(head.method, head.target, "2", head.headers, self._link, exchange, settings.body)
            answering = partial(self._answer, exchange, request)
        self._link.touch()
        exchange.task = self._loop.create_task(_quietly(answering))
        if 0 < settings.requests_per_connection <= self._served:
            self.drain()

    def _data(self, number: int, data: bytes, size: int, *, ended: bool) -> None:
        if not data and not ended:
            self._price("empty")
        else:
            self._guard.earn()
        exchange = self._exchanges.get(number)
        if exchange is None or exchange.gone:
            self._give_back(number, size)
        elif data:
            exchange.received(data, size)
        elif size:
            self._give_back(number, size)

    def _price(self, kind: str) -> None:
        if not self._guard.spend(kind, self._loop.time()):
            raise _Flood(f"a flood of frames that move nothing, the last of them: {kind}")

    def _widen(self, number: int) -> None:
        for exchange in [self._exchanges[number]] if number in self._exchanges else list(self._exchanges.values()):
            exchange.widened()

    # What goes out.

    async def _answer(self, exchange: Exchange, request: Request) -> None:
        dispatcher, sent = self._engine.dispatcher, 0
        try:
            response = await dispatcher.respond(request)
        except BaseException:
            self._done(exchange)
            raise
        try:
            sent = await self._send(exchange, request, response)
        finally:
            dispatcher.completed(request, response, sent)
            self._done(exchange)
            if response.close and response.status < 400:  # an error says so for HTTP/1.1, where what follows is suspect
                self.drain()

    async def _send_only(self, exchange: Exchange, response: Response) -> None:
        try:
            await self._send(exchange, None, response)
        finally:
            self._done(exchange)

    async def _send(self, exchange: Exchange, request: Request | None, response: Response) -> int:
        """Send a response.

        Returns:
            How many bytes that took, headers included; 0 when the peer left before.
        """
        stream = response.stream
        try:
            bodiless = response.status in (204, 304) or (request is not None and request.method == "HEAD")
            length = stream.length if stream is not None else len(response.body)
            if response.status in (204, 304):
                length = None
            fields = response_fields(response, length, self._engine.date())
            sent = self._headers(exchange, fields, last=bodiless or length == 0)
            if bodiless or length == 0:
                return sent
            if stream is None:
                return sent + await self._body(exchange, response.body, last=True)
            return sent + await self._pieces(exchange, stream)
        except (ConnectionError, ProtocolError, asyncio.CancelledError):
            raise
        except TimeoutError:
            self._engine.log.warning("a stream was reset: its peer took next to nothing of a response")
            self._reset(exchange.number, ErrorCodes.CANCEL)
        except Exception as error:
            self._reset(exchange.number, ErrorCodes.INTERNAL_ERROR)
            if request is not None:
                self._engine.dispatcher.broke(request, error)
        finally:
            if stream is not None:
                await stream.close()
        return 0

    async def _pieces(self, exchange: Exchange, stream: Stream) -> int:
        sent = 0
        async for piece in stream:
            if not piece:
                continue
            sent += len(piece)
            if stream.length is not None and sent > stream.length:
                raise ValueError(f"the body has more than the {stream.length} bytes that it was to have")
            await self._body(exchange, piece, last=False)
            self._link.touch()
        if stream.length is not None and sent < stream.length:
            raise ValueError(f"the body has {sent} of the {stream.length} bytes that it was to have")
        trailers = trailer_fields(stream.last_fields())
        if trailers:
            self._headers(exchange, trailers, last=True)
        else:
            self._frame(exchange, b"", last=True)
        return sent

    def _headers(self, exchange: Exchange, fields: list[tuple[str, str]], *, last: bool) -> int:
        self._check(exchange)
        self._h2.send_headers(exchange.number, fields, end_stream=last)
        return self._flush()

    async def _body(self, exchange: Exchange, data: bytes, *, last: bool) -> int:
        view, offset = memoryview(data), 0
        while offset < len(data):
            self._check(exchange)
            window = self._h2.local_flow_control_window(exchange.number)
            size = min(window, self._h2.max_outbound_frame_size, _FRAME_BYTES, len(data) - offset)
            if size <= 0:
                await exchange.room(self._engine.settings.write_timeout_s)
                continue
            piece = bytes(view[offset : offset + size])
            offset += size
            self._frame(exchange, piece, last=last and offset == len(data))
            if not self._writable.is_set():
                async with asyncio.timeout(self._engine.settings.write_timeout_s):
                    await self._writable.wait()
            elif offset < len(data):
                await asyncio.sleep(0)  # the other streams have their turn
        return len(data)

    def _frame(self, exchange: Exchange, data: bytes, *, last: bool) -> None:
        self._check(exchange)
        self._h2.send_data(exchange.number, data, end_stream=last)
        self._guard.earn()
        self._flush()

    def _check(self, exchange: Exchange) -> None:
        if exchange.gone or self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the peer has left")

    def _done(self, exchange: Exchange) -> None:
        """A response was sent, or could not be."""
        self._exchanges.pop(exchange.number, None)
        self._used_s = self._loop.time()
        if self._transport is None:
            return
        unread = exchange.unread()
        if unread:
            self._give_back(exchange.number, unread)
        if not exchange.ended and not exchange.gone:
            self._reset(exchange.number, ErrorCodes.NO_ERROR)  # the rest of the body is not wanted
        self._end_if_done()

    def _give_back(self, number: int, size: int) -> None:
        if size and self._transport is not None:
            try:
                self._h2.acknowledge_received_data(size, number)
            except ProtocolError:
                return  # the connection is ending
            self._flush()

    def _reset(self, number: int, code: ErrorCodes) -> None:
        try:
            self._h2.reset_stream(number, code)
        except ProtocolError:
            return  # it is closed already
        self._flush()

    def _flush(self) -> int:
        data = self._h2.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
        return len(data)

    # How it ends.

    def _say_farewell(self, code: ErrorCodes) -> None:
        """GOAWAY. Not h2's way, which takes it for the end of everything."""
        if self._transport is not None and not self._transport.is_closing():
            frame = GoAwayFrame(0, last_stream_id=self._last_stream, error_code=int(code))
            self._transport.write(frame.serialize())

    def _end_if_done(self) -> None:
        if self._going and not self._exchanges and self._transport is not None:
            self._transport.close()
            if self._transport.get_write_buffer_size():
                self._loop.call_later(self._engine.settings.write_timeout_s, self._transport.abort)

    def _broken(self, reason: str) -> None:
        malformed(self._engine.log, self._link.peer, reason)
        self._flush()
        self._going = True
        for exchange in list(self._exchanges.values()):
            exchange.lost()
        if self._transport is not None:
            self._transport.close()
            self._loop.call_later(_LINGER_S, self._transport.abort)

    def _look(self) -> None:
        """End when nothing has happened for as long as a connection may be idle."""
        limit_s = self._engine.settings.keepalive_timeout_s
        idle_s = self._loop.time() - self._used_s
        if self._exchanges:
            left_s = limit_s
        elif idle_s >= limit_s:
            self.drain()
            return
        else:
            left_s = limit_s - idle_s
        self._timer = self._loop.call_later(max(left_s, 0.01), self._look)


class _Flood(Exception):
    """The peer sends what costs more than it is worth."""


async def _quietly(answering: Callable[[], Awaitable[None]]) -> None:
    """Answer a request; that its peer leaves meanwhile is nothing to be told of."""
    with suppress(ConnectionError, ProtocolError):
        await answering()
