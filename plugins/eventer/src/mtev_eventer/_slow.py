"""The log of slow callbacks (libmtev: `show_loop_callbacks_threshold`, `show_jobq_callbacks_threshold`).

A logger's name follows libmtev's stream, `eventer/callbacks/loop/<pool>` and `eventer/callbacks/jobq/<queue>`, so that
mtev-log, which puts the level in front, shows the line in the same place.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

__all__ = ["SlowLog"]


class SlowLog:
    """Reports what took long. Thread-safe.

    Args:
        kind: `loop` or `jobq`.
        name: of the pool or queue.
        threshold_ms: least duration in whole milliseconds; 0 reports everything, a negative number nothing.
    """

    __slots__ = ("_log", "_threshold_ms")

    def __init__(self, kind: str, name: str, threshold_ms: float) -> None:
        self._log = logging.getLogger(f"eventer/callbacks/{kind}/{name}")
        self._threshold_ms = threshold_ms

    @property
    def wanted(self) -> bool:
        """Whether anybody would read a report."""
        return self._threshold_ms >= 0 and self._log.isEnabledFor(logging.DEBUG)

    def took(self, name: Callable[[], str], duration_ns: int) -> None:
        """Report a callback, if it was slow and somebody listens.

        Args:
            name: tells its name; asked only then.
            duration_ns: how long it took.
        """
        if self.wanted and duration_ns // 1_000_000 >= self._threshold_ms:
            self._log.debug("%s [%dns]", name(), duration_ns)

    def timed(self, name: Callable[[], str], function: Callable[[], object]) -> object:
        """Call a function, timing it only when somebody listens."""
        if not self.wanted:
            return function()
        began = time.perf_counter_ns()
        try:
            return function()
        finally:
            self.took(name, time.perf_counter_ns() - began)
