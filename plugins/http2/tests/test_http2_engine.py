"""The engine against a client of the h2 library, and against one that breaks the rules."""

import asyncio
import gzip
from contextlib import suppress

import pytest
from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes, Settings
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

pytest.register_assert_rewrite("mtev_http.testing")

from mtev_http import BodyLimits, EngineSettings, FileStream, Response, Stream, event_response  # noqa: E402  # rewriting has to be asked for first
from mtev_http.testing import Wire  # noqa: E402  # likewise
from mtev_http.testing._wire import PATIENCE_S, SHORT_S, Suite, one_line  # noqa: E402  # likewise
from mtev_http2 import Http2Engine  # noqa: E402  # likewise
from mtev_http2.engine import PREFACE  # noqa: E402  # likewise


class Harness(Suite):
    factory = staticmethod(Http2Engine)


@pytest.fixture(params=["asyncio", "uvloop"])
def play(request):
    def play(scenario, settings=None):
        harness = Harness()
        if request.param == "uvloop":
            harness.loop_factory = pytest.importorskip("uvloop").new_event_loop
        harness.play(scenario, settings)

    return play


class Reply:
    def __init__(self):
        self.interim = []
        self.status = 0
        self.headers = []
        self.body = b""
        self.trailers = []
        self.reset = None
        self.done = asyncio.Event()

    def header(self, name):
        return ", ".join(value for each, value in self.headers if each == name)


class Client:
    """A client that keeps to the rules, as far as it is not told otherwise."""

    def __init__(self, reader, writer, *, window=None):
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8", validate_outbound_headers=False))
        if window is not None:
            self.h2.local_settings = Settings(initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        self.replies = {}
        self.goaway = None
        self.closed = asyncio.Event()
        self.told = asyncio.Event()
        self.took = asyncio.Event()
        self.reading = asyncio.ensure_future(self._read())
        self.flush()

    def flush(self):
        self.writer.write(self.h2.data_to_send())

    def raw(self, *frames):
        self.writer.write(b"".join(frame if isinstance(frame, bytes) else frame.serialize() for frame in frames))

    def ask(self, path, method="GET", headers=(), body=None, *, end=True):
        number = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "conformance"), *headers]
        self.h2.send_headers(number, fields, end_stream=body is None and end)
        self.replies[number] = Reply()
        if body is not None:
            self.h2.send_data(number, body, end_stream=end)
        self.flush()
        return number

    async def get(self, path, method="GET", headers=(), body=None):
        number = self.ask(path, method, headers, body)
        return await self.reply(number)

    async def reply(self, number):
        await self.replies[number].done.wait()
        return self.replies[number]

    async def until(self, holds):
        """Wait until something holds, which only frames from the server can bring about."""
        while not holds():
            self.took.clear()
            await self.took.wait()

    async def leave(self):
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()
        self.reading.cancel()

    async def _read(self):
        try:
            while True:
                head = await self.reader.readexactly(9)  # by the frame: h2 understands nothing behind a GOAWAY
                frame = head + await self.reader.readexactly(int.from_bytes(head[:3], "big"))
                for event in self.h2.receive_data(frame):
                    self._take(event)
                self.flush()
                self.took.set()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed.set()
            for reply in self.replies.values():
                reply.done.set()

    def _take(self, event):
        match event:
            case InformationalResponseReceived(stream_id=number):
                self.replies[number].interim.append(dict(event.headers)[":status"])
            case ResponseReceived(stream_id=number):
                self.replies[number].status = int(dict(event.headers)[":status"])
                self.replies[number].headers = event.headers
            case DataReceived(stream_id=number):
                self.replies[number].body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, number)
            case TrailersReceived(stream_id=number):
                self.replies[number].trailers = event.headers
            case StreamEnded(stream_id=number):
                self.replies[number].done.set()
            case StreamReset(stream_id=number):
                if number in self.replies:
                    self.replies[number].reset = event.error_code
                    self.replies[number].done.set()
            case ConnectionTerminated():
                self.goaway = event.error_code
                if not event.error_code:  # h2 would take it for the end of everything
                    self.h2.state_machine.state = ConnectionState.CLIENT_OPEN
                self.told.set()


