"""Hand work to an asyncio loop from any thread, waking it once per burst.

`call_soon_threadsafe` wakes its loop every time; here only the first item of a burst does. What is posted runs in the
order of posting, in turns, so that a flood leaves the loop time for its sockets.

Rules:

1. Once closed, an inbox takes nothing more and gives back what it still holds, so that nobody waits for ever.
2. What is posted must contain its own failures.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable

__all__ = ["Inbox", "Inboxes"]

_TURN = 256

_Item = tuple[Callable[[], None], Callable[[], None] | None]


class Inbox:
    """The way into one loop. Thread-safe; nothing here blocks.

    Args:
        loop: where the work runs. Held weakly: an inbox keeps no loop alive.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._lock = threading.RLock()  # re-entrant, because a finalizer may post in the middle of a post
        self._items: deque[_Item] = deque()
        self._awake = False
        self._closed = False

    def post(self, run: Callable[[], None], abandon: Callable[[], None] | None = None) -> bool:
        """Have something run on the loop.

        Args:
            run: called on the loop.
            abandon: called instead, on any thread, when the loop ends before.

        Returns:
            False when the loop has ended; then neither is called.
        """
        with self._lock:
            if self._closed:
                return False
            self._items.append((run, abandon))
            return self._awake or self._wake()

    def close(self) -> list[Callable[[], None]]:
        """Take nothing more.

        Returns:
            What the owner has to call, because the work that it stands for will not run.
        """
        with self._lock:
            self._closed = True
            items, self._items = self._items, deque()
        return [abandon for _, abandon in items if abandon is not None]

    def _wake(self) -> bool:
        loop = self._loop()
        try:
            if loop is None:
                raise RuntimeError("the loop is gone")
            loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # its owner closed it
            self._closed = True
            self._items.clear()
            return False
        self._awake = True
        return True

    def _deliver(self) -> None:
        with self._lock:  # once per turn: taking the items one by one would have both sides fight for the lock
            turn: deque[_Item]
            if len(self._items) <= _TURN:
                turn, self._items = self._items, deque()
            else:
                turn = deque(self._items.popleft() for _ in range(_TURN))
        try:
            while turn:
                turn.popleft()[0]()
        finally:
            with self._lock:
                self._items.extendleft(reversed(turn))
                if self._items:
                    asyncio.get_running_loop().call_soon(self._deliver)
                else:
                    self._awake = False


class Inboxes:
    """The inbox of every loop that took part so far, loops that are not ours among them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Inbox] = weakref.WeakKeyDictionary()

    def of(self, loop: asyncio.AbstractEventLoop) -> Inbox:
        """The inbox of a loop; the same one for everybody."""
        with self._lock:
            inbox = self._known.get(loop)
            if inbox is None:
                inbox = self._known[loop] = Inbox(loop)
            return inbox
