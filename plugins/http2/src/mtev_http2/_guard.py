"""How many frames a peer may send that move nothing: a budget that refills with time, and with what is moved. Pure.

Floods of PING, SETTINGS, PRIORITY, empty DATA, WINDOW_UPDATE, and streams that are opened only to be reset (rapid
reset, CVE-2023-44487) cost a server more than a client. Each has a price; who has spent the budget is cut off.
"""

from __future__ import annotations

__all__ = ["BURST", "PRICES", "REFILL_PER_S", "Guard"]

BURST = 1000.0
REFILL_PER_S = 100.0

PRICES = {"ping": 1.0, "settings": 5.0, "priority": 1.0, "empty": 1.0, "window": 1.0, "unknown": 1.0, "reset": 5.0}
"""What a frame costs, by its kind."""


class Guard:
    """The budget of one connection.

    Args:
        now_s: a monotonic clock, in seconds.
    """

    __slots__ = ("_left", "_now_s")

    def __init__(self, now_s: float) -> None:
        self._left = BURST
        self._now_s = now_s

    def spend(self, kind: str, now_s: float) -> bool:
        """A frame that moves nothing.

        Args:
            kind: one of `PRICES`.
            now_s: the clock.

        Returns:
            False when the budget is spent.
        """
        self._left = min(BURST, self._left + (now_s - self._now_s) * REFILL_PER_S)
        self._now_s = now_s
        self._left -= PRICES[kind]
        return self._left >= 0

    def earn(self, frames: int = 1) -> None:
        """Something was moved: so many frames with data."""
        self._left = min(BURST, self._left + frames)
