"""Journals: writing, reading, subscribers, cleaning, damage and repair."""

from __future__ import annotations

import os
import resource
import signal
import stat
import struct
import subprocess
import sys
import threading

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_log_jlog import (
    AppendFailed,
    Compression,
    DamagedJournal,
    Journal,
    JournalError,
    JournalExists,
    NoSuchJournal,
    NoSuchSubscriber,
    Position,
    Safety,
    SubscriberExists,
)


@pytest.fixture
def journal(tmp_path):
    return Journal.create(tmp_path / "j", segment_size=200)


def write(journal, *bodies, durability="none"):
    with journal.writer(durability) as writer:
        writer.append_many(bodies)


def read(journal, subscriber, commit=True):
    with journal.reader(subscriber) as reader:
        found = [entry.body for entry in reader]
        if commit:
            reader.commit()
        return found


def test_a_new_journal_is_what_libjlog_makes(tmp_path):
    old = os.umask(0)
    try:
        Journal.create(tmp_path / "j")
    finally:
        os.umask(old)
    assert [each.name for each in (tmp_path / "j").iterdir()] == ["metastore"]
    assert (tmp_path / "j/metastore").read_bytes() == struct.pack("=4I", 0, 4 * 1024 * 1024, 1, 0x663A7318)
    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "j/metastore").stat().st_mode) == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["j"]


