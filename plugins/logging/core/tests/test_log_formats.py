"""The formats, byte for byte, and that nothing makes them fail."""

from __future__ import annotations

import json
import logging
import time
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_log._flatbuffer import encode_flatbuffer
from mtev_log.formats import encode_json, encode_logfmt, encode_plain, encoder
from mtev_log.record import Flags, Record

WHEN_NS = 1_700_000_000_000_123_999
ALL = Flags(timestamps=True, facility=True, debug=True)


def record(message="text", **changes):
    values = {
        "time_ns": WHEN_NS,
        "facility": "error/http",
        "message": message,
        "thread_id": 4711,
        "thread_name": "e:default/0",
        "file": "/usr/lib/python3/mtev_http/rest.py",
        "line": 88,
        **changes,
    }
    return Record(**values)


@pytest.fixture(autouse=True)
def in_india(monkeypatch):
    monkeypatch.setenv("TZ", "IST-5:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_plain_with_every_prefix():
    expected = b"[2023-11-15 03:43:20.000123] [error/http] [t@4711/e:default/0,mtev_http/rest.py:88] text\n"
    assert encode_plain(record(flags=ALL)) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (Flags(), b"text\n"),
        (Flags(timestamps=True), b"[2023-11-15 03:43:20.000123] text\n"),
        (Flags(facility=True), b"[error/http] text\n"),
        (Flags(debug=True), b"[t@4711/e:default/0,mtev_http/rest.py:88] text\n"),
    ],
)
def test_plain_with_single_prefixes(flags, expected):
    assert encode_plain(record(flags=flags)) == expected


def test_plain_without_a_thread_name():
    assert encode_plain(record(flags=Flags(debug=True), thread_name="")) == b"[t@4711,mtev_http/rest.py:88] text\n"


def test_the_place_has_at_most_63_characters():
    long = record(flags=Flags(debug=True), thread_name="a_very_long_thread_name", file=f"/x/{'d' * 60}/file.py")
    prefix = encode_plain(long).removesuffix(b"text\n")
    assert len(prefix) == 63
    assert prefix.startswith(b"[t@4711/a_very_long_thr,d")
    assert prefix.endswith(b"d/file.py:88] ")


def test_every_line_gets_its_prefix_when_split():
    several = record("one\ntwo\n\nthree\n", flags=Flags(facility=True))
    assert encode_plain(several) == b"[error/http] one\n[error/http] two\n[error/http] \n[error/http] three\n"
    assert encode_plain(several, split=False) == b"[error/http] one\ntwo\n\nthree\n"


def test_an_exception_follows_the_text():
    assert encode_plain(record(exception="Traceback\n  at x", flags=Flags(facility=True))) == (
        b"[error/http] text\n[error/http] Traceback\n[error/http]   at x\n"
    )


def test_bytes_that_are_no_utf8_pass_through_plain():
    assert encode_plain(record(b"caf\xe9".decode("utf-8", "surrogateescape"))) == b"caf\xe9\n"
    assert encode_plain(record("\ud800")) == b"\\ud800\n"


def test_json_with_every_key_in_libmtevs_order():
    expected = (
        b'{"timestamp":"1700000000.000123","facility":"error/http","threadid":4711,"threadname":"e:default/0",'
        b'"file":"mtev_http/rest.py","line":88,"message":"say \\"hi\\"\\n\\tcaf\xc3\xa9 a/b","ip":"192.0.2.1",'
        b'"status":200,"latency":0.250000,"none":null,"ok":true}\n'
    )
    fields = {"ip": "192.0.2.1", "status": 200, "latency": 0.25, "none": None, "ok": True}
    assert encode_json(record('say "hi"\n\tcaf\u00e9 a/b', fields=fields)) == expected


def test_json_leaves_an_unknown_thread_name_out():
    assert b"threadname" not in encode_json(record(thread_name=""))


def test_json_has_level_and_exception_before_the_fields():
    line = encode_json(record(level=logging.WARNING, exception="Traceback\n  at x", fields={"a": 1}))
    assert line.endswith(b'"message":"text","level":"WARNING","exception":"Traceback\\n  at x","a":1}\n')


