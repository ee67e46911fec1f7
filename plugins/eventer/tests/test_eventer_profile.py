"""What callbacks take: names, histograms, reports of slow ones, and loops that do not turn."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
import time

import anyio
import anyio.to_thread
import pytest

from mtev_eventer import Eventer, EventerSettings, JobQueueSettings, PoolSettings
from mtev_eventer._monitor import Monitor
from mtev_eventer.profile import NEVER_NS, Profile, SlowReport, key_of
from mtev_stats import Histogram, Stats


@pytest.fixture(params=["uvloop", "asyncio"])
def running(request):
    started = []

    def start(**settings):
        eventer = Eventer(EventerSettings(implementation=request.param, **settings.pop("settings", {})), **settings)
        started.append(eventer)
        eventer.start()
        return eventer

    yield start
    for eventer in started:
        eventer.stop()


def counts(eventer):
    return {(each.name, each.pool): each.latency.count for each in eventer.callbacks()}


def plain():
    return None


async def steps(number):
    for _ in range(number):
        await asyncio.sleep(0)
    return number


def named(function):
    return f"{function.__module__}.{function.__qualname__}"


def after_everything(eventer):
    """Wait until the loop has done what it was asked for before."""
    asyncio.run(eventer.default.choose().run(asyncio.sleep, 0))


def test_every_kind_of_callback_has_a_name_and_figures(running):
    eventer = running()
    loop, fired = eventer.default.choose(), threading.Event()
    for _ in range(3):
        loop.call(plain)
    loop.after(0, plain, name="once")
    loop.after(0.001, steps, 2, name="async")
    loop.after(0.01, fired.set, name="last")
    assert fired.wait(10)
    assert asyncio.run(loop.run(steps, 5)) == 5
    asyncio.run(eventer.jobq().run(plain))
    after_everything(eventer)
    found = counts(eventer)
    assert found[named(plain), "default"] == 3
    assert found["timer 'once'", "default"] == 1
    assert found["timer 'async'", "default"] >= 3
    assert found[named(steps), "default"] == 6
    assert found[named(plain), "q:default_queue"] == 1
    assert not [name for name, _ in found if name.startswith("mtev_eventer.")]


def test_tasks_that_others_make_are_measured_step_by_step(running):
    eventer = running()

    async def outer():
        async with anyio.create_task_group() as group:
            group.start_soon(steps, 3)
            with anyio.move_on_after(0.01) as scope:
                await anyio.sleep(60)
            assert scope.cancelled_caught
        assert await anyio.to_thread.run_sync(lambda: 7) == 7
        task = asyncio.create_task(steps(2), name="mine")
        assert inspect.iscoroutinefunction(steps)
        assert task.get_name() == "mine"
        assert "steps" in repr(task)
        return await task

    assert asyncio.run(eventer.default.choose().run(outer)) == 2
    found = counts(eventer)
    assert found[named(steps), "default"] == 4 + 3
    assert any(name.endswith("outer") for name, _ in found)


def test_the_statistics_have_libmtevs_names(running):
    stats = Stats()
    eventer = running(stats=stats, settings={"pools": (PoolSettings("default"), PoolSettings("web"))})
    eventer.default.choose().call(plain)
    eventer.pool("web").choose().call(plain)
    asyncio.run(eventer.jobq().run(plain))
    asyncio.run(eventer.pool("web").choose().run(asyncio.sleep, 0))
    after_everything(eventer)
    path = ("mtev", "eventer")
    assert stats.find((*path, "callbacks", named(plain), "latency")).snapshot().count == 3
    assert stats.find((*path, "pool", "web", "callbacks")).snapshot().count >= 2
    assert stats.find((*path, "jobq", "default_queue", "latency")).snapshot().count == 1
    assert stats.find((*path, "jobq", "default_queue", "wait")).snapshot().count == 1
    assert stats.find((*path, "jobq", "default_queue", "total_jobs")).value == 1
    assert stats.find((*path, "jobq", "default_queue", "mem_safety")).value == "gc"
    tags = {".".join(entry.path): dict(entry.tags) for entry in stats.entries()}
    assert tags["mtev.eventer.pool.web.callbacks"] == {"mtev": "eventer", "mtev-pool": "web"}


def test_a_pool_may_do_without(running):
    eventer = running(settings={"pools": (PoolSettings("default", profile=False), PoolSettings("web"))})
    loop = eventer.default.choose()
    assert loop.timing("x") is None
    loop.call(plain)
    assert asyncio.run(loop.run(steps, 2)) == 2
    assert counts(eventer) == {}
    assert eventer.pool("web").choose().timing("x") is eventer.pool("web").choose().timing("x")


def test_slow_ones_are_reported_with_where_they_were_created(running, caplog):
    caplog.set_level(logging.DEBUG)
    slow = {"slow_loop_ms": 5.0, "slow_job_ms": 5.0}
    eventer = running(settings=slow)
    loop, done = eventer.default.choose(), threading.Event()
    loop.after(0, time.sleep, 0.02, name="sleepy")
    loop.spawn(asyncio.sleep, 0, name="quick")
    loop.after(0.03, done.set, name="last")
    assert done.wait(10)
    asyncio.run(eventer.jobq().run(time.sleep, 0.02))
    eventer.stop()
    reports = [record for record in caplog.records if record.name.startswith("eventer/callbacks/")]
    said = {record.name: record.getMessage() for record in reports}
    assert len(reports) == 2, said
    assert set(said) == {"eventer/callbacks/loop/default", "eventer/callbacks/jobq/default_queue"}
    assert said["eventer/callbacks/loop/default"].startswith("timer 'sleepy' [")
    assert "ns] created at test_eventer_profile.py:" in said["eventer/callbacks/loop/default"]
    assert "sleep [" in said["eventer/callbacks/jobq/default_queue"]
    assert "created at test_eventer_profile.py:" in said["eventer/callbacks/jobq/default_queue"]


def test_pools_and_queues_may_have_thresholds_of_their_own():
    settings = EventerSettings(
        pools=(PoolSettings("default"), PoolSettings("web")),
        queues=(JobQueueSettings("default_queue"), JobQueueSettings("io")),
        slow_loop_ms=1.0, slow_job_ms=2.0, slow_loops_ms={"web": 3.0}, slow_jobs_ms={"io": -1.0},
    )  # fmt: skip
    eventer = Eventer(settings)
    assert [pool.profile.slow.threshold_ms for pool in eventer.pools.values()] == [1.0, 3.0]
    assert [queue.profile.slow.threshold_ms for queue in eventer.jobqs.values()] == [2.0, -1.0]


def test_a_report_that_nobody_reads_costs_a_comparison(caplog):
    report = SlowReport("loop", "quiet", 0)
    assert (report.wanted, report.ns) == (False, NEVER_NS)
    caplog.set_level(logging.DEBUG, "eventer/callbacks/loop/quiet")
    report.refresh()
    assert (report.wanted, report.ns) == (True, 0)
    report.threshold_ms = 2.5
    assert report.ns == 2_500_000
    report.threshold_ms = -1
    assert not report.wanted


def test_names_are_bounded(caplog):
    stats, everything = Stats(), Histogram()
    profile = Profile("default", everything, stats, SlowReport("loop", "x", -1), {f"name {n}" for n in range(2000)})
    timings = [profile.timing(f"peer {n}") for n in range(3)]
    for timing in timings:
        timing.took(5)
    assert [(each.name, each.latency.count) for each in profile.callbacks()] == [("_other", 3)]
    assert everything.snapshot().count == 3
    assert caplog.text.count("further ones are '_other'") == 1


def test_functions_of_the_same_code_have_one_key():
    def make():
        return lambda: None

    assert key_of(make()) == key_of(make())
    assert key_of(functools.partial(functools.partial(plain))) == key_of(plain)
    assert key_of(functools.partial(print, 1)) == key_of(print)


# Loops that do not turn


def test_a_loop_that_does_not_turn_is_noticed_and_named(running, caplog):
    events, changed = [], threading.Condition()

    def told(event):
        with changed:
            events.append(event)
            changed.notify_all()

    eventer = running(blocked=told, settings={"blocked_s": 0.1})
    release = threading.Event()
    eventer.default.choose().call(release.wait, 20)
    with changed:
        assert changed.wait_for(lambda: events, 10)
        assert (events[0].loop, events[0].over) == ("e:default/0", False)
        assert events[0].seconds >= 0.1
        assert any("in wait" in frame for frame in events[0].where)
        assert eventer.default.choose().heartbeat_age_s > 0
        release.set()
        assert changed.wait_for(lambda: len(events) == 2, 10)
        assert (events[1].over, events[1].where) == (True, ())
    assert "the loop e:default/0 has not turned for" in caplog.text
    assert "the loop e:default/0 turns again" in caplog.text


def test_a_pool_may_allow_more_time(running):
    events = []
    pools = (PoolSettings("default", timeout_s=60.0), PoolSettings("web"))
    eventer = running(blocked=events.append, settings={"blocked_s": 0.05, "pools": pools})
    done = threading.Event()
    eventer.default.choose().call(time.sleep, 0.3)
    eventer.default.choose().call(done.set)
    assert done.wait(10)
    assert events == []


def test_after_the_process_was_stopped_nobody_is_blamed():
    class Loop:
        name, running, ident = "x", True, None

        def limit_s(self):
            return 1.0

        def ping(self, answered):
            return True  # and never answers

        def answered(self, lag_ns):
            raise AssertionError

    told = []
    monitor = Monitor([Loop()], 1.0, told.append, lambda: None, logging.getLogger())
    ((loop, look),) = monitor._looks
    monitor._look(loop, look, 100.0)
    monitor._look(loop, look, 100.5)
    assert told == []
    monitor._look(loop, look, 101.0)
    monitor._look(loop, look, 105.0)
    assert [event.seconds for event in told] == [1.0]
