"""Readers and writers of one configuration exclude each other, threads and processes alike, and say who is there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
import threading

import pytest

from mtev_conf._disk.commit import Conflict, Write, commit, digest, reading
from mtev_conf._disk.durable import Files
from mtev_conf._disk.lock import holders
from mtev_kernel.errors import ConfigurationError


@pytest.fixture
def anchor(tmp_path):
    path = tmp_path / "app.conf"
    path.write_bytes(b"old")
    return path


def replaced(path, data):
    return Write(str(path), data, digest(path.read_bytes()))


def refused(anchor, match, **options):
    with pytest.raises(ConfigurationError, match=match), reading(str(anchor), **options):
        pytest.fail("it was not locked")


def test_readers_share_and_a_writer_is_told_who_reads(anchor):
    with (
        reading(str(anchor)),
        reading(str(anchor), lock_timeout_s=0),
        pytest.raises(
            ConfigurationError,
            match=rf"read or saved by (this process itself, process {os.getpid()} \(.+\)|another process), which did",
        ),
    ):
        commit(str(anchor), [replaced(anchor, b"new")], lock_timeout_s=0)
    assert anchor.read_bytes() == b"old"
    commit(str(anchor), [replaced(anchor, b"new")], lock_timeout_s=0)


def test_a_writer_keeps_readers_and_writers_out(anchor, tmp_path):
    seen = []

    class Slow(Files):
        def fsync(self, descriptor):
            for attempt in (
                lambda: reading(str(anchor), lock_timeout_s=0).__enter__(),
                lambda: commit(str(anchor), [], lock_timeout_s=0),
            ):
                with pytest.raises(ConfigurationError, match="within 0 s") as caught:
                    attempt()
                seen.append(caught.value)
            super().fsync(descriptor)

    commit(str(anchor), [replaced(anchor, b"new"), Write(str(tmp_path / "b"), b"", None)], files=Slow())
    assert len(seen) == 6  # two files and the record


def test_another_process_is_named(anchor):
    script = (
        "import fcntl, os, sys\n"
        "descriptor = os.open(sys.argv[1], os.O_RDONLY)\n"
        "fcntl.flock(descriptor, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(anchor.parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout.readline() == b"locked\n"
        who = rf"(process {child.pid} \(.+\)|another process)"  # some file systems give another number to the kernel
        refused(anchor, rf"read or saved by {who}, which did not finish within 0\.01 s; ", lock_timeout_s=0.01)
        child.stdin.close()
        child.wait()


def test_a_lock_that_is_released_is_waited_for(anchor):
    with reading(str(anchor)):
        waiting = threading.Thread(target=commit, args=(str(anchor), [replaced(anchor, b"new")]))
        waiting.start()
    waiting.join()
    assert anchor.read_bytes() == b"new"


def test_a_directory_that_is_exchanged_while_waiting_is_not_locked_in_the_old_place(tmp_path, monkeypatch):
    here, old = tmp_path / "here", tmp_path / "old"
    here.mkdir()
    real = fcntl.flock
    exchanged = []

    def flock(descriptor, how):
        if not exchanged:
            exchanged.append(descriptor)
            here.rename(old)
            here.mkdir()
            (here / "app.conf").write_bytes(b"second")
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with reading(str(here / "app.conf")):
        monkeypatch.undo()
        with pytest.raises(ConfigurationError, match="within 0 s"):
            commit(str(here / "app.conf"), [], lock_timeout_s=0)


def test_a_directory_that_does_not_exist_or_cannot_be_locked(tmp_path, monkeypatch):
    refused(tmp_path / "never" / "app.conf", r"never/app\.conf: its directory \S+/never cannot be opened: No such file")

    def unsupported(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(ConfigurationError, match=r"cannot be locked: No locks available; the file system"):
        commit(str(tmp_path / "app.conf"), [])


def test_threads_of_one_process_exclude_each_other(anchor, tmp_path):
    """Each of 4 threads adds 25 to two files that are only ever changed together."""
    other = tmp_path / "other.conf"
    anchor.write_bytes(b"0")
    other.write_bytes(b"0")
    problems = []

    def add():
        for _ in range(25):
            while True:
                with reading(str(anchor)):
                    first, second = anchor.read_bytes(), other.read_bytes()
                if first != second:
                    problems.append((first, second))
                data = b"%d" % (int(first) + 1)
                with contextlib.suppress(Conflict):
                    commit(
                        str(anchor), [Write(str(anchor), data, digest(first)), Write(str(other), data, digest(second))]
                    )
                    break

    threads = [threading.Thread(target=add) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert problems == []
    assert anchor.read_bytes() == other.read_bytes() == b"100"


def test_holders_are_found_in_the_kernels_list():
    device = os.makedev(8, 2)
    text = (
        "1: POSIX  ADVISORY  WRITE 11 08:02:77 0 EOF\n"
        "2: FLOCK  ADVISORY  READ 12 08:02:77 0 EOF\n"
        "2: -> FLOCK  ADVISORY  WRITE 13 08:02:77 0 EOF\n"
        "3: FLOCK  ADVISORY  WRITE 14 08:02:78 0 EOF\n"
        "4: FLOCK  ADVISORY  WRITE 15 08:03:77 0 EOF\n"
        "5: FLOCK  ADVISORY  READ 0 08:02:77 0 EOF\n"
        "6: FLOCK  ADVISORY  READ -1 08:02:77 0 EOF\n"
        "garbage\n"
    )
    assert holders(text, device, 77) == [12]
