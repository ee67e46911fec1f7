"""Commands on threads: their lines, how far ahead they get, how they end."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_telnet.workers import BUFFER, Workers


class Taker:
    """What a session is to a command: it takes lines as they come, and is woken."""

    def __init__(self, workers=None):
        self.workers = workers or Workers()
        self.woken = threading.Event()
        self.failures = []

    def start(self, lines, name="test"):
        self.work = self.workers.start(name, lines, wake=self.woken.set, failed=self.failures.append)
        return self.work

    def take(self):
        """The next line, waited for; raises as the command does, StopIteration at its end."""
        while (line := next(self.work)) is None:
            assert self.woken.wait(30)
            self.woken.clear()
        return line

    def rest(self):
        lines = []
        while True:
            try:
                lines.append(self.take())
            except StopIteration:
                return lines


@pytest.fixture
def taker():
    taker = Taker()
    yield taker
    assert taker.workers.stop(30) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=5) | st.integers(0, 3 * BUFFER).map("x".__mul__), max_size=8))
def test_every_line_comes_over_in_order(lines):
    taker = Taker()
    taker.start(lambda: (line for line in lines))
    assert taker.rest() == lines
    assert taker.work.ended


def test_there_is_nothing_yet_until_the_command_goes_on(taker):
    gate = threading.Event()

    def command():
        assert gate.wait(30)
        yield "now"

    taker.start(command)
    assert next(taker.work) is None
    assert not taker.work.ended
    gate.set()
    assert taker.rest() == ["now"]


def test_all_of_a_command_runs_on_one_thread_of_that_name(taker):
    threads = []

    def command():
        lock = threading.RLock()
        with lock:
            for _ in range(3):
                threads.append(threading.current_thread())
                yield "x"
        threads.append(threading.current_thread())

    work = taker.start(command, "console/7 show x")
    taker.rest()
    assert Counter(threads) == {work.thread: 4}
    assert work.thread.name == "console/7 show x"
    assert work.thread is not threading.current_thread()


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3), KeyboardInterrupt()])
def test_a_failure_is_raised_behind_the_last_line(taker, error):
    def command():
        yield "first"
        raise error

    taker.start(command)
    assert taker.take() == "first"
    with pytest.raises(type(error)) as caught:
        taker.take()
    assert caught.value is error
    assert taker.rest() == []
    assert taker.failures == []


def test_a_command_gets_only_so_far_ahead(taker):
    made = []
    held = threading.Event()

    def command():
        for number in range(1000):
            made.append(number)
            if number == 64:  # the lines before it fill the 64 KiB
                held.set()
            yield "x" * 1023

    taker.start(command)
    assert held.wait(30)
    assert len(made) == 65
    assert len(taker.rest()) == 1000


def test_letting_go_closes_the_command_on_its_own_thread(taker):
    closed_by = []
    ended = threading.Event()

    def command():
        try:
            while True:
                yield "tick"
        finally:
            closed_by.append(threading.current_thread())

    work = taker.start(command)
    assert taker.take() == "tick"
    work.close()
    work.close()
    work.afterwards(ended.set)
    assert ended.wait(30)
    assert closed_by == [work.thread]
    assert taker.rest() == []
    assert taker.failures == []


def test_letting_go_while_the_command_waits_for_room(taker):
    full = threading.Event()
    ended = threading.Event()

    def command():
        yield "x" * BUFFER
        full.set()
        yield "never taken"
        pytest.fail("it went on")

    work = taker.start(command)
    assert full.wait(30)
    work.close()
    work.afterwards(ended.set)
    assert ended.wait(30)
    assert taker.failures == []


def test_what_fails_after_it_was_let_go_is_told(taker):
    gate = threading.Event()
    ended = threading.Event()

    def command():
        assert gate.wait(30)
        raise RuntimeError("too late")
        yield

    work = taker.start(command)
    work.close()
    gate.set()
    work.afterwards(ended.set)
    assert ended.wait(30)
    assert [str(each) for each in taker.failures] == ["too late"]
    assert taker.rest() == []


def test_what_has_failed_already_is_told_when_it_is_let_go(taker):
    ended = threading.Event()

    def command():
        raise RuntimeError("nobody asked")
        yield

    work = taker.start(command)
    work.afterwards(ended.set)
    assert ended.wait(30)
    work.close()
    work.close()
    assert [str(each) for each in taker.failures] == ["nobody asked"]


def test_afterwards_is_at_once_when_it_is_over(taker):
    called_by = []
    work = taker.start(lambda: (_ for _ in ()))
    taker.rest()
    work.afterwards(lambda: called_by.append(threading.current_thread()))
    assert called_by == [threading.current_thread()]


def test_only_so_many_run_at_one_time():
    gate = threading.Event()
    workers = Workers(limit=2)

    def command():
        assert gate.wait(30)
        yield "done"

    first, second, third = Taker(workers), Taker(workers), Taker(workers)
    first.start(command, "console/1 write file")
    second.start(command, "console/2 configure reload")
    with pytest.raises(ValueError, match="2 commands .*: console/1 write file, console/2 configure reload. Try again"):
        third.start(command)
    gate.set()
    assert first.rest() == ["done"]
    third.start(command)
    assert third.rest() == second.rest() == ["done"]


def test_a_thread_that_cannot_be_started_takes_no_place(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    taker = Taker(Workers(limit=1))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                taker.start(lambda: (_ for _ in ()))
    taker.start(lambda: (each for each in ("ok",)))
    assert taker.rest() == ["ok"]


def test_stopping_lets_go_of_all_and_names_what_will_not_end():
    gate = threading.Event()
    begun = threading.Event()
    workers = Workers()

    def stubborn():
        begun.set()
        assert gate.wait(30)
        yield "done"

    def endless():
        while True:
            yield "tick"

    one, other = Taker(workers), Taker(workers)
    one.start(stubborn, "console/1 write file")
    other.start(endless, "console/2 tick")
    assert begun.wait(30)
    other.work.close()
    other.work.thread.join(30)
    assert workers.stop(0) == ["console/1 write file"]
    gate.set()
    assert workers.stop(30) == []
    assert not one.work.thread.is_alive()