async def connect(wire: Wire, **options) -> Client:
    client = Client(*await asyncio.open_connection(*wire._address), **options)
    wire._clients.append(client)
    return client


# What a request gets.


def test_requests_are_answered_side_by_side(play):
    async def scenario(wire):
        client = await connect(wire)
        numbers = [client.ask(f"/echo/{number}") for number in range(50)]
        for index, number in enumerate(numbers):
            reply = await client.reply(number)
            assert (reply.status, reply.body) == (200, str(index).encode())
            assert reply.header("content-length") == str(len(reply.body))
            assert reply.header("server") == "mtev-http"
            assert reply.header("date").endswith("GMT")
        assert wire.records == []

    play(scenario)


def test_a_slow_answer_holds_up_nobody(play):
    async def scenario(wire):
        gate = asyncio.Event()

        async def wait(request):
            await gate.wait()
            return Response(200, "waited")

        wire.rest.add("GET", "/", "^wait$", wait, summary="waits")
        client = await connect(wire)
        slow = client.ask("/wait")
        assert (await client.get("/echo/quick")).body == b"quick"
        gate.set()
        assert (await client.reply(slow)).body == b"waited"

    play(scenario)


def test_methods_headers_and_errors(play):
    async def scenario(wire):
        client = await connect(wire)
        head = await client.get("/echo/word", "HEAD")
        assert (head.status, head.header("content-length"), head.body) == (200, "4", b"")
        teapot = await client.get("/teapot")
        assert (teapot.status, teapot.body) == (418, "käse".encode())
        assert [value for name, value in teapot.headers if name == "set-cookie"] == ["a=1", "b=2"]
        nothing = await client.get("/nothing")
        assert (nothing.status, nothing.header("content-length"), nothing.body) == (204, "", b"")
        assert (await client.get("/empty")).header("content-length") == "0"
        assert (await client.get("/no/such")).status == 404
        refused = await client.get("/echo/x", "PUT")
        assert (refused.status, refused.header("allow")) == (405, "OPTIONS, GET, HEAD")
        assert (await client.get("/merge", "MERGE")).status == 200
        assert (await client.get("/echo/%00")).status == 400
        wire.records.clear()
        failed = await client.get("/fail")
        assert failed.status == 500
        assert b"secret" not in failed.body
        assert wire.records[0].exc_info is not None

    play(scenario)


def test_a_handler_sees_the_authority_and_joined_cookies(play):
    async def scenario(wire):
        seen = {}

        async def look(request):
            seen.update(request.headers.items())
            seen["version"], seen["target"] = request.version, request.target
            return Response()

        wire.rest.add("GET", "/", "^look$", look, summary="looks")
        client = await connect(wire)
        await client.get("/look?x=1", headers=[("cookie", "a=1"), ("cookie", "b=2"), ("x-a", "1"), ("x-a", "2")])
        assert (seen["host"], seen["cookie"], seen["x-a"]) == ("conformance", "a=1; b=2", "1, 2")
        assert (seen["version"], seen["target"]) == ("2", "/look?x=1")

    play(scenario)


def test_bodies_both_ways(play):
    async def scenario(wire):
        client = await connect(wire)
        assert (await client.get("/body", "POST", body=b"hello")).body == b"hello"
        packed = await client.get("/body", "POST", headers=[("content-encoding", "gzip")], body=gzip.compress(b"hi"))
        assert packed.body == b"hi"
        large = await client.get("/large")
        assert large.body == b"x" * 5_000_000
        number = client.ask("/body", "POST", end=False)
        sent = 0
        while sent < 900_000:
            await client.until(lambda: client.h2.local_flow_control_window(number))
            size = min(client.h2.local_flow_control_window(number), 16384, 900_000 - sent)
            client.h2.send_data(number, b"y" * size, end_stream=sent + size == 900_000)
            client.flush()
            sent += size
        assert (await client.reply(number)).body == b"y" * 900_000

    play(scenario)


