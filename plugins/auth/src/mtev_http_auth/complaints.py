"""Lines in the log about peers, as many as a person can read: a peer that tries all day shall not fill a disk."""

from __future__ import annotations

import logging
import threading

__all__ = ["Complaints"]

_BURST = 20
_PERIOD_S = 1.0


class Complaints:
    """Thread-safe.

    Args:
        log: where they go.
        burst: how many may come at once.
        period_s: how long until another one may, in seconds.
    """

    def __init__(self, log: logging.Logger, burst: int = _BURST, period_s: float = _PERIOD_S) -> None:
        self._log = log
        self._burst = burst
        self._period_s = period_s
        self._free_at = 0.0
        self._left_out = 0
        self._lock = threading.Lock()

    def say(self, now_s: float, text: str) -> None:
        """Write a warning, unless there were too many; the next one says how many were left out.

        Args:
            now_s: a clock that does not go back, in seconds.
            text: printable, without secrets.
        """
        with self._lock:
            free_at = max(self._free_at, now_s)
            if free_at - now_s > (self._burst - 1) * self._period_s + 1e-9:
                self._left_out += 1
                return
            self._free_at = free_at + self._period_s
            left_out, self._left_out = self._left_out, 0
        if left_out:
            text = f"{text} ({left_out} lines like this were left out before)"
        self._log.warning("%s", text)