def test_what_is_there_is_not_overwritten(tmp_path, journal):
    with pytest.raises(JournalExists):
        Journal.create(journal.path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(JournalExists):
        Journal.create(tmp_path / "file")
    with pytest.raises(ValueError, match="a segment has 1 to"):
        Journal.create(tmp_path / "k", segment_size=0)


def test_what_is_no_journal(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "nothing", tmp_path / "file"):
        for act in (Journal(path).writer, Journal(path).subscribers, Journal(path).repair, Journal(path).segments):
            with pytest.raises(NoSuchJournal):
                act()
    with pytest.raises(NoSuchJournal):
        Journal(tmp_path).writer()


@pytest.mark.parametrize("durability", ["none", "batch", "record"])
@pytest.mark.parametrize("compression", [None, Compression.NULL, Compression.LZ4])
def test_every_subscriber_gets_every_record_in_order(tmp_path, durability, compression):
    journal = Journal.create(tmp_path / "j", segment_size=300, compression=compression)
    journal.add_subscriber("a")
    bodies = [b"%d" % number * 7 for number in range(100)]
    write(journal, *bodies[:60], durability=durability)
    write(journal, *bodies[60:], durability=durability)
    journal.add_subscriber("b")
    assert len(journal.segments()) > 3
    assert read(journal, "a") == bodies
    assert read(journal, "a") == []
    assert read(journal, "b", commit=False) == bodies
    assert read(journal, "b") == bodies


def test_segments_exceed_their_size_by_one_record_at_most(journal):
    write(journal, *[b"x" * 30] * 50)
    for log in journal.segments()[:-1]:
        assert 200 <= journal.report(log).size_bytes < 200 + 46
    assert journal.metastore.storage_log == journal.segments()[-1]


def test_what_every_subscriber_is_past_is_removed_and_nothing_else(journal):
    journal.add_subscriber("slow")
    journal.add_subscriber("quick")
    write(journal, *[b"x" * 30] * 50)
    everything = journal.segments()
    read(journal, "quick")
    assert journal.segments() == everything
    read(journal, "slow")
    assert journal.segments() == [journal.metastore.storage_log]
    journal.remove_subscriber("slow")
    journal.remove_subscriber("quick")
    write(journal, *[b"x" * 30] * 50)
    assert journal.clean() == []


def test_committing_a_record_that_is_not_the_last(journal):
    journal.add_subscriber("a")
    write(journal, b"1", b"2", b"3")
    with journal.reader("a") as reader:
        first, *_ = reader.read()
        reader.commit(first.position)
    assert journal.subscribers() == {"a": (0, 1)}
    assert read(journal, "a") == [b"2", b"3"]


def test_where_subscribers_begin(journal):
    write(journal, b"1", b"2")
    assert journal.add_subscriber("begin") == (0, 0)
    assert journal.add_subscriber("end", "end") == (0, 2)
    assert journal.add_subscriber("copy", "copy:end") == (0, 2)
    assert journal.add_subscriber("place", Position(0, 1)) == (0, 1)
    with pytest.raises(SubscriberExists):
        journal.add_subscriber("end")
    with pytest.raises(NoSuchSubscriber):
        journal.add_subscriber("x", "copy:nobody")
    for name, at in (("", "begin"), ("x" * 121, "begin"), ("a\0", "begin"), ("x", "middle")):
        with pytest.raises(ValueError):
            journal.add_subscriber(name, at)
    write(journal, b"3")
    found = {name: read(journal, name) for name in journal.subscribers()}
    assert found == {"begin": [b"1", b"2", b"3"], "end": [b"3"], "copy": [b"3"], "place": [b"2", b"3"]}
    journal.set_position("end", Position(0, 0))
    assert read(journal, "end") == [b"1", b"2", b"3"]
    assert journal.remove_subscriber("end")
    assert not journal.remove_subscriber("end")
    with pytest.raises(NoSuchSubscriber, match="has no subscriber 'end'"):
        journal.reader("end")
    with pytest.raises(NoSuchSubscriber):
        journal.set_position("end", Position(0, 0))
    assert not [each for each in journal.path.iterdir() if each.name.startswith(".")]


def test_a_checkpoint_behind_the_end_counts_as_the_end(journal):
    write(journal, b"1")
    journal.add_subscriber("a", Position(0, 99))
    assert read(journal, "a") == []
    write(journal, b"2")
    assert read(journal, "a") == [b"2"]


def test_a_missing_segment_is_passed_over(journal):
    journal.add_subscriber("a")
    write(journal, *[b"%02d" % number * 15 for number in range(30)])
    (journal.path / "00000001").unlink()
    bodies = read(journal, "a")
    assert bodies[0] == b"00" * 15
    assert bodies[-1] == b"29" * 15
    assert len(bodies) < 30


def test_a_reader_gets_what_is_written_meanwhile(journal):
    journal.add_subscriber("a")
    with journal.reader("a") as reader, journal.writer() as writer:
        assert reader.read() == []
        assert reader.wait(0.01) == []
        for number in range(40):
            writer.append(b"%d" % number)
            assert [entry.body for entry in reader.read()] == [b"%d" % number]
        timer = threading.Timer(0.02, writer.append, (b"later",))
        timer.start()
        assert [entry.body for entry in reader.wait(30)] == [b"later"]
        timer.join()


def test_following_a_journal(journal):
    journal.add_subscriber("a")

    async def run():
        got = []
        with journal.writer() as writer, journal.reader("a") as reader:
            with anyio.fail_after(30):
                async with anyio.create_task_group() as group:

                    async def feed():
                        for number in range(5):
                            await anyio.sleep(0.01)
                            writer.append(b"%d" % number)

                    group.start_soon(feed)
                    async for entry in reader.follow():
                        got.append(entry.body)
                        reader.commit(entry.position)
                        if len(got) == 5:
                            break
        return got

    assert anyio.run(run) == [b"%d" % number for number in range(5)]
    assert journal.subscribers() == {"a": (0, 5)}


def test_what_a_journal_says_about_itself_can_be_changed(journal):
    with journal.writer() as writer:
        writer.append(b"x" * 100)
        journal.alter(segment_size=1000, safety=Safety.SAFE)
        for _ in range(5):
            writer.append(b"x" * 100)
    assert journal.segments() == [0]
    assert (journal.metastore.unit_limit, journal.metastore.safety) == (1000, 2)
    with pytest.raises(ValueError, match="a segment has"):
        journal.alter(segment_size=2**31)


def test_a_closed_writer_takes_nothing(journal):
    writer = journal.writer()
    writer.close()
    writer.close()
    with pytest.raises(JournalError, match="is closed"):
        writer.append(b"x")


def test_a_record_that_a_killed_writer_left_half_written_is_cut_off(journal):
    journal.add_subscriber("a")
    write(journal, b"whole")
    path = journal.path / "00000000"
    path.write_bytes(path.read_bytes() + struct.pack("=4I", 0x663A7318, 1, 2, 50) + b"half")
    assert read(journal, "a", commit=False) == [b"whole"]
    assert journal.report(0).incomplete_bytes == 20
    with journal.writer() as writer:
        writer.append(b"next")
        assert writer.cut_bytes == 20
    assert read(journal, "a") == [b"whole", b"next"]
    assert journal.report(0).damaged_bytes == 0


def test_damage_with_records_after_it_is_skipped_and_counted(journal):
    journal.add_subscriber("a")
    write(journal, b"1", b"2")
    path = journal.path / "00000000"
    path.write_bytes(path.read_bytes() + b"\0" * 33)
    data = struct.pack("=4I", 0x663A7318, 1, 2, 1) + b"3"
    path.write_bytes(path.read_bytes() + data)
    with journal.reader("a") as reader:
        assert [entry.body for entry in reader] == [b"1", b"2", b"3"]
        assert reader.position == (0, 3)
        assert reader.damaged_bytes == 33
    done = journal.repair()
    assert done.removed_bytes == {0: 33}
    assert journal.report(0).records == 3
    assert journal.repair().removed_bytes == {}


def test_a_writer_notices_that_its_segment_was_repaired(journal):
    journal.add_subscriber("a")
    with journal.writer() as writer:
        writer.append(b"1")
        path = journal.path / "00000000"
        path.write_bytes(b"junk" + path.read_bytes())
        journal.repair()
        writer.append(b"2")
    assert read(journal, "a") == [b"1", b"2"]


def test_a_lost_metastore_is_made_anew(tmp_path):
    journal = Journal.create(tmp_path / "j", segment_size=100, compression=Compression.LZ4)
    journal.add_subscriber("a")
    write(journal, *[b"%d" % number * 30 for number in range(9)])
    newest = journal.metastore.storage_log
    (journal.path / "metastore").write_bytes(b"junk")
    with pytest.raises(DamagedJournal, match="repair"):
        journal.writer()
    assert journal.repair().metastore
    assert journal.metastore.storage_log == newest
    assert journal.metastore.magic == 0x15106A01
    assert len(read(journal, "a")) == 9


def test_a_checkpoint_that_cannot_be_used_begins_anew(journal):
    journal.add_subscriber("a")
    write(journal, b"1")
    (journal.path / "cp.61").write_bytes(b"xyz")
    with pytest.raises(DamagedJournal, match="subscriber 'a'"):
        journal.reader("a")
    assert journal.repair().checkpoints == ("a",)
    assert read(journal, "a") == [b"1"]


def test_a_body_that_cannot_be_decompressed_is_told_and_passed_over(tmp_path):
    journal = Journal.create(tmp_path / "j", compression=Compression.LZ4)
    journal.add_subscriber("a")
    write(journal, b"1" * 50, b"2" * 50, b"3" * 50)
    path = journal.path / "00000000"
    data = bytearray(path.read_bytes())
    size = len(data) // 3
    data[size + 12 : size + 16] = struct.pack("=I", 10)  # it claims to be shorter than it is
    path.write_bytes(data)
    with journal.reader("a") as reader:
        assert [entry.body for entry in reader.read()] == [b"1" * 50]
        with pytest.raises(DamagedJournal, match="00000000:00000002 cannot be decompressed"):
            reader.read()
        assert [(entry.position, entry.body) for entry in reader.read()] == [((0, 3), b"3" * 50)]


def test_a_full_disk_leaves_whole_records_and_says_how_many(journal):
    journal.alter(segment_size=10_000)
    journal.add_subscriber("a")
    write(journal, b"before")
    old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = journal.writer()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, old_limit[1]))
        with pytest.raises(AppendFailed, match="File too large") as caught:
            writer.append_many([b"x" * 10] * 5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert caught.value.written == 3
    writer.append_many([b"x" * 10] * 2)
    writer.close()
    assert read(journal, "a") == [b"before", *[b"x" * 10] * 5]
    assert journal.report(0).damaged_bytes == 0


def test_what_a_c_writer_left_in_its_buffer_is_taken_over(journal):
    journal.add_subscriber("a")
    write(journal, b"1")
    record = struct.pack("=4I", 0x663A7318, 1, 2, 1) + b"2"
    (journal.path / "pre_commit").write_bytes(struct.pack("=I", len(record)) + record + bytes(100))
    write(journal, b"3")
    assert read(journal, "a") == [b"1", b"2", b"3"]
    write(journal, b"4")
    assert read(journal, "a") == [b"4"]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.lists(st.binary(max_size=40), max_size=8)),
            st.tuples(st.just("read"), st.sampled_from("ab"), st.integers(1, 9), st.booleans()),
            st.tuples(st.just("add"), st.sampled_from("ab")),
            st.tuples(st.just("reopen")),
            st.tuples(st.just("clean")),
        ),
        max_size=30,
    )
)
def test_a_journal_is_what_a_list_and_a_number_for_each_subscriber_are(tmp_path_factory, steps):
    journal = Journal.create(tmp_path_factory.mktemp("j") / "j", segment_size=90)
    records: list[bytes] = []
    positions: dict[str, int] = {}
    writer = journal.writer()
    for step in steps:
        match step:
            case ("append", bodies):
                writer.append_many(bodies)
                records += bodies
            case ("add", name) if name not in positions:
                before = journal.bounds()[0]
                journal.add_subscriber(name)
                held = sum(journal.report(log).records for log in journal.segments())
                positions[name] = len(records) - held
                assert before == journal.subscribers()[name]
            case ("read", name, limit, commit) if name in positions:
                with journal.reader(name) as reader:
                    found = [entry.body for entry in reader.read(limit)]
                    assert found == records[positions[name] : positions[name] + len(found)]
                    assert found or positions[name] == len(records)
                    if commit:
                        reader.commit()
                        positions[name] += len(found)
            case ("reopen",):
                writer.close()
                writer = journal.writer()
            case ("clean",):
                journal.clean()
    writer.close()
    for name, position in positions.items():
        assert read(journal, name) == records[position:]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.binary(max_size=40), max_size=15),
    st.lists(
        st.tuples(st.sampled_from(["0", "1", "metastore", "cp.61"]), st.integers(0, 600), st.binary(max_size=9)),
        max_size=6,
    ),
    st.sampled_from([None, Compression.LZ4]),
)
def test_damaged_files_mean_an_error_of_ours_or_records_that_were_written(
    tmp_path_factory, bodies, changes, compression
):
    journal = Journal.create(tmp_path_factory.mktemp("j") / "j", segment_size=150, compression=compression)
    journal.add_subscriber("a")
    write(journal, *bodies)
    for name, where, data in changes:
        path = journal.path / (name.zfill(8) if name in "01" else name)
        if path.exists():
            content = path.read_bytes()
            where = min(where, len(content))
            path.write_bytes(content[:where] + data + content[where + len(data) - where % 3 :])
    for attempt in range(3):
        try:
            with journal.reader("a") as reader:
                for _ in range(100):
                    if not reader.read(5):
                        break
                else:
                    raise AssertionError("it never ends")
            write(journal, b"after")
        except JournalError:
            if attempt == 1:
                journal.repair()
    journal.repair()
    write(journal, b"the end")
    with journal.reader("a") as reader:
        last = b""
        for _ in range(100):
            try:
                batch = reader.read()
            except DamagedJournal:
                continue
            if not batch:
                break
            last = batch[-1].body
    assert last == b"the end"