def test_limits_of_a_body(play):
    async def scenario(wire):
        client = await connect(wire)
        assert (await client.get("/body", "POST", body=b"x" * 1001)).status == 413
        announced = await client.get("/body", "POST", headers=[("content-length", "99999")], body=b"")
        assert announced.status in (0, 413)  # a body shorter than it says may be reset before it is judged
        client = await connect(wire)
        slow = client.ask("/body", "POST", end=False)
        assert (await client.reply(slow)).status == 408
        assert client.replies[slow].header("connection") == ""

    play(scenario, EngineSettings(body=BodyLimits(size_bytes=1000, timeout_s=SHORT_S)))


def test_continue_is_sent_when_the_body_is_wanted(play):
    async def scenario(wire):
        client = await connect(wire)
        number = client.ask("/body", "POST", headers=[("expect", "100-continue")], end=False)
        await client.until(lambda: client.replies[number].interim)
        assert client.replies[number].interim == ["100"]
        client.h2.send_data(number, b"hello", end_stream=True)
        client.flush()
        assert (await client.reply(number)).body == b"hello"
        refused = client.ask("/no/such", "POST", headers=[("expect", "100-continue")], end=False)
        assert (await client.reply(refused)).status == 404
        assert client.replies[refused].interim == []

    play(scenario)


def test_a_body_that_nobody_reads_does_no_harm(play):
    async def scenario(wire):
        client = await connect(wire)
        for _ in range(40):
            number = client.ask("/ignore", "POST", end=False)
            client.h2.send_data(number, b"x" * 16000)
            client.h2.send_data(number, b"x" * 16000)
            client.flush()
            assert (await client.reply(number)).body == b"ignored"
        assert (await client.get("/echo/still")).body == b"still"

    play(scenario)


# Streams.


def test_streams_with_and_without_a_length_and_their_trailers(play):
    async def scenario(wire):
        async def pieces():
            for piece in (b"one", b"", b"two" * 30_000, b"three"):
                yield piece

        expected = b"one" + b"two" * 30_000 + b"three"
        wire.rest.add(
            "GET", "/", "^sized$", lambda request: Response(200, Stream(pieces(), len(expected))), summary="s"
        )
        trailing = lambda request: Response(200, Stream(pieces(), trailers=lambda: [("X-Sum", "3")]))  # noqa: E731  # short
        wire.rest.add("GET", "/", "^trailing$", trailing, summary="t")
        client = await connect(wire)
        sized = await client.get("/sized")
        assert (sized.body, sized.header("content-length")) == (expected, str(len(expected)))
        trailing = await client.get("/trailing")
        assert (trailing.body, trailing.trailers) == (expected, [("x-sum", "3")])
        assert trailing.header("content-length") == ""
        assert (await client.get("/sized", "HEAD")).body == b""

    play(scenario)


def test_a_stream_that_fails_is_reset_and_the_others_go_on(play):
    async def scenario(wire):
        async def fails():
            yield b"some"
            raise RuntimeError("a secret of the service")

        async def short():
            yield b"x"

        wire.rest.add("GET", "/", "^fails$", lambda request: Response(200, Stream(fails())), summary="f")
        wire.rest.add("GET", "/", "^short$", lambda request: Response(200, Stream(short(), 5)), summary="s")
        client = await connect(wire)
        for path in ("/fails", "/short"):
            reply = await client.get(path)
            assert (reply.status, reply.reset) == (200, ErrorCodes.INTERNAL_ERROR)
        assert all(record.exc_info for record in wire.records)
        assert len(wire.records) == 2
        assert (await client.get("/echo/on")).body == b"on"

    play(scenario)


