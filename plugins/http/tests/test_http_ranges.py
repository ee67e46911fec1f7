"""Ranges of bytes: what is asked for, and no byte twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http._ranges import MAX_RANGES, Multipart, Span, content_range, resolve


@pytest.mark.parametrize(
    ("header", "spans"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-", [(0, 100)]),
        ("bytes=10-19", [(10, 10)]),
        ("Bytes = 10-19", [(10, 10)]),
        ("bytes=90-1000", [(90, 10)]),
        ("bytes=-10", [(90, 10)]),
        ("bytes=-1000", [(0, 100)]),
        ("bytes=0-1,50-51", [(0, 2), (50, 2)]),
        ("bytes=50-51, 0-1", [(0, 2), (50, 2)]),
        ("bytes=0-10,5-20", [(0, 21)]),
        ("bytes=0-9,10-19", [(0, 20)]),
        ("bytes=0-1,500-", [(0, 2)]),
        ("bytes=100-", []),
        ("bytes=-0", []),
        ("bytes=5-1", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=1-2-3", None),
        ("bytes 0-1", None),
        ("lines=0-1", None),
        ("bytes=0-1;", None),
        ("bytes=0-" + "9" * 19, None),
        ("bytes=" + ",".join(["0-1"] * (MAX_RANGES + 1)), None),
    ],
)
def test_what_a_range_asks_for(header, spans):
    assert resolve(header, 100) == (None if spans is None else [Span(*each) for each in spans])


def test_nothing_of_an_empty_file_can_be_had():
    assert resolve("bytes=0-", 0) == []
    assert resolve("bytes=-5", 0) == []


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=MAX_RANGES), st.integers(0, 50))
def test_the_parts_cover_what_was_asked_for_once(asked, size):
    header = "bytes=" + ",".join(f"{begin}-{begin + more}" for begin, more in asked)
    wanted = {byte for begin, more in asked for byte in range(begin, begin + more + 1) if byte < size}
    spans = resolve(header, size)
    covered = [byte for span in spans for byte in range(span.offset, span.offset + span.size)]
    assert covered == sorted(wanted)
    assert all(span.size for span in spans)


@given(st.text(max_size=40), st.integers(0, 10))
def test_no_text_does_harm(text, size):
    resolve(text, size)
    resolve(f"bytes={text}", size)


def test_content_range():
    assert content_range(Span(10, 10), 100) == "bytes 10-19/100"
    assert content_range(None, 100) == "bytes */100"


def test_several_parts_as_one_body():
    parts = Multipart([Span(0, 2), Span(8, 2)], 10, "text/plain", boundary="b")
    body = (
        b"".join(head + b"0123456789"[span.offset : span.offset + span.size] for head, span in parts.parts) + parts.end
    )
    assert parts.content_type == "multipart/byteranges; boundary=b"
    assert len(body) == parts.length
    assert body == (
        b"\r\n--b\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01"
        b"\r\n--b\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--b--\r\n"
    )
