"""Requests and responses as handlers see them, without an engine."""

import asyncio
import gzip
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http import (
    BadRequest,
    BodyLimits,
    BodyTimeout,
    BodyTooLarge,
    Headers,
    HttpError,
    Request,
    Response,
    ResponseHeaders,
    UnsupportedEncoding,
    error_response,
    json_response,
    text_response,
)
from mtev_http.testing import LoopbackLink


class Pieces:
    """A body in given pieces; None stands for one that never comes."""

    def __init__(self, *pieces: bytes | None) -> None:
        self.pieces = list(pieces)

    async def read(self) -> bytes:
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if piece is None:
            await asyncio.Event().wait()
        return piece


def request(*pieces, headers=(), target="/", **limits) -> Request:
    source = Pieces(*pieces) if pieces else None
    return Request("POST", target, "1.1", list(headers), LoopbackLink(), source, BodyLimits(**limits))


def body(asked: Request) -> bytes:
    return asyncio.run(asked.body())


@given(st.lists(st.binary(min_size=1), min_size=1))
def test_a_body_is_its_pieces_put_together(pieces):
    asked = request(*pieces)
    assert body(asked) == b"".join(pieces)
    assert asked.received_bytes == sum(map(len, pieces))
    assert body(asked) == b"".join(pieces)


def test_a_request_without_a_body_has_an_empty_one():
    assert body(request()) == b""


def test_a_body_that_stops_is_cut_and_stays_cut():
    asked = request(b"a", None, timeout_s=0.01)
    for _ in range(2):
        with pytest.raises(BodyTimeout):
            body(asked)


def test_a_body_beyond_the_limit_is_refused_before_it_is_read_where_that_can_be_known():
    asked = request(b"x", headers=[(b"Content-Length", b"11")], size_bytes=10)
    with pytest.raises(BodyTooLarge):
        body(asked)
    assert asked.received_bytes == 0
    with pytest.raises(BodyTooLarge):
        body(request(b"x", headers=[(b"content-length", b"9" * 5000)], size_bytes=10))
    with pytest.raises(BodyTooLarge):
        body(request(b"x" * 6, b"x" * 5, size_bytes=10))
    assert body(request(b"x" * 10, size_bytes=10)) == b"x" * 10


def test_a_small_body_that_expands_beyond_the_limit_is_refused():
    bomb = gzip.compress(b"\x00" * 10_000_000)
    with pytest.raises(BodyTooLarge):
        body(request(bomb, headers=[(b"Content-Encoding", b"gzip")], size_bytes=100_000))


@pytest.mark.parametrize("broken", [b"no gzip", gzip.compress(b"abc")[:-1], gzip.compress(b"abc") + b"more"])
def test_a_broken_gzip_body_is_refused(broken):
    with pytest.raises(BadRequest):
        body(request(broken, headers=[(b"Content-Encoding", b"GZIP")]))


def test_other_encodings_are_refused():
    with pytest.raises(UnsupportedEncoding):
        body(request(b"x", headers=[(b"Content-Encoding", b"gzip, br")]))


@dataclass
class Point:
    x: int
    y: int = 0


def test_json_of_any_kind_and_of_one_kind():
    assert asyncio.run(request(b'{"x": [1, null]}').json()) == {"x": [1, None]}
    assert asyncio.run(request(b'{"x": 1}').json(Point)) == Point(1)


@pytest.mark.parametrize("text", [b"", b"{", b'{"y": 1}', b'{"x": "1"}', b"\xff", b"[" * 100_000])
def test_json_that_is_none_or_of_another_kind_is_400(text):
    with pytest.raises(BadRequest):
        asyncio.run(request(text or b"", b"").json(Point) if text else request().json(Point))


def test_text_must_be_utf8():
    assert asyncio.run(request("käse".encode()).text()) == "käse"
    with pytest.raises(BadRequest):
        asyncio.run(request(b"\xff").text())


def test_the_parts_of_a_request():
    asked = request(target="/a%20b/c?x=1&x=2&y", headers=[(b"Accept", b"a"), (b"ACCEPT", b"b")])
    assert (asked.path, asked.raw_path, asked.raw_query) == ("/a b/c", "/a%20b/c", "x=1&x=2&y")
    assert dict(asked.query) == {"x": "1", "y": ""}
    assert asked.query.all("x") == ["1", "2"]
    assert asked.headers["accept"] == "a, b"
    assert asked.config == {"flavour": "vanilla"}
    asked.notes["test.seen"] = True
    assert asked.notes == {"test.seen": True}


def test_headers_do_not_mind_case():
    headers = Headers([("X-One", "1"), ("x-one", "2"), ("Two", "3")])
    assert headers["X-ONE"] == "1, 2"
    assert headers.all("x-One") == ["1", "2"]
    assert headers.get("three") is None
    assert "two" in headers
    assert len(headers) == 2
    assert list(headers.pairs) == [("X-One", "1"), ("x-one", "2"), ("Two", "3")]


def test_response_headers_can_be_changed():
    response = Response(200, headers={"X-One": "1"})
    response.headers.add("x-one", "2")
    response.headers.set("Two", "3")
    response.headers.set("two", "4")
    assert list(response.header_pairs()) == [("X-One", "1"), ("x-one", "2"), ("two", "4")]
    response.headers.remove("X-ONE")
    response.headers.remove("absent")
    assert dict(response.headers) == {"two": "4"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("bad name", "x"),
        ("X", "a\r\nSet-Cookie: b"),
        ("X", "a\nb"),
        ("X", "\x00"),
        ("X", "käse"),
        ("Content-Length", "0"),
        ("transfer-encoding", "chunked"),
        ("Connection", "close"),
        ("Content-Type", "text/html"),
    ],
)
def test_a_header_that_could_split_or_frame_a_response_is_refused(name, value):
    with pytest.raises(ValueError):
        Response(200, headers=[(name, value)])
    with pytest.raises(ValueError):
        ResponseHeaders().add(name, value)
    with pytest.raises(ValueError):
        ResponseHeaders().set(name, value)


@pytest.mark.parametrize("content_type", ["text/html\r\nX: y", "käse"])
def test_a_content_type_is_checked_too(content_type):
    with pytest.raises(ValueError):
        Response(200, b"x", content_type=content_type)


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600])
def test_a_status_that_ends_no_exchange_is_refused(status):
    with pytest.raises(ValueError):
        Response(status)


def test_a_response_without_a_body_cannot_have_one():
    for status in (204, 304):
        assert Response(status).body == b""
        with pytest.raises(ValueError):
            Response(status, "x")


def test_the_kinds_of_response():
    assert text_response("hé").body == "hé".encode()
    assert text_response("h").content_type == "text/plain; charset=utf-8"
    assert Response(200, b"x").content_type == "application/octet-stream"
    assert Response().content_type == ""
    shown = json_response({"a": [1, None, "é"]}, 201, headers={"X": "y"})
    assert (shown.status, shown.body, shown.content_type) == (201, '{"a":[1,null,"é"]}\n'.encode(), "application/json")
    failed = error_response(404, "not here", close=True)
    assert (failed.status, failed.body, failed.close) == (404, b'{"error":"not here"}\n', True)


def test_an_error_status_is_one():
    with pytest.raises(ValueError):
        HttpError(200, "fine")
