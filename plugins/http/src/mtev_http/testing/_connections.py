"""Connections: how long they live, and in which order things happen on them."""

from __future__ import annotations

import asyncio

from .._engine import EngineSettings
from .._request import Request
from .._response import Response
from ._wire import HOST, SHORT_S, Suite, Wire

__all__ = ["Connections"]


class Connections(Suite):
    """See the module."""

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
                b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n"
                b"POST /body HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
                b"GET /echo/last HTTP/1.1\r\n" + HOST + b"\r\n"
            )
            gate.set()
            assert [(await client.reply()).body for _ in range(3)] == [b"waited", b"abc", b"last"]

        self.play(scenario)

    def test_a_request_may_arrive_in_any_pieces(self) -> None:
        """Byte by byte, for one."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            body = b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
            for byte in b"POST /body HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + body:
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

        self.play(scenario, EngineSettings(keepalive_timeout_s=SHORT_S * 5))

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
            await client.send(b"GET /linger HTTP/1.1\r\n" + HOST + b"\r\n")
            await entered.wait()
            await client.leave()
            await cancelled.wait()
            assert wire.records == []

        self.play(scenario, EngineSettings(linger_timeout_s=SHORT_S))

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
            await slow.send(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\nGET /echo/next HTTP/1.1\r\n" + HOST + b"\r\n")
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
            await client.send(b"POST /read HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nabc")
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
