"""Dependent jobs."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mtev_eventer import Eventer, EventerError, EventerSettings, JobExpired, JobQueueSettings, QueueFull


@pytest.fixture
def eventer():
    queues = (JobQueueSettings("default_queue", 1), JobQueueSettings("other", 2, backlog=3))
    eventer = Eventer(EventerSettings(queues=queues))
    eventer.start()
    yield eventer
    eventer.stop()


@pytest.fixture
def queue(eventer):
    return eventer.jobq()


def test_a_job_is_done_when_those_that_depend_on_it_are(eventer, queue):
    done = []

    def grandchild():
        done.append("grandchild")

    def child(number):
        if number == 1:
            queue.submit_dependent(grandchild)
        done.append(number)

    def parent():
        queue.submit_dependent(child, 1)
        eventer.jobq("other").submit_dependent(child, 2)
        return "all"

    # One thread: it would wait for itself for ever, if a job that waits for others kept its thread.
    assert asyncio.run(queue.run(parent)) == "all"
    assert sorted(map(str, done)) == ["1", "2", "grandchild"]
    assert queue.status().total_jobs == 3


def test_its_own_failure_comes_first_and_the_others_are_logged(queue, caplog):
    def fails(text):
        raise ValueError(text)

    def parent():
        queue.submit_dependent(fails, "child")
        raise KeyError("parent")

    with pytest.raises(KeyError, match="parent"):
        asyncio.run(queue.run(parent))
    assert "failed, and a job that it depends on failed too: ValueError('child')" in caplog.text


def test_failures_of_those_that_depend_on_it_are_its_own(queue, caplog):
    def fails(text):
        raise ValueError(text)

    def parent():
        queue.submit_dependent(fails, "one")
        queue.submit_dependent(fails, "two")
        queue.submit_dependent(len, "fine")

    with pytest.raises(ExceptionGroup, match="jobs that .*parent depends on failed") as failed:
        asyncio.run(queue.run(parent))
    assert sorted(map(str, failed.value.exceptions)) == ["one", "two"]
    assert "ERROR" not in caplog.text


def test_nobody_awaits_it_so_its_failures_are_logged_once(eventer, queue, caplog):
    def fails():
        raise ValueError("child")

    def parent():
        queue.submit_dependent(fails)

    job = queue.submit_nowait(parent)
    assert eventer.drain(10)
    eventer.stop()
    assert job.done
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "parent of queue 'default_queue' failed: ExceptionGroup" in caplog.text


def test_outside_of_a_job_there_is_nothing_to_depend_on(queue):
    with pytest.raises(EventerError, match="can be submitted only from within a job; use submit_nowait elsewhere"):
        queue.submit_dependent(len, "")


def test_a_full_queue_refuses_and_the_job_does_not_wait_for_what_was_refused(eventer, queue):
    other, go_on = eventer.jobq("other"), threading.Event()
    refused = []

    def parent():
        try:
            while True:
                other.submit_dependent(go_on.wait, 10)
        except QueueFull:
            refused.append(True)
            go_on.set()
        return "done"

    assert asyncio.run(queue.run(parent)) == "done"
    assert refused == [True]


def test_giving_it_up_gives_them_up(eventer, queue):
    other, go_on, begun = eventer.jobq("other"), threading.Event(), threading.Event()
    ran = []

    def hold():
        begun.set()
        go_on.wait(10)

    def parent():
        other.submit_dependent(hold)
        other.submit_dependent(hold)
        other.submit_dependent(ran.append, 1)

    async def go():
        with pytest.raises(JobExpired, match="jobs that it depends on are not done"):
            await queue.run(parent, timeout_s=0.2)

    asyncio.run(go())
    assert begun.wait(10)
    go_on.set()
    assert eventer.drain(10)
    assert ran == [], "what had not begun never did"


def test_a_cancelled_one_counts_as_done(queue):
    children = []

    def parent():
        children.append(queue.submit_dependent(len, ""))
        assert children[0].cancel()
        return "done"

    assert asyncio.run(queue.run(parent)) == "done"
    assert children[0].done


def test_one_whose_time_is_up_fails_it(queue):
    def parent():
        queue.submit_dependent(len, "", timeout_s=0.0)

    with pytest.raises(ExceptionGroup) as failed:
        asyncio.run(queue.run(parent))
    assert [type(each) for each in failed.value.exceptions] == [JobExpired]


def test_a_queue_that_stops_fails_it(eventer, queue):
    go_on, parent_ran = threading.Event(), threading.Event()

    def parent():
        for _ in range(3):
            eventer.jobq("other").submit_dependent(go_on.wait, 10)
        parent_ran.set()

    async def go():
        awaiting = asyncio.ensure_future(queue.run(parent))
        await asyncio.to_thread(parent_ran.wait, 10)
        stopping = asyncio.ensure_future(asyncio.to_thread(eventer.stop, 0.5))
        letting_go = asyncio.get_running_loop().call_later(1.0, go_on.set)
        with pytest.raises(ExceptionGroup, match="depends on failed"):
            await awaiting
        letting_go.cancel()
        go_on.set()
        await stopping

    asyncio.run(go())
