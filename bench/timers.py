"""Time-outs: setting and taking back one that does not fire, which is what becomes of nearly all of them.

Usage: python bench/timers.py [--rounds 9] [--number 20000]

Everything runs on the loop itself; figures are nanoseconds for setting and taking back, and ratios to asyncio's own
`call_later` and `cancel`, taken round by round. The second table is the memory of time-outs that are pending, from
tracemalloc.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable

from mtev_eventer import Eventer, EventerSettings, Loop

LONG_S = 3600.0


def nothing(key: object = None) -> None:
    """What would happen in the end."""


def contenders(loop: Loop) -> dict[str, Callable[[int], None]]:
    """Each sets and takes back so many time-outs."""
    asyncio_loop = loop.asyncio_loop
    deadlines = loop.deadlines(LONG_S, nothing, name="bench")
    busy = loop.deadlines(LONG_S, nothing, name="bench with others")
    for number in range(10_000):
        busy.set(-number - 1)

    def call_later(number: int) -> None:
        for _ in range(number):
            asyncio_loop.call_later(LONG_S, nothing).cancel()

    def after(number: int) -> None:
        for _ in range(number):
            loop.after(LONG_S, nothing, name="bench").cancel()

    def set_and_discard(number: int) -> None:
        for key in range(number):
            deadlines.set(key)
            deadlines.discard(key)

    def set_and_discard_among_others(number: int) -> None:
        for key in range(number):
            busy.set(key)
            busy.discard(key)

    def set_anew(number: int) -> None:
        for _ in range(number):
            busy.set(-1)

    return {
        "call_later, cancel": call_later,
        "Loop.after, cancel": after,
        "Deadlines.set, discard": set_and_discard,
        "the same among 10,000 others": set_and_discard_among_others,
        "Deadlines.set anew": set_anew,
    }


def pending(loop: Loop) -> dict[str, Callable[[int], object]]:
    """Each sets so many time-outs, and returns what holds them."""
    asyncio_loop = loop.asyncio_loop

    def deadlines(number: int) -> object:
        made = loop.deadlines(LONG_S, nothing, name="bench")
        for key in range(number):
            made.set(key)
        return made

    return {
        "call_later": lambda number: [asyncio_loop.call_later(LONG_S, nothing) for _ in range(number)],
        "Loop.after": lambda number: [loop.after(LONG_S, nothing, name="bench") for _ in range(number)],
        "Deadlines": deadlines,
    }


def measure(contender: Callable[[int], None], number: int) -> float:
    began = time.perf_counter_ns()
    contender(number)
    return (time.perf_counter_ns() - began) / number


async def run(loop: Loop, options: argparse.Namespace) -> None:
    tried = contenders(loop)
    rounds = []
    for _ in range(options.rounds):
        rounds.append({name: measure(each, options.number) for name, each in tried.items()})
        await asyncio.sleep(0)  # asyncio sorts out what was cancelled
    first = next(iter(tried))
    for name in tried:
        ratio = statistics.median(each[name] / each[first] for each in rounds)
        print(f"  {name:32} {statistics.median(each[name] for each in rounds):9,.0f} ns {ratio:7.2f}")
    for name, make in pending(loop).items():
        gc.collect()
        tracemalloc.start()
        held = make(options.number)
        size = tracemalloc.get_traced_memory()[0] / options.number
        tracemalloc.stop()
        print(f"  {name:32} {size:9,.0f} B each while pending")
        if isinstance(held, list):
            for each in held:
                each.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--number", type=int, default=20_000)
    options = parser.parse_args()
    for implementation in ("uvloop", "asyncio"):
        print(f"Python {platform.python_version()}, {implementation}, {options.rounds} rounds of {options.number}")
        eventer = Eventer(EventerSettings(implementation))
        eventer.start()
        loop = eventer.default.choose()
        asyncio.run(loop.run(run, loop, options))
        eventer.stop()


if __name__ == "__main__":
    main()
