"""Bodies that are made while they are sent: streams, events, files; and handlers that take too long."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable

from .._engine import EngineSettings
from .._request import Request
from .._response import Response, event_response
from .._stream import FileStream, ServerSentEvent, Stream
from ._wire import HOST, SHORT_S, Suite, Wire, post

__all__ = ["Streams"]

_PIECES = (b"one", b"", b"two" * 30_000, b"three")
_WHOLE = b"".join(_PIECES)


async def _pieces() -> AsyncIterator[bytes]:
    for piece in _PIECES:
        yield piece


class Streams(Suite):
    """See the module."""

    def test_a_stream_without_a_length_comes_in_chunks_with_its_trailers(self) -> None:
        """And the connection goes on after it."""

        async def scenario(wire: Wire) -> None:
            def answer(request: Request) -> Response:
                return Response(200, Stream(_pieces(), trailers=lambda: [("X-Sum", "3")]), content_type="text/x")

            wire.rest.add("GET", "/", "^stream$", answer, summary="a stream")
            client = await wire.client()
            reply = await client.get("/stream")
            assert (reply.header("transfer-encoding"), reply.header("content-length")) == ("chunked", "")
            assert (reply.body, reply.header("content-type")) == (_WHOLE, "text/x")
            assert reply.trailers == {"x-sum": ["3"]}
            head = await client.get("/stream", method="HEAD")
            assert (head.status, head.body) == (200, b"")
            assert (await client.get("/echo/next")).body == b"next"

        self.play(scenario)

    def test_a_stream_with_a_length_comes_as_such(self) -> None:
        """For a client of HTTP/1.0 one without ends with the connection."""

        async def scenario(wire: Wire) -> None:
            wire.rest.add(
                "GET", "/", "^sized$", lambda request: Response(200, Stream(_pieces(), len(_WHOLE))), summary="sized"
            )
            wire.rest.add("GET", "/", "^open$", lambda request: Response(200, Stream(_pieces())), summary="not sized")
            client = await wire.client()
            reply = await client.get("/sized")
            assert (reply.body, reply.header("content-length")) == (_WHOLE, str(len(_WHOLE)))
            assert (await client.get("/sized", method="HEAD")).header("content-length") == str(len(_WHOLE))
            assert (await client.get("/echo/next")).body == b"next"
            old = await wire.client()
            await old.send(b"GET /open HTTP/1.0\r\n\r\n")
            reply = await old.reply(bodyless=True)
            assert (reply.header("transfer-encoding"), reply.header("content-length")) == ("", "")
            assert await old.closed() == _WHOLE

        self.play(scenario)

    def test_a_stream_that_fails_or_is_not_as_long_as_it_says_breaks_off(self) -> None:
        """So that nobody takes a part for the whole; the log has the traceback, the client nothing of it."""

        async def scenario(wire: Wire) -> None:
            async def fails() -> AsyncIterator[bytes]:
                yield b"some"
                raise RuntimeError("a secret of the service")

            for name, length in (("chunked", None), ("short", len(_WHOLE) + 1), ("long", len(_WHOLE) - 1)):
                source = fails if length is None else _pieces

                def answer(
                    request: Request, source: Callable[[], AsyncIterator[bytes]] = source, length: int | None = length
                ) -> Response:
                    return Response(200, Stream(source(), length))

                wire.rest.add("GET", "/", f"^{name}$", answer, summary="breaks off")
                client = await wire.client()
                await client.send(b"GET /" + name.encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n")
                await client.reply(bodyless=True)
                rest = await client.closed()
                assert b"secret" not in rest
                assert not rest.endswith(b"0\r\n\r\n")
                assert len(rest) < len(_WHOLE) + 1
            assert [record.exc_info is not None for record in wire.records] == [True] * 3

        self.play(scenario)

    def test_the_next_piece_is_made_when_the_last_one_was_taken(self) -> None:
        """Back-pressure; and when the client leaves, the generator is closed."""

        async def scenario(wire: Wire) -> None:
            made = 0
            closed = asyncio.Event()

            async def endless() -> AsyncIterator[bytes]:
                nonlocal made
                try:
                    while True:
                        made += 1
                        yield b"x" * 65_536
                finally:
                    closed.set()

            wire.rest.add("GET", "/", "^endless$", lambda request: Response(200, Stream(endless())), summary="endless")
            client = await wire.client()
            await client.send(b"GET /endless HTTP/1.1\r\n" + HOST + b"\r\n")
            await client.exactly(100_000)
            before = -1
            while made != before:  # until all buffers in between are full
                before = made
                await asyncio.sleep(SHORT_S)
            assert made < 1000
            await client.leave()
            await closed.wait()
            assert wire.records == []

        self.play(scenario)

    def test_a_client_that_does_not_read_is_cut_off(self) -> None:
        """One that takes next to nothing of a response, streamed, whole, or from a file."""

        async def scenario(wire: Wire) -> None:
            async def endless() -> AsyncIterator[bytes]:
                while True:
                    yield b"x" * 65_536

            with tempfile.TemporaryFile() as file:
                file.truncate(50_000_000)

                def send(request: Request) -> Response:
                    return Response(200, FileStream(os.dup(file.fileno()), 0, 50_000_000))

                wire.rest.add("GET", "/", "^endless$", lambda request: Response(200, Stream(endless())), summary="x")
                wire.rest.add("GET", "/", "^file$", send, summary="a file")
                wire.rest.add("GET", "/", "^whole$", lambda request: Response(200, bytes(50_000_000)), summary="whole")
                for path in (b"/endless", b"/file", b"/whole"):
                    wire.records.clear()
                    done = asyncio.Event()
                    wire.sites.request_log.call = lambda *told, done=done: done.set()
                    client = await wire.client()
                    await client.send(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
                    await done.wait()
                    assert wire.records, path
                    assert "took next to nothing" in wire.records[-1].getMessage(), path
                    await client.leave()

        self.play(scenario, EngineSettings(write_timeout_s=SHORT_S))

    def test_events_arrive_as_they_happen(self) -> None:
        """Server-sent events, with a comment in a silence."""

        async def scenario(wire: Wire) -> None:
            happens: asyncio.Queue[ServerSentEvent | str] = asyncio.Queue()
            closed = asyncio.Event()

            async def source() -> AsyncIterator[ServerSentEvent | str]:
                try:
                    while True:
                        yield await happens.get()
                finally:
                    closed.set()

            wire.rest.add(
                "GET", "/", "^events$", lambda request: event_response(source(), ping_s=SHORT_S), summary="events"
            )
            client = await wire.client()
            await client.send(b"GET /events HTTP/1.1\r\n" + HOST + b"\r\n")
            reply = await client.reply(bodyless=True)
            assert reply.header("content-type") == "text/event-stream"
            assert reply.header("cache-control") == "no-store"
            assert await client.chunk() == b": \n\n"
            happens.put_nowait("first")
            assert await client.chunk() == b"data: first\n\n"
            happens.put_nowait(ServerSentEvent("two\nlines", event="pair", id="7", retry_ms=1000))
            assert await client.chunk() == b"event: pair\nid: 7\nretry: 1000\ndata: two\ndata: lines\n\n"
            assert await client.chunk() == b": \n\n"
            await client.leave()
            await closed.wait()
            assert wire.records == []

        self.play(scenario)

    def test_a_file_arrives_whole(self) -> None:
        """Or a part of it; the connection is in step after it, also when the next request came before."""

        async def scenario(wire: Wire) -> None:
            content = os.urandom(2_000_000)
            with tempfile.TemporaryFile() as file:
                file.write(content)
                file.flush()

                def send(request: Request) -> Response:
                    return Response(200, FileStream(os.dup(file.fileno()), 100, len(content) - 100))

                wire.rest.add("GET", "/", "^file$", send, summary="a file")
                client = await wire.client()
                asked = b"GET /file HTTP/1.1\r\n" + HOST + b"\r\n"
                await client.send(asked + b"GET /echo/next HTTP/1.1\r\n" + HOST + b"\r\n" + asked)
                assert (await client.reply()).body == content[100:]
                assert (await client.reply()).body == b"next"
                assert (await client.reply()).body == content[100:]
                head = await client.get("/file", method="HEAD")
                assert (head.header("content-length"), head.body) == (str(len(content) - 100), b"")

        self.play(scenario)

    def test_a_file_that_becomes_shorter_breaks_off(self) -> None:
        """Its length was promised already."""

        async def scenario(wire: Wire) -> None:
            with tempfile.TemporaryFile() as file:
                file.write(b"short")
                file.flush()
                wire.rest.add(
                    "GET",
                    "/",
                    "^file$",
                    lambda request: Response(200, FileStream(os.dup(file.fileno()), 0, 1_000)),
                    summary="a file",
                )
                client = await wire.client()
                await client.send(b"GET /file HTTP/1.1\r\n" + HOST + b"\r\n")
                await client.reply(bodyless=True)
                assert len(await client.closed()) < 1_000
                assert len(wire.records) == 1

        self.play(scenario)

    def test_a_body_is_streamed_to_the_handler_no_faster_than_it_reads(self) -> None:
        """And a handler that reads it all has it all."""

        async def scenario(wire: Wire) -> None:
            gate = asyncio.Event()

            async def read(request: Request) -> Response:
                await gate.wait()
                size = 0
                async for piece in request.stream():
                    size += len(piece)
                return Response(200, str(size))

            wire.rest.add("POST", "/", "^read$", read, summary="reads", body_limit_bytes=1 << 30)
            client = await wire.client()
            sending = asyncio.create_task(client.send(post("/read", b"x" * 30_000_000)))
            await asyncio.sleep(SHORT_S)
            assert not sending.done()
            gate.set()
            await sending
            assert (await client.reply()).body == b"30000000"

        self.play(scenario)

    def test_a_handler_that_takes_too_long_is_cancelled_and_answered_503(self) -> None:
        """Its own limit, or that of the service; not one that is in time."""

        async def scenario(wire: Wire) -> None:
            cancelled = asyncio.Event()

            async def slow(request: Request) -> Response:
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelled.set()
                return Response()

            async def quick(request: Request) -> Response:
                await asyncio.sleep(0.001)
                return Response(200, "in time")

            wire.rest.add("GET", "/", "^slow$", slow, summary="slow", time_limit_s=SHORT_S)
            wire.rest.add("GET", "/", "^quick$", quick, summary="quick", time_limit_s=30)
            client = await wire.client()
            assert (await client.get("/quick")).body == b"in time"
            reply = await client.get("/slow")
            assert (reply.status, reply.header("connection").lower()) == (503, "close")
            assert cancelled.is_set()
            (record,) = wire.records
            assert "cut off after its time limit of 0.2 s" in record.getMessage()

        self.play(scenario)

    def test_hooks_see_what_is_read_and_what_is_sent(self) -> None:
        """`http_post_request_read_payload` and `http_response_send`."""

        async def scenario(wire: Wire) -> None:
            read, sent = [], []
            wire.sites.read_payload.call = lambda request, piece: read.append(piece)
            wire.sites.response_send.call = lambda request, response, piece: sent.append(piece)
            wire.rest.add("GET", "/", "^stream$", lambda request: Response(200, Stream(_pieces())), summary="a stream")
            client = await wire.client()
            await client.send(post("/body", b"hello"))
            assert (await client.reply()).body == b"hello"
            assert (b"".join(read), read[-1], sent) == (b"hello", b"", [b"hello"])
            sent.clear()
            assert (await client.get("/stream")).body == _WHOLE
            assert b"".join(sent) == _WHOLE

        self.play(scenario)

    def test_the_last_response_of_a_connection_says_so(self) -> None:
        """`requests_per_connection`."""

        async def scenario(wire: Wire) -> None:
            client = await wire.client()
            for _ in range(2):
                assert (await client.get("/echo/x")).header("connection").lower() != "close"
            assert (await client.get("/echo/x")).header("connection").lower() == "close"
            assert await client.closed() == b""

        self.play(scenario, EngineSettings(requests_per_connection=3))
