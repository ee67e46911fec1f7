"""Recurrent functions, and wake-ups."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mtev_eventer import Eventer, EventerSettings, LoopStopped

LONG_S = 3600.0


@pytest.fixture(params=["uvloop", "asyncio"])
def eventer(request):
    eventer = Eventer(EventerSettings(request.param))
    eventer.start()
    yield eventer
    eventer.stop()


@pytest.fixture
def loop(eventer):
    return eventer.default.choose()


class Pump:
    """Takes from a list as long as there is something, one at a time."""

    def __init__(self, work=()):
        self.work = list(work)
        self.threads = set()
        self.calls = 0
        self.idle = threading.Event()

    def __call__(self):
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        if self.work:
            self.work.pop()
            return True
        self.idle.set()
        return False


def settle(loop):
    async def nothing():
        for _ in range(3):
            await asyncio.sleep(0)

    asyncio.run(loop.run(nothing))


def test_it_is_called_at_once_and_again_while_it_finds_something(loop):
    pump = Pump(range(100))
    recurrent = loop.recur(pump, name="pump", period_s=LONG_S)
    assert pump.idle.wait(10)
    settle(loop)
    assert (pump.calls, pump.threads) == (101, {loop.name})
    recurrent.cancel()


def test_others_have_their_turn_meanwhile(loop):
    busy = True
    loop.recur(lambda: busy, name="never idle")
    settle(loop)
    busy = False


def test_a_wake_up_calls_it_at_once(loop):
    pump = Pump()
    recurrent = loop.recur(pump, name="pump", period_s=LONG_S)
    assert pump.idle.wait(10)
    for wake in (recurrent.wake, loop.wake):
        pump.idle.clear()
        pump.work = [1, 2]
        wake()
        assert pump.idle.wait(10)
        assert pump.work == []


def test_many_wake_ups_are_one(loop):
    pump = Pump()
    held, go = threading.Event(), threading.Event()
    recurrent = loop.recur(pump, name="pump", period_s=LONG_S)
    assert pump.idle.wait(10)
    loop.call(lambda: held.set() or go.wait(10))
    assert held.wait(10)
    for _ in range(50):
        recurrent.wake()
    go.set()
    settle(loop)
    assert pump.calls == 2


def test_it_comes_back_after_its_period(loop):
    pump = Pump()
    loop.recur(pump, name="pump", period_s=0.005)
    assert pump.idle.wait(10)
    pump.idle.clear()
    assert pump.idle.wait(10)


def test_a_failure_is_logged_and_counts_as_nothing_to_do(loop, caplog):
    calls, again = [], threading.Event()

    def faulty(what):
        calls.append(what)
        if len(calls) == 1:
            raise ValueError("empty queue")
        again.set()

    recurrent = loop.recur(faulty, "it", name="faulty", period_s=LONG_S)
    settle(loop)
    assert calls == ["it"]
    assert "faulty on e:default/0 failed: ValueError('empty queue')" in caplog.text
    recurrent.wake()
    assert again.wait(10)


def test_a_cancelled_one_is_called_no_more(loop):
    pump = Pump()
    recurrent = loop.recur(pump, name="pump", period_s=0.001)
    recurrent.cancel()
    settle(loop)
    calls = pump.calls
    recurrent.wake()
    loop.wake()
    settle(loop)
    assert pump.calls == calls


def test_what_cannot_be_recurrent_is_refused(loop, eventer):
    async def coroutine():
        pass

    with pytest.raises(TypeError, match="recurrent 'odd': an async function cannot be recurrent"):
        loop.recur(coroutine, name="odd")
    for period_s in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="recurrent 'odd'"):
            loop.recur(Pump(), name="odd", period_s=period_s)
    eventer.stop()
    with pytest.raises(LoopStopped):
        loop.recur(Pump(), name="late")
