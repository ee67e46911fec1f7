"""Gates."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mtev_eventer import Eventer, EventerSettings, Gate, JobQueueSettings, LoopStopped, PoolSettings, QueueFull


@pytest.fixture
def eventer():
    queue = JobQueueSettings("default_queue", 1, backlog=100)
    eventer = Eventer(EventerSettings(pools=(PoolSettings("default", 2),), queues=(queue,)))
    eventer.start()
    yield eventer
    eventer.stop()


def test_an_empty_one_is_open():
    asyncio.run(Gate("empty").wait())


def test_it_opens_when_the_last_has_left_from_whatever_thread():
    async def go():
        gate = Gate("threads")
        go_on = threading.Event()

        def work():
            with gate:
                entered.release()
                go_on.wait(10)

        entered = threading.Semaphore(0)
        threads = [threading.Thread(target=work) for _ in range(5)]
        for thread in threads:
            thread.start()
            entered.acquire()
        assert gate.pending == 5
        waiting = [asyncio.ensure_future(gate.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        go_on.set()
        await asyncio.gather(*waiting)
        assert gate.pending == 0
        for thread in threads:
            thread.join()

    asyncio.run(go())


def test_it_can_be_used_again():
    async def go():
        gate = Gate("again")
        for _ in range(2):
            gate.enter()
            waiting = asyncio.ensure_future(gate.wait())
            await asyncio.sleep(0)
            gate.leave()
            await waiting

    asyncio.run(go())


def test_waiting_has_a_limit_and_can_be_cancelled():
    async def go():
        gate = Gate("slow")
        gate.enter()
        with pytest.raises(TimeoutError, match=r"the gate 'slow': 1 are still under way after 0\.001 s"):
            await gate.wait(0.001)
        waiting = asyncio.ensure_future(gate.wait())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.leave()
        await gate.wait()

    asyncio.run(go())


def test_leaving_too_often_is_an_error():
    gate = Gate("odd")
    with pytest.raises(ValueError, match="the gate 'odd' was left more often than it was entered"):
        gate.leave()


def test_jobs_and_tasks_enter_and_leave_it_however_they_end(eventer):
    gate = Gate("work")
    done = []
    go_on = threading.Event()

    def job(number):
        go_on.wait(10)
        done.append(number)
        if number == 2:
            raise ValueError("one fails")

    async def task(number):
        await asyncio.sleep(0.001)
        done.append(number)
        if number == 12:
            raise ValueError("one fails")

    for number in range(3):
        eventer.jobq().submit_nowait(job, number, gate=gate)
    cancelled = eventer.jobq().submit_nowait(job, 99, gate=gate)
    for number in range(10, 13):
        eventer.default.choose().spawn(task, number, name="task", gate=gate)
    endless = eventer.default.choose().spawn(asyncio.sleep, 3600, name="endless", gate=gate)
    assert gate.pending == 8
    assert cancelled.cancel()
    endless.cancel()
    go_on.set()
    asyncio.run(gate.wait())
    assert sorted(done) == [0, 1, 2, 10, 11, 12]


def test_what_is_refused_does_not_stay_in_it(eventer):
    gate = Gate("refused")
    begun, go_on = threading.Event(), threading.Event()
    eventer.jobq().submit_nowait(lambda: begun.set() or go_on.wait(10), gate=gate)
    assert begun.wait(10)
    for _ in range(100):
        eventer.jobq().submit_nowait(go_on.wait, 10, gate=gate)
    with pytest.raises(QueueFull):
        eventer.jobq().submit_nowait(go_on.wait, 10, gate=gate)
    go_on.set()
    asyncio.run(gate.wait())
    loop = eventer.default.choose()
    eventer.stop()
    with pytest.raises(LoopStopped):
        loop.spawn(asyncio.sleep, 1, name="late", gate=gate)
    assert gate.pending == 0


def test_the_end_of_the_eventer_opens_it(eventer):
    gate = Gate("end")
    eventer.default.choose().spawn(asyncio.sleep, 3600, name="endless", gate=gate)
    eventer.stop()
    assert gate.pending == 0
