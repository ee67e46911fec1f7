"""Several writers of one file, and what is left of those that were killed: every line is there, once."""

from __future__ import annotations

import errno
import fcntl
import gzip
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtev_log import BackendSettings, IncompleteWrite
from mtev_log.testing import line
from mtev_log_file import FileBackend
from mtev_log_file._keeper import compress
from mtev_log_file._live import DIRECTORY_MODE
from mtev_log_file._sharing import LOCK_LIMIT_S, alone, names_locked, rotated_files
from mtev_log_file.rotation import MIN_BYTES

BIG = "x" * MIN_BYTES
DEADLINE_S = 60.0

# A process that writes numbered lines. After each batch it says how many lines are surely written.
WRITER = """
import dataclasses, sys
from mtev_log import BackendSettings
from mtev_log.testing import line
from mtev_log_file import FileBackend

path, name, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
made = FileBackend(BackendSettings(
    "x", path=path, config={"compress": "gzip"}, options={"rotate_bytes": "102400", "rotate_seconds": "600"}))
made._policy = dataclasses.replace(made._policy, rotate_bytes=4000)
made.open()
for number in range(first, first + count, 7):
    made.write([line(f"{name} {each} " + "x" * (1 + each * 37 % 300)) for each in range(number, number + 7)])
    print(number + 7, flush=True)
    made.maintain()
made.close()
"""


def writer(path, name, first, count):
    argv = [sys.executable, "-c", WRITER, str(path), name, str(first), str(count)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def make(path, config=None, **options):
    made = FileBackend(BackendSettings("x", path=str(path), config=config or {}, options=options))
    made.open()
    return made


def texts(path):
    """What each file of a log holds, oldest first."""
    found = {}
    for each in rotated_files(path):
        data = path.with_name(each.name).read_bytes()
        found.setdefault(each.stamp, []).append(gzip.decompress(data) if each.name.endswith(".gz") else data)
    for copies in found.values():
        assert len(set(copies)) == 1, "where an original and its packed copy are, they are the same"
    return [found[stamp][0].decode() for stamp in sorted(found)] + [path.read_text()]


def numbers(path, name):
    lines = [each.partition("] ")[2].split() for text in texts(path) for each in text.splitlines()]
    return [int(each[1]) for each in lines if len(each) == 3 and each[0] == name]


def until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)


def tidied(path):
    """Let a last process look after what is left, until everything is packed."""
    made = make(path, {"compress": "gzip"})

    def packed():
        made.maintain()
        return all(each.name.endswith(".gz") or not each.size_bytes for each in rotated_files(path))

    until(packed, "every rotated file is packed")
    made.close()
    assert not list(path.parent.glob("*.tmp"))


def test_two_processes_rotate_and_pack_one_file_under_load(tmp_path):
    path = tmp_path / "x.log"
    writers = {name: writer(path, name, 0, 2800) for name in ("one", "two")}
    for each in writers.values():
        each.communicate(timeout=DEADLINE_S)
        assert each.returncode == 0
    tidied(path)
    for name in writers:
        assert numbers(path, name) == list(range(2800))
    assert len(texts(path)) > 100


def test_whenever_a_process_is_killed_no_line_is_lost_or_doubled(tmp_path):
    path = tmp_path / "x.log"
    chance = random.Random(7)
    sure = {"a": [], "b": []}
    first = 0
    for _ in range(8):
        writers = {name: writer(path, name, first, 70_000) for name in sure}
        for each in writers.values():
            assert each.stdout.readline()
        victim = chance.choice(sorted(writers))
        time.sleep(chance.uniform(0.0, 0.15))
        for name in sorted(writers, key=lambda name: name != victim):
            writers[name].send_signal(signal.SIGKILL)
        for name, each in writers.items():
            told = each.stdout.read().split()
            each.wait(DEADLINE_S)
            each.stdout.close()
            end = int(told[-1]) if told and each.returncode == -signal.SIGKILL else first + 7
            sure[name].append((first, end))
        first += 100_000
    tidied(path)
    for name, spans in sure.items():
        found = numbers(path, name)
        assert len(found) == len(set(found)), "nothing twice"
        assert found == sorted(found)
        for begin, end in spans:
            assert set(range(begin, end)) <= set(found), "what was written is there"