def test_json_values_of_other_kinds():
    some = uuid.UUID("AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE")
    fields = {"id": some, "raw": b"a\xff", "many": [1, {"x": some}], "nan": float("nan"), "big": 2**70}
    loaded = json.loads(encode_json(record(fields=fields)))
    assert loaded["id"] == str(some)
    assert loaded["raw"] == "a\\xff"
    assert loaded["many"] == [1, {"x": str(some)}]
    assert loaded["nan"] == "nan"
    assert loaded["big"] == 2**70


def test_fields_cannot_pretend_to_be_something_else():
    loaded = json.loads(encode_json(record(fields={"facility": "forged", "message": "forged"})))
    assert (loaded["facility"], loaded["message"]) == ("error/http", "text")
    assert (loaded["facility_"], loaded["message_"]) == ("forged", "forged")


class Rude:
    def __str__(self):
        raise RuntimeError("no")

    __repr__ = __str__


def test_a_value_that_cannot_be_shown():
    loop: list[object] = []
    loop.append(loop)
    loaded = json.loads(encode_json(record(fields={"rude": Rude(), "loop": loop, "deep": {"x": Rude()}})))
    assert loaded["rude"] == "<unprintable Rude>"
    assert loaded["deep"] == "<unprintable dict>"
    assert loaded["loop"] == "[[...]]"


def test_the_encoder_is_chosen_by_name():
    assert encoder("plain")(record("a\nb", flags=Flags(facility=True))) == b"[error/http] a\n[error/http] b\n"
    assert encoder("plain", split=False)(record("a\nb", flags=Flags(facility=True))) == b"[error/http] a\nb\n"
    assert encoder("json")(record()).startswith(b"{")
    assert encoder("logfmt", utc=True)(record()).startswith(b"time=2023-11-14T22:13:20.000123Z ")
    assert encoder("flatbuffer")(record()) == encode_flatbuffer(record())
    with pytest.raises(KeyError):
        encoder("xml")


def test_times_can_be_in_utc():
    stamped = record(flags=Flags(timestamps=True))
    assert encoder("plain", utc=True)(stamped) == b"[2023-11-14 22:13:20.000123] text\n"
    encode = encoder("plain")
    assert encode(stamped) == b"[2023-11-15 03:43:20.000123] text\n"
    later = record(flags=Flags(timestamps=True), time_ns=WHEN_NS + 60_000_000_000)
    assert encode(later) == b"[2023-11-15 03:44:20.000123] text\n"
    assert encode(stamped) == b"[2023-11-15 03:43:20.000123] text\n"


def test_logfmt():
    fields = {"ip": "192.0.2.1", "ok": True, "none": None, "n": 7, "f": 0.25, "a b": "x y", "msg": 1, "list": [1, "b"]}
    assert encode_logfmt(record('say "hi"', level=logging.WARNING, fields=fields)) == (
        b"time=2023-11-15T03:43:20.000123+05:30 stream=error/http thread=4711 source=mtev_http/rest.py:88 "
        b'msg="say \\"hi\\"" level=WARNING ip=192.0.2.1 ok=true none=null n=7 f=0.250000 a_b="x y" msg_=1 '
        b'list="[1,\\"b\\"]"\n'
    )
    assert encode_logfmt(record("one\ntwo", exception="Tr\n x")).endswith(b'msg="one\\ntwo" exception="Tr\\n x"\n')


def table(data):
    from flatbuffers.encode import Get
    from flatbuffers.packer import uoffset
    from flatbuffers.table import Table

    return Table(data, Get(uoffset, data, 0))


def text(found, slot):
    offset = found.Offset(4 + 2 * slot)
    return found.String(offset + found.Pos).decode() if offset else None


def number(found, slot, kind):
    offset = found.Offset(4 + 2 * slot)
    return found.Get(kind, offset + found.Pos) if offset else 0


