"""Recurrent functions: called in turn with all else that a loop does, as long as they find something to do.

They are for what can only be asked whether there is something: the queue of a C library, a ring shared with another
process. libmtev calls its recurrent events in every pass of the loop, at least five times a second. asyncio's loops do
not tell of their passes, so ours are called again in the next pass while they say that they did something, and after a
wake-up, and otherwise once per period.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable

from ._host import FAILED, LoopHost

__all__ = ["DEFAULT_PERIOD_S", "Recurrent", "RecurrentTable"]

DEFAULT_PERIOD_S = 0.2


class Recurrent:
    """A function that a loop calls again and again; made by `Loop.recur`. Thread-safe.

    Attributes:
        name: what it is called in logs and listings.
    """

    __slots__ = ("_created", "_ended", "_function", "_handle", "_host", "_period_s", "_table", "_woken", "name")

    def __init__(
        self,
        name: str,
        function: Callable[[], object],
        period_s: float,
        host: LoopHost,
        table: RecurrentTable,
        created: str,
    ) -> None:
        self.name = name
        self._function = function
        self._period_s = period_s
        self._host = host
        self._table = table
        self._created = created
        self._handle: asyncio.Handle | None = None
        self._woken = False
        self._ended = False

    def wake(self) -> None:
        """Have it called at once, whatever its period. Returns at once; wakes the loop once for any number of calls."""
        if not self._woken and not self._ended:
            self._woken = True
            self._host.post(self._run)

    def cancel(self) -> None:
        """Have it called no more. Returns at once; harmless to repeat."""
        self._ended = True
        self._table.known.pop(self, None)
        self._host.post(self._disarm)

    # On the loop

    def _run(self) -> None:
        self._disarm()
        self._woken = False
        if self._ended:
            return
        found = self._host.perform(self.name, self._function, self._created)
        loop = self._host.asyncio_loop
        again = found is not FAILED and found
        self._handle = loop.call_soon(self._run) if again else loop.call_later(self._period_s, self._run)

    def _disarm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class RecurrentTable:
    """The recurrent functions of one loop. Thread-safe.

    Attributes:
        known: those that are called.
    """

    def __init__(self) -> None:
        self.known: dict[Recurrent, None] = {}

    def add(
        self, name: str, function: Callable[[], object], period_s: float, host: LoopHost, created: str
    ) -> Recurrent | None:
        """Begin to call a function; None when the loop has ended.

        Raises:
            ValueError: the period is not above 0.
            TypeError: the function is `async`.
        """
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"recurrent '{name}': an async function cannot be recurrent; spawn it, or use a plain one")
        if not period_s > 0:
            raise ValueError(f"recurrent '{name}': {period_s!r} is not a period; expected more than 0 seconds")
        recurrent = Recurrent(name, function, period_s, host, self, created)
        self.known[recurrent] = None
        if not host.post(recurrent._run):
            self.known.pop(recurrent, None)
            return None
        return recurrent

    def wake_all(self) -> None:
        """Have all of them called at once."""
        for each in list(self.known):
            each.wake()

    def cancel_all(self) -> None:
        """Have none of them called any more."""
        for each in list(self.known):
            each.cancel()
