"""Applications of aiohttp (`web.Application`) behind our routes, whatever engine is below.

aiohttp's own objects do the work: its `web.Request` is made from ours, and what its response writes goes into ours.
So handlers, middlewares, sub-applications, streams, files and websockets of the application are used as they are.

This leans on names of aiohttp's that are no promise (`RawRequestMessage`, `StreamWriter._write`), which is why
mtev-http has an upper bound for its version.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from ssl import SSLContext
from typing import cast

from aiohttp import HttpVersion, HttpVersion10, HttpVersion11, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import RawRequestMessage, WebSocketReader
from aiohttp.http_writer import StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ._request import Request
from ._response import Response
from ._stream import Stream
from ._websocket import Frames, WebSocketOptions, WebSocketUpgrade, refusal

__all__ = ["AiohttpMount"]

_FRAMING = frozenset(
    ("connection", "content-length", "content-type", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)
_HANDSHAKE = frozenset(("sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-protocol", "date", "server"))
_OURS = frozenset(("date", "server"))
_PIECES = 4
_TEXT, _BINARY, _CLOSE = 1, 2, 8


class AiohttpMount:
    """An aiohttp application at a path.

    Args:
        application: the application.
        prefix: where it is, without a slash at its end; its own routes know nothing of it.
        options: for its websockets.
    """

    def __init__(self, application: web.Application, prefix: str, options: WebSocketOptions) -> None:
        self._runner = web.AppRunner(application, handle_signals=False, access_log=None)
        self._prefix = prefix
        self._options = options

    async def start(self) -> None:
        """Run what the application does at its start. Call it on the loop that the application is to run on."""
        await self._runner.setup()

    async def stop(self) -> None:
        """Run what the application does at its end."""
        await self._runner.cleanup()

    async def answer(self, request: Request) -> Response:
        """The application's response to a request, or to the handshake of a websocket.

        Raises:
            RuntimeError: it was not started.
        """
        server = self._runner.server
        if server is None:
            raise RuntimeError(f"the aiohttp application at {self._prefix}/ was not started; await its mount's start()")
        if request.is_websocket:
            judged = refusal(request, self._options)
            if isinstance(judged, Response):
                return judged
        exchange = _Exchange(request, self._prefix)
        task = asyncio.ensure_future(exchange.run(server))
        try:
            begun = await exchange.begun(task)
        except BaseException:
            await _cancelled(task)
            raise
        if begun.status == 101:
            return self._upgrade(exchange, task, begun)
        fields = [pair for pair in begun.fields.items() if pair[0].lower() not in _FRAMING | _OURS]
        kind = begun.fields.get("Content-Type", "")
        if begun.status in (204, 304):
            await asyncio.wait((task,))
            return Response(begun.status, headers=fields)
        length = begun.fields.get("Content-Length")
        stream = Stream(exchange.pieces(task), int(length) if length is not None else None)
        return Response(begun.status, stream, content_type=kind, headers=fields)

    def _upgrade(self, exchange: _Exchange, task: asyncio.Task[None], begun: _Begun) -> Response:
        async def run(frames: Frames) -> None:
            try:
                await exchange.converse(frames, task)
            finally:
                await _cancelled(task)
            await frames.close(1000, "")

        protocol = begun.fields.get("Sec-WebSocket-Protocol", "")
        upgrade = WebSocketUpgrade(run, protocol, self._options)
        for name, value in begun.fields.items():
            if name.lower() not in _FRAMING | _HANDSHAKE:
                upgrade.headers.add(name, value)
        return upgrade


class _Begun:
    """The header of a response."""

    def __init__(self, status: int, fields: CIMultiDict[str]) -> None:
        self.status = status
        self.fields = fields


class _Exchange:
    """One request and what comes of it."""

    def __init__(self, request: Request, prefix: str) -> None:
        loop = asyncio.get_running_loop()
        self._request = request
        self._transport = _Transport(request)
        self._protocol = _Protocol(loop, request, self._transport)
        self._writer = _Writer(self._protocol, loop)
        self._body = StreamReader(self._protocol, 2**16, loop=loop) if request.has_body else EMPTY_PAYLOAD
        self._message = _message(request, prefix)

    async def run(self, server: web.Server) -> None:
        """Have the application answer."""
        task = asyncio.current_task()
        assert task is not None, "it runs in a task of its own"
        feeding = asyncio.ensure_future(self._feed()) if self._request.has_body else None
        try:
            protocol = cast(web.RequestHandler, self._protocol)
            raw = server.request_factory(self._message, self._body, protocol, self._writer, task)
            raw._loop = cast(asyncio.AbstractEventLoop, _Loop(asyncio.get_running_loop()))
            try:
                try:
                    response = await server.request_handler(raw)
                except web.HTTPException as error:
                    response = error
                await response.prepare(raw)
                await response.write_eof()
            finally:
                raw._finish()  # closes the files of a form
        finally:
            self._writer.end()
            if feeding is not None:
                feeding.cancel()
                await asyncio.wait((feeding,))

    async def begun(self, task: asyncio.Task[None]) -> _Begun:
        """Wait for the header of its response.

        Raises:
            RuntimeError: the application ended without one.
        """
        await asyncio.wait((task, self._writer.begun), return_when=asyncio.FIRST_COMPLETED)
        if not self._writer.begun.done():
            task.result()
            raise RuntimeError("the aiohttp application ended without a response")
        return self._writer.begun.result()

    async def pieces(self, task: asyncio.Task[None]) -> AsyncIterator[bytes]:
        """The body of its response."""
        try:
            while (piece := await self._writer.piece()) is not None:
                yield piece
            await task
        finally:
            await _cancelled(task)

    async def converse(self, frames: Frames, task: asyncio.Task[None]) -> None:
        """Carry messages to and fro, until one side ends it."""
        incoming = asyncio.ensure_future(self._protocol.receive(frames))
        outgoing = asyncio.ensure_future(self._transport.send(frames))
        try:
            await asyncio.wait((task, outgoing), return_when=asyncio.FIRST_COMPLETED)
            if task.done() and not outgoing.done():
                self._transport.finish()
                await outgoing
        finally:
            for each in (incoming, outgoing):
                each.cancel()
            await asyncio.gather(incoming, outgoing, return_exceptions=True)
        if task.done() and not task.cancelled():
            task.result()

    async def _feed(self) -> None:
        try:
            async for piece in self._request.stream():
                self._body.feed_data(piece)
                while self._protocol.reading_paused:
                    await self._protocol.wanted.wait()
        except Exception as error:
            self._body.set_exception(error)
        else:
            self._body.feed_eof()


class _Loop:
    """The running loop, but for sendfile: there is no socket here. aiohttp then reads the file and writes it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)

    async def sendfile(self, *arguments: object) -> None:
        """Say so, as uvloop does."""
        raise NotImplementedError


