"""Damaged journals: what `fuzz_reader.py` checks, and what it and reading libjlog's source have found."""

from __future__ import annotations

import importlib.util
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mtev_log_jlog import AppendFailed, Compression, DamagedJournal, Journal, NoSuchJournal, Position

_SPEC = importlib.util.spec_from_file_location("fuzz_reader", Path(__file__).with_name("fuzz_reader.py"))
assert _SPEC is not None
fuzz_reader = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fuzz_reader)


@settings(deadline=None, max_examples=400)
@given(st.binary(max_size=150))
@example(bytes.fromhex("6b4200674683d7c985c30df26a5ad5a3c0368dbd99c4dd9eabad33164012c05415567d8de3e678d9a78de8f791fe"))
def test_whatever_is_damaged_reading_ends_and_a_repair_helps(data):
    with tempfile.TemporaryDirectory() as folder:
        fuzz_reader.check(data, Path(folder))


def make(path, *bodies, **options):
    journal = Journal.create(path / "j", **options)
    journal.add_subscriber("a")
    with journal.writer() as writer:
        writer.append_many(bodies)
    return journal


def read(journal):
    with journal.reader("a") as reader:
        return [entry.body for entry in reader]


def test_nothing_goes_into_a_complete_segment_when_the_limit_is_raised(tmp_path):
    journal = make(tmp_path, b"1", segment_size=50)
    with journal.writer() as slow, journal.writer() as quick, journal.reader("a") as reader:
        slow.append(b"2")
        quick.append(b"3" * 50)
        assert len(reader.read()) == 3
        assert reader.read() == []
        journal.alter(segment_size=1000)
        slow.append(b"4")
        assert [entry.body for entry in reader.read()] == [b"4"]


def test_leaving_an_iteration_counts_only_what_it_came_to(tmp_path):
    journal = make(tmp_path, b"1", b"2", b"3")
    with journal.reader("a") as reader:
        for entry in reader:
            if entry.body == b"2":
                break
        reader.commit()
        assert journal.subscribers() == {"a": (0, 2)}
        assert [entry.body for entry in reader] == [b"3"]


def test_a_reader_goes_on_in_a_segment_that_was_repaired_meanwhile(tmp_path):
    journal = make(tmp_path, b"1", b"2")
    path = journal.path / "00000000"
    path.write_bytes(b"junk" + path.read_bytes())
    with journal.reader("a") as reader:
        assert len(reader.read()) == 2
        journal.repair()
        with journal.writer() as writer:
            writer.append(b"3")
        assert [entry.body for entry in reader.read()] == [b"3"]


def test_records_of_another_kind_are_neither_passed_over_nor_cut_off(tmp_path):
    journal = make(tmp_path, b"1", b"2", compression=Compression.NULL)
    meta = journal.path / "metastore"
    meta.write_bytes(meta.read_bytes()[:12] + struct.pack("=I", 0x15106A01))
    before = (journal.path / "00000000").read_bytes()
    with pytest.raises(DamagedJournal, match="another kind"):
        read(journal)
    with journal.writer() as writer, pytest.raises(AppendFailed, match="another kind"):
        writer.append(b"x")
    assert (journal.path / "00000000").read_bytes() == before
    assert journal.repair().metastore
    assert read(journal) == [b"1", b"2"]


def test_a_body_that_cannot_be_restored_goes_with_a_repair_and_costs_no_other(tmp_path):
    journal = make(tmp_path, b"1" * 50, b"2" * 50, b"3" * 50, b"4" * 50, compression=Compression.LZ4)
    path = journal.path / "00000000"
    data = bytearray(path.read_bytes())
    size = len(data) // 4
    data[size + 12 : size + 16] = struct.pack("=I", 10)
    path.write_bytes(data)
    journal.set_position("a", Position(0, 3))
    assert journal.repair().removed_bytes == {0: size}
    assert read(journal) == [b"4" * 50]


def test_a_subscriber_behind_the_end_of_a_repaired_segment_gets_what_comes(tmp_path):
    journal = make(tmp_path, b"1", b"2")
    assert read(journal) == [b"1", b"2"]
    journal.set_position("a", Position(0, 2))
    path = journal.path / "00000000"
    path.write_bytes(path.read_bytes()[5:])
    journal.repair()
    with journal.writer() as writer:
        writer.append(b"3")
    assert read(journal) == [b"3"]


def test_large_records_and_more_than_a_piece_of_small_ones(tmp_path):
    bodies = [b"x" * 300_000, b"y", *[b"%d" % number for number in range(20_000)], b"z" * 600_000]
    assert read(make(tmp_path, *bodies)) == bodies


def test_a_directory_that_is_no_journal_is_not_made_one(tmp_path):
    with pytest.raises(NoSuchJournal):
        Journal(tmp_path).repair()
    assert list(tmp_path.iterdir()) == []


def test_the_last_number_of_a_segment_is_the_last(tmp_path):
    journal = make(tmp_path, b"1", segment_size=20)
    meta = journal.path / "metastore"
    meta.write_bytes(struct.pack("=I", 2**32 - 1) + meta.read_bytes()[4:])
    with journal.writer() as writer:
        writer.append(b"x" * 20)
        with pytest.raises(AppendFailed, match="used up"):
            writer.append(b"y")


@pytest.mark.parametrize(
    ("index", "state"),
    [
        (None, "none"),
        ((), "open"),
        ((0,), "open"),
        ((0, 17, 34), "open"),
        ((0, 17, 34, 0), "closed"),
        ((0, 17, 0), "wrong"),
        ((0, 18), "wrong"),
        ((0, 17, 34, 51), "wrong"),
    ],
)
def test_an_index_that_is_wrong_is_found_and_removed(tmp_path, index, state):
    journal = make(tmp_path, b"1", b"2", b"3", b"4", segment_size=45)
    path = journal.path / "00000000.idx"
    if index is not None:
        path.write_bytes(struct.pack(f"={len(index)}Q", *index))
    assert journal.report(0).index.value == state
    assert journal.report(0).pending == 1
    assert journal.repair().indexes == ((0,) if state == "wrong" else ())
    assert path.exists() == (state in ("open", "closed"))


def test_no_index_is_left_without_its_segment_nor_found_by_a_new_one(tmp_path):
    journal = make(tmp_path, b"1", segment_size=45)
    (journal.path / "00000001.idx").write_bytes(bytes(24))
    (journal.path / "00000000.idx").write_bytes(bytes(8))
    with journal.writer() as writer:
        writer.append(b"2" * 30)
    assert not (journal.path / "00000001.idx").exists()
    with journal.reader("a") as reader:
        reader.read()
        reader.read()
        reader.commit()
    assert sorted(each.name for each in journal.path.iterdir()) == ["00000001", "cp.61", "metastore"]
