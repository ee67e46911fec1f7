"""Deadlines: the same time-out for any number of things, without a timer for each.

How it works. What has the same time-out comes due in the order in which it was set, so an ordered table is all that is
needed: setting appends, setting again moves to the end, and what is due stands in front. One timer for the whole table
looks at the front. It is set only while something is there, and wakes the loop no more often than the tolerance allows.
Setting costs a store in a dict and a look at the clock; discarding, which is the rule, costs a deletion.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Generic, Protocol, TypeVar, TypeVarTuple

__all__ = ["DeadlineHost", "Deadlines"]

K = TypeVar("K", bound=Hashable)
Ts = TypeVarTuple("Ts")

_SHARE = 4
_LEAST_S, _MOST_S = 0.005, 1.0


class DeadlineHost(Protocol):
    """What deadlines need of the loop that they belong to: see `Loop`."""

    def after(self, delay_s: float, function: Callable[[*Ts], object], *args: *Ts, name: str) -> object: ...
    def perform(self, name: str, function: Callable[[], object], created: str) -> object: ...


class Deadlines(Generic[K]):
    """Things that have the same time to do something; made by `Loop.deadlines`. To be used on that loop only.

    Args:
        name: what the timer is called in logs and listings, and the callback in profiles.
        timeout_s: the time that each has, in seconds, above 0.
        expired: called on the loop with each whose time is up. What it raises is logged.
        host: the loop.
        tolerance_s: how late a deadline may be noticed, in seconds; None for a quarter of the time-out, at most 1 s.
        clock: seconds; not the wall clock.

    Attributes:
        name: as above.
        timeout_s: as above.
    """

    def __init__(
        self,
        name: str,
        timeout_s: float,
        expired: Callable[[K], object],
        host: DeadlineHost,
        tolerance_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not timeout_s > 0:
            raise ValueError(f"deadlines '{name}': {timeout_s!r} is not a time-out; expected more than 0 seconds")
        self.name = name
        self.timeout_s = timeout_s
        self._expired = expired
        self._host = host
        self._tolerance_s = max(min(timeout_s / _SHARE, _MOST_S) if tolerance_s is None else tolerance_s, _LEAST_S)
        self._clock = clock
        self._due: OrderedDict[K, float] = OrderedDict()
        self._armed = False

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, key: object) -> bool:
        return key in self._due

    def set(self, key: K) -> None:
        """Give something its time, from now on; what had some already gets it anew."""
        due = self._due
        due[key] = self._clock() + self.timeout_s
        due.move_to_end(key)
        if not self._armed:
            self._arm(self.timeout_s)

    def discard(self, key: K) -> None:
        """It has done in time what it had to; harmless when it is not there."""
        self._due.pop(key, None)

    def look(self) -> None:
        """Call `expired` for whatever is due. The timer does so; nobody else needs to."""
        self._armed = False
        due = self._due
        now = self._clock()
        expired: list[K] = []
        while due:
            key = next(iter(due))
            if due[key] > now:
                break
            del due[key]
            expired.append(key)
        for key in expired:
            self._host.perform(self.name, partial(self._expired, key), "")
        if due and not self._armed:
            self._arm(next(iter(due.values())) - now)

    def _arm(self, delay_s: float) -> None:
        self._host.after(delay_s + self._tolerance_s, self.look, name=self.name)
        self._armed = True
