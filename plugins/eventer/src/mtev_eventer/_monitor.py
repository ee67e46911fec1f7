"""Looks after the loops: a loop that does not turn is noticed, named, and missed no longer than it takes.

How it works. A thread asks each loop for a sign of life about four times per threshold, by the same way that work comes
in from other threads, and looks whether the last one was answered. How long an answer takes is recorded as the loop's
lag. What a loop does that does not answer is read off its thread's stack.

When the monitor itself wakes up much too late, nothing can be said of anybody: the process was stopped, or the machine
slept. Then everybody gets a fresh start.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Blocked", "Monitor", "Watched"]

_LOOKS = 4
_SHORTEST_S, _LONGEST_S = 0.02, 1.0
_FRAMES = 6


@dataclass(frozen=True, slots=True)
class Blocked:
    """A loop that does not turn, or has begun to turn again.

    Args:
        loop: its name.
        seconds: for how long it has not turned, or had not.
        where: what its thread does: frames, the innermost last; empty when it turns again.
        over: whether it turns again.
    """

    loop: str
    seconds: float
    where: tuple[str, ...] = ()
    over: bool = False


class Watched(Protocol):
    """What the monitor needs of a loop."""

    name: str

    @property
    def running(self) -> bool: ...
    @property
    def ident(self) -> int | None: ...
    def limit_s(self) -> float: ...
    def ping(self, answered: Callable[[], None]) -> bool: ...
    def answered(self, lag_ns: int) -> None: ...


class _Look:
    """The last question to one loop."""

    __slots__ = ("asked_s", "blocked", "open")

    def __init__(self) -> None:
        self.asked_s = 0.0
        self.open = False
        self.blocked = False


class Monitor:
    """The thread that looks after the loops. Used once.

    Args:
        loops: whom to look after.
        threshold_s: the shortest time after which a loop counts as blocked; above 0.
        told: told when a loop is blocked, and when that is over; on the monitor's thread.
        tick: called about once a second, on the monitor's thread.
        log: for what goes wrong.
    """

    def __init__(
        self,
        loops: Sequence[Watched],
        threshold_s: float,
        told: Callable[[Blocked], None],
        tick: Callable[[], None],
        log: logging.Logger,
    ) -> None:
        self._looks = [(loop, _Look()) for loop in loops]
        self._period_s = min(max(threshold_s / _LOOKS, _SHORTEST_S), _LONGEST_S)
        self._told = told
        self._tick = tick
        self._log = log
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._main, name="eventer monitor", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it; harmless to repeat, and before the start."""
        self._end.set()
        if self._thread.ident is not None and threading.current_thread() is not self._thread:
            self._thread.join()

    def _main(self) -> None:
        last_s = ticked_s = time.monotonic()
        while not self._end.wait(self._period_s):
            now_s = time.monotonic()
            if now_s - last_s > 2 * self._period_s + _LONGEST_S:
                for _, look in self._looks:
                    look.asked_s = now_s
            last_s = now_s
            try:
                for loop, look in self._looks:
                    self._look(loop, look, now_s)
                if now_s - ticked_s >= _LONGEST_S:
                    ticked_s = now_s
                    self._tick()
            except Exception:  # whoever is told may fail; the loops have to be looked after all the same
                self._log.exception("looking after the loops failed")

    def _look(self, loop: Watched, look: _Look, now_s: float) -> None:
        if not loop.running:
            look.open = look.blocked = False
            return
        if not look.open:
            self._ask(loop, look, now_s)
            return
        age_s, limit_s = now_s - look.asked_s, loop.limit_s()
        if not look.blocked and limit_s > 0 and age_s >= limit_s:
            look.blocked = True
            self._told(Blocked(loop.name, age_s, _stack(loop.ident)))

    def _ask(self, loop: Watched, look: _Look, now_s: float) -> None:
        asked_ns = time.perf_counter_ns()

        def answered() -> None:
            loop.answered(time.perf_counter_ns() - asked_ns)
            was_blocked, look.blocked = look.blocked, False
            seconds = time.monotonic() - look.asked_s
            look.open = False
            if was_blocked:
                self._told(Blocked(loop.name, seconds, over=True))

        look.asked_s, look.open = now_s, True
        if not loop.ping(answered):
            look.open = False


def _stack(ident: int | None) -> tuple[str, ...]:
    frame = sys._current_frames().get(ident or 0)
    if frame is None:
        return ()
    summary = traceback.extract_stack(frame)[-_FRAMES:]
    return tuple(f"{each.filename.rpartition('/')[2]}:{each.lineno} in {each.name}" for each in summary)