class _Writer(StreamWriter):
    """aiohttp's writer, whose header and bytes are ours to send."""

    def __init__(self, protocol: BaseProtocol, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(protocol, loop)
        self.begun: asyncio.Future[_Begun] = loop.create_future()
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = asyncio.Event()

    def enable_chunking(self) -> None:
        """Framing is the engine's affair."""

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """Keep the header for our response."""
        self._headers_written = True
        if not self.begun.done():
            self.begun.set_result(_Begun(int(status_line.split(" ", 2)[1]), headers.copy()))

    def _write(self, chunk: bytes | bytearray | memoryview) -> None:  # type: ignore[override]  # aiohttp's Buffer
        self.output_size += len(chunk)
        self.buffer_size += len(chunk)  # what `write` goes by when it asks for `drain`
        if chunk:
            self._pieces.put_nowait(bytes(chunk))

    def _writelines(self, chunks: Iterable[bytes | bytearray | memoryview]) -> None:  # type: ignore[override]  # as above
        self._write(b"".join(chunks))

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was written."""
        while self._pieces.qsize() > _PIECES:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """Nothing more comes."""
        self._pieces.put_nowait(None)

    async def piece(self) -> bytes | None:
        """What was written next; None at the end."""
        piece = await self._pieces.get()
        if self._pieces.qsize() <= _PIECES:
            self._room.set()
        return piece


class _Protocol(BaseProtocol):
    """What aiohttp's requests and websockets ask of their connection."""

    max_field_size = 8190
    max_line_size = 8190
    max_headers = 128
    _timeout_ceil_threshold = 5.0

    def __init__(self, loop: asyncio.AbstractEventLoop, request: Request, transport: _Transport) -> None:
        super().__init__(loop)
        self.transport = transport
        self.peername = request.peer
        self.sockname = request.local
        self.ssl_context: SSLContext | None = None
        self.wanted = asyncio.Event()
        self._websocket: WebSocketReader | None = None
        self._began = asyncio.Event()

    @property
    def reading_paused(self) -> bool:
        """Whether the application has enough of the body for now."""
        return self._reading_paused

    def pause_reading(self) -> None:
        """The application has enough."""
        self._reading_paused = True
        self.wanted.clear()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """The application wants more."""
        self._reading_paused = False
        self.wanted.set()

    def set_parser(self, parser: WebSocketReader, data_received_cb: object = None) -> None:
        """A websocket begins."""
        self._websocket = parser
        self._began.set()

    def keep_alive(self, val: bool) -> None:
        """The engine's affair."""

    def force_close(self) -> None:
        """The engine's affair."""

    async def receive(self, frames: Frames) -> None:
        """Hand the peer's messages to the application."""
        await self._began.wait()
        assert self._websocket is not None, "set before"
        while (message := await frames.receive()) is not None:
            data = message.encode() if isinstance(message, str) else message
            self._websocket.feed_data(_frame(_TEXT if isinstance(message, str) else _BINARY, data))
            while self.reading_paused:
                await self.wanted.wait()
        code = frames.close_code or 1006
        payload = struct.pack("!H", code) + frames.close_reason.encode() if code not in (1005, 1006) else b""
        self._websocket.feed_data(_frame(_CLOSE, payload))


class _Transport(asyncio.Transport):
    """Where a websocket of the application's writes its frames."""

    def __init__(self, request: Request) -> None:
        super().__init__({"peername": request.peer, "sockname": request.local})
        self._closing = False
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self.finish()

    def abort(self) -> None:
        self.finish()

    def finish(self) -> None:
        """Nothing more comes."""
        self._closing = True
        self._frames.put_nowait(b"")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._frames.put_nowait(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    async def send(self, frames: Frames) -> None:
        """Hand the application's messages to the peer."""
        received = b""
        while data := await self._frames.get():
            received += data
            while (parsed := _parse(received)) is not None:
                opcode, payload, received = parsed
                match opcode:
                    case 1:
                        await frames.send(payload.decode())
                    case 2:
                        await frames.send(payload)
                    case 8:
                        code = int.from_bytes(payload[:2], "big") if payload else 1000
                        await frames.close(code, payload[2:].decode())
                        return
                    case 9:
                        await frames.ping(payload)


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x80 | opcode, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


def _parse(data: bytes) -> tuple[int, bytes, bytes] | None:
    """The first frame, which is not masked: its kind, what it holds, and what follows; None when it is not whole."""
    if len(data) < 2:
        return None
    size, start = data[1] & 0x7F, 2
    if size >= 126:
        start = 4 if size == 126 else 10
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        return None
    return data[0] & 0x0F, data[start : start + size], data[start + size :]


def _message(request: Request, prefix: str) -> RawRequestMessage:
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in request.headers.pairs:
        headers.add(name, value)
    headers.popall("Sec-WebSocket-Extensions", None)  # what is between the two is memory
    path = request.raw_path[len(prefix) :] or "/"
    target = f"{path}?{request.raw_query}" if request.raw_query else path
    version: HttpVersion = HttpVersion10 if request.version == "1.0" else HttpVersion11
    return RawRequestMessage(
        request.method,
        target,
        version,
        CIMultiDictProxy(headers),
        tuple(request.raw_headers),
        False,
        None,
        request.upgrade,
        False,
        URL.build(path=path, query_string=request.raw_query, encoded=True),
    )


async def _cancelled(task: asyncio.Task[None]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
