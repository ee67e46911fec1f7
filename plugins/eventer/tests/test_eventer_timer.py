"""Timers."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_eventer import Eventer, EventerSettings
from mtev_eventer.timer import LONGEST_S, next_beat


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request):
    eventer = Eventer(EventerSettings(request.param))
    eventer.start()
    yield eventer.default.choose()
    eventer.stop()


@given(st.floats(0, 1e6), st.floats(1e-3, 1e5), st.floats(0, 1e6))
def test_the_next_beat_is_ahead_and_on_the_beat(due, period_s, late_s):
    now = due + late_s
    beat = next_beat(due, period_s, now)
    assert beat > now
    assert beat <= now + period_s * 1.001
    beats = (beat - due) / period_s
    assert abs(beats - round(beats)) < 1e-3 or beat - now < 1e-6


def test_after_fires_once(loop):
    fired = threading.Event()
    timer = loop.after(0.001, lambda: fired.set() or threading.current_thread().name, name="once")
    assert timer.name == "once"
    assert fired.wait(10)
    settle(loop)
    assert loop.timers() == []


def test_every_fires_again_and_again_until_cancelled(loop):
    seen, enough = [], threading.Event()

    def beat():
        seen.append(threading.current_thread().name)
        if len(seen) == 3:
            timer.cancel()
            enough.set()

    timer = loop.every(0.005, beat, name="beat")
    assert enough.wait(10)
    settle(loop)
    assert seen == [loop.name] * 3
    assert loop.timers() == []


def test_an_async_one_never_overlaps_itself(loop):
    running, most, count, enough = 0, 0, 0, threading.Event()

    async def beat():
        nonlocal running, most, count
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        count += 1
        if count == 3:
            enough.set()

    loop.every(0.001, beat, name="beat")
    assert enough.wait(10)
    assert most == 1


def test_a_failing_run_is_logged_and_the_next_one_comes(loop, caplog):
    plain, other, enough = [], [], threading.Event()

    def beat():
        plain.append(1)
        if len(plain) >= 2 and len(other) >= 2:
            enough.set()
        raise ValueError("plain one")

    async def async_beat():
        other.append(1)
        raise SystemExit(5)

    loop.every(0.002, beat, name="plain beat")
    loop.every(0.002, async_beat, name="async beat")
    assert enough.wait(10)
    assert "timer 'plain beat' on e:default/0 failed: ValueError('plain one')" in caplog.text
    assert "task 'async beat' on e:default/0 failed: SystemExit(5)" in caplog.text


def test_a_cancelled_one_does_not_fire_even_if_it_is_due(loop):
    gate, seen = threading.Event(), []
    loop.call(gate.wait)
    timers = [loop.after(0, seen.append, number, name=f"t{number}") for number in range(3)]
    timers[1].cancel()
    timers[1].cancel()
    gate.set()
    settle(loop)
    settle(loop)
    assert seen == [0, 2]


def test_the_listing_shows_what_is_pending(loop):
    before = time.time()
    loop.after(1000, print, name="later")
    soon = loop.every(500, print, name="sooner")
    first, second = loop.timers()
    assert (first.name, second.name) == ("sooner", "later")
    assert (first.pool, first.loop) == ("default", loop.name)
    assert before + 499 < first.whence < time.time() + 501
    assert first.whence == soon.whence
    soon.cancel()
    assert [each.name for each in loop.timers()] == ["later"]


@pytest.mark.parametrize("delay_s", [-1, float("nan"), float("inf"), LONGEST_S * 2])
def test_delays_that_cannot_be(loop, delay_s):
    with pytest.raises(ValueError, match="timer 'odd'"):
        loop.after(delay_s, print, name="odd")
    with pytest.raises(ValueError, match="timer 'odd'"):
        loop.every(delay_s, print, name="odd")


def test_a_period_of_nothing(loop):
    with pytest.raises(ValueError, match="not a period"):
        loop.every(0, print, name="mad")


def test_timers_set_and_cancelled_from_many_threads(loop):
    fired = []

    def work(number):
        for index in range(200):
            kept = loop.after(0, fired.append, (number, index), name="kept")
            loop.after(100, fired.append, None, name="cancelled").cancel()
            assert kept.whence <= time.time() + 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settle(loop)
    settle(loop)
    assert sorted(fired) == [(number, index) for number in range(6) for index in range(200)]
    assert loop.timers() == []


def settle(loop):
    """Come back when what is due has fired."""
    asyncio.run(loop.run(asyncio.sleep, 0.02))
