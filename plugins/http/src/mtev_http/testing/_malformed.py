"""What is no HTTP, or more than is allowed: refused, closed, and one line in the log."""

from __future__ import annotations

import asyncio

from .._engine import EngineSettings
from ._wire import HOST, SHORT_S, Suite, Wire, one_line

__all__ = ["Malformed"]


class Malformed(Suite):
    """See the module."""

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
                one_line(wire.records)

        self.play(scenario, EngineSettings(linger_timeout_s=SHORT_S))

    def test_a_path_that_cannot_be_decoded_is_400_and_closed_with_one_line(self) -> None:
        """Whatever could be read in two ways."""

        async def scenario(wire: Wire) -> None:
            for path in ("/echo/%00", "/echo/%0a", "/echo/%zz", "/echo/%", "/echo/%ff", "/echo/%c0%af", "/echo/x#y"):
                wire.records.clear()
                client = await wire.client()
                reply = await client.get(path)
                assert (reply.status, reply.header("connection").lower()) == (400, "close"), path
                assert await client.closed() == b""
                one_line(wire.records)
            client = await wire.client()
            assert (await client.get("/echo/k%C3%A4se+%2B")).body == "käse++".encode()

        self.play(scenario)

    def test_a_body_with_broken_framing_is_400_and_closed(self) -> None:
        """As soon as it is seen to be broken, not when its time is up."""

        async def scenario(wire: Wire) -> None:
            for tail in (b"zz\r\n", b"3\r\nabcdef\r\n", b"fffffffffffffffffffff\r\n"):
                wire.records.clear()
                client = await wire.client()
                await client.send(b"POST /body HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
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
                (b"GET /echo/x HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 600 + b"\r\n\r\n", (431,)),
                (b"GET /echo/x HTTP/1.1\r\n" + HOST + b"X: x\r\n" * 30 + b"\r\n", (431,)),
                (b"GET /echo/" + b"x" * 600 + b" HTTP/1.1\r\n" + HOST + b"\r\n", (414, 431)),
            ]
            for request, statuses in cases:
                wire.records.clear()
                client = await wire.client()
                await client.send(request)
                reply = await client.reply()
                assert reply.status in statuses, request
                assert reply.header("connection").lower() == "close"
                assert await client.closed() == b""
                one_line(wire.records)

        self.play(scenario, EngineSettings(header_limit_bytes=500, header_count=20, target_limit_bytes=500))
