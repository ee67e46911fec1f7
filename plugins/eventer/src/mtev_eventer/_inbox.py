"""Hand work to an asyncio loop from any thread, waking it once per burst.

`call_soon_threadsafe` wakes its loop every time (uvloop's does not); here only the first item of a burst does. What is
posted runs in the order of posting, in turns, so that a flood leaves the loop time for its sockets.

How it works. No lock: a deque can be appended to and taken from by several threads. Whoever finds the loop asleep says
that it is awake, and wakes it. The loop says that it is asleep before it takes anything, so what is appended meanwhile
is either taken still, or wakes it once more.

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
from typing import Any, TypeVarTuple

__all__ = ["Inbox", "Inboxes"]

Ts = TypeVarTuple("Ts")

_TURN = 256

_Abandon = Callable[[], None]
_Item = tuple[Callable[..., object], tuple[Any, ...], _Abandon | None]


class Inbox:
    """The way into one loop. Thread-safe; nothing here blocks.

    Args:
        loop: where the work runs. Held weakly: an inbox keeps no loop alive.
    """

    __slots__ = ("__weakref__", "_awake", "_closed", "_items", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._items: deque[_Item] = deque()
        self._awake = False
        self._closed = False

    def post(self, run: Callable[[*Ts], object], *args: *Ts, abandon: _Abandon | None = None) -> bool:
        """Have something run on the loop.

        Args:
            run: called on the loop.
            *args: its arguments.
            abandon: called instead, on any thread, when the loop ends before.

        Returns:
            False when the loop has ended; then neither is called.
        """
        item = (run, args, abandon)
        self._items.append(item)
        if self._closed:
            return not self._withdrawn(item)
        return self._awake or self._wake(item)

    def close(self) -> list[_Abandon]:
        """Take nothing more.

        Returns:
            What the owner has to call, because the work that it stands for will not run.
        """
        self._closed = True
        left = []
        while self._items:
            left.append(self._items.popleft())
        return [abandon for _, _, abandon in left if abandon is not None]

    def _wake(self, item: _Item) -> bool:
        self._awake = True
        loop = self._loop()
        try:
            if loop is None:
                raise RuntimeError("the loop is gone")
            loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # its owner closed it
            withdrawn = self._withdrawn(item)
            for abandon in self.close():
                abandon()
            return not withdrawn
        return True

    def _withdrawn(self, item: _Item) -> bool:
        """Take back what was posted to a closed inbox; False when `close` has it already."""
        try:
            self._items.remove(item)
        except ValueError:
            return False
        return True

    def _deliver(self) -> None:
        self._awake = False
        items = self._items
        try:
            for _ in range(min(len(items), _TURN)):
                run, args, _ = items.popleft()
                run(*args)
        finally:
            if items and not self._awake:
                self._awake = True
                asyncio.get_running_loop().call_soon(self._deliver)


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
