"""A pool: a named set of loops that share one kind of work."""

from __future__ import annotations

import threading

from .loop import Loop, LoopOptions
from .profile import Profile

__all__ = ["Pool"]


class Pool:
    """A named set of loops. Thread-safe.

    Args:
        name: its name.
        concurrency: how many loops it has.
        first: number of its first loop; numbers run across the pools of an eventer.
        options: what its loops have in common.
        profile: how long its callbacks take.
        timeout_s: after how long a silent loop counts as blocked, in seconds; 0 for never.

    Attributes:
        name: its name.
        profile: as above.
        timeout_s: as above; may be changed while the loops run.
        loops: its loops, always the same ones.
    """

    def __init__(
        self, name: str, concurrency: int, first: int, options: LoopOptions, profile: Profile, timeout_s: float
    ) -> None:
        self.name = name
        self.profile = profile
        self.timeout_s = timeout_s
        self.loops: tuple[Loop, ...] = tuple(
            Loop(f"e:{name}/{number}", self, options) for number in range(first, first + concurrency)
        )
        self._lock = threading.Lock()
        self._next = 0

    def choose(self, key: object = None) -> Loop:
        """A loop for something new.

        Args:
            key: anything hashable that has always the same loop; None takes the loop whose turn it is.
        """
        if key is not None:
            return self.loops[hash(key) % len(self.loops)]
        with self._lock:
            loop = self.loops[self._next]
            self._next = (self._next + 1) % len(self.loops)
        return loop

    def least_loaded(self) -> Loop:
        """The loop with the fewest connections, as far as those who put them there tell (`Loop.enter`)."""
        return min(self.loops, key=lambda loop: loop.load)

    def set_profile(self, *, on: bool) -> None:
        """Measure how long callbacks take from now on, or no longer. Connections go by what was so when they began."""
        self.profile.on = on
        for loop in self.loops:
            loop._switch_profile()

    def __repr__(self) -> str:
        return f"<Pool {self.name} of {len(self.loops)}>"
