"""What a hook site costs: ours, pluggy's and a plain call, interleaved, as ratios.

Usage: python bench/hooks.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import timeit

import pluggy

from mtev_kernel import hookimpl, hookspec
from mtev_kernel.hooks import HookRegistry

NUMBER = 200_000


class Specs:
    @hookspec
    def event(request, answer):
        """Something happened."""


class PluggySpecs:
    @pluggy.HookspecMarker("bench")
    def event(self, request, answer):
        """Something happened."""


class Holder:
    """Something with one attribute in a slot, as a site is."""

    __slots__ = ("fn",)


def ours(count: int, *, timed: bool = False):
    registry = HookRegistry(lambda failure: None, timed=timed)
    registry.declare("owner", "bench", Specs)
    for index in range(count):

        def event(request):
            return None

        registry.attach(f"p{index}", "bench", hookimpl(event))
    return registry.site(Specs.event)


def pluggys(count: int):
    manager = pluggy.PluginManager("bench")
    manager.add_hookspecs(PluggySpecs)
    for _ in range(count):

        class Impl:
            @pluggy.HookimplMarker("bench")
            def event(self, request):
                return None

        manager.register(Impl())
    return manager.hook.event


def plain(request):
    return None


def through(request, answer):
    return plain(request)


GUARDED = "if (call := s.call) is not None: call(1, 2)"


def cases():
    holder = Holder()
    holder.fn = None
    yield "attribute test alone", "if h.fn is not None: h.fn(1)", {"h": holder}
    yield "plain call", "f(1)", {"f": plain}
    yield "plain call through another", "f(1, 2)", {"f": through}
    for count in (0, 1, 5):
        yield f"ours, {count} attached", GUARDED, {"s": ours(count)}
        yield f"ours, {count} attached, timed", GUARDED, {"s": ours(count, timed=True)}
        yield f"pluggy, {count} attached", "h(request=1, answer=2)", {"h": pluggys(count)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    timers = {name: timeit.Timer(statement, globals=scope) for name, statement, scope in cases()}
    empty = timeit.Timer("pass")
    samples: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        base = empty.timeit(NUMBER)
        for name, timer in timers.items():
            samples[name].append((timer.timeit(NUMBER) - base) / NUMBER * 1e9)
    medians = {name: statistics.median(values) for name, values in samples.items()}
    print(f"CPython {platform.python_version()}, pluggy {pluggy.__version__}, {sys.platform}; ns net of an empty loop")
    print(f"{'':32}{'median':>9}{'min':>9}{'x plain call':>14}{'x pluggy':>10}")
    for name, median in medians.items():
        count = next((each for each in "015" if f", {each} attached" in name), None)
        beside = f"{median / medians[f'pluggy, {count} attached']:10.3f}" if count else ""
        print(f"{name:32}{median:9.1f}{min(samples[name]):9.1f}{median / medians['plain call']:14.2f}{beside}")


if __name__ == "__main__":
    main()
