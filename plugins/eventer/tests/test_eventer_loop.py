"""Loops: work from other threads and loops, its failures, its cancellation."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading

import pytest

from mtev_eventer import Escaped, Eventer, EventerSettings, LoopStopped, PoolSettings

WHO = contextvars.ContextVar("who", default="nobody")


@pytest.fixture(params=["uvloop", "asyncio"])
def eventer(request):
    made = Eventer(EventerSettings(request.param, (PoolSettings("default", 2), PoolSettings("web", 1))))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def loop(eventer):
    return eventer.default.loops[0]


async def where_am_i():
    return threading.current_thread().name


def test_threads_are_called_as_their_loops(eventer):
    names = [loop.name for loop in eventer.loops]
    assert names == ["e:default/0", "e:default/1", "e:web/2"]
    assert [asyncio.run(loop.run(where_am_i)) for loop in eventer.loops] == names


def test_the_implementation_is_the_one_asked_for(eventer):
    module = type(eventer.default.loops[0].asyncio_loop).__module__
    assert module.startswith("uvloop" if eventer.settings.implementation == "uvloop" else "asyncio")


def test_pools_are_chosen_from_in_turn(eventer):
    first, second = eventer.default.loops
    assert [eventer.default.choose() for _ in range(4)] == [first, second, first, second]
    assert eventer.pool("web").choose() is eventer.pool("web").choose()


def test_a_pool_that_is_not_there(eventer):
    with pytest.raises(LookupError, match=r"no pool 'wbe'; there are default, web.*'loop_wbe'"):
        eventer.pool("wbe")


def test_run_brings_back_the_result_and_the_error(loop):
    async def add(a, b):
        await asyncio.sleep(0)
        return a + b

    async def fail():
        raise KeyError("lost")

    assert asyncio.run(loop.run(add, 1, 2)) == 3
    with pytest.raises(KeyError, match="lost"):
        asyncio.run(loop.run(fail))


def test_run_on_the_loop_itself_and_from_one_loop_to_another(eventer):
    first, second = eventer.default.loops

    async def hop():
        return [await first.run(where_am_i), await second.run(where_am_i)]

    assert asyncio.run(first.run(hop)) == [first.name, second.name]


def test_run_carries_context_variables(loop):
    async def who():
        return WHO.get()

    async def main():
        WHO.set("me")
        return await loop.run(who)

    assert asyncio.run(main()) == "me"


def test_cancelling_run_cancels_over_there_and_waits_for_it(loop):
    begun, events = threading.Event(), []

    async def linger():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            events.append("cleaned up")

    async def main():
        task = asyncio.create_task(loop.run(linger))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert events == ["cleaned up"]

    asyncio.run(main())


def test_a_time_limit_reaches_across(loop):
    async def main():
        async with asyncio.timeout(0.01):
            await loop.run(asyncio.Event().wait)

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_a_cancelled_run_may_still_give_a_result(loop):
    begun = threading.Event()

    async def stubborn():
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done all the same"

    async def main():
        task = asyncio.create_task(loop.run(stubborn))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        return await task

    assert asyncio.run(main()) == "done all the same"


def test_an_exit_over_there_ends_no_loop(loop):
    async def leave():
        raise SystemExit(3)

    with pytest.raises(Escaped, match=r"leave called sys\.exit\(3\) on e:default/0"):
        asyncio.run(loop.run(leave))
    assert asyncio.run(loop.run(where_am_i)) == loop.name


def test_call_runs_in_order_with_the_context_of_the_caller(loop):
    seen, done = [], threading.Event()
    WHO.set("caller")
    for number in range(1000):
        loop.call(seen.append, number)
    loop.call(lambda: (seen.append(WHO.get()), done.set()))
    assert done.wait(10)
    assert seen == [*range(1000), "caller"]


def broken():
    raise ValueError("it broke")


def leaving():
    raise SystemExit(1)


@pytest.mark.parametrize("function", [broken, leaving])
def test_a_failing_call_is_logged_by_name_and_the_loop_goes_on(loop, caplog, function):
    loop.call(function)
    assert asyncio.run(loop.run(where_am_i)) == loop.name
    assert f"{function.__name__} on e:default/0 failed" in caplog.text


def test_a_strangers_exit_and_stop_do_not_end_the_loop(loop, caplog):
    loop.asyncio_loop.call_soon_threadsafe(leaving)
    assert asyncio.run(loop.run(where_am_i)) == loop.name
    loop.asyncio_loop.call_soon_threadsafe(loop.asyncio_loop.stop)
    assert asyncio.run(loop.run(where_am_i)) == loop.name
    assert "SystemExit(1); the loop goes on" in caplog.text
    assert "somebody stopped the loop e:default/0" in caplog.text


def test_a_strangers_failing_callback_is_logged_with_the_loop(loop, caplog):
    loop.asyncio_loop.call_soon_threadsafe(broken)
    assert asyncio.run(loop.run(where_am_i)) == loop.name
    assert "e:default/0: Exception in callback" in caplog.text
    assert "it broke" in caplog.text


def test_spawn(loop, caplog):
    done = threading.Event()

    async def work(text):
        done.set()
        raise ValueError(text)

    task = loop.spawn(work, "no luck", name="worker 7")
    assert task.name == "worker 7"
    assert done.wait(10)
    wait_for(loop, lambda: task.done)
    assert "task 'worker 7' on e:default/0 failed: ValueError('no luck')" in caplog.text


def test_a_spawned_task_can_be_cancelled_from_anywhere(loop, caplog):
    begun, ended = threading.Event(), threading.Event()

    async def linger():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = loop.spawn(linger, name="linger")
    assert begun.wait(10)
    assert not task.done
    task.cancel()
    task.cancel()
    assert ended.wait(10)
    wait_for(loop, lambda: task.done)
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_task_cancelled_before_its_turn_never_begins(loop):
    gate, seen = threading.Event(), []

    async def work():
        seen.append("begun")

    loop.call(gate.wait)
    task = loop.spawn(work, name="late")
    task.cancel()
    gate.set()
    wait_for(loop, lambda: task.done)
    assert seen == []


def test_many_threads_give_work_to_one_loop(loop):
    threads, each = 8, 2000
    counts = [[] for _ in range(threads)]

    def post(number):
        for index in range(each):
            loop.call(counts[number].append, index)

    run_in_threads(post, threads)
    assert asyncio.run(loop.run(where_am_i)) == loop.name
    assert counts == [list(range(each))] * threads


def test_many_loops_run_things_on_each_other(eventer):
    async def add(a, b):
        return a + b

    async def exchange(loop):
        return sum(await asyncio.gather(*(loop.run(add, number, 1) for number in range(200))))

    async def main():
        loops = eventer.loops
        return await asyncio.gather(*(one.run(exchange, other) for one in loops for other in loops))

    assert asyncio.run(main()) == [sum(range(1, 201))] * 9


def test_a_loop_takes_no_work_before_start_and_after_stop():
    eventer = Eventer()
    loop = eventer.default.choose()

    def refused():
        with pytest.raises(LoopStopped, match="'e:default/0' is not running"):
            loop.call(print)
        with pytest.raises(LoopStopped):
            loop.spawn(where_am_i, name="x")
        with pytest.raises(LoopStopped):
            loop.after(1, print, name="x")
        with pytest.raises(LoopStopped):
            asyncio.run(loop.run(where_am_i))
        assert not loop.running

    refused()
    eventer.start()
    assert loop.running
    eventer.stop()
    refused()


def test_slow_callbacks_are_reported(caplog):
    caplog.set_level(logging.DEBUG)
    eventer = Eventer(EventerSettings(slow_loop_ms=0))
    quiet = Eventer(EventerSettings(slow_loop_ms=-1))
    for one, function in ((eventer, where), (quiet, broken)):
        one.start()
        one.default.choose().call(function)
        one.stop()
    lines = [each for each in caplog.records if each.name == "eventer/callbacks/loop/default"]
    assert [line.levelname for line in lines] == ["DEBUG"], [line.getMessage() for line in lines]
    name, _, duration = lines[0].getMessage().rpartition(" ")
    assert name.endswith(".where")
    assert duration.startswith("[")
    assert duration.endswith("ns]")


def where():
    return None


def wait_for(loop, condition):
    """Let the loop turn until something is so."""

    async def look():
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  # what is looked at offers nothing to wait for
                await asyncio.sleep(0.001)

    asyncio.run(loop.run(look))


def run_in_threads(function, count):
    threads = [threading.Thread(target=function, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
