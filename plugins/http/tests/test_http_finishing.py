"""What every response gets on its way out: compression, conditions, CORS, ids."""

import asyncio
import gzip
import logging
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http import Request, Response, Rest, Stream, event_response
from mtev_http._acl import AccessList, AccessLists, Conditions
from mtev_http._compression import Compression, Encoder
from mtev_http._cors import CorsPolicy
from mtev_http._dispatch import RestDispatcher, Sites
from mtev_http._finishing import Finishing
from mtev_http._router import Router
from mtev_http.testing import LoopbackLink

LONG = b"words and words " * 200


class Service:
    def __init__(self, finishing: Finishing | None = None) -> None:
        log = logging.getLogger("test.http")
        router = Router()
        self.dispatcher = RestDispatcher(router, Sites.idle(), log)
        self.dispatcher.access = AccessLists((AccessList(Conditions(), True, "app.conf:2"),))
        self.dispatcher.finishing = finishing or Finishing(request_ids=False)
        self.rest = Rest(router, log)
        self.response = Response(200, LONG, content_type="text/plain")
        self.rest.add("GET", "/", "^x$", lambda request: self.response, summary="x")

    def ask(
        self, response: Response | None = None, method: str = "GET", version: str = "1.1", **fields: str
    ) -> Response:
        self.response = response or Response(200, LONG, content_type="text/plain")
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
        return asyncio.run(self.dispatcher.respond(Request(method, "/x", version, raw, LoopbackLink())))


def body_of(response: Response) -> bytes:
    async def main() -> bytes:
        try:
            return b"".join([piece async for piece in response.stream])
        finally:
            await response.stream.close()

    return asyncio.run(main())


def test_a_long_text_is_compressed_for_those_who_can_read_it():
    service = Service()
    packed = service.ask(Accept_Encoding="gzip, br")
    assert (gzip.decompress(packed.body), packed.headers["content-encoding"]) == (LONG, "gzip")
    assert packed.headers["vary"] == "Accept-Encoding"
    packed = service.ask(Accept_Encoding="deflate")
    assert zlib.decompress(packed.body) == LONG
    plain = service.ask()
    assert (plain.body, plain.headers["vary"], "content-encoding" in plain.headers) == (LONG, "Accept-Encoding", False)


@pytest.mark.parametrize(
    "response",
    [
        Response(200, b"short", content_type="text/plain"),
        Response(200, LONG, content_type="image/png"),
        Response(200, LONG, content_type="text/plain", headers={"Content-Encoding": "br"}),
        Response(200, LONG, content_type="text/plain", headers={"Cache-Control": "public, no-transform"}),
        Response(206, LONG, content_type="text/plain"),
    ],
    ids=["short", "type", "encoded", "no-transform", "part"],
)
def test_what_is_not_worth_it_or_must_not_be_touched_stays_as_it_is(response):
    body = response.body
    assert Service().ask(response, Accept_Encoding="gzip").body is body


def test_compression_can_be_set_and_switched_off():
    assert "content-encoding" not in Service(Finishing(Compression(()), (), False)).ask(Accept_Encoding="gzip").headers
    small = Compression(("deflate",), 1, ("image/*",), 9)
    packed = Service(Finishing(small, (), False)).ask(
        Response(200, b"xx", content_type="image/png"), Accept_Encoding="gzip, deflate"
    )
    assert zlib.decompress(packed.body) == b"xx"


def test_a_strong_tag_becomes_a_weak_one_for_other_bytes():
    service, fields = Service(), {"ETag": '"v1"', "Vary": "Accept"}
    packed = service.ask(Response(200, LONG, content_type="text/plain", headers=fields), Accept_Encoding="gzip")
    assert (packed.headers["etag"], packed.headers["vary"]) == ('W/"v1"', "Accept, Accept-Encoding")
    again = Response(200, LONG, content_type="text/plain", headers=fields)
    same = service.ask(again, Accept_Encoding="gzip", If_None_Match='W/"v1"')
    assert (same.status, same.body, same.content_type, same.headers["etag"]) == (304, b"", "", '"v1"')


