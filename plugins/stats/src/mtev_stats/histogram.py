"""Histograms: recording is local to a thread and takes no lock; reading adds up what the threads have.

How it works. Every thread that records has counts of its own, which only it changes. A snapshot copies and adds them.
What belonged to a thread or recorder that is gone is folded into the histogram's own counts, so that nothing is lost
and nothing piles up.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from ._bins import NS_SLOTS, NS_TABLE, bin_of, key_of_slot
from .snapshot import Snapshot

__all__ = ["Histogram", "Recorder"]

Recorder = Callable[[int], None]
"""Records one time in whole nanoseconds, 0 to 2**63 - 1. For one thread at a time."""

_Bins = dict[int, int]


class Histogram:
    """Counts values by their size. Made by `Stats.histogram`; thread-safe.

    Attributes:
        unit: of the values; `seconds` for times.
    """

    def __init__(self, unit: str = "seconds") -> None:
        self.unit = unit
        self._lock = threading.RLock()  # re-entrant, because a recorder may be collected in the middle of a change
        self._folded: _Bins = {}
        self._cells: dict[weakref.ref[object], Callable[[], _Bins]] = {}
        self._threads = threading.local()
        self._origin = Snapshot()
        self._seen: dict[str, Snapshot] = {}

    def record(self, value: float, count: int = 1) -> None:
        """Record a value, in the histogram's unit, from any thread.

        Args:
            value: any number; NaN and infinities are counted apart.
            count: how often it occurred, at least 0.

        Raises:
            ValueError: the count is negative.
        """
        if count < 0:
            raise ValueError(f"a value cannot have occurred {count} times")
        try:
            bins = self._threads.cell.bins
        except AttributeError:
            cell = self._threads.cell = _Cell()
            bins = cell.bins
            self._adopt(cell, bins.copy)
        key = bin_of(value)
        bins[key] = bins.get(key, 0) + count

    def local(self, *also: Histogram) -> Recorder:
        """A recorder of times for one thread: the fastest way. It costs about 14 KiB, so make it once and keep it.

        Args:
            *also: further histograms that are to consist of the same counts, at no cost.

        Returns:
            A function of one argument, whole nanoseconds from 0 to 2**63 - 1; the unit counts as seconds. It may change
            threads, but two must not use it at once. What it has recorded stays when it is gone.
        """
        counts = [0] * NS_SLOTS
        table = NS_TABLE

        # A flat list with a table by bit length: half the price of a dict (a hash and a missing key), and a fifth of
        # what a logarithm takes. See bench/histogram.py.
        def record(ns: int) -> None:
            limit, low, low_base, high, high_base = table[ns.bit_length()]
            counts[ns // low + low_base if ns < limit else ns // high + high_base] += 1

        for histogram in (self, *also):
            histogram._adopt(record, lambda: _unslotted(counts))
        return record

    def snapshot(self) -> Snapshot:
        """What was recorded since the start, or since `clear`, by all threads together."""
        return self._all().since(self._origin)

    def since_last(self, consumer: str = "") -> Snapshot:
        """What was recorded since the same consumer asked last; the first time, all of it.

        Args:
            consumer: who asks. Those of different names do not disturb each other; each costs one snapshot for good.
        """
        with self._lock:
            now = self._all()
            earlier, self._seen[consumer] = self._seen.get(consumer, self._origin), now
            return now.since(earlier)

    def clear(self) -> None:
        """Forget what was recorded so far."""
        with self._lock:
            self._origin = self._all()
            self._seen.clear()

    def _all(self) -> Snapshot:
        with self._lock:
            total = dict(self._folded)
            readers = list(self._cells.values())
            for read in readers:
                _add(total, read())
        return Snapshot(total)

    def _adopt(self, owner: object, read: Callable[[], _Bins]) -> None:
        """Count what `read` returns as part of this histogram, and keep it when its owner is gone."""
        histogram = weakref.ref(self)

        def fold(reference: weakref.ref[object]) -> None:
            if (mine := histogram()) is not None:
                with mine._lock:
                    last = mine._cells.pop(reference, None)
                    if last is not None:
                        _add(mine._folded, last())

        with self._lock:
            self._cells[weakref.ref(owner, fold)] = read


class _Cell:
    """The counts of one thread. An object, because a dict cannot be referred to weakly."""

    __slots__ = ("__weakref__", "bins")

    def __init__(self) -> None:
        self.bins: _Bins = {}


def _unslotted(counts: list[int]) -> _Bins:
    return {key_of_slot(slot): count for slot, count in enumerate(counts.copy()) if count}


def _add(total: _Bins, more: _Bins) -> None:
    for key, count in more.items():
        total[key] = total.get(key, 0) + count