def test_a_stream_ends_when_its_client_leaves(play):
    async def scenario(wire):
        ended = asyncio.Event()

        async def source():
            try:
                number = 0
                while True:
                    yield f"event {number}"
                    number += 1
                    await asyncio.sleep(0)
            finally:
                ended.set()

        wire.rest.add("GET", "/", "^events$", lambda request: event_response(source(), ping_s=None), summary="events")
        client = await connect(wire)
        number = client.ask("/events")
        await client.until(lambda: b"event 3" in client.replies[number].body)
        assert client.replies[number].header("content-type") == "text/event-stream"
        client.h2.reset_stream(number, ErrorCodes.CANCEL)
        client.flush()
        await ended.wait()
        assert (await client.get("/echo/on")).body == b"on"
        assert wire.records == []

    play(scenario)


def test_a_file_is_sent_whole(play, tmp_path):
    content = bytes(range(256)) * 4000
    (tmp_path / "file").write_bytes(content)

    async def scenario(wire):
        def send(request):
            import os

            return Response(200, FileStream(os.open(tmp_path / "file", os.O_RDONLY), 100, len(content) - 100))

        wire.rest.add("GET", "/", "^file$", send, summary="a file")
        client = await connect(wire)
        assert (await client.get("/file")).body == content[100:]

    play(scenario)


def test_a_peer_that_gives_no_room_is_reset(play):
    async def scenario(wire):
        client = await connect(wire, window=10)
        number = client.ask("/large")
        client.h2.acknowledge_received_data = lambda size, number: None
        reply = await client.reply(number)
        assert (reply.reset, len(reply.body)) == (ErrorCodes.CANCEL, 10)
        assert "took next to nothing" in wire.records[0].getMessage()

    play(scenario, EngineSettings(write_timeout_s=SHORT_S))


# How it ends.


def test_a_peer_that_leaves_cancels_its_handlers_quietly(play):
    async def scenario(wire):
        entered, cancelled = asyncio.Event(), asyncio.Event()

        async def linger(request):
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        wire.rest.add("GET", "/", "^linger$", linger, summary="stays")
        for leave in ("reset", "close"):
            entered.clear()
            cancelled.clear()
            client = await connect(wire)
            number = client.ask("/linger")
            await entered.wait()
            if leave == "reset":
                client.h2.reset_stream(number)
                client.flush()
            else:
                await client.leave()
            await cancelled.wait()
        assert wire.records == []

    play(scenario, EngineSettings(linger_timeout_s=SHORT_S))


def test_draining_finishes_what_was_accepted_and_refuses_the_rest(play):
    async def scenario(wire):
        entered, gate = asyncio.Event(), asyncio.Event()

        async def wait(request):
            entered.set()
            await gate.wait()
            return Response(200, await request.body())

        wire.rest.add("POST", "/", "^wait$", wait, summary="waits")
        idle, busy = await connect(wire), await connect(wire)
        assert (await idle.get("/echo/x")).status == 200
        number = busy.ask("/wait", "POST", end=False)
        await entered.wait()
        draining = asyncio.create_task(wire.engine.drain(PATIENCE_S))
        await idle.closed.wait()
        await busy.told.wait()
        assert busy.goaway == ErrorCodes.NO_ERROR
        gate.set()
        frame = DataFrame(number, b"abc", flags=["END_STREAM"])
        busy.raw(frame)
        await busy.until(lambda: busy.replies[number].body)
        assert busy.replies[number].body == b"abc"
        await busy.closed.wait()
        assert await draining == 0
        assert wire.records == []

    play(scenario)


def test_a_response_can_end_the_connection_and_so_can_their_number(play):
    async def scenario(wire):
        client = await connect(wire)
        assert (await client.get("/close")).body == b"bye"
        await client.closed.wait()
        assert client.goaway == ErrorCodes.NO_ERROR
        client = await connect(wire)
        for _ in range(3):
            assert (await client.get("/echo/x")).status == 200
        await client.closed.wait()

    play(scenario, EngineSettings(requests_per_connection=3))


def test_an_idle_connection_is_closed(play):
    async def scenario(wire):
        silent, used = await asyncio.open_connection(*wire._address), await connect(wire)
        await used.get("/echo/x")
        await used.closed.wait()
        assert used.goaway == ErrorCodes.NO_ERROR
        await silent[0].read()
        silent[1].close()

    play(scenario, EngineSettings(keepalive_timeout_s=SHORT_S))