def test_conditions_are_judged_by_what_the_handler_says():
    service = Service()
    dated = {"Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}
    assert service.ask(Response(200, b"x", headers=dated), If_Modified_Since=dated["Last-Modified"]).status == 304
    assert (
        service.ask(Response(200, b"x", headers=dated), If_Unmodified_Since="Sun, 06 Nov 1994 08:49:36 GMT").status
        == 412
    )
    assert service.ask(Response(201, b"x", headers={"ETag": '"a"'}), If_None_Match='"a"').status == 201
    assert service.ask(Response(200, b"x"), If_None_Match="*").status == 200


def test_a_stream_that_is_not_wanted_is_closed():
    closed = []

    async def pieces():
        try:
            yield b"x"
        finally:
            closed.append(True)

    async def main():
        stream = Stream(pieces())
        await anext(aiter(stream))
        return stream

    service = Service()
    service.response = None

    async def handler(request):
        return Response(200, await main(), headers={"ETag": '"a"'})

    service.rest.add("GET", "/", "^s$", handler, summary="s")
    request = Request("GET", "/s", "1.1", [(b"If-None-Match", b'"a"')], LoopbackLink())
    response = asyncio.run(service.dispatcher.respond(request))
    assert (response.status, response.special, closed) == (304, False, [True])


def test_streams_are_compressed_piece_by_piece():
    async def source():
        yield "one"
        yield "two"

    response = Service().ask(event_response(source(), ping_s=None), Accept_Encoding="gzip")
    assert response.stream.length is None

    async def main():
        machine = zlib.decompressobj(zlib.MAX_WBITS | 16)
        seen = [machine.decompress(piece) async for piece in response.stream]
        await response.stream.close()
        return seen

    assert asyncio.run(main()) == [b": \n\n", b"data: one\n\n", b"data: two\n\n", b""]


@given(st.lists(st.binary(min_size=1, max_size=100)), st.sampled_from(["gzip", "deflate"]), st.integers(1, 9))
def test_each_piece_can_be_read_at_once(pieces, encoding, level):
    encoder = Compression(level=level).encoder(encoding)
    assert isinstance(encoder, Encoder)
    machine = zlib.decompressobj(zlib.MAX_WBITS | (16 if encoding == "gzip" else 0))
    for piece in pieces:
        assert machine.decompress(encoder.feed(piece)) == piece
    assert machine.decompress(encoder.finish()) == b""
    assert machine.eof


def test_a_large_body_is_compressed_whole():
    response = Service().ask(Response(200, LONG * 100, content_type="text/plain"), Accept_Encoding="gzip")
    assert gzip.decompress(response.body) == LONG * 100


def test_old_clients_get_no_compression():
    assert Service().ask(version="1.0", Accept_Encoding="gzip").body == LONG


def test_cors():
    policies = (CorsPolicy(["https://a.example"], credentials=True),)
    service = Service(Finishing(cors=policies, request_ids=False))
    assert service.ask(Origin="https://a.example").headers["access-control-allow-origin"] == "https://a.example"
    assert "access-control-allow-origin" not in service.ask(Origin="https://b.example").headers
    assert "access-control-allow-origin" not in service.ask().headers
    preflight = service.ask(method="OPTIONS", Origin="https://a.example", Access_Control_Request_Method="GET")
    assert (preflight.status, preflight.headers["access-control-allow-methods"]) == (204, "GET")
    assert service.ask(method="OPTIONS", Origin="https://a.example").status == 200
    denied = AccessLists()
    service.dispatcher.access = denied
    refused = service.ask(Origin="https://a.example")
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (403, "https://a.example")


def test_every_response_carries_the_id_of_its_request():
    service = Service(Finishing())
    assert service.ask(X_Request_Id="mine-1").headers["x-request-id"] == "mine-1"
    first, second = (service.ask().headers["x-request-id"] for _ in range(2))
    assert first != second
    assert service.ask(X_Request_Id="not fit").headers["x-request-id"] != "not fit"