def test_a_file_is_packed_only_when_nobody_writes_to_it(tmp_path):
    path = tmp_path / "x.log"
    config = {"compress": "gzip"}
    first, second = make(path, config, rotate_bytes=str(MIN_BYTES)), make(path, config, rotate_bytes=str(MIN_BYTES))
    second.write([line("of the second")])
    second._check_at = float("inf")  # it does not look again before it is told to
    first.write([line(BIG[50:])])
    first._errands.wait(DEADLINE_S)
    (rotated,) = rotated_files(path)
    assert not rotated.name.endswith(".gz"), "the second has it open"
    second.write([line("also there")])
    second.maintain()
    until(lambda: rotated_files(path)[0].name.endswith(".gz"), "the last one lets it be packed")
    assert texts(path)[0].count("\n") == 2
    first.close()
    second.close()


def test_nobody_begins_to_write_to_a_file_that_is_being_packed(tmp_path, monkeypatch):
    path, rotated = tmp_path / "x.log", tmp_path / "x.log.1700000000"
    path.write_text("old\n")
    opened = os.open

    def rotate_meanwhile(name, *rest):
        fd = opened(name, *rest)
        if os.fspath(name) == str(path) and not rotated.exists():
            path.rename(rotated)
        return fd

    with monkeypatch.context() as patched:
        patched.setattr("mtev_log_file._live.os.open", rotate_meanwhile)
        made = make(path)
    made.write([line("new")])
    made.close()
    assert rotated.read_text() == "old\n"
    assert path.read_text() == "[notice/conformance] new\n"


def test_a_live_file_that_has_a_second_name_is_not_packed(tmp_path):
    path, other = tmp_path / "x.log", tmp_path / "x.log.1700000000"
    path.write_text("line\n")
    other.hardlink_to(path)
    assert compress(other, path)
    assert other.read_text() == "line\n"


def test_a_rotated_file_never_replaces_what_is_there(tmp_path, monkeypatch):
    path = tmp_path / "x.log"
    made = FileBackend(
        BackendSettings("x", path=str(path), options={"rotate_bytes": str(MIN_BYTES)}),
        wall_clock=lambda: 1_700_000_000.0,
    )
    made.open()
    made.write([line("x")])
    listed = []

    def put_there(now_s, taken):
        (tmp_path / "x.log.1700000000").write_text("put there after we looked\n")
        (tmp_path / "x.log.1700000001").mkdir()
        listed.append(list(taken))
        return 1_700_000_000

    monkeypatch.setattr("mtev_log_file._sharing.free_stamp", put_there)
    made.write([line(BIG)])
    made.close()
    assert listed == [[]]
    assert (tmp_path / "x.log.1700000000").read_text() == "put there after we looked\n"
    assert (tmp_path / "x.log.1700000002").read_text() == "[notice/conformance] x\n"


def test_what_a_killed_rotation_left_is_harmless(tmp_path):
    path = tmp_path / "x.log"
    path.write_text("line\n")
    claim = tmp_path / f"x.log.{int(time.time()) + 5}"
    claim.touch()
    made = make(path, {"compress": "gzip"}, rotate_bytes=str(MIN_BYTES))
    made.write([line(BIG)])
    made.close()
    assert claim.read_bytes() == b""
    assert texts(path)[1] == "line\n"


def test_what_a_killed_packing_left_goes_with_its_original(tmp_path):
    path = tmp_path / "x.log"
    (tmp_path / "x.log.1700000000.gz.tmp").write_bytes(b"half")
    (tmp_path / "x.log.notes.gz.tmp").write_bytes(b"not ours")
    made = make(path, {"compress": "gzip"})
    made.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.log", "x.log.notes.gz.tmp"]


