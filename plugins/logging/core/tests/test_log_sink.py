"""A sink: what becomes of lines while its backend does not work."""

from __future__ import annotations

import errno
import threading

from mtev_log.backend import BackendSettings
from mtev_log.sink import RETRY_S, WAITING_LIMIT, Sink
from mtev_log.testing import line


class Recorder:
    def __init__(self):
        self.calls = []
        self.messages = []
        self.broken = None

    def _act(self, name):
        self.calls.append(name)
        if self.broken is not None:
            raise self.broken

    def open(self):
        self._act("open")

    def write(self, records):
        self._act("write")
        self.messages += [record.message for record in records]

    def flush(self):
        self._act("flush")

    def reopen(self):
        self._act("reopen")

    def close(self):
        self._act("close")


class Reports:
    def __init__(self):
        self.failed = []
        self.recovered = []

    def sink_failed(self, sink, text):
        self.failed.append(text)

    def sink_recovered(self, sink, text):
        self.recovered.append(text)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def make(name="x"):
    backend, reports, clock = Recorder(), Reports(), Clock()
    return Sink(BackendSettings(name, type="t"), backend, reports, clock), backend, reports, clock


def full():
    return OSError(errno.ENOSPC, "No space left on device")


def test_lines_are_handed_to_the_backend():
    sink, backend, reports, _ = make()
    sink.open()
    sink.write([line("a"), line("b")])
    assert backend.messages == ["a", "b"]
    assert (sink.written, sink.lost, sink.failing) == (2, 0, "")
    assert reports.failed == []


def test_lines_wait_for_a_sink_that_is_not_open_but_not_without_end():
    sink, backend, _, _ = make()
    for number in range(WAITING_LIMIT + 5):
        sink.write([line(str(number))])
    assert backend.calls == []
    sink.open()
    assert backend.messages == [str(number) for number in range(WAITING_LIMIT)]
    assert sink.lost == 5


def test_a_failure_is_said_once_and_recovery_with_the_number_of_lost_lines():
    sink, backend, reports, clock = make()
    sink.open()
    sink.write([line("before")])
    backend.broken = full()
    for _ in range(3):
        sink.write([line("lost")])
    assert reports.failed == [
        "log 'x' (type 't') fails: [Errno 28] No space left on device; its lines are lost until it works again"
    ]
    assert sink.failing == "[Errno 28] No space left on device"
    assert backend.calls.count("write") == 2, "a failing backend is left alone for a while"
    clock.now += RETRY_S
    sink.write([line("lost too")])
    assert len(reports.failed) == 1
    assert backend.calls[-1] == "reopen"
    backend.broken = None
    sink.write([line("lost, for it is too early")])
    clock.now += RETRY_S
    sink.write([line("after")])
    assert reports.recovered == ["log 'x' works again; lost lines: 5"]
    assert backend.messages == ["before", "after"]
    assert (sink.written, sink.lost, sink.failing) == (2, 5, "")


def test_a_second_failure_counts_its_own_losses():
    sink, backend, reports, clock = make()
    sink.open()
    for _ in range(2):
        backend.broken = full()
        sink.write([line("lost")])
        backend.broken = None
        clock.now += RETRY_S
        sink.write([line("kept")])
    assert reports.recovered == ["log 'x' works again; lost lines: 1"] * 2
    assert sink.lost == 2


def test_nothing_a_backend_raises_gets_out():
    class Silent(Exception):
        def __str__(self):
            raise RuntimeError

    for error in (ValueError("odd"), SystemExit(3), RecursionError(), Silent()):
        sink, backend, reports, _ = make()
        sink.open()
        backend.broken = error
        sink.write([line("lost")])
        sink.flush()
        sink.reopen()
        sink.close()
        assert type(error).__name__ in reports.failed[0]


def test_reopen_and_flush_reach_a_working_backend_only():
    sink, backend, reports, _ = make()
    sink.reopen()
    sink.flush()
    assert backend.calls == []
    sink.open()
    sink.flush()
    sink.reopen()
    backend.broken = full()
    sink.reopen()
    sink.reopen()
    assert backend.calls == ["open", "flush", "reopen", "reopen"]
    assert len(reports.failed) == 1


def test_one_that_cannot_be_opened_on_a_running_service_fails_and_is_tried_again():
    sink, backend, reports, clock = make()
    sink.write([line("waits")])
    backend.broken = full()
    sink.open_or_fail()
    assert len(reports.failed) == 1
    assert sink.lost == 1
    backend.broken = None
    clock.now += RETRY_S
    sink.write([line("after")])
    assert backend.messages == ["after"]
    assert len(reports.recovered) == 1


def test_after_close_lines_go_to_the_successor():
    old, old_backend, _, _ = make()
    new, new_backend, _, _ = make()
    old.open()
    old.close(successor=new)
    old.write([line("late")])
    new.open()
    old.write([line("later")])
    assert old_backend.calls == ["open", "flush", "close"]
    assert old_backend.messages == []
    assert new_backend.messages == ["late", "later"]
    assert old.lost == 0


def test_after_close_without_successor_lines_are_counted():
    sink, _, _, _ = make()
    sink.write([line("waits in vain")])
    sink.close()
    sink.close()
    sink.write([line("late")])
    assert sink.lost == 2


def test_it_can_be_opened_again():
    sink, backend, _, _ = make()
    sink.open()
    sink.close()
    sink.open()
    sink.write([line("again")])
    assert backend.messages == ["again"]


def test_a_backend_is_called_by_one_thread_at_a_time():
    class Careful(Recorder):
        inside = 0

        def write(self, records):
            self.inside += 1
            assert self.inside == 1
            super().write(records)
            self.inside -= 1

    backend, reports = Careful(), Reports()
    sink = Sink(BackendSettings("x"), backend, reports)
    sink.open()
    threads = [
        threading.Thread(target=lambda: [sink.write([line("x")]) for _ in range(200)], name=f"t{number}")
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reports.failed == []
    assert len(backend.messages) == 800