WRITER = """
import sys
from mtev_log_jlog import Journal
journal, name, durability = Journal(sys.argv[1]), sys.argv[2], sys.argv[3]
with journal.writer(durability) as writer:
    number = int(sys.argv[4])
    print("ready", flush=True)
    while number < int(sys.argv[5]):
        batch = [f"{name} {each} ".encode() + b"x" * (each % 50) for each in range(number, number + 1 + number % 7)]
        writer.append_many(batch)
        number += len(batch)
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
"""


def start_writer(journal, name, first=0, last=10**9, durability="none"):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(journal.path), name, durability, str(first), str(last)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_many_processes_write_at_once(journal):
    journal.alter(segment_size=5000)
    journal.add_subscriber("a")
    writers = [start_writer(journal, str(number), last=1000) for number in range(3)]
    for each in writers:
        each.communicate()
        assert each.returncode == 0
    rows = [body.split()[:2] for body in read(journal, "a")]
    for name in (b"0", b"1", b"2"):
        numbers = [int(number) for writer, number in rows if writer == name]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= 1000


def test_what_was_acknowledged_survives_sigkill(journal):
    journal.alter(segment_size=3000)
    for name in "ab":
        journal.add_subscriber(name)
    seen = {"a": [], "b": []}
    acknowledged = 0
    for round_ in range(int(os.environ.get("MTEV_CRASH_ROUNDS", "6"))):
        writer = start_writer(journal, "w", first=acknowledged, durability=("none", "batch", "record")[round_ % 3])
        assert writer.stdout.readline() == "ready\n"
        threading.Event().wait((round_ * 7 % 5) / 300)
        writer.kill()
        rest = writer.stdout.read()
        writer.stdout.close()
        writer.wait()
        acknowledged = max([acknowledged, *map(int, rest[: rest.rfind("\n") + 1].split())])
        for name in seen if round_ % 2 else ("a",):
            seen[name] += read(journal, name)
    for name, bodies in seen.items():
        bodies += read(journal, name)
        numbers = [int(body.split()[1]) for body in bodies]
        # A batch may be there that was not acknowledged yet; the next writer then wrote it again.
        expected = 0
        for number in numbers:
            assert number <= expected, f"{name}: {expected} is missing"
            expected = max(expected, number + 1)
        assert expected >= acknowledged
    assert seen["a"] == seen["b"]
