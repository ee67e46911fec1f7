"""Starting and stopping: exact, bounded, repeatable, and honest about what is left."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from pathlib import Path

import pytest

from mtev_eventer import (
    Eventer,
    EventerError,
    EventerSettings,
    JobQueueSettings,
    LoopDied,
    LoopStopped,
    PoolSettings,
    QueueStopped,
)

SETTINGS = EventerSettings(pools=(PoolSettings("default", 2), PoolSettings("web", 1)))


def ours():
    return sorted(each.name for each in threading.enumerate() if each.name.startswith(("e:", "q:")))


def test_several_live_side_by_side_and_each_starts_again():
    before = ours()
    one, other = Eventer(SETTINGS), Eventer(EventerSettings("asyncio"))
    for _ in range(3):
        one.start()
        other.start()
        assert ours() == sorted([*before, "e:default/0", "e:default/0", "e:default/1", "e:web/2"])
        assert asyncio.run(one.jobq().run(int, "1")) == 1
        assert asyncio.run(other.default.choose().run(asyncio.sleep, 0, "slept")) == "slept"
        assert one.stop() == []
        assert other.stop() == []
        assert one.stop() == []
        assert ours() == before


def test_nothing_stays_open():
    eventer = Eventer(SETTINGS)

    def once():
        eventer.start()
        asyncio.run(eventer.jobq().run(int, "1"))
        eventer.stop()
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    once()
    assert once() == once()


def test_stop_without_start():
    assert Eventer().stop() == []


def test_a_second_start_is_refused_and_the_first_goes_on():
    eventer = Eventer()
    eventer.start()
    with pytest.raises(EventerError, match="cannot start"):
        eventer.start()
    assert asyncio.run(eventer.default.choose().run(asyncio.sleep, 0, "slept")) == "slept"
    eventer.stop()


def test_half_a_start(monkeypatch):
    before = ours()
    eventer = Eventer(SETTINGS)
    start, calls = threading.Thread.start, []

    def scarce(thread):
        if thread.name.startswith("e:"):
            calls.append(thread.name)
            if len(calls) == 2:
                raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    with pytest.raises(EventerError, match=r"'e:default/1' cannot be started: can't start new thread"):
        eventer.start()
    assert eventer.stop() == []
    assert ours() == before
    eventer.start()
    assert eventer.stop() == []
    assert ours() == before


def test_timers_and_tasks_are_cancelled_and_tasks_awaited(caplog):
    eventer = Eventer(SETTINGS)
    eventer.start()
    begun, events = threading.Semaphore(0), []

    async def work(number):
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            events.append(number)

    tasks = [eventer.default.choose().spawn(work, number, name=f"work {number}") for number in range(4)]
    for _ in tasks:
        assert begun.acquire(timeout=10)
    loop = eventer.default.choose()
    loop.after(1000, events.append, "timer", name="later")
    loop.every(1000, events.append, "timer", name="again")
    assert eventer.stop() == []
    assert sorted(events) == [0, 1, 2, 3]
    assert all(task.done for task in tasks)
    assert eventer.timers() == []
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_stopping_task_may_still_use_loops_and_queues():
    eventer = Eventer(SETTINGS)
    eventer.start()
    first, second = eventer.default.loops
    begun, events = threading.Event(), []

    async def tidy():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            events.append(await second.run(asyncio.sleep, 0, "elsewhere"))
            events.append(await eventer.jobq().run(str, "in a job"))
            with pytest.raises(LoopStopped):
                second.spawn(asyncio.sleep, 0, name="more")

    first.spawn(tidy, name="tidy")
    assert begun.wait(10)
    assert eventer.stop() == []
    assert events == ["elsewhere", "in a job"]


def test_a_task_that_ignores_its_cancellation_is_named(caplog):
    eventer = Eventer()
    eventer.start()
    begun = threading.Event()

    async def stubborn():
        begun.set()
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                continue

    eventer.default.choose().spawn(stubborn, name="stubborn 1")
    assert begun.wait(10)
    assert eventer.stop(0.3) == ["task 'stubborn 1' on e:default/0 ignored its cancellation"]
    assert "task 'stubborn 1' on e:default/0 ignored its cancellation; it is left behind" in caplog.text
    gc.collect()
    assert ours() == []


def test_a_hung_job_is_named_and_left_behind(caplog):
    eventer = Eventer(EventerSettings(queues=(JobQueueSettings("default_queue", 1),)))
    eventer.start()
    begun, let_go, outcome = threading.Event(), threading.Event(), []

    def hang():
        begun.set()
        let_go.wait(20)

    async def main():
        held = asyncio.create_task(eventer.jobq().run(hang))
        await asyncio.to_thread(begun.wait)
        waiting = asyncio.create_task(eventer.jobq().run(outcome.append, "never"))
        await asyncio.sleep(0)
        left = await asyncio.to_thread(eventer.stop, 0.3)
        with pytest.raises(QueueStopped, match=r"stopped before the turn of .*append came"):
            await waiting
        let_go.set()
        assert await held is None
        return left

    running, waiting = asyncio.run(main())
    assert "hang of queue 'default_queue' is still running in" in running
    assert "threading.py" in running or "test_eventer_stopping.py" in running
    assert waiting.startswith("1 jobs of queue 'default_queue' were not begun")
    assert "is still running" in caplog.text
    assert outcome == []


def test_a_hung_loop_is_named_and_can_start_again_when_it_is_free():
    eventer = Eventer()
    eventer.start()
    begun, let_go = threading.Event(), threading.Event()

    def hang():
        begun.set()
        let_go.wait(20)

    loop = eventer.default.choose()
    loop.call(hang)
    assert begun.wait(10)
    thread = next(each for each in threading.enumerate() if each.name == loop.name)
    (left,) = eventer.stop(0.3)
    assert left.startswith("thread 'e:default/0' hangs in ")
    with pytest.raises(EventerError, match="its last thread has not ended yet"):
        eventer.start()
    let_go.set()
    thread.join(10)
    assert not thread.is_alive()
    eventer.start()
    assert asyncio.run(loop.run(asyncio.sleep, 0, "slept")) == "slept"
    assert eventer.stop() == []


def test_whoever_awaits_a_loop_that_ends_is_told():
    eventer = Eventer()
    eventer.start()
    loop = eventer.default.choose()
    begun, let_go = threading.Event(), threading.Event()

    async def stubborn():
        begun.set()
        while not let_go.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    async def main():
        task = asyncio.create_task(loop.run(stubborn))
        await asyncio.to_thread(begun.wait)
        await asyncio.to_thread(eventer.stop, 0.3)
        with pytest.raises(LoopStopped, match="ended before"):
            await task

    asyncio.run(main())
    let_go.set()


def test_stop_on_an_own_loop_is_refused():
    eventer = Eventer()
    eventer.start()

    async def suicide():
        eventer.stop()

    with pytest.raises(EventerError, match="own loops"):
        asyncio.run(eventer.default.choose().run(suicide))
    eventer.stop()


def test_draining_waits_for_jobs(caplog):
    eventer = Eventer()
    eventer.start()
    assert eventer.drain(0)
    let_go, done = threading.Event(), []
    eventer.jobq().submit_nowait(let_go.wait, 20)
    assert not eventer.drain(0.05)
    assert "wait of queue 'default_queue' is still running" in caplog.text
    eventer.jobq().submit_nowait(done.append, 1)
    let_go.set()
    assert eventer.drain(10)
    assert done == [1]
    eventer.stop()


def test_a_loop_that_dies_is_reported_and_nobody_waits_for_it(monkeypatch, caplog):
    deaths = []
    eventer = Eventer(EventerSettings("asyncio"), died=deaths.append)
    eventer.start()
    loop = eventer.default.choose()
    begun = threading.Event()

    async def wait_for_ever():
        begun.set()
        await asyncio.Event().wait()

    def break_machinery(timeout):
        raise OSError(9, "Bad file descriptor")

    async def main():
        task = asyncio.create_task(loop.run(wait_for_ever))
        await asyncio.to_thread(begun.wait)
        loop.call(monkeypatch.setattr, loop.asyncio_loop._selector, "select", break_machinery)
        with pytest.raises(LoopStopped):
            await task

    asyncio.run(main())
    for thread in threading.enumerate():
        if thread.name == loop.name:
            thread.join(10)
    assert isinstance(deaths[0], LoopDied)
    assert "'e:default/0' died: OSError(9" in str(deaths[0])
    assert "the loop e:default/0 died" in caplog.text
    assert not loop.running
    with pytest.raises(LoopStopped):
        loop.call(print)
    assert eventer.stop() == []
    monkeypatch.undo()
    eventer.start()
    assert asyncio.run(loop.run(asyncio.sleep, 0, "slept")) == "slept"
    eventer.stop()


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="reads the limit from /proc")
def test_the_limit_of_open_files_is_raised():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    eventer = Eventer(EventerSettings(rlim_nofiles=min(512, hard)))
    try:
        eventer.start()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(512, hard), hard)
    finally:
        eventer.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