def pairs(found):
    """The pairs of a LogLine, read as the schema says, without the code that wrote them."""
    from flatbuffers import number_types as types
    from flatbuffers.table import Table

    offset = found.Offset(4 + 2 * 7)
    read = []
    for index in range(found.VectorLen(offset) if offset else 0):
        pair = Table(found.Bytes, found.Indirect(found.Vector(offset) + 4 * index))
        value = Table(found.Bytes, 0)
        pair.Union(value, pair.Offset(8))
        kind = number(pair, 1, types.Uint8Flags)
        if kind == 5:
            start = value.Vector(value.Offset(4))
            content = uuid.UUID(bytes=bytes(found.Bytes[start : start + 16]))
        elif kind == 4:
            content = text(value, 0)
        else:
            content = number(value, 0, {1: types.Int64Flags, 2: types.Uint64Flags, 3: types.Float64Flags}[kind])
        read.append((text(pair, 0), content))
    return read


def test_a_flatbuffer_is_read_back_as_the_schema_says():
    from flatbuffers import number_types as types

    some = uuid.UUID("AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE")
    fields = {
        "ip": "192.0.2.1", "status": -200, "zero": 0, "large": 2**64 - 1, "huge": 2**70, "latency": 0.25, "none": None,
        "ok": True, "id": some, "list": [1],
    }  # fmt: skip
    found = table(encode_flatbuffer(record("caf\u00e9\n", fields=fields, level=logging.INFO, exception="Tr")))
    assert number(found, 0, types.Uint64Flags) == WHEN_NS // 1000
    assert number(found, 1, types.Uint32Flags) == 4711
    assert number(found, 2, types.Uint32Flags) == 88
    assert [text(found, slot) for slot in range(3, 7)] == [
        "mtev_http/rest.py", "e:default/0", "error/http", "caf\u00e9\n",
    ]  # fmt: skip
    expected = {**fields, "huge": str(2**70), "ok": 1, "list": "[1]"}
    assert pairs(found) == [*expected.items(), ("level", "INFO"), ("exception", "Tr")]


def test_a_flatbuffer_leaves_out_what_is_unknown():
    found = table(encode_flatbuffer(record(thread_name="")))
    assert text(found, 4) is None
    assert pairs(found) == []


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=5,
)
texts = st.text(st.characters())


@settings(deadline=None)
@given(texts, st.dictionaries(texts, anything, max_size=4), texts)
def test_json_is_one_line_of_valid_json_whatever_was_logged(message, fields, name):
    line = encode_json(record(message, fields=fields, thread_name=name))
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    loaded = json.loads(line.decode("utf-8"))
    assert loaded["message"] == message
    assert list(loaded)[:2] == ["timestamp", "facility"]


@settings(deadline=None)
@given(texts, st.dictionaries(texts, anything, max_size=4), texts)
def test_logfmt_and_flatbuffers_take_whatever_was_logged(message, fields, name):
    line = record(message, fields=fields, thread_name=name, facility=name, exception=name)
    assert encode_logfmt(line).endswith(b"\n")
    assert encode_logfmt(line).count(b"\n") == 1
    found = table(encode_flatbuffer(line))
    assert text(found, 6) == message.encode("utf-8", "backslashreplace").decode()
    assert len(pairs(found)) == len(fields) + bool(name)


@settings(deadline=None)
@given(texts, st.builds(Flags, st.booleans(), st.booleans(), st.booleans()))
def test_plain_has_a_prefix_on_each_line_and_the_text_after_it(message, flags):
    lines = encode_plain(record(message, flags=flags)).split(b"\n")
    assert lines.pop() == b""
    prefix = encode_plain(record("", flags=flags)).removesuffix(b"\n")
    assert all(line.startswith(prefix) for line in lines)
    text = b"\n".join(line[len(prefix) :] for line in lines)
    assert text == encode_plain(record(message), split=False).removesuffix(b"\n")


@settings(deadline=None)
@given(texts, texts, st.integers(0, 2**31), st.integers(0, 10**9))
def test_the_place_stays_short(thread, file, thread_id, line):
    place = record(thread_name=thread, file=file, thread_id=thread_id, line=line, flags=Flags(debug=True), message="")
    text = encode_plain(place, split=False).decode("utf-8", "surrogateescape").removesuffix("\n")
    assert "\\ud" in text or len(text) <= 63
