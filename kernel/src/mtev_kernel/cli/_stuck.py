"""Notice a life-cycle step that blocks the kernel's loop, which no time limit on that loop could."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["StuckWatch"]


class StuckWatch:
    """Notices a step that blocks the loop itself, which no time limit on that loop could.

    Args:
        report: called on the watching thread with the culprit in words, once per step; it may end the process.
        slack_s: how long past its limit a step may be before that is said of it, in seconds.
    """

    def __init__(self, report: Callable[[str], None], slack_s: float = 3.0) -> None:
        self._report = report
        self._slack_s = slack_s
        self._changed = threading.Condition()
        self._watched: tuple[float, str] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="mtev-stuck-watch", daemon=True)
        self._thread.start()

    def arm(self, culprit: str, limit_s: float) -> None:
        """A step begins; call `disarm` when it has ended. Thread-safe."""
        with self._changed:
            self._watched = (time.monotonic() + limit_s + self._slack_s, culprit)
            self._changed.notify()

    def disarm(self) -> None:
        """The step has ended. Thread-safe."""
        with self._changed:
            self._watched = None
            self._changed.notify()

    def close(self) -> None:
        """Stop watching and join the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                watched = self._watched
                if watched is None:
                    self._changed.wait()
                    continue
                remaining_s = watched[0] - time.monotonic()
                if remaining_s > 0:
                    self._changed.wait(remaining_s)
                    continue
                self._watched = None
            self._report(watched[1])
