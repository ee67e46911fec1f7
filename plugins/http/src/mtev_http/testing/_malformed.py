"""What is no HTTP, or more than is allowed: refused, closed, and one line in the log."""

from __future__ import annotations

import asyncio

from .._engine import EngineSettings
from .._response import Response
from ._wire import HOST, SHORT_S, Suite, Wire, one_line

__all__ = ["Malformed"]


_GET = b"GET /echo/x HTTP/1.1\r\nHost: a\r\n"
_POST = b"POST /body HTTP/1.1\r\nHost: a\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED = {
    "a bare line feed": b"GET /echo/x HTTP/1.1\nHost: a\n\n",
    "a bare line feed behind a field": b"GET /echo/x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "a bare carriage return": _GET + b"X: a\rb\r\n\r\n",
    "a NUL in a field": _GET + b"X: a\0b\r\n\r\n",
    "a space before the colon": _GET + b"X : y\r\n\r\n",
    "a field over two lines": _GET + b"X: y\r\n z\r\n\r\n",
    "a framing over two lines": _POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "an unknown framing": _POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a framing twice": _POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a framing twice in one": _POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a framing that is none": _POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a framing over another": _POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a framing in disguise": _POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a framing too new": b"POST /body HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both framings": _POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "a length with a sign": _POST + b"Content-Length: +3\r\n\r\nabc",
    "a length in hexadecimal": _POST + b"Content-Length: 0x3\r\n\r\nabc",
    "a list of lengths": _POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "a length twice": _POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "an empty length": _POST + b"Content-Length: \r\n\r\n",
    "a length beyond numbers": _POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a length with a separator": _POST + b"Content-Length: 1_0\r\n\r\n0123456789",
    "a length in other digits": _POST + "Content-Length: \u0663\r\n\r\nabc".encode(),
    "a field without a name": _GET + b": y\r\n\r\n",
    "a field without a colon": _GET + b"nonsense\r\n\r\n",
    "a host with a path": b"GET /echo/x HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a host with a user": b"GET /echo/x HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "tabs in the request line": b"GET\t/echo/x\tHTTP/1.1\r\nHost: a\r\n\r\n",
    "a blank behind the version": b"GET /echo/x HTTP/1.1 \r\nHost: a\r\n\r\n",
    "a version that is none": b"GET /echo/x HTTP/1.2\r\nHost: a\r\n\r\n",
    "a version of another protocol": b"GET /echo/x HTTP/2.0\r\nHost: a\r\n\r\n",
    "a version with more": b"GET /echo/x HTTP/1.1x\r\nHost: a\r\n\r\n",
    "a version in lower case": b"GET /echo/x http/1.1\r\nHost: a\r\n\r\n",
    "a method that is none": b"G(T /echo/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a NUL in the path": b"GET /echo/\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path without a slash": b"GET echo/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a URL with a user": b"GET http://u:p@other/echo/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a URL of another protocol": b"GET ftp://other/echo/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "an authority alone": b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a chunk with a sign": _CHUNKED + b"-1\r\nabc\r\n0\r\n\r\n",
    "a chunk with a prefix": _CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a chunk of bare line feeds": _CHUNKED + b"3\nabc\n0\n\n",
    "a chunk that goes on": _CHUNKED + b"3\r\nabcXX0\r\n\r\n",
    "a chunk with a blank": _CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "a chunk extension with a bare line feed": _CHUNKED + b"3;a=b\nabc\r\n0\r\n\r\n",
    "a chunk beyond numbers": _CHUNKED + b"ffffffffffffffffff\r\nabc",
    "a trailer without a colon": _CHUNKED + b"3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
}
"""What is answered 400, with the connection closed and one line in the log."""

UNDERSTOOD = {
    "line ends before a request": (b"\r\n\r\n" + _GET + b"\r\n", b"x"),
    "an empty host": (b"GET /echo/x HTTP/1.1\r\nHost:\r\n\r\n", b"x"),
    "a host that is an address": (b"GET /echo/x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", b"x"),
    "a URL": (b"GET http://other/echo/x HTTP/1.1\r\nHost: a\r\n\r\n", b"x"),
    "a URL without a path": (b"GET http://other?x HTTP/1.1\r\nHost: a\r\n\r\n", b""),
    "blanks round a value": (_GET + b"X: \t y \t\r\n\r\n", b"x"),
    "a GET with a body": (_GET + b"Content-Length: 3\r\n\r\nabc", b"x"),
    "chunks with zeros and an extension": (_CHUNKED + b"000003;a=b\r\nabc\r\n000;c\r\n\r\n", b"abc"),
    "an empty chunked body": (_CHUNKED + b"0\r\n\r\n", b""),
    "a body of length 0": (_POST + b"Content-Length: 0\r\n\r\n", b""),
    "another spelling of the framing": (_POST + b"transfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"abc"),
}
"""What is unusual and allowed: the body of its answer, and the connection goes on."""


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

    def test_what_could_be_read_in_two_ways_is_refused(self) -> None:
        """So that nothing can be smuggled past a proxy that reads it in the other one."""

        async def scenario(wire: Wire) -> None:
            for name, request in REFUSED.items():
                wire.records.clear()
                client = await wire.client()
                await client.send(request)
                reply = await client.reply()
                assert (reply.status, reply.header("connection").lower()) == (400, "close"), name
                assert await client.closed() == b"", name
                one_line(wire.records)

        self.play(scenario, EngineSettings(linger_timeout_s=SHORT_S))

    def test_what_is_unusual_and_allowed_is_understood(self) -> None:
        """And what follows it too."""

        async def scenario(wire: Wire) -> None:
            wire.rest.add("GET", "/", "^$", lambda request: Response(200, b""), summary="the root")
            for name, (request, body) in UNDERSTOOD.items():
                client = await wire.client()
                await client.send(request)
                reply = await client.reply()
                assert (reply.status, reply.body) == (200, body), name
                assert (await client.get("/echo/next")).body == b"next", name
            assert wire.records == []

        self.play(scenario)

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
