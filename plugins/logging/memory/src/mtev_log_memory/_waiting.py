"""Tasks that wait on their loops for what happens on other threads.

Rules:

1. Whoever waits takes a place first; there are only so many.
2. It arms its bell, looks whether there is something already, and only then waits: what comes in between rings.
3. A bell rings once for each time that it is armed. While none is armed, `armed` is empty: one test, no lock.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Bell", "Waiting"]


class Bell:
    """Wakes one task of the running loop. Made on that loop."""

    __slots__ = ("_event", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Wait until it rings; at once, if it has since the last time."""
        await self._event.wait()
        self._event.clear()

    def ring(self) -> None:
        """Wake the task. Thread-safe; does not block; without effect once the loop is closed."""
        with suppress(RuntimeError):  # the loop is closed, and its tasks with it
            self._loop.call_soon_threadsafe(self._event.set)


class Waiting:
    """Those who wait for one thing. Thread-safe; nothing here blocks.

    Args:
        places: how many may wait at once; at least 1.

    Attributes:
        armed: the bells that ring next time; to be tested for emptiness only.
    """

    __slots__ = ("_lock", "_places", "armed")

    def __init__(self, places: int) -> None:
        self.armed: set[Bell] = set()
        self._lock = threading.Lock()
        self._places = places

    @property
    def free(self) -> int:
        """How many more may wait."""
        return self._places

    @contextmanager
    def place(self) -> Iterator[Bell | None]:
        """Take a place for the length of a `with`, on the loop that waits. None when all are taken."""
        with self._lock:
            taken = self._places > 0
            self._places -= taken
        if not taken:
            yield None
            return
        bell = Bell()
        try:
            yield bell
        finally:
            with self._lock:
                self._places += 1
                self.armed.discard(bell)

    def arm(self, bell: Bell) -> None:
        """Have a bell ring at the next `ring`."""
        with self._lock:
            self.armed.add(bell)

    def ring(self) -> None:
        """Wake all whose bells are armed."""
        with self._lock:
            bells, self.armed = self.armed, set()
        for bell in bells:
            bell.ring()
