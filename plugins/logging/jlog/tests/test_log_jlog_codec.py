"""The bytes of a journal: vectors made from the format's description, properties, and damage."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_log_jlog.codec import (
    COMPRESSED_MAGIC,
    PLAIN_MAGIC,
    Compression,
    Layout,
    Metastore,
    Position,
    checkpoint_name,
    segment_name,
    segment_number,
    subscriber_of,
)
from mtev_log_jlog.errors import DamagedJournal
from mtev_log_jlog.records import damage, scan, take

bodies = st.lists(st.binary(max_size=60), max_size=12)
layouts = st.sampled_from([None, Compression.NULL, Compression.LZ4]).map(Layout.of)


def words(*values):
    return struct.pack(f"={len(values)}I", *values)


def test_a_record_as_the_format_describes_it():
    (record,) = Layout(PLAIN_MAGIC).encode([b"hello"], 1_700_000_000_000_123)
    assert record == words(0x663A7318, 1_700_000_000, 123, 5) + b"hello"
    (stored,) = Layout(COMPRESSED_MAGIC).encode([b"hello"], 1)
    assert stored == words(0x15106A00, 0, 1, 5, 5) + b"hello"
    (packed,) = Layout(COMPRESSED_MAGIC | 1).encode([b"a" * 100], 1)
    assert packed[:16] == words(0x15106A01, 0, 1, 100)
    assert len(packed) == 20 + int.from_bytes(packed[16:20], "little") < 60


def test_a_metastore_as_the_format_describes_it():
    data = words(10, 4 * 1024 * 1024, 1, 0x663A7318)
    assert Metastore(10).pack() == data
    assert Metastore.unpack(data) == Metastore(10)


@pytest.mark.parametrize(
    "data", [b"", bytes(12), bytes(16), words(0, 1, 3, PLAIN_MAGIC), words(0, 1, 0, 0x15106A02), words(0, 1, 0, 7)]
)
def test_what_is_no_metastore(data):
    with pytest.raises(DamagedJournal):
        Metastore.unpack(data)


def test_a_checkpoint_as_the_format_describes_it():
    assert Position(10, 7).pack() == words(10, 7)
    assert Position.unpack(words(10, 7)) == (10, 7)
    with pytest.raises(DamagedJournal, match="this one has 4"):
        Position.unpack(bytes(4))


def test_names():
    assert segment_name(10) == "0000000a"
    assert segment_number("0000000a") == 10
    for name in ("0000000A", "a", "0000000a.idx", "metastore"):
        assert segment_number(name) is None
    assert checkpoint_name("stratcon") == "cp.7374726174636f6e"
    assert subscriber_of("cp.7374726174636f6e") == "stratcon"
    assert checkpoint_name(subscriber_of("cp.ff")) == "cp.ff"
    for name in ("cp.", "cp.7", "cp.xy", "cp.6 1", "cp.FF", "pre_commit"):
        assert subscriber_of(name) is None


def test_positions_as_jlogctl_writes_them():
    assert str(Position(10, 255)) == "0000000a:000000ff"
    assert Position.parse("0000000a:000000ff") == (10, 255)
    for text in ("", "1", "x:1", "-1:1", "1:100000000", "1:2:3"):
        with pytest.raises(ValueError, match="is not a position"):
            Position.parse(text)


@settings(deadline=None)
@given(layouts, bodies, st.integers(0, 2**32 * 1_000_000 - 1))
def test_what_is_encoded_is_read_back(layout, texts, time_us):
    data = b"".join(layout.encode(texts, time_us))
    found = scan(layout, data)
    assert (found.end, found.damaged, found.incomplete) == (len(data), [], False)
    entries = [layout.decode(data, offset, Position(0, n)) for n, offset in enumerate(found.offsets, 1)]
    assert [entry.body for entry in entries] == texts
    assert all(entry.time_us == time_us for entry in entries)


@settings(deadline=None)
@given(layouts, bodies, st.data())
def test_a_cut_segment_has_the_records_before_the_cut(layout, texts, data):
    records = layout.encode(texts, 1)
    whole = b"".join(records)
    cut = data.draw(st.integers(0, len(whole)))
    kept, end = 0, 0
    while kept < len(records) and end + len(records[kept]) <= cut:
        end += len(records[kept])
        kept += 1
    found = scan(layout, whole[:cut])
    assert len(found.offsets) == kept
    assert found.end == end
    assert found.incomplete == (cut > end)
    assert damage(layout, whole[:cut])[0] == ([(end, cut)] if cut > end else [])


@settings(deadline=None, max_examples=300)
@given(layouts, st.lists(st.binary(max_size=30), min_size=1, max_size=6), st.binary(min_size=1, max_size=30), st.data())
def test_garbage_between_records_costs_none_of_them(layout, texts, garbage, data):
    if layout.magic_bytes in garbage or garbage[:1] in layout.magic_bytes or garbage[-1:] in layout.magic_bytes:
        garbage = b"\0" * len(garbage)
    if any(layout.magic_bytes in text for text in texts):
        texts = [b"x" * len(text) for text in texts]
    records = layout.encode(texts, 1)
    at = data.draw(st.integers(0, len(records)))
    damaged = b"".join(records[:at]) + garbage + b"".join(records[at:])
    found = scan(layout, damaged, closed=True)
    assert [layout.decode(damaged, offset, Position(0, 1)).body for offset in found.offsets] == texts
    assert sum(end - start for start, end in found.damaged) == len(garbage)


@settings(deadline=None, max_examples=300)
@given(layouts, bodies, st.lists(st.tuples(st.integers(0, 800), st.integers(0, 255)), max_size=8), st.booleans())
def test_whatever_is_on_the_disk_every_byte_is_a_record_or_damage(layout, texts, changes, closed):
    data = bytearray(b"".join(layout.encode(texts, 1)))
    for where, value in changes:
        if data:
            data[where % len(data)] = value
    found = scan(layout, bytes(data), closed=closed)
    sizes = sum(layout.stored_size(data, offset) for offset in found.offsets)
    lost = sum(end - start for start, end in found.damaged)
    assert sizes + lost == found.end
    assert found.end == len(data) or found.incomplete
    for number, offset in enumerate(found.offsets, 1):
        try:
            layout.decode(bytes(data), offset, Position(0, number))
        except DamagedJournal:
            assert layout.compression is not None


@settings(deadline=None, max_examples=300)
@given(layouts, bodies, st.lists(st.tuples(st.integers(0, 800), st.integers(0, 255)), max_size=4), st.booleans())
def test_what_is_taken_at_once_is_what_a_scan_finds_first(layout, texts, changes, ends):
    data = bytearray(b"".join(layout.encode(texts, 1)))
    for where, value in changes:
        if data:
            data[where % len(data)] = value
    entries, used = take(layout, bytes(data), Position(3, 7), ends=ends)
    found = scan(layout, data)
    assert used == sum(layout.stored_size(data, offset) for offset in found.offsets[: len(entries)])
    for number, (entry, offset) in enumerate(zip(entries, found.offsets, strict=False), 8):
        assert entry == layout.decode(bytes(data), offset, Position(3, number))
    if not changes:
        assert len(entries) in ((len(texts),) if ends else (len(texts), len(texts) - 1))


def test_memory_for_a_body_is_taken_only_when_it_can_be_that_large():
    record = words(COMPRESSED_MAGIC | 1, 0, 0, 2**28, 5) + b"\x50abcd"
    with pytest.raises(DamagedJournal, match="5 bytes are no 268435456"):
        Layout(COMPRESSED_MAGIC | 1).decode(record, 0, Position(0, 1))


@pytest.mark.parametrize("piece", [b"\x18\x73\x3a\x66", struct.pack("=4I", PLAIN_MAGIC, 0, 0, 2**31), b"\x18"])
def test_a_file_full_of_false_headers_takes_no_time(piece):
    found = scan(Layout(PLAIN_MAGIC), piece * (400_000 // len(piece)), closed=True)
    assert found.offsets == []


def test_a_body_that_claims_to_be_huge_is_damage():
    record = words(PLAIN_MAGIC, 0, 0, 2**32 - 1) + b"x"
    assert damage(Layout(PLAIN_MAGIC), record) == ([(0, 17)], [])
    with pytest.raises(ValueError, match="at most"):
        Layout(PLAIN_MAGIC).encode([memoryview(b"").tobytes() + bytes(2**28 + 1)], 0)
