"""Bodies of requests: their framing, their limits, and what becomes of those that nobody reads."""

from __future__ import annotations

import asyncio
import gzip

from .._engine import EngineSettings
from .._request import BodyLimits
from ._wire import HOST, SHORT_S, Suite, Wire, dribble, post

__all__ = ["Bodies"]


class Bodies(Suite):
    """See the module."""

    def test_bodies_by_length_and_in_chunks(self) -> None:
        """Chunk extensions and trailers included."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            await client.send(b"POST /body HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello")
            assert (await client.reply()).body == b"hello"
            await client.send(
                b"POST /body HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
                b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
            )
            assert (await client.reply()).body == b"hello world"
            await client.send(b"POST /body HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await client.reply()).body == b""

        self.play(scenario)

    def test_a_gzip_body_is_expanded(self) -> None:
        """And nothing else is."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            packed = gzip.compress(b"hello")
            await client.send(post("/body", packed, b"Content-Encoding: gzip\r\n"))
            assert (await client.reply()).body == b"hello"
            await client.send(post("/body", packed, b"Content-Encoding: br\r\n"))
            assert (await client.reply()).status == 415

        self.play(scenario)

    def test_a_body_beyond_the_limit_is_413(self) -> None:
        """By its announced length, by what is sent, and by what it expands to; the connection closes."""

        async def scenario(wire: Wire) -> None:
            sizes: list[bytes] = [
                post("/body", b"x" * 1001),
                b"POST /body HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999\r\n\r\n",
                b"POST /body HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001,
                post("/body", gzip.compress(b"x" * 1001), b"Content-Encoding: gzip\r\n"),
            ]
            for request in sizes:
                client = await wire.client()
                await client.send(request)
                reply = await client.reply()
                assert (reply.status, reply.header("connection").lower()) == (413, "close")
                assert await client.closed() == b""
            client = await wire.client()
            await client.send(post("/body", b"x" * 1000))
            assert len((await client.reply()).body) == 1000

        self.play(scenario, EngineSettings(linger_timeout_s=SHORT_S, body=BodyLimits(size_bytes=1000)))

    def test_a_slow_body_is_cut(self) -> None:
        """One that drips and one that stops: 408, and closed."""

        async def scenario(wire: Wire) -> None:
            drip, stop = await wire.client(), await wire.client()
            head = b"POST /body HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n"
            await stop.send(head + b"x")
            await drip.send(head)
            dripping = asyncio.create_task(dribble(drip))
            for client in (stop, drip):
                reply = await client.reply()
                assert (reply.status, reply.header("connection").lower()) == (408, "close")
            dripping.cancel()
            for client in (stop, drip):
                assert await client.closed() == b""
            await asyncio.gather(dripping, return_exceptions=True)

        limits = BodyLimits(timeout_s=SHORT_S)
        self.play(scenario, EngineSettings(linger_timeout_s=SHORT_S, body=limits))

    def test_a_body_that_nobody_reads_does_no_harm(self) -> None:
        """The response arrives, and the next request is understood, or the connection is closed."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            ignored = post("/ignore", b"GET /fail HTTP/1.1\r\n" * 1000)
            await client.send(ignored + b"GET /echo/next HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await client.reply()).body == b"ignored"
            assert (await client.reply()).body == b"next"
            await client.send(b"POST /ignore HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nabc")
            assert (await client.reply()).body == b"ignored"
            assert await client.closed() == b""

        self.play(scenario, EngineSettings(linger_timeout_s=SHORT_S))

    def test_continue_is_sent_when_the_body_is_wanted(self) -> None:
        """Not before; and a refused body is never invited."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            expect = b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
            await client.send(b"POST /body HTTP/1.1\r\n" + HOST + expect)
            assert (await client.reply()).status == 100
            await client.send(b"hello")
            assert (await client.reply()).body == b"hello"
            await client.send(b"POST /no/such HTTP/1.1\r\n" + HOST + expect)
            reply = await client.reply()
            assert (reply.status, reply.header("connection").lower()) == (404, "close")
            await client.closed()
            client = await wire.client()
            large = b"Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n"
            await client.send(b"POST /body HTTP/1.1\r\n" + HOST + large)
            assert (await client.reply()).status == 413

        self.play(scenario, EngineSettings(linger_timeout_s=SHORT_S))
