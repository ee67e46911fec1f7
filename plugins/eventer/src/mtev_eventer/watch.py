"""Watches: functions that run on a loop when a descriptor can be read or written (libmtev: fd events).

They are for descriptors that no transport serves: of a C library, a pipe, a device, a socket that something else owns.

Rules:

1. A watch is level-triggered: its function is called again as long as the descriptor stays ready. One that is `async`
   is not called again before it has ended; the descriptor is left alone meanwhile.
2. A function that raises would be called again at once, and for ever. So that ends its watch, and the log says so.
3. A descriptor has one watch on a loop, and is not closed before its watch is cancelled: the system gives its number to
   the next one that is opened.
"""

from __future__ import annotations

import inspect
import logging
import os
import stat
import threading
from collections.abc import Callable
from enum import IntFlag
from functools import partial

from ._host import FAILED, LoopHost
from .sockets import SocketInfo, SocketTable

__all__ = ["Mask", "Watch", "WatchTable"]

_log = logging.getLogger("mtev.eventer")


class Mask(IntFlag):
    """What a watch waits for, or what there is. An error or the end of the other side makes a descriptor readable."""

    NONE = 0
    READ = 1
    WRITE = 2

    def __str__(self) -> str:
        return "|".join(each.name.lower() for each in self if each.name)


class Watch:
    """A descriptor that is watched; made by `Loop.watch`. Thread-safe.

    Attributes:
        name: what it is called in logs and listings.
        fd: the descriptor.
    """

    __slots__ = (
        "_busy",
        "_created",
        "_ended",
        "_function",
        "_host",
        "_info",
        "_installed",
        "_mask",
        "_table",
        "fd",
        "name",
    )

    def __init__(
        self, info: SocketInfo, function: Callable[[Mask], object], mask: Mask, host: LoopHost, created: str
    ) -> None:
        self.name = info.callback
        self.fd = info.fd
        self._info = info
        self._function = function
        self._mask = mask
        self._host = host
        self._created = created
        self._table: WatchTable | None = None
        self._installed = Mask.NONE
        self._busy = False
        self._ended = False

    @property
    def mask(self) -> Mask:
        """What it waits for. `NONE` suspends it. What is set takes effect at once."""
        return self._mask

    @mask.setter
    def mask(self, mask: Mask) -> None:
        self._mask = mask
        self._info.mask = str(mask)
        self._soon(self._apply)

    @property
    def ended(self) -> bool:
        """Whether it was cancelled, or has failed."""
        return self._ended

    def trigger(self, mask: Mask) -> None:
        """Have its function called soon as if the descriptor were ready, also while it is suspended.

        Returns at once. Nothing comes of it while an `async` run is under way, or after the end.
        """
        self._host.post(partial(self._fire, mask))

    def cancel(self, then: Callable[[], object] | None = None) -> None:
        """Watch no more. Returns at once; harmless to repeat.

        Args:
            then: called once nothing watches the descriptor any more: the place to close it. On the loop, or here and
                now where the loop has ended.
        """
        self._ended = True
        if self._host.here:
            self._apply()
        elif self._host.post(partial(self._let_go, then)):
            return
        else:
            self._forget()
        if then is not None:
            then()

    def _soon(self, run: Callable[[], None]) -> None:
        if self._host.here:
            run()
        else:
            self._host.post(run)

    # On the loop

    def _let_go(self, then: Callable[[], object] | None) -> None:
        self._apply()
        if then is not None:
            self._host.perform(self.name, then, self._created)

    def _apply(self) -> None:
        """Have the loop watch for what is wanted now."""
        wanted = Mask.NONE if self._ended or self._busy else self._mask
        changed, self._installed = wanted ^ self._installed, wanted
        loop = self._host.asyncio_loop
        try:
            if changed & Mask.READ:
                if wanted & Mask.READ:
                    loop.add_reader(self.fd, self._fire, Mask.READ)
                else:
                    loop.remove_reader(self.fd)
            if changed & Mask.WRITE:
                if wanted & Mask.WRITE:
                    loop.add_writer(self.fd, self._fire, Mask.WRITE)
                else:
                    loop.remove_writer(self.fd)
        except (OSError, ValueError, RuntimeError) as error:  # it was closed, or a transport serves it
            self._ended = True
            _log.error("the watch '%s' cannot watch descriptor %d: %s; it has ended", self.name, self.fd, error)
        if self._ended:
            self._forget()

    def _fire(self, mask: Mask) -> None:
        if self._ended or self._busy:
            return
        result = self._host.perform(self.name, partial(self._function, mask), self._created)
        if result is FAILED:
            self._ended = True
            self._apply()
            _log.error("the watch '%s' on descriptor %d has ended, because its function failed", self.name, self.fd)
        elif inspect.isawaitable(result):
            self._busy = True
            self._apply()
            self._host.follow(self.name, result, self._resume, self.name)

    def _resume(self) -> None:
        self._busy = False
        if not self._ended:
            self._apply()

    def _forget(self) -> None:
        if self._table is not None:
            self._table.remove(self)


class WatchTable:
    """The watches of one loop. Thread-safe.

    Args:
        sockets: the eventer's table, where they are listed.
    """

    def __init__(self, sockets: SocketTable) -> None:
        self._sockets = sockets
        self._lock = threading.RLock()  # re-entrant, because a finalizer may cancel a watch in the middle of a change
        self._known: dict[int, Watch] = {}

    def add(self, watch: Watch) -> bool:
        """Begin to watch; False when the loop has ended.

        Raises:
            ValueError: the descriptor cannot be watched, or is watched already.
        """
        _check(watch)
        with self._lock:
            if watch.fd in self._known:
                taken = self._known[watch.fd].name
                raise ValueError(f"watch '{watch.name}': descriptor {watch.fd} is watched already, by '{taken}'")
            self._known[watch.fd] = watch
            watch._table = self
        self._sockets.add(watch._info)
        if watch._host.here:
            watch._apply()
        elif not watch._host.post(watch._apply):
            self.remove(watch)
            return False
        return True

    def remove(self, watch: Watch) -> None:
        """It watches no more; harmless to repeat."""
        with self._lock:
            if self._known.get(watch.fd) is watch:
                del self._known[watch.fd]
        self._sockets.remove(watch._info)

    def cancel_all(self) -> None:
        """Cancel every watch. On the loop only."""
        with self._lock:
            watches = list(self._known.values())
        for watch in watches:
            watch.cancel()


def _check(watch: Watch) -> None:
    try:
        mode = os.fstat(watch.fd).st_mode
    except OSError as error:
        raise ValueError(f"watch '{watch.name}': descriptor {watch.fd}: {error.strerror}") from error
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        raise ValueError(
            f"watch '{watch.name}': descriptor {watch.fd} is a file, which is always ready; use a job queue for it"
        )
