"""Job queues."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import logging
import threading
import time
import weakref

import pytest

from mtev_eventer import Escaped, Eventer, EventerSettings, JobExpired, JobQueueSettings, QueueFull, QueueStopped

WHO = contextvars.ContextVar("who", default="nobody")


@pytest.fixture
def make_queue():
    eventers = []

    def make(concurrency=2, **settings):
        queue = JobQueueSettings("x", concurrency, **settings)
        eventer = Eventer(EventerSettings(queues=(JobQueueSettings("default_queue", 5), queue)))
        eventers.append(eventer)
        eventer.start()
        return eventer.jobq("x")

    yield make
    for eventer in eventers:
        eventer.stop()


class Gate:
    """A job that can be held."""

    def __init__(self):
        self.begun = threading.Semaphore(0)
        self.let_go = threading.Event()

    def __call__(self, result=None):
        self.begun.release()
        assert self.let_go.wait(20)
        return result


async def turn(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # it is set on a worker, which knows no asyncio event
            await asyncio.sleep(0.001)


def test_run_brings_back_the_result_and_the_error(make_queue):
    queue = make_queue()

    def fail():
        raise KeyError("lost")

    async def main():
        assert await queue.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(KeyError, match="lost"):
            await queue.run(fail)
        assert (queue.total_jobs, queue.backlog, queue.inflight) == (2, 0, 0)

    asyncio.run(main())


def test_it_runs_on_named_threads_that_start_when_they_are_needed(make_queue):
    queue = make_queue(3)
    gate = Gate()

    async def main():
        assert queue.status().concurrency == 0
        assert (await queue.run(threading.current_thread)).name == "q:x"
        assert queue.status().concurrency == 1
        jobs = [asyncio.create_task(queue.run(gate, number)) for number in range(5)]
        await until(lambda: queue.inflight == 3)
        assert (queue.status().concurrency, queue.concurrency, queue.backlog) == (3, 3, 2)
        gate.let_go.set()
        assert await asyncio.gather(*jobs) == [0, 1, 2, 3, 4]

    asyncio.run(main())


def test_context_variables_are_carried(make_queue):
    queue = make_queue()

    async def main():
        WHO.set("me")
        return await queue.run(WHO.get)

    assert asyncio.run(main()) == "me"
    assert asyncio.run(queue.run(WHO.get)) == "nobody"


@pytest.mark.parametrize("error", [SystemExit(4), KeyboardInterrupt(), StopIteration(), asyncio.CancelledError()])
def test_what_would_end_a_loop_is_wrapped(make_queue, error):
    queue = make_queue()

    def leave():
        raise error

    with pytest.raises(Escaped, match="leave raised") as caught:
        asyncio.run(queue.run(leave))
    assert caught.value.__cause__ is error
    assert asyncio.run(queue.run(int, "5")) == 5


@pytest.mark.parametrize(("order", "expected"), [("fifo", [1, 2, 3]), ("lifo", [3, 2, 1])])
def test_order(make_queue, order, expected):
    queue = make_queue(1, order=order)
    gate, seen = Gate(), []
    queue.submit_nowait(gate)
    assert gate.begun.acquire(timeout=10)
    for number in (1, 2, 3):
        queue.submit_nowait(seen.append, number)
    gate.let_go.set()
    assert queue._wait_calm(threading.TIMEOUT_MAX / 2) == []
    assert seen == expected


def test_a_full_backlog_refuses_or_lets_wait(make_queue):
    queue = make_queue(1, backlog=2)
    gate, seen = Gate(), []

    async def main():
        held = asyncio.create_task(queue.run(gate))
        await until(lambda: queue.inflight == 1)
        queue.submit_nowait(seen.append, 1)
        queue.submit_nowait(seen.append, 2)
        with pytest.raises(QueueFull, match="'x' is full: 2 jobs wait already"):
            queue.submit_nowait(seen.append, 99)
        waiting = [asyncio.create_task(queue.run(seen.append, number)) for number in (3, 4)]
        await turn()
        assert queue.backlog == 4
        with pytest.raises(QueueFull):
            queue.submit_nowait(seen.append, 99)
        gate.let_go.set()
        await asyncio.gather(held, *waiting)

    asyncio.run(main())
    assert seen == [1, 2, 3, 4]


def test_cancelling_before_its_turn_drops_the_job_and_frees_its_place(make_queue):
    queue = make_queue(1, backlog=2)
    gate, seen = Gate(), []

    async def main():
        held = asyncio.create_task(queue.run(gate))
        await until(lambda: queue.inflight == 1)
        first, second, third = (asyncio.create_task(queue.run(seen.append, number)) for number in (1, 2, 3))
        await turn()
        for each in (first, third):
            each.cancel()
            with pytest.raises(asyncio.CancelledError):
                await each
        assert queue.backlog == 1
        queue.submit_nowait(seen.append, 4)
        gate.let_go.set()
        await asyncio.gather(held, second)
        assert queue.status().timeouts == 2

    asyncio.run(main())
    assert queue._wait_calm(threading.TIMEOUT_MAX / 2) == []
    assert seen == [2, 4]


def test_cancelling_a_running_job_lets_its_awaiter_go_on(make_queue, caplog):
    queue = make_queue(1)
    gate = Gate()

    def hold_and_fail():
        gate()
        raise ValueError("too late to matter")

    async def main():
        task = asyncio.create_task(queue.run(hold_and_fail))
        await until(lambda: queue.inflight == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert queue.inflight == 1
        gate.let_go.set()
        assert await queue.run(int, "3") == 3
        await turn()

    asyncio.run(main())
    assert "hold_and_fail of queue 'x' failed after its awaiter had gone: ValueError" in caplog.text


def test_a_submitted_job_that_fails_is_logged(make_queue, caplog):
    queue = make_queue()

    def broken():
        raise ValueError("it broke")

    job = queue.submit_nowait(broken)
    asyncio.run(until(lambda: job.done))
    asyncio.run(queue.run(int))
    queue._wait_calm(threading.TIMEOUT_MAX / 2)
    asyncio.run(until(lambda: "it broke" in caplog.text))
    assert job.name.endswith("broken")
    assert "broken of queue 'x' failed: ValueError('it broke')" in caplog.text


def test_a_submitted_job_can_be_taken_back(make_queue):
    queue = make_queue(1)
    gate, seen = Gate(), []
    running = queue.submit_nowait(gate)
    assert gate.begun.acquire(timeout=10)
    waiting = queue.submit_nowait(seen.append, 1)
    assert waiting.cancel()
    assert waiting.done
    assert not waiting.cancel()
    assert not running.cancel()
    gate.let_go.set()
    asyncio.run(until(lambda: running.done))
    assert seen == []


def test_an_idle_worker_keeps_nothing_alive(make_queue):
    queue = make_queue(1)

    class Thing:
        pass

    thing = Thing()
    seen = weakref.ref(thing)
    asyncio.run(queue.run(id, thing))
    del thing
    asyncio.run(until(lambda: gc.collect() >= 0 and seen() is None))


def test_jobs_of_many_loops_and_threads(make_queue):
    queue = make_queue(4, backlog=10)
    results = []

    async def main(number):
        return await asyncio.gather(*(queue.run(divmod, number * 300 + each, 7) for each in range(300)))

    def one(number):
        results.append(asyncio.run(main(number)))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(itertools.chain(*results)) == sorted(divmod(each, 7) for each in range(1800))
    status = queue.status()
    assert (status.total_jobs, status.backlog, status.inflight, status.timeouts) == (1800, 0, 0, 0)
    assert status.avg_wait_ms > 0
    assert status.avg_run_ms > 0


def test_cancelling_at_random_loses_nothing(make_queue):
    queue = make_queue(3, backlog=5)
    seen = []

    async def main():
        tasks = [asyncio.create_task(queue.run(seen.append, number)) for number in range(500)]
        for turns, task in enumerate(tasks):
            if turns % 3 == 0:
                task.cancel()
            if turns % 50 == 0:
                await asyncio.sleep(0)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        kept = [number for number, outcome in enumerate(outcomes) if outcome is None]
        assert {number for number in range(500) if number % 3} <= set(kept) <= set(seen)

    asyncio.run(main())
    assert queue._wait_calm(threading.TIMEOUT_MAX / 2) == []
    assert len(seen) == len(set(seen)) == queue.total_jobs


def test_a_queue_takes_no_jobs_before_start_and_after_stop():
    eventer = Eventer()
    queue = eventer.jobq()
    with pytest.raises(QueueStopped, match="'default_queue' is not running"):
        queue.submit_nowait(print)
    eventer.start()
    assert asyncio.run(queue.run(int, "1")) == 1
    eventer.stop()
    with pytest.raises(QueueStopped):
        asyncio.run(queue.run(int, "1"))


def test_a_queue_that_is_not_there():
    with pytest.raises(LookupError, match="no job queue 'io'; there are default_queue"):
        Eventer().jobq("io")


def test_slow_jobs_are_reported(make_queue, caplog):
    caplog.set_level(logging.DEBUG)
    asyncio.run(make_queue().run(int, "1"))

    def lines():
        return [each.getMessage() for each in caplog.records if each.name == "eventer/callbacks/jobq/x"]

    asyncio.run(until(lines))
    assert lines()[0].startswith("builtins.int [")


# Deadlines, subqueues, and changes while it runs


def test_a_job_that_does_not_begin_in_time_never_begins(make_queue):
    queue, gate, ran = make_queue(1), Gate(), []

    async def main():
        held = asyncio.create_task(queue.run(gate))
        await until(lambda: queue.inflight == 1)
        with pytest.raises(JobExpired, match=r"'x' did not end within 0.01 s: it never began") as expired:
            await queue.run(ran.append, 1, timeout_s=0.01)
        assert isinstance(expired.value, TimeoutError)
        job = queue.submit_nowait(ran.append, 2, timeout_s=0)
        gate.let_go.set()
        await held
        await until(lambda: job.done)
        assert (ran, queue.status().timeouts, queue.total_jobs) == ([], 2, 1)

    asyncio.run(main())


def test_a_job_that_does_not_end_in_time_is_given_up_and_its_end_is_told(make_queue, caplog):
    queue, gate = make_queue(1), Gate()

    async def main():
        with pytest.raises(JobExpired, match="it is still running, and its outcome will be dropped"):
            await queue.run(gate, timeout_s=0.05)
        assert queue.status().abandoned == 1
        gate.let_go.set()
        await until(lambda: queue.total_jobs == 1)
        assert queue.status().abandoned == 0

    asyncio.run(main())
    assert "after its awaiter had given it up" in caplog.text


def test_a_timeout_of_the_function_itself_is_its_own(make_queue):
    queue = make_queue()

    def fail():
        raise TimeoutError("the peer's")

    async def main():
        with pytest.raises(TimeoutError, match="the peer's") as failure:
            await queue.run(fail, timeout_s=30)
        assert not isinstance(failure.value, JobExpired)

    asyncio.run(main())


def test_a_full_queue_refuses_those_who_only_try(make_queue):
    queue, gate = make_queue(1, backlog=1), Gate()

    async def main():
        held = asyncio.create_task(queue.run(gate))
        await until(lambda: queue.inflight == 1)
        queue.submit_nowait(int)
        with pytest.raises(QueueFull, match="1 jobs wait already"):
            await queue.try_run(int)
        gate.let_go.set()
        await held
        await until(lambda: queue.backlog == 0)
        assert await queue.try_run(int, "7") == 7

    asyncio.run(main())


def test_subqueues_take_turns_and_are_inherited(make_queue):
    queue, gate, order = make_queue(1), Gate(), []

    def parent():
        order.append("parent")
        queue.submit_nowait(order.append, "child")

    async def main():
        held = asyncio.create_task(queue.run(gate))
        await until(lambda: queue.inflight == 1)
        for number in range(3):
            queue.submit_nowait(order.append, f"a{number}", subqueue="a")
        queue.submit_nowait(parent, subqueue="b")
        queue.submit_nowait(order.append, "b1", subqueue="b")
        assert queue.status().subqueues == 2
        gate.let_go.set()
        await held
        await until(lambda: queue.total_jobs == 7)

    asyncio.run(main())
    assert order[:4] == ["a0", "parent", "a1", "b1"]
    assert order.index("child") > order.index("b1")


def test_the_concurrency_changes_while_it_runs(make_queue):
    queue, gate = make_queue(1, minimum=1, maximum=4), Gate()

    async def main():
        held = [asyncio.create_task(queue.run(gate, number)) for number in range(6)]
        await until(lambda: queue.inflight == 1)
        assert queue.set_concurrency(99) == 4
        await until(lambda: queue.inflight == 4)
        assert queue.set_concurrency(2) == 2
        gate.let_go.set()
        assert await asyncio.gather(*held) == list(range(6))
        await until(lambda: queue.status().concurrency <= 2)
        queue.set_floor(3)
        assert (queue.status().min_concurrency, queue.status().desired_concurrency) == (3, 3)
        queue.set_min_max(0, 2)
        assert queue.status().desired_concurrency == 2
        for wrong in (lambda: queue.set_concurrency(0), lambda: queue.set_min_max(3, 2), lambda: queue.set_floor(-1)):
            with pytest.raises(ValueError, match="cannot have"):
                wrong()

    asyncio.run(main())


def test_idle_threads_end_down_to_the_floor(make_queue, monkeypatch):
    monkeypatch.setattr("mtev_eventer.jobqueue._IDLE_S", 0.02)
    queue, gate = make_queue(3), Gate()
    queue.set_floor(1)

    async def main():
        held = [asyncio.create_task(queue.run(gate)) for _ in range(3)]
        await until(lambda: queue.inflight == 3)
        gate.let_go.set()
        await asyncio.gather(*held)
        await until(lambda: queue.status().concurrency == 1)
        assert await queue.run(int, "5") == 5

    asyncio.run(main())


def test_a_given_name_is_what_logs_show(make_queue, caplog):
    queue = make_queue()
    queue.submit_nowait(int, "x", name="acme import")

    async def main():
        await until(lambda: "failed" in caplog.text)

    asyncio.run(main())
    assert "job acme import of queue 'x' failed" in caplog.text


def test_a_job_that_a_worker_finds_too_old_is_expired_for_its_awaiter_as_well(make_queue):
    """The loop is late itself: the worker has dropped the job before the awaiter's own time-out can fire."""
    queue, gate = make_queue(1), Gate()

    async def main():
        queue.submit_nowait(gate)
        await asyncio.to_thread(gate.begun.acquire)
        awaiting = asyncio.ensure_future(queue.run(len, "", timeout_s=0.05))
        await turn()
        time.sleep(0.1)  # noqa: ASYNC251  # this loop does not turn
        gate.let_go.set()
        while queue.status().timeouts == 0:
            time.sleep(0.001)  # noqa: ASYNC251  # likewise
        with pytest.raises(JobExpired):
            await awaiting

    asyncio.run(main())


def test_a_result_that_comes_at_the_very_last_moment_counts(make_queue):
    queue, gate = make_queue(1), Gate()

    async def main():
        awaiting = asyncio.ensure_future(queue.run(gate, "done", timeout_s=0.1))
        await asyncio.to_thread(gate.begun.acquire)
        await asyncio.sleep(0.03)
        gate.let_go.set()
        while queue.inflight:
            time.sleep(0.001)  # noqa: ASYNC251  # this loop does not turn
        time.sleep(0.15)  # noqa: ASYNC251  # likewise: result and time-out arrive in one turn
        assert await awaiting == "done"

    asyncio.run(main())