def test_completion_is_told_once(play):
    async def scenario(wire):
        seen: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        wire.sites.request_log.call = lambda request, response, sent, latency: seen.set_result((request.path, sent))
        client = await connect(wire)
        await client.get("/echo/word")
        path, sent = await seen
        assert path == "/echo/word"
        assert sent > 4

    play(scenario)


# What breaks the rules of RFC 9113, and floods.


UNKNOWN = b"\x00\x00\x01\xbb\x00\x00\x00\x00\x00x"


def fields(client, *pairs):
    return client.h2.encoder.encode(list(pairs))


def block(client, *extra, method="GET", path="/echo/x"):
    return fields(client, (":method", method), (":path", path), (":scheme", "http"), (":authority", "c"), *extra)


def headers(client, number=1, data=None, flags=("END_HEADERS", "END_STREAM")):
    return HeadersFrame(number, data if data is not None else block(client), flags=list(flags))


def oversized(client):
    return b"\x00\x40\x01\x00\x00\x00\x00\x00\x01" + b"x" * 16385


BROKEN = {
    "data on stream 0": (lambda c: [b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x"], ErrorCodes.PROTOCOL_ERROR),
    "data on an idle stream": (lambda c: [DataFrame(1, b"x")], ErrorCodes.PROTOCOL_ERROR),
    "headers on stream 0": (lambda c: [b"\x00\x00\x01\x01\x05\x00\x00\x00\x00\x82"], ErrorCodes.PROTOCOL_ERROR),
    "headers on an even stream": (lambda c: [headers(c, 2)], ErrorCodes.PROTOCOL_ERROR),
    "a stream that goes back": (lambda c: [headers(c, 5), headers(c, 3)], ErrorCodes.PROTOCOL_ERROR),
    "a frame that is too large": (lambda c: [oversized(c)], ErrorCodes.FRAME_SIZE_ERROR),
    "settings on a stream": (lambda c: [b"\x00\x00\x00\x04\x00\x00\x00\x00\x01"], ErrorCodes.PROTOCOL_ERROR),
    "settings of a bad size": (lambda c: [b"\x00\x00\x05\x04\x00\x00\x00\x00\x00xxxxx"], ErrorCodes.FRAME_SIZE_ERROR),
    "a bad initial window": (lambda c: [SettingsFrame(0, settings={4: 0x80000000})], ErrorCodes.FLOW_CONTROL_ERROR),
    "a bad frame size": (lambda c: [SettingsFrame(0, settings={5: 1})], ErrorCodes.PROTOCOL_ERROR),
    "a bad push setting": (lambda c: [SettingsFrame(0, settings={2: 2})], ErrorCodes.PROTOCOL_ERROR),
    "a ping of a bad size": (lambda c: [b"\x00\x00\x01\x06\x00\x00\x00\x00\x00x"], ErrorCodes.FRAME_SIZE_ERROR),
    "a ping on a stream": (lambda c: [b"\x00\x00\x08\x06\x00\x00\x00\x00\x01xxxxxxxx"], ErrorCodes.PROTOCOL_ERROR),
    "a window of nothing": (lambda c: [WindowUpdateFrame(0, window_increment=1).serialize()[:-4] + b"\0" * 4], None),
    "a window that overflows": (
        lambda c: [WindowUpdateFrame(0, window_increment=0x7FFFFFFF)],
        ErrorCodes.FLOW_CONTROL_ERROR,
    ),
    "a reset on stream 0": (lambda c: [b"\x00\x00\x04\x03\x00\x00\x00\x00\x00\0\0\0\0"], ErrorCodes.PROTOCOL_ERROR),
    "a reset of an idle stream": (lambda c: [RstStreamFrame(1)], ErrorCodes.PROTOCOL_ERROR),
    "a promise from a client": (
        lambda c: [headers(c, flags=["END_HEADERS"]), PushPromiseFrame(1, 2, block(c), flags=["END_HEADERS"])],
        ErrorCodes.PROTOCOL_ERROR,
    ),
    "a continuation of nothing": (lambda c: [ContinuationFrame(1, b"x")], ErrorCodes.PROTOCOL_ERROR),
    "something between the parts of a header": (
        lambda c: [HeadersFrame(1, block(c), flags=[]), PingFrame(0, b"xxxxxxxx")],
        ErrorCodes.PROTOCOL_ERROR,
    ),
    "a header that cannot be decoded": (
        lambda c: [headers(c, data=b"\xff\xff\xff\xff\xff")],
        ErrorCodes.PROTOCOL_ERROR,
    ),
    "an upper case name": (lambda c: [headers(c, data=block(c) + b"\x00\x01A\x01b")], ErrorCodes.PROTOCOL_ERROR),
    "a field of a connection": (
        lambda c: [headers(c, data=block(c, ("connection", "close")))],
        ErrorCodes.PROTOCOL_ERROR,
    ),
    "te that is not trailers": (lambda c: [headers(c, data=block(c, ("te", "gzip")))], ErrorCodes.PROTOCOL_ERROR),
    "no path": (
        lambda c: [headers(c, data=fields(c, (":method", "GET"), (":scheme", "http")))],
        ErrorCodes.PROTOCOL_ERROR,
    ),
    "an empty path": (lambda c: [headers(c, data=block(c, path=""))], ErrorCodes.PROTOCOL_ERROR),
    "a pseudo field twice": (lambda c: [headers(c, data=block(c, (":method", "PUT")))], ErrorCodes.PROTOCOL_ERROR),
    "a pseudo field that is none": (lambda c: [headers(c, data=block(c, (":x", "y")))], ErrorCodes.PROTOCOL_ERROR),
    "a pseudo field of a response": (
        lambda c: [headers(c, data=block(c, (":status", "200")))],
        ErrorCodes.PROTOCOL_ERROR,
    ),
    "a pseudo field after others": (
        lambda c: [headers(c, data=fields(c, ("x", "y"), (":method", "GET"), (":path", "/"), (":scheme", "http")))],
        ErrorCodes.PROTOCOL_ERROR,
    ),
    "a body longer than it says": (
        lambda c: [
            headers(c, data=block(c, ("content-length", "1"), method="POST", path="/body"), flags=["END_HEADERS"]),
            DataFrame(1, b"xx", flags=["END_STREAM"]),
        ],
        ErrorCodes.PROTOCOL_ERROR,
    ),
    "trailers that do not end it": (
        lambda c: [headers(c, flags=["END_HEADERS"]), headers(c, data=fields(c, ("x", "y")), flags=["END_HEADERS"])],
        ErrorCodes.PROTOCOL_ERROR,
    ),
    "another stream than was asked for": (lambda c: [b"\x00" * 200], None),
    "more streams than allowed": (
        lambda c: [
            headers(c, number, block(c, method="POST", path="/body"), ["END_HEADERS"]) for number in range(1, 251, 2)
        ],
        None,
    ),
    "a flood of continuations": (
        lambda c: [HeadersFrame(1, b"", flags=[]), *[ContinuationFrame(1, b"") for _ in range(200)]],
        None,
    ),
    "a header without end": (
        lambda c: [
            headers(c, data=block(c, *[(f"x-{number}", "y" * 1000) for number in range(90)]), flags=["END_HEADERS"])
        ],
        None,
    ),
    "a flood of pings": (lambda c: [PingFrame(0, b"xxxxxxxx")] * 1200, ErrorCodes.ENHANCE_YOUR_CALM),
    "a flood of settings": (lambda c: [SettingsFrame(0)] * 400, ErrorCodes.ENHANCE_YOUR_CALM),
    "a flood of priorities": (lambda c: [PriorityFrame(1, depends_on=0)] * 1200, ErrorCodes.ENHANCE_YOUR_CALM),
    "a flood of windows": (lambda c: [WindowUpdateFrame(0, window_increment=1)] * 1200, ErrorCodes.ENHANCE_YOUR_CALM),
    "a flood of unknown frames": (lambda c: [UNKNOWN] * 1200, ErrorCodes.ENHANCE_YOUR_CALM),
    "a flood of empty data": (
        lambda c: [
            headers(c, 101, block(c, method="POST", path="/body"), ["END_HEADERS"]),
            *[DataFrame(101, b"") for _ in range(1200)],
        ],
        ErrorCodes.ENHANCE_YOUR_CALM,
    ),
    "rapid reset": (
        lambda c: [
            frame
            for number in range(1, 601, 2)
            for frame in (headers(c, number), RstStreamFrame(number, error_code=ErrorCodes.CANCEL))
        ],
        ErrorCodes.ENHANCE_YOUR_CALM,
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_the_rules_ends_the_connection(play, case):
    make, code = BROKEN[case]

    async def scenario(wire):
        client = await connect(wire)
        await client.get("/echo/before") if case.startswith("a flood") else None
        client.h2.encoder.header_table_size = 0
        client.raw(*make(client))
        await client.closed.wait()
        assert client.goaway is not None
        assert client.goaway == code or code is None
        one_line(wire.records[:1])
        assert (await (await connect(wire)).get("/echo/on")).body == b"on"

    play(scenario, EngineSettings(body=BodyLimits(timeout_s=PATIENCE_S)))


def test_what_does_not_begin_with_the_preface_is_closed(play):
    async def scenario(wire):
        for noise in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff" * 100, PREFACE[:-1] + b"x", PREFACE + b"\xff" * 20):
            reader, writer = await asyncio.open_connection(*wire._address)
            writer.write(noise)
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
        assert (await (await connect(wire)).get("/echo/on")).body == b"on"

    play(scenario, EngineSettings(keepalive_timeout_s=SHORT_S * 5))


def test_what_the_rules_allow_does_no_harm(play):
    async def scenario(wire):
        client = await connect(wire)
        client.raw(
            PingFrame(0, b"xxxxxxxx"),
            PriorityFrame(9, depends_on=3),
            UNKNOWN,
            SettingsFrame(0, settings={0xABCD: 1}),
            WindowUpdateFrame(0, window_increment=1000),
        )
        assert (await client.get("/echo/on")).body == b"on"
        number = client.ask("/body", "POST", end=False)
        client.raw(DataFrame(number, b"padded", flags=["PADDED", "END_STREAM"], pad_length=100))
        assert (await client.reply(number)).body == b"padded"
        assert wire.records == []

    play(scenario)


def test_a_head_beyond_the_limits_is_431(play):
    async def scenario(wire):
        client = await connect(wire)
        for extra, path in (
            ([("x", "y" * 600)], "/echo/x"),
            ([(f"x-{number}", "y") for number in range(30)], "/echo/x"),
            ([], "/echo/" + "x" * 600),
        ):
            wire.records.clear()
            assert (await client.get(path, headers=extra)).status == 431
            one_line(wire.records)
        assert (await client.get("/echo/on")).body == b"on"

    play(scenario, EngineSettings(header_limit_bytes=500, header_count=20, target_limit_bytes=500))


def test_connect_is_refused(play):
    async def scenario(wire):
        client = await connect(wire)
        number = client.h2.get_next_available_stream_id()
        client.replies[number] = Reply()
        client.h2.send_headers(number, [(":method", "CONNECT"), (":authority", "a:80")], end_stream=True)
        client.flush()
        assert (await client.reply(number)).status == 400

    play(scenario)


def test_what_was_asked_for_before_a_client_goes_away_is_still_answered(play):
    async def scenario(wire):
        entered, gate = asyncio.Event(), asyncio.Event()

        async def wait(request):
            entered.set()
            await gate.wait()
            return Response(200, "waited")

        wire.rest.add("GET", "/", "^wait$", wait, summary="waits")
        client = await connect(wire)
        number = client.ask("/wait")
        await entered.wait()
        client.raw(GoAwayFrame(0, last_stream_id=0, error_code=0))
        gate.set()
        assert (await client.reply(number)).body == b"waited"
        await client.closed.wait()
        assert wire.records == []

    play(scenario)
