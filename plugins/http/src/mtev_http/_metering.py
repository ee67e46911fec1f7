"""What routes count in: for each place, how long its requests take, and how many there were (libmtev's names)."""

from __future__ import annotations

from threading import get_ident
from typing import Protocol

from mtev_stats import CounterCell, Recorder, Stats, as_part

from ._route import Meter

__all__ = ["Meters", "StatsMeters", "Unmetered"]


_BUSY = 200
_THREADS = 64


class Meters(Protocol):
    """Makes what routes count in."""

    def of(self, base: str, expression: str) -> Meter | None:
        """What the routes at a place count in; None for nothing."""


class Unmetered(Meters):
    """Nothing is counted."""

    def of(self, base: str, expression: str) -> Meter | None:
        return None


class StatsMeters(Meters):
    """Counts in the statistics of the service: `mtev`, `rest`, `base(expression)`, and there `latency` and `requests`.

    Args:
        stats: the statistics.
    """

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def of(self, base: str, expression: str) -> Meter | None:
        place = as_part(f"{base}({expression})")
        path = ("mtev", "rest", place)
        self._stats.tag(path, {"endpoint": place})
        return _Meter(self._stats, path)


class _Meter(Meter):
    """Counts for one place: at first in the slow way, which takes no memory, then in cells of each thread's own."""

    __slots__ = ("_cells", "_few", "_latency", "_requests")

    def __init__(self, stats: Stats, path: tuple[str, ...]) -> None:
        summary = "From the complete header of a request to the last byte of its response."
        self._latency = stats.histogram((*path, "latency"), summary=summary)
        self._requests = stats.counter((*path, "requests"), unit="requests", summary="Requests that were answered.")
        self._few = 0
        self._cells: dict[int, tuple[Recorder, CounterCell]] = {}

    def record(self, latency_s: float) -> None:
        cell = self._cells.get(get_ident())
        if cell is None:
            cell = self._own()
            if cell is None:
                self._latency.record(latency_s)
                self._requests.add()
                return
        record, counter = cell
        record(int(latency_s * 1e9))
        counter.n += 1

    def _own(self) -> tuple[Recorder, CounterCell] | None:
        """Cells for this thread, if this place is busy enough to be worth them."""
        self._few += 1  # about: two threads at once may count as one
        if self._few < _BUSY or len(self._cells) >= _THREADS:
            return None
        cell = self._cells[get_ident()] = self._latency.local(), self._requests.local()
        return cell
