"""Deadlines: one timer for everything that has the same time-out."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_eventer import Deadlines, Eventer, EventerSettings


class Host:
    """A loop whose time a test turns on."""

    def __init__(self):
        self.now = 0.0
        self.timers = []
        self.failures = []

    def after(self, delay_s, function, *args, name):
        self.timers.append((self.now + delay_s, function))

    def perform(self, name, function, created):
        try:
            return function()
        except Exception as error:
            self.failures.append(error)
            return None

    def run_until(self, now):
        while self.timers and min(self.timers, key=lambda timer: timer[0])[0] <= now:
            timer = min(self.timers, key=lambda timer: timer[0])
            self.timers.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = now


def made(timeout_s=10.0, tolerance_s=1.0, expired=None):
    host = Host()
    seen = []
    deadlines = Deadlines("d", timeout_s, expired or seen.append, host, tolerance_s, lambda: host.now)
    return host, deadlines, seen


def test_what_is_not_done_in_time_expires_in_its_order():
    host, deadlines, seen = made()
    for at, key in enumerate("abc"):
        host.run_until(float(at))
        deadlines.set(key)
    host.run_until(9.9)
    assert seen == []
    host.run_until(20.0)
    assert seen == ["a", "b", "c"]
    assert (len(deadlines), host.timers) == (0, [])


def test_what_is_done_in_time_does_not_expire_and_setting_again_begins_anew():
    host, deadlines, seen = made()
    deadlines.set("done")
    deadlines.set("again")
    host.run_until(8.0)
    deadlines.discard("done")
    deadlines.discard("never there")
    deadlines.set("again")
    assert "again" in deadlines
    assert "done" not in deadlines
    host.run_until(17.9)
    assert seen == []
    host.run_until(20.0)
    assert seen == ["again"]


def test_one_timer_for_any_number():
    host, deadlines, seen = made()
    for key in range(1000):
        deadlines.set(key)
    assert len(host.timers) == 1
    host.run_until(30.0)
    assert len(seen) == 1000


def test_a_failure_does_not_keep_the_others():
    def expired(key):
        raise ValueError(key)

    host, deadlines, _ = made(expired=expired)
    deadlines.set("a")
    deadlines.set("b")
    host.run_until(30.0)
    assert [str(each) for each in host.failures] == ["a", "b"]


def test_expired_may_set_and_discard():
    host = Host()
    seen = []

    def expired(key):
        seen.append(key)
        deadlines.discard("b")
        if len(seen) < 3:
            deadlines.set(key)

    deadlines = Deadlines("d", 10.0, expired, host, 1.0, lambda: host.now)
    deadlines.set("a")
    host.run_until(5.0)
    deadlines.set("b")
    host.run_until(100.0)
    assert seen == ["a", "a", "a"]
    assert host.timers == []


@given(
    st.floats(0.1, 100),
    st.floats(0.005, 10),
    st.lists(st.tuples(st.floats(0, 20), st.sampled_from("abcd"), st.sampled_from(["set", "discard"])), max_size=30),
)
def test_nothing_expires_early_or_later_than_tolerated(timeout_s, tolerance_s, steps):
    host = Host()
    due = {}

    def expired(key):
        assert due.pop(key) <= host.now <= now_due[key] + tolerance_s + 1e-6

    now_due = {}
    deadlines = Deadlines("d", timeout_s, expired, host, tolerance_s, lambda: host.now)
    for pause_s, key, what in steps:
        host.run_until(host.now + pause_s)
        if what == "set":
            deadlines.set(key)
            due[key] = now_due[key] = host.now + timeout_s
        else:
            deadlines.discard(key)
            due.pop(key, None)
    host.run_until(host.now + timeout_s + tolerance_s + 1e-3)
    assert due == {}
    assert host.failures == []


def test_a_time_out_is_above_nothing():
    for timeout_s in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="deadlines 'd'"):
            made(timeout_s)


@pytest.mark.parametrize("implementation", ["uvloop", "asyncio"])
def test_on_a_loop_it_is_listed_as_one_timer(implementation):
    eventer = Eventer(EventerSettings(implementation))
    eventer.start()
    try:
        loop = eventer.default.choose()
        seen, both = [], threading.Event()

        def expired(key):
            seen.append((key, threading.current_thread().name))
            if len(seen) == 2:
                both.set()

        async def begin():
            deadlines = loop.deadlines(0.02, expired, name="header time-out", tolerance_s=0.01)
            for key in "abc":
                deadlines.set(key)
            deadlines.discard("b")
            return [timer.name for timer in loop.timers()]

        assert asyncio.run(loop.run(begin)) == ["header time-out"]
        assert both.wait(10)
        assert seen == [("a", loop.name), ("c", loop.name)]
    finally:
        eventer.stop()
