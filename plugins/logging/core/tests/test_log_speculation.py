"""Speculation: commit, roll back, bounds."""

from __future__ import annotations

import threading

import pytest

from mtev_kernel import HookSite
from mtev_log import BackendSettings, Logs
from mtev_log.configuration import StreamSettings


class Kept:
    def __init__(self, settings):
        self.records = []

    def open(self): ...
    def flush(self): ...
    def reopen(self): ...
    def close(self): ...

    def write(self, records):
        self.records += records


@pytest.fixture
def logs():
    made = Logs(HookSite("mtev_log_line"))
    made.register_backend("kept", Kept)
    made.configure([StreamSettings(BackendSettings("k", type="kept"), True, None, None, None, (), None)])
    made.open()
    yield made
    made.close()


def messages(logs):
    assert logs.flush("k")
    return [record.message for record in logs.backend("k").records]


def test_a_commit_writes_every_line_as_it_was(logs):
    with logs.speculate() as speculation:
        speculation.stream.log("one %d", 1, peer="a")
        here = threading.get_native_id()
        assert messages(logs) == []
        assert speculation.commit(logs.stream("k")) == 1
        speculation.stream.log("two")
        assert speculation.commit(logs.stream("k")) == 1
    assert messages(logs) == ["one 1", "two"]
    record = logs.backend("k").records[0]
    assert (record.facility, record.fields, record.thread_id) == ("k", {"peer": "a"}, here)
    assert record.file == __file__


def test_what_is_not_committed_is_rolled_back(logs):
    speculation = logs.speculate()

    def fail():
        with speculation:
            speculation.stream.log("never mind")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert speculation.rollback() == 0
    assert speculation.commit(logs.stream("k")) == 0
    assert messages(logs) == []


def test_older_lines_make_room(logs):
    speculation = logs.speculate(lines=3)
    for number in range(10):
        speculation.stream.log(str(number))
    assert speculation.dropped == 7
    assert speculation.commit(logs.stream("k")) == 3
    assert messages(logs) == ["7", "8", "9"]
    small = logs.speculate(size_bytes=10)
    for text in ("x" * 9, "y" * 9, "z" * 11):
        small.stream.log(text)
    assert small.dropped == 3
    assert small.rollback() == 0


def test_a_size_below_one_is_refused(logs):
    with pytest.raises(ValueError, match="at least 1 line"):
        logs.speculate(lines=0)


def test_a_stream_that_leads_nowhere_takes_no_line(logs):
    speculation = logs.speculate()
    speculation.stream.log("x")
    assert speculation.commit(logs.stream("nowhere")) == 1
    assert messages(logs) == []
