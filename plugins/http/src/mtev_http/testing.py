"""What every HTTP engine has to pass: a suite over real loopback sockets, for pytest to collect.

    class TestMyEngine(EngineConformance):
        factory = staticmethod(MyEngine)

The requests go through the real router, access control and dispatcher, so what is tested is what a service does.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from ._acl import AccessList, AccessLists, Conditions
from ._dispatch import RestDispatcher, Sites
from ._engine import Engine, EngineFactory, EngineSettings
from ._request import BodyLimits, Request
from ._response import Response, json_response
from ._router import Router
from .errors import HttpError
from .rest import Rest

__all__ = ["Client", "EngineConformance", "Reply", "Wire"]

_PATIENCE_S = 20.0
_SHORT_S = 0.2
_HOST = b"Host: conformance\r\n"


@dataclass
class LoopbackLink:
    """A connection as an engine sees it, without a listener."""

    peer: tuple[str, int] | str | None = ("127.0.0.1", 1)
    local: tuple[str, int] | str | None = ("127.0.0.1", 2)
    config: Mapping[str, str] = field(default_factory=lambda: {"flavour": "vanilla"})
    remote_cn: str = ""
    touches: int = 0
    drains: list[Callable[[], None]] = field(default_factory=list)

    def touch(self) -> None:
        """Count."""
        self.touches += 1

    def add_drain(self, callback: Callable[[], None]) -> None:
        """Keep it."""
        self.drains.append(callback)

    def drain(self) -> None:
        """Tell the engine that the connection is to end."""
        for callback in self.drains:
            callback()


@dataclass
class Reply:
    """One response as it came over the wire."""

    status: int
    headers: dict[str, list[str]]
    body: bytes
    wire_bytes: int

    def header(self, name: str) -> str:
        """The values of a header joined; `""` without one."""
        return ", ".join(self.headers.get(name, []))


class Client:
    """A client that sends exactly the bytes that it is told to, and reads responses strictly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def get(self, path: str, method: str = "GET", headers: bytes = b"") -> Reply:
        """Send a request without a body and read its response."""
        await self.send(method.encode() + b" " + path.encode() + b" HTTP/1.1\r\n" + _HOST + headers + b"\r\n")
        return await self.reply(bodyless=method == "HEAD")

    async def reply(self, *, bodyless: bool = False) -> Reply:
        """Read one response."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head[:-4].decode("latin-1").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version.startswith("HTTP/"), f"not a status line: {lines[0]!r}"
        headers: dict[str, list[str]] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers.setdefault(name.lower(), []).append(value.strip())
        reply = Reply(int(status), headers, b"", len(head))
        if not bodyless and reply.status >= 200 and reply.status not in (204, 304):
            length = int(headers["content-length"][0])
            reply.body = await self._reader.readexactly(length)
            reply.wire_bytes += length
        return reply

    async def closed(self) -> bytes:
        """Read until the peer closes; what came before that."""
        try:
            return await self._reader.read()
        except ConnectionResetError:
            return b""

    async def end(self) -> None:
        """Close the sending side only."""
        self._writer.write_eof()

    async def leave(self) -> None:
        """Close."""
        self._writer.close()
        with suppress(ConnectionError):  # the peer may be quicker
            await self._writer.wait_closed()


class Wire:
    """An engine at work: its address, its routes, and what it logs.

    Args:
        engine: the engine.
        rest: its routes.
        sites: where its hooks are called.
        address: where it listens.
        records: what was logged.
    """

    def __init__(
        self,
        engine: Engine,
        rest: Rest,
        sites: Sites,
        address: tuple[str, int],
        records: list[logging.LogRecord],
        links: list[LoopbackLink],
    ) -> None:
        self.engine = engine
        self.rest = rest
        self.sites = sites
        self.records = records
        self.links = links
        self._address = address
        self._clients: list[Client] = []

    async def client(self) -> Client:
        """A new connection."""
        client = Client(*await asyncio.open_connection(*self._address))
        self._clients.append(client)
        return client

    async def leave(self) -> None:
        """Close every connection that was made."""
        for client in self._clients:
            await client.leave()


class EngineConformance:
    """The suite; see the module's text.

    Attributes:
        factory: makes the engine under test.
        loop_factory: makes the event loop; None for asyncio's own.
    """

    factory: EngineFactory
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None

    # -- the harness ---------------------------------------------------------------------------------------------------

    def play(self, scenario: Callable[[Wire], Awaitable[None]], settings: EngineSettings | None = None) -> None:
        """Run one scenario against a fresh engine on a fresh loop."""

        async def main() -> None:
            async with asyncio.timeout(_PATIENCE_S), self._serving(settings or EngineSettings()) as wire:
                await scenario(wire)

        with asyncio.Runner(loop_factory=self.loop_factory) as runner:
            runner.run(main())

    @asynccontextmanager
    async def _serving(self, settings: EngineSettings) -> AsyncIterator[Wire]:
        records: list[logging.LogRecord] = []
        log = logging.Logger("conformance", logging.INFO)
        log.addHandler(_Collect(records))
        sites = Sites.idle()
        router = Router()
        dispatcher = RestDispatcher(router, sites, log)
        dispatcher.access = AccessLists((AccessList(Conditions(), True, "conformance:1"),))
        rest = Rest(router, log)
        _routes(rest)
        engine = self.factory(dispatcher, settings, log)
        links: list[LoopbackLink] = []

        def protocol() -> asyncio.BaseProtocol:
            links.append(LoopbackLink())
            return engine.protocol(links[-1])

        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        wire = Wire(engine, rest, sites, (host, port), records, links)
        try:
            yield wire
        finally:
            server.close()
            await engine.close()
            await wire.leave()
            await server.wait_closed()

    # -- connections ---------------------------------------------------------------------------------------------------

    def test_a_connection_is_kept_for_the_next_request(self) -> None:
        """Keep-alive is what HTTP/1.1 does unless told otherwise."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            for word in ("one", "two", "three"):
                reply = await client.get(f"/echo/{word}")
                assert (reply.status, reply.body) == (200, word.encode())
                assert reply.header("connection").lower() != "close"
            assert wire.records == []
            assert len(wire.links) == 1
            assert wire.links[0].touches >= 3

        self.play(scenario)

    def test_connection_close_is_honoured(self) -> None:
        """A client that asks for it gets its connection closed, and is told."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            reply = await client.get("/echo/bye", headers=b"Connection: close\r\n")
            assert reply.header("connection").lower() == "close"
            assert await client.closed() == b""

        self.play(scenario)

    def test_a_response_can_close_the_connection(self) -> None:
        """`close=True` is the handler's way to say so."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            reply = await client.get("/close")
            assert reply.header("connection").lower() == "close"
            assert await client.closed() == b""

        self.play(scenario)

    def test_http_1_0_closes_after_the_response(self) -> None:
        """Unless it asked to be kept, which is not tested here."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            await client.send(b"GET /echo/old HTTP/1.0\r\n\r\n")
            reply = await client.reply()
            assert reply.body == b"old"
            assert await client.closed() == b""

        self.play(scenario)

    def test_pipelined_requests_are_answered_in_order(self) -> None:
        """Also when the first of them takes the longest."""

        async def scenario(wire: Wire) -> None:
            gate = asyncio.Event()

            async def wait(request: Request) -> Response:
                await gate.wait()
                return Response(200, "waited")

            wire.rest.add("GET", "/", "^wait$", wait, summary="waits")
            client = await wire.client()
            await client.send(
                b"GET /wait HTTP/1.1\r\n" + _HOST + b"\r\n"
                b"POST /body HTTP/1.1\r\n" + _HOST + b"Content-Length: 3\r\n\r\nabc"
                b"GET /echo/last HTTP/1.1\r\n" + _HOST + b"\r\n"
            )
            gate.set()
            assert [(await client.reply()).body for _ in range(3)] == [b"waited", b"abc", b"last"]

        self.play(scenario)

    def test_a_request_may_arrive_in_any_pieces(self) -> None:
        """Byte by byte, for one."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            body = b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
            for byte in b"POST /body HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n" + body:
                await client.send(bytes((byte,)))
                await asyncio.sleep(0)
            assert (await client.reply()).body == b"abc"

        self.play(scenario)

    def test_a_silent_connection_is_closed(self) -> None:
        """One that sends nothing, one that stops in the header, and one that was used before."""

        async def scenario(wire: Wire) -> None:
            silent, half, used = await wire.client(), await wire.client(), await wire.client()
            await half.send(b"GET /echo/x HTTP/1.1\r\nHo")
            assert (await used.get("/echo/x")).status == 200
            for client in (silent, half, used):
                await client.closed()

        self.play(scenario, EngineSettings(keepalive_timeout_s=_SHORT_S * 5))

    def test_a_peer_that_leaves_cancels_its_handler_quietly(self) -> None:
        """Nobody would read the answer."""

        async def scenario(wire: Wire) -> None:
            entered, cancelled = asyncio.Event(), asyncio.Event()

            async def linger(request: Request) -> Response:
                entered.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelled.set()
                return Response()

            wire.rest.add("GET", "/", "^linger$", linger, summary="stays")
            client = await wire.client()
            await client.send(b"GET /linger HTTP/1.1\r\n" + _HOST + b"\r\n")
            await entered.wait()
            await client.leave()
            await cancelled.wait()
            assert wire.records == []

        self.play(scenario, EngineSettings(linger_timeout_s=_SHORT_S))

    def test_a_peer_that_has_said_all_gets_its_responses(self) -> None:
        """One that closes its sending side and waits; then the connection closes."""

        async def scenario(wire: Wire) -> None:
            entered, gate = asyncio.Event(), asyncio.Event()

            async def wait(request: Request) -> Response:
                entered.set()
                await gate.wait()
                return Response(200, "waited")

            wire.rest.add("GET", "/", "^wait$", wait, summary="waits")
            quick, slow = await wire.client(), await wire.client()
            await quick.send(b"GET /echo/quick HTTP/1.0\r\n\r\n")
            await quick.end()
            assert (await quick.reply()).body == b"quick"
            assert await quick.closed() == b""
            await slow.send(b"GET /wait HTTP/1.1\r\n" + _HOST + b"\r\nGET /echo/next HTTP/1.1\r\n" + _HOST + b"\r\n")
            await slow.end()
            await entered.wait()
            gate.set()
            assert [(await slow.reply()).body for _ in range(2)] == [b"waited", b"next"]
            assert await slow.closed() == b""
            assert wire.records == []

        self.play(scenario)

    def test_a_peer_that_leaves_in_the_middle_of_its_body_is_no_noise(self) -> None:
        """The handler is cancelled, or sees `ClientGone`; nothing is logged."""

        async def scenario(wire: Wire) -> None:
            entered, left = asyncio.Event(), asyncio.Event()

            async def read(request: Request) -> Response:
                entered.set()
                try:
                    return Response(200, await request.body())
                finally:
                    left.set()

            wire.rest.add("POST", "/", "^read$", read, summary="reads")
            client = await wire.client()
            await client.send(b"POST /read HTTP/1.1\r\n" + _HOST + b"Content-Length: 10\r\n\r\nabc")
            await entered.wait()
            await client.leave()
            await left.wait()
            await asyncio.sleep(0)
            assert wire.records == []

        self.play(scenario)

    def test_an_upgrade_that_is_not_offered_is_ignored(self) -> None:
        """The request is answered as it stands, and the connection goes on."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            for protocol in (b"websocket", b"h2c", b"nonsense"):
                reply = await client.get("/echo/x", headers=b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n")
                assert (reply.status, reply.body) == (200, b"x")
            assert (await client.get("/echo/next")).body == b"next"

        self.play(scenario)

    # -- responses -----------------------------------------------------------------------------------------------------

    def test_head_is_get_without_the_body(self) -> None:
        """With the length that GET would have, and the connection in step."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            head = await client.get("/echo/word", method="HEAD")
            assert (head.status, head.header("content-length"), head.body) == (200, "4", b"")
            assert (await client.get("/echo/next")).body == b"next"

        self.play(scenario)

    def test_headers_and_status_arrive_as_set(self) -> None:
        """Several fields of a name included; and none that tells more of the software than its name."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            reply = await client.get("/teapot")
            assert reply.status == 418
            assert reply.headers["set-cookie"] == ["a=1", "b=2"]
            assert reply.header("content-type") == "text/plain; charset=utf-8"
            assert reply.body == "käse".encode()
            assert not any(character.isdigit() for character in reply.header("server"))

        self.play(scenario)

    def test_a_response_may_be_empty(self) -> None:
        """204 has no body and no length; an empty 200 has a length of 0."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            reply = await client.get("/nothing")
            assert reply.status == 204
            assert "content-length" not in reply.headers
            assert "transfer-encoding" not in reply.headers
            reply = await client.get("/empty")
            assert (reply.status, reply.header("content-length"), reply.header("content-type")) == (200, "0", "")

        self.play(scenario)

    def test_a_large_response_reaches_a_slow_reader_whole(self) -> None:
        """Larger than every buffer in between."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            await client.send(b"GET /large HTTP/1.1\r\n" + _HOST + b"\r\n")
            for _ in range(50):
                await asyncio.sleep(0)
            reply = await client.reply()
            assert len(reply.body) == 5_000_000
            assert reply.body.count(b"x") == 5_000_000

        self.play(scenario)

    def test_completion_is_told_once_with_the_size_on_the_wire(self) -> None:
        """The access log's source."""

        async def scenario(wire: Wire) -> None:
            seen: list[tuple[str, int, int]] = []
            done = asyncio.Event()

            def log(request: Request, response: Response, sent_bytes: int, latency_s: float) -> None:
                assert latency_s >= 0
                seen.append((request.path, response.status, sent_bytes))
                done.set()

            wire.sites.request_log.call = log
            client = await wire.client()
            reply = await client.get("/echo/word")
            await done.wait()
            assert seen == [("/echo/word", 200, reply.wire_bytes)]

        self.play(scenario)

    def test_not_found_and_not_allowed(self) -> None:
        """404, 405 with Allow, and OPTIONS."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            assert (await client.get("/no/such")).status == 404
            reply = await client.get("/echo/word", method="PUT")
            assert (reply.status, reply.header("allow")) == (405, "OPTIONS, GET, HEAD")
            reply = await client.get("/echo/word", method="OPTIONS")
            assert (reply.status, reply.header("allow"), reply.body) == (200, "OPTIONS, GET, HEAD", b"")
            assert "MERGE" in (await client.get("*", method="OPTIONS")).header("allow")
            assert (await client.get("/merge", method="MERGE")).status == 200

        self.play(scenario)

    def test_a_failing_handler_is_a_clean_500(self) -> None:
        """The client gets an id, the log the same id with the traceback, and the connection lives on."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            reply = await client.get("/fail")
            assert reply.status == 500
            assert b"secret" not in reply.body
            (record,) = wire.records
            assert record.exc_info is not None
            identity = record.getMessage().rpartition(" ")[2]
            assert identity.encode() in reply.body
            assert (await client.get("/echo/on")).body == b"on"

        self.play(scenario)

    def test_a_handler_may_raise_an_error_status(self) -> None:
        """`HttpError` is an answer, not a failure."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            reply = await client.get("/conflict")
            assert (reply.status, reply.body) == (409, b'{"error":"taken"}\n')
            assert wire.records == []

        self.play(scenario)

    # -- bodies --------------------------------------------------------------------------------------------------------

    def test_bodies_by_length_and_in_chunks(self) -> None:
        """Chunk extensions and trailers included."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            await client.send(b"POST /body HTTP/1.1\r\n" + _HOST + b"Content-Length: 5\r\n\r\nhello")
            assert (await client.reply()).body == b"hello"
            await client.send(
                b"POST /body HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n"
                b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
            )
            assert (await client.reply()).body == b"hello world"
            await client.send(b"POST /body HTTP/1.1\r\n" + _HOST + b"\r\n")
            assert (await client.reply()).body == b""

        self.play(scenario)

    def test_a_gzip_body_is_expanded(self) -> None:
        """And nothing else is."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            packed = gzip.compress(b"hello")
            await client.send(_post("/body", packed, b"Content-Encoding: gzip\r\n"))
            assert (await client.reply()).body == b"hello"
            await client.send(_post("/body", packed, b"Content-Encoding: br\r\n"))
            assert (await client.reply()).status == 415

        self.play(scenario)

    def test_a_body_beyond_the_limit_is_413(self) -> None:
        """By its announced length, by what is sent, and by what it expands to; the connection closes."""

        async def scenario(wire: Wire) -> None:
            sizes: list[bytes] = [
                _post("/body", b"x" * 1001),
                b"POST /body HTTP/1.1\r\n" + _HOST + b"Content-Length: 99999999999\r\n\r\n",
                b"POST /body HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001,
                _post("/body", gzip.compress(b"x" * 1001), b"Content-Encoding: gzip\r\n"),
            ]
            for request in sizes:
                client = await wire.client()
                await client.send(request)
                reply = await client.reply()
                assert (reply.status, reply.header("connection").lower()) == (413, "close")
                assert await client.closed() == b""
            client = await wire.client()
            await client.send(_post("/body", b"x" * 1000))
            assert len((await client.reply()).body) == 1000

        self.play(scenario, EngineSettings(linger_timeout_s=_SHORT_S, body=BodyLimits(size_bytes=1000)))

    def test_a_slow_body_is_cut(self) -> None:
        """One that drips and one that stops: 408, and closed."""

        async def scenario(wire: Wire) -> None:
            drip, stop = await wire.client(), await wire.client()
            head = b"POST /body HTTP/1.1\r\n" + _HOST + b"Content-Length: 100000\r\n\r\n"
            await stop.send(head + b"x")
            await drip.send(head)
            dripping = asyncio.create_task(_drip(drip))
            for client in (stop, drip):
                reply = await client.reply()
                assert (reply.status, reply.header("connection").lower()) == (408, "close")
            dripping.cancel()
            for client in (stop, drip):
                assert await client.closed() == b""
            await asyncio.gather(dripping, return_exceptions=True)

        limits = BodyLimits(timeout_s=_SHORT_S)
        self.play(scenario, EngineSettings(linger_timeout_s=_SHORT_S, body=limits))

    def test_a_body_that_nobody_reads_does_no_harm(self) -> None:
        """The response arrives, and the next request is understood, or the connection is closed."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            ignored = _post("/ignore", b"GET /fail HTTP/1.1\r\n" * 1000)
            await client.send(ignored + b"GET /echo/next HTTP/1.1\r\n" + _HOST + b"\r\n")
            assert (await client.reply()).body == b"ignored"
            assert (await client.reply()).body == b"next"
            await client.send(b"POST /ignore HTTP/1.1\r\n" + _HOST + b"Content-Length: 10\r\n\r\nabc")
            assert (await client.reply()).body == b"ignored"
            assert await client.closed() == b""

        self.play(scenario, EngineSettings(linger_timeout_s=_SHORT_S))

    def test_continue_is_sent_when_the_body_is_wanted(self) -> None:
        """Not before; and a refused body is never invited."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            expect = b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
            await client.send(b"POST /body HTTP/1.1\r\n" + _HOST + expect)
            assert (await client.reply()).status == 100
            await client.send(b"hello")
            assert (await client.reply()).body == b"hello"
            await client.send(b"POST /no/such HTTP/1.1\r\n" + _HOST + expect)
            reply = await client.reply()
            assert (reply.status, reply.header("connection").lower()) == (404, "close")
            await client.closed()
            client = await wire.client()
            large = b"Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n"
            await client.send(b"POST /body HTTP/1.1\r\n" + _HOST + large)
            assert (await client.reply()).status == 413

        self.play(scenario, EngineSettings(linger_timeout_s=_SHORT_S))

    # -- what is no HTTP -----------------------------------------------------------------------------------------------

    def test_what_is_no_http_is_400_and_closed_with_one_line(self) -> None:
        """One bounded line each, without a traceback; and nothing of it reaches a handler."""
        broken = [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"nonsense\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"CONNECT host:80 HTTP/1.1\r\nHost: host:80\r\n\r\n",
            b"GET /echo/x\r\n\r\n",
            b"GET /echo/x HTTP/1.1\r\n\r\n",
            b"GET /echo/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET /echo/x HTTP/1.1\r\nHost: a\r\nbad header: x\r\n\r\n",
            b"GET /echo/x HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        ]

        async def scenario(wire: Wire) -> None:
            for request in broken:
                wire.records.clear()
                client = await wire.client()
                await client.send(request)
                reply = await client.reply()
                assert (reply.status, reply.header("connection").lower()) == (400, "close"), request
                assert await client.closed() == b""
                _one_line(wire.records)

        self.play(scenario, EngineSettings(linger_timeout_s=_SHORT_S))

    def test_a_path_that_cannot_be_decoded_is_400_and_closed_with_one_line(self) -> None:
        """Whatever could be read in two ways."""

        async def scenario(wire: Wire) -> None:
            for path in ("/echo/%00", "/echo/%0a", "/echo/%zz", "/echo/%", "/echo/%ff", "/echo/%c0%af", "/echo/x#y"):
                wire.records.clear()
                client = await wire.client()
                reply = await client.get(path)
                assert (reply.status, reply.header("connection").lower()) == (400, "close"), path
                assert await client.closed() == b""
                _one_line(wire.records)
            client = await wire.client()
            assert (await client.get("/echo/k%C3%A4se+%2B")).body == "käse++".encode()

        self.play(scenario)

    def test_a_body_with_broken_framing_is_400_and_closed(self) -> None:
        """As soon as it is seen to be broken, not when its time is up."""

        async def scenario(wire: Wire) -> None:
            for tail in (b"zz\r\n", b"3\r\nabcdef\r\n", b"fffffffffffffffffffff\r\n"):
                wire.records.clear()
                client = await wire.client()
                await client.send(b"POST /body HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
                await asyncio.sleep(0)
                await client.send(tail)
                reply = await client.reply()
                assert (reply.status, reply.header("connection").lower()) == (400, "close"), tail
                assert await client.closed() == b""

        self.play(scenario)

    def test_a_header_beyond_the_limits_is_refused(self) -> None:
        """A long field and many fields are 431; a long target is 414, or 431."""

        async def scenario(wire: Wire) -> None:
            cases = [
                (b"GET /echo/x HTTP/1.1\r\n" + _HOST + b"X: " + b"x" * 600 + b"\r\n\r\n", (431,)),
                (b"GET /echo/x HTTP/1.1\r\n" + _HOST + b"X: x\r\n" * 30 + b"\r\n", (431,)),
                (b"GET /echo/" + b"x" * 600 + b" HTTP/1.1\r\n" + _HOST + b"\r\n", (414, 431)),
            ]
            for request, statuses in cases:
                wire.records.clear()
                client = await wire.client()
                await client.send(request)
                reply = await client.reply()
                assert reply.status in statuses, request
                assert reply.header("connection").lower() == "close"
                assert await client.closed() == b""
                _one_line(wire.records)

        self.play(scenario, EngineSettings(header_limit_bytes=500, header_count=20, target_limit_bytes=500))

    # -- draining ------------------------------------------------------------------------------------------------------

    def test_draining_closes_idle_connections_and_finishes_the_others(self) -> None:
        """A request under way, body included, gets its response, which says that it is the last."""

        async def scenario(wire: Wire) -> None:
            entered, gate = asyncio.Event(), asyncio.Event()

            async def wait(request: Request) -> Response:
                entered.set()
                await gate.wait()
                return Response(200, await request.body())

            wire.rest.add("POST", "/", "^wait$", wait, summary="waits")
            idle, busy = await wire.client(), await wire.client()
            assert (await idle.get("/echo/x")).status == 200
            await busy.send(b"POST /wait HTTP/1.1\r\n" + _HOST + b"Content-Length: 6\r\n\r\nabc")
            await entered.wait()
            draining = asyncio.create_task(wire.engine.drain(_PATIENCE_S))
            assert await idle.closed() == b""
            assert not draining.done()
            gate.set()
            await busy.send(b"def")
            reply = await busy.reply()
            assert (reply.body, reply.header("connection").lower()) == (b"abcdef", "close")
            assert await busy.closed() == b""
            assert await draining == 0
            assert wire.records == []
            late = await wire.client()
            assert (await late.get("/echo/late")).header("connection").lower() == "close"
            assert await late.closed() == b""

        self.play(scenario)

    def test_one_connection_can_be_drained(self) -> None:
        """As `Link.add_drain` asks for; the others go on."""

        async def scenario(wire: Wire) -> None:
            entered, gate = asyncio.Event(), asyncio.Event()

            async def wait(request: Request) -> Response:
                entered.set()
                await gate.wait()
                return Response(200, "waited")

            wire.rest.add("GET", "/", "^wait$", wait, summary="waits")
            idle, busy, other = await wire.client(), await wire.client(), await wire.client()
            for client in (idle, busy, other):
                assert (await client.get("/echo/x")).status == 200
            await busy.send(b"GET /wait HTTP/1.1\r\n" + _HOST + b"\r\n")
            await entered.wait()
            for link in wire.links[:2]:
                link.drain()
            assert await idle.closed() == b""
            gate.set()
            reply = await busy.reply()
            assert (reply.body, reply.header("connection").lower()) == (b"waited", "close")
            assert await busy.closed() == b""
            assert (await other.get("/echo/on")).header("connection").lower() != "close"

        self.play(scenario)

    def test_draining_is_bounded_and_closing_cancels_the_rest(self) -> None:
        """A handler that never ends holds up nobody for ever."""

        async def scenario(wire: Wire) -> None:
            entered, cancelled = asyncio.Event(), asyncio.Event()

            async def stuck(request: Request) -> Response:
                entered.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelled.set()
                return Response()

            wire.rest.add("GET", "/", "^stuck$", stuck, summary="never ends")
            client = await wire.client()
            await client.send(b"GET /stuck HTTP/1.1\r\n" + _HOST + b"\r\n")
            await entered.wait()
            assert await wire.engine.drain(0.01) == 1
            assert not cancelled.is_set()
            await wire.engine.close()
            await cancelled.wait()
            assert await client.closed() == b""

        self.play(scenario)


class _Collect(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


def _routes(rest: Rest) -> None:
    async def body(request: Request) -> Response:
        return Response(200, await request.body())

    async def fail(request: Request) -> Response:
        raise RuntimeError("a secret of the service")

    async def conflict(request: Request) -> Response:
        raise HttpError(409, "taken")

    rest.add("GET", "/echo/", "^(.*)$", lambda request: Response(200, request.captures[0]), summary="says it again")
    rest.add("POST", "/", "^body$", body, summary="sends the body back")
    rest.add("POST", "/", "^ignore$", lambda request: Response(200, "ignored"), summary="reads no body")
    rest.add("GET", "/", "^fail$", fail, summary="fails")
    rest.add("GET", "/", "^conflict$", conflict, summary="raises an error status")
    rest.add("GET", "/", "^close$", lambda request: Response(200, "bye", close=True), summary="closes")
    rest.add("GET", "/", "^nothing$", lambda request: Response(204), summary="has nothing to say")
    rest.add("GET", "/", "^empty$", lambda request: Response(), summary="says nothing")
    rest.add("GET", "/", "^large$", lambda request: Response(200, b"x" * 5_000_000), summary="is large")
    rest.add("MERGE", "/", "^merge$", lambda request: json_response({}), summary="an unusual method")
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    rest.add("GET", "/", "^teapot$", lambda request: Response(418, "käse", headers=cookies), summary="is a teapot")


def _post(path: str, body: bytes, headers: bytes = b"") -> bytes:
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    return b"POST " + path.encode() + b" HTTP/1.1\r\n" + _HOST + headers + length + body


async def _drip(client: Client) -> None:
    while True:
        await client.send(b"x")
        await asyncio.sleep(_SHORT_S / 10)


def _one_line(records: list[logging.LogRecord]) -> None:
    (record,) = records
    assert record.exc_info is None
    text = record.getMessage()
    assert text.isprintable()
    assert text.isascii()
    assert len(text) < 400
