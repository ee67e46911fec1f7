"""Draining: what is idle closes, what is owed is answered, and nothing waits for ever."""

from __future__ import annotations

import asyncio

from .._request import Request
from .._response import Response
from ._wire import HOST, PATIENCE_S, Suite, Wire

__all__ = ["Draining"]


class Draining(Suite):
    """See the module."""

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
            await busy.send(b"POST /wait HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\n\r\nabc")
            await entered.wait()
            draining = asyncio.create_task(wire.engine.drain(PATIENCE_S))
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
            await busy.send(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n")
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
            await client.send(b"GET /stuck HTTP/1.1\r\n" + HOST + b"\r\n")
            await entered.wait()
            assert await wire.engine.drain(0.01) == 1
            assert not cancelled.is_set()
            await wire.engine.close()
            await cancelled.wait()
            assert await client.closed() == b""

        self.play(scenario)