def test_a_directory_that_stays_locked_fails_no_write(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(names_locked.__wrapped__, "__defaults__", (0.01,))
    path = tmp_path / "x.log"
    made = make(path, rotate_bytes=str(MIN_BYTES))
    made.write([line("x")])
    with names_locked(tmp_path):
        made.write([line(BIG)])
    made.close()
    assert path.read_text().count("\n") == 2
    assert "another process has kept the directory locked" in caplog.text
    assert LOCK_LIMIT_S > 0


def test_a_stranger_who_locks_the_file_fails_no_write(tmp_path):
    path = tmp_path / "x.log"
    path.touch()
    with path.open("rb") as stranger:
        fcntl.flock(stranger, fcntl.LOCK_EX)
        made = make(path)
        made.write([line("x")])
    made.reopen()
    with path.open("rb") as file, alone(file.fileno()) as granted:
        assert not granted, "the lock is taken as soon as it is free"
    made.close()
    assert path.read_text().count("\n") == 1


def test_half_a_line_that_a_crash_left_is_ended(tmp_path):
    path = tmp_path / "x.log"
    path.write_text("whole\nhal")
    made = make(path)
    assert path.read_text() == "whole\nhal", "not before there is something to write"
    made.write([line("next")])
    made.close()
    assert path.read_text() == "whole\nhal\n[notice/conformance] next\n"


def test_records_without_lines_are_left_as_they_are(tmp_path):
    settings = BackendSettings("x", path=str(tmp_path / "x.log"), format="flatbuffer")
    made = FileBackend(settings)
    made.open()
    for _ in range(3):
        made.write([line("x")])
    made.close()
    assert (tmp_path / "x.log").read_bytes() == settings.encoder()(line("x")) * 3


def test_a_file_that_was_truncated_is_not_taken_for_large(tmp_path):
    path = tmp_path / "x.log"  # as logrotate's copytruncate does
    made = make(path, rotate_bytes=str(MIN_BYTES))
    for _ in range(3):
        made.write([line(BIG[100:])])
        os.truncate(path, 0)
    made.write([line("x")])
    made.close()
    assert rotated_files(path) == []
    assert path.read_text() == "[notice/conformance] x\n"


def test_a_file_that_another_program_makes_is_used(tmp_path):
    path = tmp_path / "x.log"  # as logrotate's create does
    made = make(path, {"compress": "gzip"}, rotate_bytes=str(MIN_BYTES))
    made.write([line("one")])
    path.rename(tmp_path / "x.log.1")
    path.touch()
    path.chmod(0o604)
    made.maintain()  # within the period of a check
    made.write([line("two")])
    made.close()
    assert (tmp_path / "x.log.1").read_text() == "[notice/conformance] one\n"
    assert path.read_text() == "[notice/conformance] two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_missing_directories_are_made_when_asked_for(tmp_path):
    path = tmp_path / "a" / "b" / "x.log"
    old = os.umask(0)
    try:
        made = make(path, {"make_directories": "on"})
        made.write([line("one")])
        path.unlink()
        path.parent.rmdir()
        made.reopen()
        made.write([line("two")])
        made.close()
    finally:
        os.umask(old)
    assert path.read_text() == "[notice/conformance] two\n"
    for each in (path.parent, path.parent.parent):
        assert stat.S_IMODE(each.stat().st_mode) == DIRECTORY_MODE == 0o750


def test_a_device_is_not_rotated():
    made = make("/dev/null", rotate_bytes=str(MIN_BYTES), rotate_seconds="600")
    made.write([line(BIG), line("x")])
    made.close()
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.ENOSPC])
def test_whatever_the_disk_says_the_whole_lines_are_known(tmp_path, monkeypatch, code):
    path = tmp_path / "x.log"
    made = make(path, rotate_bytes=str(MIN_BYTES))
    written = os.write
    records = [line("one"), line(BIG), line("three"), line("four")]
    calls = []

    def fail(fd, data):
        calls.append(len(data))
        if len(calls) == 3:  # the third file: a line and a half
            return written(fd, data[:30])
        if len(calls) > 3:
            raise OSError(code, os.strerror(code))
        return written(fd, data)

    with monkeypatch.context() as patched:
        patched.setattr("mtev_log_file.backend.os.write", fail)
        with pytest.raises(IncompleteWrite) as caught:
            made.write(records)
    assert caught.value.written == 3
    made.write(records[3:])
    made.close()
    assert path.read_text().splitlines()[::2] == ["[notice/conformance] three", "[notice/conformance] four"]
