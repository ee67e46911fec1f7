"""Messages against an independent reading of RFC 5424, RFC 3164 and RFC 6587."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_log import Record
from mtev_log_syslog.framing import by_newline, by_octet_count
from mtev_log_syslog.levels import facility_of, severity, severity_of
from mtev_log_syslog.messages import LEAST_BYTES, Header, rfc3164, rfc5424, timestamp
from mtev_log_syslog.text import cut, one_line, visible_ascii

HEADER = Header(16, -1, "host.example", "acme", 4711, utc=True)
TEXT = st.text(st.characters(codec=None), max_size=80)
VALUES = st.one_of(TEXT, st.integers(), st.binary(max_size=20), st.none(), st.lists(st.integers(), max_size=3))
RECORDS = st.builds(
    Record,
    time_ns=st.integers(-(2**70), 2**70),
    facility=TEXT,
    message=TEXT,
    level=st.integers(0, 60),
    fields=st.dictionaries(TEXT, VALUES, max_size=5),
)


def body(record):
    return record.message


def parse(message):
    """A message as the grammar of RFC 5424, section 6, has it; a stranger's way of reading it."""
    text = message.decode()
    head = re.match(
        r"<(0|[1-9]\d{0,2})>1 (-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(?:Z|[+-]\d\d:\d\d)) "
        r"([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) ",
        text,
    )
    assert head, text
    assert int(head[1]) <= 191
    rest = text[head.end() :]
    elements = []
    if rest.startswith("-"):
        rest = rest[1:]
    else:
        while rest.startswith("["):
            name = re.match(r"\[([!#-<>-\\^-~]{1,32})", rest)
            rest = rest[name.end() :]
            parameters = []
            while rest.startswith(" "):
                key = re.match(r' ([!#-<>-\\^-~]{1,32})="', rest)
                assert key, rest
                rest = rest[key.end() :]
                value = ""
                while rest[0] != '"':
                    assert rest[0] != "]"
                    if rest[0] == "\\":
                        assert rest[1] in '"\\]'
                        rest = rest[1:]
                    value += rest[0]
                    rest = rest[1:]
                rest = rest[1:]
                parameters.append((key[1], value))
            assert rest[0] == "]"
            rest = rest[1:]
            elements.append((name[1], parameters))
        assert elements
    assert rest == "" or rest[0] == " "
    return int(head[1]), head[2], head[6], elements, rest[1:]


@given(RECORDS)
def test_whatever_is_logged_the_message_is_one(record):
    message = rfc5424(HEADER, body, "x@1")(record, 10**6)
    priority, _, _, elements, text = parse(message)
    assert priority // 8 == 16
    assert text == one_line(record.message).encode("utf-8", "backslashreplace").decode()
    assert [len(found) for _, found in elements] == ([len(record.fields)] if record.fields else [])
    assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", message)


@given(RECORDS, st.integers(LEAST_BYTES, 700))
def test_a_message_that_is_cut_is_still_one(record, limit):
    record.message = record.message * 30
    message = rfc5424(HEADER, body, "x@1", bom=True)(record, limit)
    assert len(message) <= limit
    parse(message)


@given(st.lists(st.binary(max_size=50)), st.data())
def test_octet_counting_is_split_again(messages, data):
    stream = b"".join(map(by_octet_count, messages))
    found = []
    while stream:
        count, _, stream = stream.partition(b" ")
        found.append(stream[: int(count)])
        stream = stream[int(count) :]
    assert found == messages


@given(st.lists(RECORDS, max_size=5))
def test_newlines_are_split_again(records):
    messages = [rfc3164(HEADER, body)(each, 1000) for each in records]
    assert b"".join(map(by_newline, messages)).split(b"\n") == [*messages, b""]


@given(TEXT.map(lambda text: text.encode("utf-8", "backslashreplace")), st.integers(0, 100))
def test_a_cut_leaves_whole_characters(data, most):
    short = cut(data, most)
    assert data.startswith(short)
    assert len(short) <= most
    assert len(data) <= most or len(short) > most - 4
    short.decode()


def test_a_message_in_full():
    record = Record(
        1_700_000_000_123_456_789, "error/http", "it\nfails", level=logging.ERROR, fields={'a="]': 'x"]\\\0', "é": 1}
    )
    assert rfc5424(HEADER, body, "x@1")(record, 2048) == (
        b"<131>1 2023-11-14T22:13:20.123456Z host.example acme 4711 error/http "
        b'[x@1 a___="x\\"\\]\\\\#000" _="1"] it#012fails'
    )
    assert rfc5424(HEADER, body)(record, 2048).endswith(b" error/http - it#012fails")
    assert rfc5424(HEADER, body, bom=True)(record, 2048).endswith(b" - \xef\xbb\xbfit#012fails")
    assert rfc3164(HEADER, body)(record, 2048) == b"<131>Nov 14 22:13:20 host.example acme[4711]: it#012fails"
    local = Header(3, 5, "", "a b", 1, utc=True)
    assert rfc3164(local, body)(record, 2048) == b"<29>Nov 14 22:13:20 a_b[1]: it#012fails"


def test_parameters_that_do_not_fit_are_left_out_whole():
    record = Record(0, "x", "text " * 200, fields={"long": "y" * 1000, "short": "z"})
    _, _, _, elements, text = parse(rfc5424(HEADER, body, "x@1")(record, 600))
    assert elements == [("x@1", [("short", "z")])]
    assert len(text) > 300
    record = Record(0, "x", "", fields={"long": "y" * 1000})
    assert parse(rfc5424(HEADER, body, "x@1")(record, 600))[3] == []


@given(st.integers(0, 4 * 10**18), st.booleans())
def test_a_time_is_the_same_for_a_stranger(time_ns, utc):
    moment = datetime.fromisoformat(timestamp(time_ns, utc=utc))
    expected = datetime.fromtimestamp(time_ns // 10**9, UTC).replace(microsecond=time_ns // 1000 % 10**6)
    assert moment == expected


@pytest.mark.parametrize(
    ("level", "stream", "expected"),
    [
        (logging.CRITICAL, "x", 2), (logging.ERROR, "debug", 3), (logging.WARNING, "error/x", 4), (25, "x", 5),
        (logging.INFO, "notice/x", 6), (logging.DEBUG, "error", 7), (1, "x", 7), (0, "error", 3),
        (0, "error/http/x", 3), (0, "notice/x", 5), (0, "info", 6), (0, "debug/x", 7),
        (0, "warning", 4), (0, "errors", 6), (0, "http/error", 6),
    ],
)  # fmt: skip
def test_severities(level, stream, expected):
    assert severity(Record(0, stream, "", level=level)) == expected


def test_names_and_numbers():
    assert (facility_of("local7"), facility_of("3"), facility_of("Daemon"), severity_of("err")) == (23, 3, 3, 3)
    assert (severity_of("error"), severity_of("7"), visible_ascii("", 5), visible_ascii("a b\ncd", 5)) == (
        3,
        7,
        "-",
        "a_b_c",
    )
    for wrong in ("24", "-1", "local8", "²"):
        with pytest.raises(ValueError, match="there is no facility .* expected 0 to 23, or kern, user"):
            facility_of(wrong)
