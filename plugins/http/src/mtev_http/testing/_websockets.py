"""WebSockets over HTTP/1.1: their handshake, their messages, how they end, and what a peer may not do."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass

from .._engine import EngineSettings
from .._request import Request
from .._response import Response
from .._websocket import WebSocket, WebSocketOptions
from ..errors import WebSocketClosed
from ._wire import HOST, PATIENCE_S, SHORT_S, Client, Suite, Wire

__all__ = ["WebSockets"]

_KEY = base64.b64encode(b"sixteen bytes or")
_ACCEPT = base64.b64encode(
    hashlib.sha1(_KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
).decode()
_MASK = b"\x01\x02\x03\x04"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


@dataclass
class Frame:
    """One frame as it came."""

    opcode: int
    payload: bytes
    final: bool
    compressed: bool

    @property
    def code(self) -> int:
        """Of a close frame."""
        return int(struct.unpack("!H", self.payload[:2])[0]) if self.payload else 1005


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """The bytes of a frame from a client."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if not masked:
        return head + payload
    return head + _MASK + bytes(byte ^ _MASK[index % 4] for index, byte in enumerate(payload))


def closing(code: int, reason: bytes = b"") -> bytes:
    """A close frame from a client."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


class Peer:
    """The other end of a websocket, which does what it is told to."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        await self.client.send(data)

    async def frame(self) -> Frame:
        """Read one frame; the server's are not masked."""
        first, second = await self.client.exactly(2)
        assert not second & 0x80, "a server does not mask its frames"
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self.client.exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.client.exactly(8))
        payload = await self.client.exactly(size)
        return Frame(first & 0x0F, payload, bool(first & 0x80), bool(first & 0x40))

    async def message(self) -> tuple[int, bytes]:
        """Read a message: its kind, and what it holds."""
        got = await self.frame()
        opcode, parts, compressed = got.opcode, [got.payload], got.compressed
        while not got.final:
            got = await self.frame()
            assert got.opcode == CONTINUATION
            parts.append(got.payload)
        data = b"".join(parts)
        if compressed:
            data = zlib.decompressobj(-15).decompress(data + b"\x00\x00\xff\xff")
        return opcode, data


def _handshake(path: str, extra: bytes = b"", key: bytes = _KEY, version: bytes = b"13") -> bytes:
    return (
        b"GET " + path.encode() + b" HTTP/1.1\r\n" + HOST + b"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
        b"Sec-WebSocket-Version: " + version + b"\r\nSec-WebSocket-Key: " + key + b"\r\n" + extra + b"\r\n"
    )


async def _open(wire: Wire, path: str = "/ws/echo", extra: bytes = b"") -> Peer:
    client = await wire.client()
    await client.send(_handshake(path, extra))
    reply = await client.reply(bodyless=True)
    assert reply.status == 101, reply
    assert reply.header("sec-websocket-accept") == _ACCEPT
    assert reply.header("upgrade").lower() == "websocket"
    assert reply.header("connection").lower() == "upgrade"
    return Peer(client)


