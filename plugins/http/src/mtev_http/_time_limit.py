"""How long handlers may take: a sweep over those that are at it, in the place of a timer for each.

A handler that is late is cancelled, and its request answered 503. It is cut off within an eighth of its limit after it.
"""

from __future__ import annotations

import asyncio

__all__ = ["DEFAULT_TIME_LIMIT_S", "Running", "TimeLimits"]

DEFAULT_TIME_LIMIT_S = 120.0

_SLACK = 8
_MIN_PERIOD_S = 0.02
_MAX_PERIOD_S = 1.0


class Running:
    """One handler that is at it.

    Attributes:
        late: whether it was cancelled because its time was up.
    """

    __slots__ = ("deadline_s", "late", "task")

    def __init__(self, task: asyncio.Task[object], deadline_s: float) -> None:
        self.task = task
        self.deadline_s = deadline_s
        self.late = False


class TimeLimits:
    """The handlers that run on one loop, and until when they may.

    Attributes:
        loop: that loop.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._running: set[Running] = set()
        self._sweeping: asyncio.TimerHandle | None = None

    def enter(self, limit_s: float) -> Running:
        """The running task begins something that may take so long."""
        task = asyncio.current_task(self.loop)
        assert task is not None, "a handler that suspends runs in a task"
        running = Running(task, self.loop.time() + limit_s)
        self._running.add(running)
        period_s = min(max(limit_s / _SLACK, _MIN_PERIOD_S), _MAX_PERIOD_S)
        if self._sweeping is None or self._sweeping.when() > self.loop.time() + period_s:
            self._schedule(period_s)
        return running

    def leave(self, running: Running) -> None:
        """It has ended."""
        self._running.discard(running)

    def _schedule(self, period_s: float) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._sweeping = self.loop.call_later(period_s, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        now_s = self.loop.time()
        for running in [each for each in self._running if each.deadline_s <= now_s]:
            self._running.discard(running)
            running.late = True
            running.task.cancel()
        if self._running:
            left_s = min(each.deadline_s for each in self._running) - now_s
            self._schedule(min(max(left_s, _MIN_PERIOD_S), _MAX_PERIOD_S))
