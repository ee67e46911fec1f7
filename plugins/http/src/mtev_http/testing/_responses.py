"""Responses: what arrives of what a handler answers."""

from __future__ import annotations

import asyncio

from .._request import Request
from .._response import Response
from ._wire import HOST, Suite, Wire

__all__ = ["Responses"]


class Responses(Suite):
    """See the module."""

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
            await client.send(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
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