class _Room:
    """What a handler saw."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.left = asyncio.Event()
        self.code: int | None = None
        self.reason = ""


def _serve(wire: Wire, options: WebSocketOptions | None = None) -> _Room:
    room = _Room()

    async def echo(socket: WebSocket) -> None:
        room.entered.set()
        try:
            async for message in socket:
                await socket.send(message)
        finally:
            room.code, room.reason = socket.close_code, socket.close_reason
            room.left.set()

    wire.rest.websocket("/ws/", "^echo$", echo, summary="says it again", options=options or WebSocketOptions())
    return room


class WebSockets(Suite):
    """See the module."""

    def test_text_and_binary_messages_of_every_size_come_back(self) -> None:
        """Whole or in fragments, with pings between them."""

        async def scenario(wire: Wire) -> None:
            room = _serve(wire)
            peer = await _open(wire)
            for size in (0, 1, 125, 126, 65_535, 65_536, 300_000):
                await peer.send(frame(BINARY, b"x" * size))
                assert await peer.message() == (BINARY, b"x" * size)
            await peer.send(frame(TEXT, "hé€".encode()))
            assert await peer.message() == (TEXT, "hé€".encode())
            await peer.send(frame(TEXT, b"one ", final=False))
            await peer.send(frame(PING, b"still there?"))
            await peer.send(frame(CONTINUATION, b"two ", final=False) + frame(CONTINUATION, b"three"))
            assert await peer.message() == (PONG, b"still there?")
            assert await peer.message() == (TEXT, b"one two three")
            await peer.send(frame(PONG, b"unasked") + closing(1000, b"done"))
            last = await peer.frame()
            assert (last.opcode, last.code) == (CLOSE, 1000)
            assert await peer.client.closed() == b""
            await room.left.wait()
            assert (room.code, room.reason) == (1000, "done")
            assert wire.records == []

        self.play(scenario)

    def test_messages_that_come_with_the_handshake_are_not_lost(self) -> None:
        """A client may not wait for the 101 before it sends; what it sent is not HTTP."""

        async def scenario(wire: Wire) -> None:
            _serve(wire)
            client = await wire.client()
            await client.send(_handshake("/ws/echo") + frame(TEXT, b"early"))
            assert (await client.reply(bodyless=True)).status == 101
            assert await Peer(client).message() == (TEXT, b"early")

        self.play(scenario)

    def test_a_handshake_that_is_not_right_is_refused_before_any_101(self) -> None:
        """Version, key, origin; and the connection is still one of HTTP."""

        async def scenario(wire: Wire) -> None:
            _serve(wire, WebSocketOptions(protocols=("chat", "log"), origins=("https://friend.example",)))
            here = b"Origin: http://conformance\r\n"
            cases: list[tuple[bytes, int]] = [
                (_handshake("/ws/echo", version=b"8"), 426),
                (_handshake("/ws/echo", key=b"short"), 400),
                (_handshake("/ws/echo", key=b"!" * 24), 400),
                (_handshake("/ws/echo", b"Origin: https://stranger.example\r\n"), 403),
                (_handshake("/ws/echo", b"Origin: null\r\n"), 403),
                (_handshake("/ws/echo", b"Sec-WebSocket-Protocol: other\r\n"), 400),
                (_handshake("/ws/nothing"), 404),
                (b"GET /ws/echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
                (b"POST /ws/echo HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", 405),
            ]
            client = await wire.client()
            for request, status in cases:
                await client.send(request)
                assert (await client.reply()).status == status, request
            assert (await client.get("/echo/still")).body == b"still"
            for origin in (here, b"Origin: https://friend.example\r\n", b""):
                await _open(wire, extra=origin)

        self.play(scenario)

    def test_access_control_and_hooks_come_before_the_101(self) -> None:
        """What is refused never was a websocket."""

        async def scenario(wire: Wire) -> None:
            room = _serve(wire)
            wire.rest.websocket("/ws/", "^closed$", _never, summary="nobody may", auth=lambda request: False)
            client = await wire.client()
            await client.send(_handshake("/ws/closed"))
            assert (await client.reply()).status == 403
            seen: list[str] = []

            def starting(request: Request, response: Response) -> None:
                seen.append(f"{request.path} {response.status}")
                response.headers.set("X-Seen", "yes")

            wire.sites.response_starting.call = starting
            client = await wire.client()
            await client.send(_handshake("/ws/echo"))
            reply = await client.reply(bodyless=True)
            assert (reply.status, reply.header("x-seen")) == (101, "yes")
            assert seen == ["/ws/echo 101"]
            assert not any(character.isdigit() for character in reply.header("server"))
            await room.entered.wait()

        self.play(scenario)

    def test_a_subprotocol_is_agreed_on(self) -> None:
        """The first of the client's that the route has; none is named when only one side has some."""

        async def scenario(wire: Wire) -> None:
            _serve(wire, WebSocketOptions(protocols=("log", "chat")))

            async def say(socket: WebSocket) -> None:
                await socket.send(f"<{socket.protocol}>")

            wire.rest.websocket("/ws/", "^any$", say, summary="names no protocol")
            for wanted, named in ((b"none, chat , log", "chat"), (b"log", "log"), (b"", "")):
                client = await wire.client()
                field = b"Sec-WebSocket-Protocol: " + wanted + b"\r\n" if wanted else b""
                await client.send(_handshake("/ws/echo", field))
                assert (await client.reply(bodyless=True)).header("sec-websocket-protocol") == named
            client = await wire.client()
            await client.send(_handshake("/ws/any", b"Sec-WebSocket-Protocol: chat\r\n"))
            assert (await client.reply(bodyless=True)).header("sec-websocket-protocol") == ""
            assert await Peer(client).message() == (TEXT, b"<>")
            assert wire.records == []

        self.play(scenario)

    def test_what_breaks_the_protocol_is_closed_with_its_code(self) -> None:
        """Each with the code that RFC 6455 has for it."""
        cases: list[tuple[bytes, int]] = [
            (frame(TEXT, b"\xff\xfe"), 1007),
            (frame(TEXT, b"\xed\xa0\x80"), 1007),
            (frame(0x3, b"x"), 1002),
            (frame(0xB, b"x"), 1002),
            (frame(TEXT, b"x", reserved=2), 1002),
            (frame(PING, b"x" * 126), 1002),
            (frame(PING, b"x", final=False), 1002),
            (frame(CONTINUATION, b"x"), 1002),
            (frame(TEXT, b"x", final=False) + frame(TEXT, b"y"), 1002),
            (frame(CLOSE, b"x"), 1002),
            (closing(1005), 1002),
            (closing(999), 1002),
            (frame(BINARY, b"x" * 1001), 1009),
            (frame(BINARY, b"x" * 600, final=False) + frame(CONTINUATION, b"x" * 600), 1009),
        ]

        async def scenario(wire: Wire) -> None:
            _serve(wire, WebSocketOptions(message_limit_bytes=1000, close_timeout_s=SHORT_S))
            for data, code in cases:
                peer = await _open(wire)
                await peer.send(data)
                last = await peer.frame()
                assert (last.opcode, last.code) == (CLOSE, code), data[:40]
                await peer.client.closed()

        self.play(scenario)

    def test_a_message_may_be_as_large_as_the_limit_says(self) -> None:
        """And its compressed size does not count."""

        async def scenario(wire: Wire) -> None:
            _serve(wire, WebSocketOptions(message_limit_bytes=1000, close_timeout_s=SHORT_S))
            peer = await _open(wire)
            await peer.send(frame(BINARY, b"x" * 1000))
            assert await peer.message() == (BINARY, b"x" * 1000)
            peer = await _open(wire, extra=b"Sec-WebSocket-Extensions: permessage-deflate\r\n")
            deflate = zlib.compressobj(wbits=-15)
            packed = (deflate.compress(b"x" * 5000) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
            await peer.send(frame(BINARY, packed, reserved=4))
            last = await peer.frame()
            assert (last.opcode, last.code) == (CLOSE, 1009)

        self.play(scenario)

    def test_messages_are_compressed_when_both_agree(self) -> None:
        """permessage-deflate, RFC 7692; and not when the route does without."""

        async def scenario(wire: Wire) -> None:
            offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
            _serve(wire)
            wire.rest.websocket(
                "/ws/", "^plain$", _says_hello, summary="is plain", options=WebSocketOptions(compress=False)
            )
            client = await wire.client()
            await client.send(_handshake("/ws/echo", offer))
            reply = await client.reply(bodyless=True)
            assert reply.header("sec-websocket-extensions").startswith("permessage-deflate")
            peer = Peer(client)
            deflate = zlib.compressobj(wbits=-15)
            packed = (deflate.compress(b"hello " * 100) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
            await peer.send(frame(TEXT, packed, reserved=4))
            assert await peer.message() == (TEXT, b"hello " * 100)
            client = await wire.client()
            await client.send(_handshake("/ws/plain", offer))
            assert (await client.reply(bodyless=True)).header("sec-websocket-extensions") == ""
            assert await Peer(client).message() == (TEXT, b"hello")

        self.play(scenario)

    def test_a_handler_that_returns_closes_and_one_that_fails_says_1011(self) -> None:
        """With an id that is in the log beside the traceback, and nothing else."""

        async def scenario(wire: Wire) -> None:
            async def fail(socket: WebSocket) -> None:
                raise RuntimeError("a secret of the service")

            async def pick(socket: WebSocket) -> None:
                await socket.close(4000, "mine")

            wire.rest.websocket("/ws/", "^hello$", _says_hello, summary="says hello")
            wire.rest.websocket("/ws/", "^fail$", fail, summary="fails")
            wire.rest.websocket("/ws/", "^pick$", pick, summary="has a code of its own")
            peer = await _open(wire, "/ws/hello")
            assert await peer.message() == (TEXT, b"hello")
            last = await peer.frame()
            assert (last.opcode, last.code) == (CLOSE, 1000)
            await peer.send(closing(1000))
            assert await peer.client.closed() == b""
            assert wire.records == []
            peer = await _open(wire, "/ws/pick")
            last = await peer.frame()
            assert (last.code, last.payload[2:]) == (4000, b"mine")
            peer = await _open(wire, "/ws/fail")
            last = await peer.frame()
            assert last.code == 1011
            assert b"secret" not in last.payload
            (record,) = wire.records
            assert record.exc_info is not None
            assert record.getMessage().rpartition(" ")[2].encode() in last.payload

        self.play(scenario)

    def test_a_peer_that_breaks_off_ends_its_handler(self) -> None:
        """Without noise in the log."""

        async def scenario(wire: Wire) -> None:
            room = _serve(wire)
            peer = await _open(wire)
            await room.entered.wait()
            await peer.client.leave()
            await room.left.wait()
            assert wire.records == []

        self.play(scenario)

    def test_sending_to_a_peer_that_has_closed_is_told(self) -> None:
        """`WebSocketClosed`, with the peer's code."""

        async def scenario(wire: Wire) -> None:
            told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

            async def send(socket: WebSocket) -> None:
                with suppress(WebSocketClosed):
                    await socket.receive()
                try:
                    await socket.send("into the void")
                except WebSocketClosed as closed:
                    told.set_result(closed.code)

            wire.rest.websocket("/ws/", "^send$", send, summary="sends too late")
            peer = await _open(wire, "/ws/send")
            await peer.send(closing(3999))
            assert (await peer.frame()).code == 3999
            assert await told == 3999

        self.play(scenario)

    def test_a_peer_that_does_not_answer_pings_is_gone(self) -> None:
        """And one that does is not."""

        async def scenario(wire: Wire) -> None:
            room = _serve(wire, WebSocketOptions(ping_s=SHORT_S))
            peer = await _open(wire)
            for _ in range(3):
                got = await peer.frame()
                assert got.opcode == PING
                assert not room.left.is_set()
                await peer.send(frame(PONG, got.payload))
            await room.left.wait()
            assert room.code == 1006

        self.play(scenario)

    def test_a_peer_that_does_not_read_holds_up_its_sender(self) -> None:
        """Back-pressure: what is sent and not read does not pile up; and such a peer is cut off in the end."""

        async def scenario(wire: Wire) -> None:
            sent = 0
            left = asyncio.Event()

            async def flood(socket: WebSocket) -> None:
                nonlocal sent
                try:
                    while True:
                        await socket.send(b"x" * 65_536)
                        sent += 1
                finally:
                    left.set()

            options = WebSocketOptions(ping_s=None, compress=False)
            wire.rest.websocket("/ws/", "^flood$", flood, summary="never stops", options=options)
            await _open(wire, "/ws/flood")
            await left.wait()
            assert sent < 1000

        self.play(scenario, EngineSettings(write_timeout_s=SHORT_S))

    def test_a_draining_engine_closes_websockets_with_1001(self) -> None:
        """And waits for them."""

        async def scenario(wire: Wire) -> None:
            room = _serve(wire)
            peer = await _open(wire)
            await room.entered.wait()
            draining = asyncio.create_task(wire.engine.drain(PATIENCE_S))
            last = await peer.frame()
            assert (last.opcode, last.code) == (CLOSE, 1001)
            await peer.send(closing(1001))
            assert await draining == 0
            await room.left.wait()
            assert wire.records == []

        self.play(scenario)

    def test_a_stranger_to_the_protocol_does_no_harm(self) -> None:
        """Bytes that are no frames, and frames that are not masked."""

        async def scenario(wire: Wire) -> None:
            _serve(wire, WebSocketOptions(close_timeout_s=SHORT_S))
            for data in (b"GET / HTTP/1.1\r\n\r\n" * 20, b"\xff" * 200, frame(TEXT, b"bare", masked=False)):
                peer = await _open(wire)
                await peer.send(data)
                last = await peer.frame()
                assert (last.opcode, last.code) == (CLOSE, 1002), data
                await peer.client.closed()

        self.play(scenario)

    def test_completion_is_told_when_it_ends(self) -> None:
        """Once, with status 101: the access log's source."""

        async def scenario(wire: Wire) -> None:
            seen: list[tuple[str, int]] = []
            done = asyncio.Event()

            def log(request: Request, response: Response, sent_bytes: int, latency_s: float) -> None:
                seen.append((request.path, response.status))
                done.set()

            wire.sites.request_log.call = log
            _serve(wire)
            peer = await _open(wire)
            assert seen == []
            await peer.send(closing(1000))
            await done.wait()
            assert seen == [("/ws/echo", 101)]

        self.play(scenario)


async def _never(socket: WebSocket) -> None:
    raise AssertionError("nobody gets here")


async def _says_hello(socket: WebSocket) -> None:
    await socket.send("hello")
