"""What is said of things that a peer can repeat without end: the first of them at once, the rest as a number."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

__all__ = ["Episodes"]


class Episodes:
    """Logs the first event of a kind, counts those that follow, and tells their number with the next line. Thread-safe.

    Args:
        log: where to.
        quiet_s: how long to be quiet after a line of a kind.
        clock: seconds; not the wall clock.
    """

    def __init__(self, log: logging.Logger, quiet_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._quiet_s = quiet_s
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[str, list[float]] = {}

    def tell(self, kind: str, level: int, message: str) -> None:
        """Say that something happened.

        Args:
            kind: events of one kind keep each other quiet; of a small set.
            level: of the line.
            message: the line.
        """
        with self._lock:
            now = self._clock()
            state = self._kinds.setdefault(kind, [-self._quiet_s, 0])
            if now - state[0] < self._quiet_s:
                state[1] += 1
                return
            more = f" ({int(state[1])} more of that kind since the last line)" if state[1] else ""
            state[0], state[1] = now, 0
        self._log.log(level, "%s%s", message, more)
