"""Timers: functions that run on a loop after a while, once or again and again.

A periodic timer keeps to its beat: what it takes to run does not shift the next one. Beats that were missed, because
the loop was busy or because the last run is not over yet, are left out; runs never overlap.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ._host import LoopHost

__all__ = ["LONGEST_S", "Timer", "TimerInfo", "TimerTable", "next_beat"]

LONGEST_S = 1e9
"""The longest delay and period, in seconds: about thirty years."""


@dataclass(frozen=True, slots=True)
class TimerInfo:
    """A pending timer, as listings show it.

    Args:
        name: its name.
        whence: when it fires next, in seconds since the epoch.
        pool: the pool of its loop.
        loop: the name of its loop.
    """

    name: str
    whence: float
    pool: str
    loop: str


def next_beat(due: float, period_s: float, now: float) -> float:
    """When a periodic timer fires next: the first beat after now.

    Args:
        due: the beat that is past, in seconds.
        period_s: from beat to beat.
        now: on the same clock as `due`.
    """
    beat = due + period_s
    if beat > now:
        return beat
    missed = math.floor((now - beat) / period_s) + 1
    return max(beat + missed * period_s, math.nextafter(now, math.inf))


class Timer:
    """A timer that was set; made by `Loop.after` and `Loop.every`. Thread-safe.

    Attributes:
        name: what it is called in logs and listings.
    """

    __slots__ = (
        "_created",
        "_due",
        "_ended",
        "_function",
        "_handle",
        "_host",
        "_period_s",
        "_table",
        "_whence",
        "name",
    )

    def __init__(
        self,
        name: str,
        function: Callable[[], object],
        delay_s: float,
        period_s: float | None,
        host: LoopHost,
        table: TimerTable,
        created: str = "",
    ) -> None:
        self.name = name
        self._created = created
        self._function: Callable[[], object] | None = function
        self._period_s = period_s
        self._host = host
        self._table = table
        self._due = time.monotonic() + delay_s
        self._whence = time.time() + delay_s
        self._handle: asyncio.TimerHandle | None = None
        self._ended = False

    @property
    def _title(self) -> str:
        return f"timer '{self.name}'"

    @property
    def whence(self) -> float:
        """When it fires next, or fired last, in seconds since the epoch."""
        return self._whence

    def cancel(self) -> None:
        """Let it not fire any more. A run under way is not interrupted. Harmless to repeat."""
        if self._end():
            if self._host.here:
                self._disarm()
            else:
                self._host.post(self._disarm)

    def _end(self) -> bool:
        with self._table.lock:
            if self._ended:
                return False
            self._ended = True
            self._function = None
            self._table.pending.pop(self, None)
            return True

    def _arm(self) -> None:
        if not self._ended:
            loop = self._host.asyncio_loop
            self._handle = loop.call_at(loop.time() + max(self._due - time.monotonic(), 0.0), self._fire)

    def _disarm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        with self._table.lock:
            function = self._function
            if function is None:
                return
        if self._period_s is None and not self._end():
            return
        result = self._host.perform(self._title, function, self._created)
        if inspect.isawaitable(result):
            self._host.follow(self.name, result, self._again, self._title)
        else:
            self._again()

    def _again(self) -> None:
        if self._period_s is None:
            return
        with self._table.lock:
            if self._ended:
                return
            now = time.monotonic()
            self._due = next_beat(self._due, self._period_s, now)
            self._whence = time.time() + self._due - now
        self._arm()


class TimerTable:
    """The pending timers of one loop. Thread-safe.

    Attributes:
        lock: held for every change of a timer's state.
        pending: those that will fire, oldest first.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()  # re-entrant, because a finalizer may cancel a timer in the middle of a change
        self.pending: dict[Timer, None] = {}

    def set(
        self,
        name: str,
        function: Callable[[], object],
        delay_s: float,
        period_s: float | None,
        host: LoopHost,
        created: str = "",
    ) -> Timer | None:
        """Set a timer; None when its loop has ended.

        Raises:
            ValueError: the delay or the period is out of range.
        """
        if not 0 <= delay_s <= LONGEST_S:
            raise ValueError(f"timer '{name}': {delay_s!r} is not a delay; expected 0 to {LONGEST_S:g} seconds")
        if period_s is not None and period_s <= 0:
            raise ValueError(f"timer '{name}': {period_s!r} is not a period; expected more than 0 seconds")
        timer = Timer(name, function, delay_s, period_s, host, self, created)
        with self.lock:
            self.pending[timer] = None
        if host.here:
            timer._arm()
        elif not host.post(timer._arm):
            timer._end()
            return None
        return timer

    def cancel_all(self) -> None:
        """Cancel every pending timer. On the loop only."""
        with self.lock:
            timers = list(self.pending)
        for timer in timers:
            timer.cancel()

    def describe(self, pool: str, loop: str) -> list[TimerInfo]:
        """Every pending timer, the next one first."""
        with self.lock:
            timers = list(self.pending)
        return sorted((TimerInfo(each.name, each.whence, pool, loop) for each in timers), key=lambda info: info.whence)
