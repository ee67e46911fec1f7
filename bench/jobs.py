"""Work handed from one thread to another: jobs beside executors, calls into a loop beside asyncio's own.

Usage: python bench/jobs.py [--rounds 7] [--items 4000] [--threads 4]

All of it is empty work, so that what is measured is the handing over. Every contender does the same number of items in
each round, one after the other in one process; ratios are taken round by round to the first line of each table, and the
median counts. Processor time is that of the whole process, both threads included.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import contextlib
import functools
import importlib.util
import platform
import statistics
import threading
import time
from collections.abc import Awaitable, Callable

from mtev_eventer import Eventer, EventerSettings, JobQueueSettings, PoolSettings

Contender = Callable[[int], None]
"""Does a number of items."""


def nothing() -> None:
    """The job."""


async def coroutine() -> None:
    """The same for loops."""


def eventer(implementation: str, threads: int, *, profile: bool) -> Eventer:
    made = Eventer(
        EventerSettings(
            implementation,
            pools=(PoolSettings("default", profile=profile), PoolSettings("other", profile=profile)),
            queues=(JobQueueSettings("default_queue", threads, backlog=0),),
        )
    )
    made.start()
    return made


async def under_way(once: Callable[[], Awaitable[object]], items: int, width: int) -> None:
    """Have something awaited so many times, so many at a time."""

    async def one_after_the_other(count: int) -> None:
        for _ in range(count):
            await once()

    await asyncio.gather(*(one_after_the_other(items // width) for _ in range(width)))


def round_trips(implementation: str, threads: int, width: int, stack: contextlib.ExitStack) -> dict[str, Contender]:
    """A job that is awaited on a loop."""
    new_loop = asyncio.SelectorEventLoop
    if implementation == "uvloop":
        import uvloop

        new_loop = uvloop.new_event_loop
    runner = stack.enter_context(asyncio.Runner(loop_factory=new_loop))
    executor = stack.enter_context(concurrent.futures.ThreadPoolExecutor(threads))

    def awaited(once: Callable[[], Awaitable[object]]) -> Contender:
        return lambda items: runner.run(under_way(once, items, width))

    async def in_executor() -> None:
        await asyncio.get_running_loop().run_in_executor(executor, nothing)

    found = {"run_in_executor": awaited(in_executor)}
    if importlib.util.find_spec("anyio") is not None:
        import anyio.to_thread

        async def with_anyio(items: int) -> None:
            limiter = anyio.CapacityLimiter(threads)
            await under_way(lambda: anyio.to_thread.run_sync(nothing, limiter=limiter), items, width)

        found["anyio.to_thread"] = lambda items: runner.run(with_anyio(items))
    made = eventer(implementation, threads, profile=True)
    stack.callback(made.stop)
    found["JobQueue.run"] = awaited(functools.partial(made.jobq().run, nothing))
    return found


def submissions(threads: int, stack: contextlib.ExitStack) -> dict[str, Contender]:
    """Jobs that nobody awaits, until the last one is done."""
    executor = stack.enter_context(concurrent.futures.ThreadPoolExecutor(threads))
    made = eventer("uvloop", threads, profile=True)
    stack.callback(made.stop)

    def with_executor(items: int) -> None:
        concurrent.futures.wait([executor.submit(nothing) for _ in range(items)])

    def with_queue(items: int) -> None:
        for _ in range(items):
            made.jobq().submit_nowait(nothing)
        assert made.drain(60)

    return {"executor.submit": with_executor, "JobQueue.submit_nowait": with_queue}


def calls(implementation: str, burst: int, stack: contextlib.ExitStack) -> dict[str, Contender]:
    """Plain functions called on a loop from another thread, in bursts."""
    found: dict[str, Contender] = {}
    for profile in (False, True):
        made = eventer(implementation, 1, profile=profile)
        stack.callback(made.stop)
        loop = made.default.choose()

        def in_bursts(post: Callable[[Callable[[], object]], object], items: int) -> None:
            done = threading.Event()
            for _ in range(items // burst):
                done.clear()
                for _ in range(burst - 1):
                    post(nothing)
                post(done.set)
                done.wait()

        if not profile:
            found["call_soon_threadsafe"] = functools.partial(in_bursts, loop.asyncio_loop.call_soon_threadsafe)
        found["Loop.call" + ", profiled" * profile] = functools.partial(in_bursts, loop.call)
    return found


def crossings(implementation: str, width: int, stack: contextlib.ExitStack) -> dict[str, Contender]:
    """Coroutines of one loop that another one awaits."""
    made = eventer(implementation, 1, profile=False)
    stack.callback(made.stop)
    here, there = made.pool("default").choose(), made.pool("other").choose()
    other = there.asyncio_loop

    async def with_asyncio() -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine(), other))

    async def with_ours() -> None:
        await there.run(coroutine)

    def from_here(once: Callable[[], Awaitable[object]]) -> Contender:
        return lambda items: asyncio.run(here.run(under_way, once, items, width))

    return {"run_coroutine_threadsafe": from_here(with_asyncio), "Loop.run": from_here(with_ours)}


def measure(contender: Contender, items: int) -> tuple[float, float]:
    """Microseconds of time and of processor time for each item."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    contender(items)
    return (time.perf_counter() - began_s) / items * 1e6, (time.process_time() - began_cpu_s) / items * 1e6


def table(title: str, contenders: dict[str, Contender], items: int, rounds: int) -> None:
    for contender in contenders.values():
        contender(items // 10 or 1)
    found = [{name: measure(contender, items) for name, contender in contenders.items()} for _ in range(rounds)]
    first = next(iter(contenders))
    print(f"\n{title:44} {'us':>8} {'ratio':>7} {'CPU us':>8} {'ratio':>7}")
    for name in contenders:
        times, costs = zip(*(each[name] for each in found), strict=True)
        slower = statistics.median(each[name][0] / each[first][0] for each in found)
        dearer = statistics.median(each[name][1] / each[first][1] for each in found)
        print(
            f"  {name:42} {statistics.median(times):8.2f} {slower:7.2f} {statistics.median(costs):8.2f} {dearer:7.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--items", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {options.threads} threads, {options.rounds} rounds of {options.items}")

    def show(title: str, make: Callable[[contextlib.ExitStack], dict[str, Contender]], items: int) -> None:
        with contextlib.ExitStack() as stack:
            table(title, make(stack), items, options.rounds)

    for implementation in ("uvloop", "asyncio"):
        for width in (1, 32, 256):
            show(
                f"job, awaited on {implementation}, {width} under way",
                functools.partial(round_trips, implementation, options.threads, width),
                options.items,
            )
    show("job, not awaited", functools.partial(submissions, options.threads), options.items)
    for implementation in ("uvloop", "asyncio"):
        for burst in (1, 100, 10_000):
            show(
                f"call into a loop ({implementation}), bursts of {burst}",
                functools.partial(calls, implementation, burst),
                max(options.items, burst),
            )
        for width in (1, 100):
            show(
                f"coroutine on another loop ({implementation}), {width} under way",
                functools.partial(crossings, implementation, width),
                options.items,
            )


if __name__ == "__main__":
    main()
