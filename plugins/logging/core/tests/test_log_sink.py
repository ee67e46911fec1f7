"""A sink: queues and policies, the writer thread, and what becomes of lines while its backend does not work."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from mtev_log._line import Counts, Plan, Step, Way
from mtev_log.backend import BackendSettings
from mtev_log.errors import IncompleteWrite
from mtev_log.filters import Filter
from mtev_log.gates import GateSettings
from mtev_log.handover import Overflow, SinkOptions
from mtev_log.record import Flags
from mtev_log.sink import BLOCK_LIMIT_S, RETRY_S, Sink
from mtev_log.testing import line


class Recorder:
    def __init__(self):
        self.calls = []
        self.messages = []
        self.broken = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.threads = set()

    def _act(self, name):
        self.calls.append(name)
        if self.broken is not None:
            raise self.broken

    def open(self):
        self._act("open")

    def write(self, records):
        self.entered.set()
        self.gate.wait(30)
        self.threads.add(threading.current_thread().name)
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


def make(name="x", **options):
    backend, reports, clock = Recorder(), Reports(), Clock()
    settings = BackendSettings(name, type="t")
    return Sink(settings, backend, reports, options=SinkOptions(**options), clock=clock), backend, reports, clock


def full():
    return OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def running():
    """Sinks with writer threads, which end with the test."""
    made = []

    def start(name="x", **options):
        backend, reports = Recorder(), Reports()
        sink = Sink(BackendSettings(name, type="t"), backend, reports, options=SinkOptions(**options))
        made.append((sink, backend))
        sink.open()
        sink.go_asynchronous()
        return sink, backend, reports

    yield start
    for sink, backend in made:
        backend.gate.set()
        sink.close()


# Synchronous mode: what a sink does before the service has started, and for types that ask for it.


def test_lines_are_handed_to_the_backend():
    sink, backend, reports, _ = make()
    sink.open()
    sink.write([line("a"), line("b")])
    assert backend.messages == ["a", "b"]
    assert (sink.written, sink.lost, sink.failing) == (2, 0, "")
    assert reports.failed == []


def test_lines_wait_for_a_sink_that_is_not_open_but_not_without_end():
    sink, backend, _, _ = make(queue_lines=10)
    for number in range(15):
        sink.write([line(str(number))])
    assert backend.calls == []
    sink.open()
    assert backend.messages[:10] == [str(number) for number in range(10)]
    assert sink.lost == 5
    assert "5 lines of the log 'x' were lost" in backend.messages[10]


def test_a_failure_is_said_once_and_lines_wait_until_it_works_again():
    sink, backend, reports, clock = make()
    sink.open()
    sink.write([line("before")])
    backend.broken = full()
    for text in ("lost", "waits", "waits too"):
        sink.write([line(text)])
    assert reports.failed == [
        "log 'x' (type 't') fails: [Errno 28] No space left on device; up to 50000 lines wait until it works again"
    ]
    assert sink.failing == "[Errno 28] No space left on device"
    assert backend.calls.count("write") == 2, "a failing backend is left alone for a while"
    clock.now += RETRY_S
    sink.write([line("and this")])
    assert len(reports.failed) == 1
    assert backend.calls[-1] == "reopen"
    backend.broken = None
    clock.now += RETRY_S
    sink.write([line("after")])
    assert reports.recovered == ["log 'x' works again; lost lines: 1"]
    assert [text for text in backend.messages if "were lost" not in text] == [
        "before", "waits", "waits too", "and this", "after",
    ]  # fmt: skip
    assert (sink.lost, sink.failing) == (1, "")


def test_of_an_incomplete_batch_nothing_is_lost_or_written_twice():
    sink, backend, reports, clock = make()
    sink.write([line(text) for text in "abc"])
    written = []

    def write(records):
        written.extend(record.message for record in records[:1])
        raise IncompleteWrite(1, "disk full")

    whole, backend.write = backend.write, write
    sink.open()
    assert "disk full" in reports.failed[0]
    backend.write = whole
    clock.now += RETRY_S
    sink.write([line("d")])
    assert written + backend.messages == ["a", "b", "c", "d"]
    assert (sink.written, sink.lost) == (4, 0)
    assert reports.recovered == ["log 'x' works again; lost lines: 0"]


def test_what_an_incomplete_batch_left_goes_to_the_successor():
    sink, backend, _, _ = make()
    successor, after, _, _ = make()
    successor.open()
    sink.open()
    backend.broken = IncompleteWrite(0, "disk full")
    sink.write([line("kept")])
    sink.close(successor=successor)
    assert after.messages == ["kept"]


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
    assert not sink.flush()
    assert backend.calls == []
    sink.open()
    assert sink.flush()
    sink.reopen()
    backend.broken = full()
    sink.reopen()
    sink.reopen()
    assert backend.calls == ["open", "flush", "reopen", "reopen"]
    assert len(reports.failed) == 1
    assert not sink.flush()


def test_one_that_cannot_be_opened_on_a_running_service_fails_and_is_tried_again():
    sink, backend, reports, clock = make()
    sink.write([line("waits")])
    backend.broken = full()
    sink.open_or_fail()
    assert len(reports.failed) == 1
    backend.broken = None
    clock.now += RETRY_S
    sink.write([line("after")])
    assert backend.messages == ["waits", "after"]
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


# Ways: filters, gates and counts between a stream and its sink.


class Count:
    value = 0

    def add(self, n=1):
        self.value += n


def send(sink, ways, *records):
    plan = Plan("f", (sink,), {sink: ways})
    for record in records:
        sink.queue.append((plan, record))
        if sink.asleep:
            sink.wake()


def test_each_way_has_its_flags_and_its_filters():
    sink, backend, _, _ = make()
    sink.open()
    seen = []
    backend.write = lambda records: seen.extend((record.message, record.flags) for record in records)
    plain, stamped = Flags(), Flags(timestamps=True)
    ways = (Way(plain), Way(stamped, (Step(passes=Filter("a = 1").passes),)))
    send(sink, ways, line("one", a=1), line("two", a=2))
    assert seen == [("one", plain), ("one", stamped), ("two", plain)]


def test_lines_are_counted_where_they_have_passed():
    sink, backend, _, _ = make()
    sink.open()
    before, after = Count(), Count()
    steps = (Step(count=before), Step(passes=Filter("a = 1").passes), Step(count=after))
    send(sink, (Way(None, steps),), line("one", a=1), line("two", a=2))
    assert (before.value, after.value) == (2, 1)
    assert backend.messages == ["one"]
    assert isinstance(before.add, type(after.add))
    assert Counts is not None


def test_a_gate_holds_lines_back_and_says_so_before_the_next_one():
    sink, backend, _, _ = make()
    sink.open()
    way = Way(None, (Step(gate=("noisy", GateSettings(dedup_s=60))),))
    send(sink, (way,), line("same"), line("same"), line("same"), line("other"))
    assert backend.messages == ["same", "repeated 2 times: same", "other"]
    assert sink.suppressed == 2


def test_what_a_gate_held_back_is_said_when_time_is_over():
    sink, backend, _, _ = make()
    sink.open()
    way = Way(None, (Step(gate=("noisy", GateSettings(rate_lines=1))),))
    send(sink, (way,), line("one"), line("two"))
    assert backend.messages == ["one"]
    sink.tick()  # the lines are of 2023: their second is over
    assert backend.messages == ["one", "1 lines were held back by the rate limit of 'noisy'"]


# With a thread.


def test_a_thread_writes_in_the_order_of_the_appends(running):
    sink, backend, _ = running()
    for number in range(3000):
        sink.write([line(str(number))])
    while len(backend.messages) < 3000:
        threading.Event().wait(0.001)
    assert backend.messages == [str(number) for number in range(3000)]
    assert backend.threads == {"l:x"}


def test_a_line_after_a_long_silence_wakes_the_writer(running):
    sink, backend, _ = running()
    while not sink.asleep:
        threading.Event().wait(0.01)
    sink.write([line("awake")])
    assert backend.entered.wait(30)


def test_a_type_can_ask_for_the_thread_that_logs(running):
    sink, backend, _ = running(synchronous=True)
    sink.write([line("here")])
    assert backend.messages == ["here"]
    assert backend.threads == {threading.current_thread().name}


def stuck(running, **options):
    """A sink whose writer is inside the backend, with a queue that holds three lines."""
    sink, backend, reports = running(queue_lines=3, **options)
    backend.gate.clear()
    sink.write([line("first")])
    assert backend.entered.wait(30)
    while sink.queue:
        threading.Event().wait(0.001)
    return sink, backend, reports


def test_a_full_queue_drops_new_lines_and_says_how_many(running):
    sink, backend, _ = stuck(running)
    for number in range(5):
        sink.write([line(str(number))])
    assert (len(sink.queue), sink.lost) == (3, 2)
    backend.gate.set()
    assert sink.flush()
    sink.close()
    said = [text for text in backend.messages if "were lost" in text]
    assert [text for text in backend.messages if text not in said] == ["first", "0", "1", "2"]
    assert said == ["2 lines of the log 'x' were lost: its queue of 3 lines was full, or its backend failed"]


def test_a_full_queue_can_drop_the_oldest_lines_instead(running):
    sink, backend, _ = stuck(running, overflow=Overflow.DROP_OLDEST)
    for number in range(5):
        sink.write([line(str(number))])
    backend.gate.set()
    assert sink.flush()
    assert [text for text in backend.messages if "were lost" not in text] == ["first", "2", "3", "4"]
    assert sink.lost == 2


def test_a_full_queue_can_make_the_caller_wait(running):
    sink, backend, _ = stuck(running, overflow=Overflow.BLOCK)
    done = threading.Event()

    def log():
        for number in range(10):
            sink.write([line(str(number))])
        done.set()

    threading.Thread(target=log).start()
    assert not done.wait(0.1)
    backend.gate.set()
    assert done.wait(30)
    assert sink.flush()
    assert backend.messages == ["first", *map(str, range(10))]
    assert sink.lost == 0


def test_nobody_waits_for_a_backend_that_fails():
    sink, backend, _, _ = make(queue_lines=3, overflow=Overflow.BLOCK)
    sink.open()
    backend.broken = full()
    for number in range(10):
        sink.write([line(str(number))])
    assert sink.lost == 7
    assert BLOCK_LIMIT_S > 1


def test_a_failing_backend_is_tried_again_without_further_lines(running, monkeypatch):
    monkeypatch.setattr("mtev_log.sink.RETRY_S", 0.02)
    sink, backend, reports = running()
    backend.broken = IncompleteWrite(0, "disk full")
    sink.write([line("waits")])
    while not sink.failing:
        threading.Event().wait(0.001)
    backend.broken = None
    while "waits" not in backend.messages:
        threading.Event().wait(0.001)
    assert reports.recovered == ["log 'x' works again; lost lines: 0"]


def test_closing_does_not_wait_for_ever(running, monkeypatch):
    monkeypatch.setattr("mtev_log.sink._LOCK_LIMIT_S", 0.05)
    sink, backend, reports = stuck(running)
    assert not sink.flush(0.01)
    sink.close()
    assert "has been busy for" in reports.failed[-1]
    sink.write([line("late")])
    backend.gate.set()


def test_what_a_backend_logs_does_not_come_back_to_it(running):
    sink, backend, _ = running()
    nested = []
    write = backend.write

    def logging_write(records):
        nested.append(sink._nesting.thread)
        write(records)

    backend.write = logging_write
    sink.write([line("x")])
    assert sink.flush()
    assert nested == [None]
    assert sink._nesting.thread is threading.current_thread()


def test_maintenance_happens_without_lines(running, monkeypatch):
    monkeypatch.setattr("mtev_log.sink._TICK_S", 0.01)
    called = threading.Event()
    monkeypatch.setattr(Recorder, "maintain", lambda self: called.set(), raising=False)
    running()
    assert called.wait(30)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_writes_its_own_lines_and_not_the_parents(running, tmp_path):
    sink, backend, _ = stuck(running)
    sink.write([line("of the parent")])
    backend.gate.set()
    sink.go_synchronous()
    sink.go_asynchronous()
    backend.gate.clear()
    backend.entered.clear()
    sink.write([line("in the writer's hands")])
    assert backend.entered.wait(30)
    sink.write([line("still in the queue")])
    backend.gate.set()
    pid = os.fork()
    if pid == 0:
        try:
            before = len(backend.messages)
            queued = len(sink.queue)
            sink.write([line("of the child")])
            ok = sink.flush() and queued == 0 and backend.messages[before:] == ["of the child"]
            os._exit(0 if ok else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert sink.flush()
    assert backend.messages == ["first", "of the parent", "in the writer's hands", "still in the queue"]
