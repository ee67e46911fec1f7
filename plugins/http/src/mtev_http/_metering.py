"""What routes count in: for each place, how long its requests take, and how many there were (libmtev's names)."""

from __future__ import annotations

from typing import Protocol

from mtev_stats import Stats, as_part

from ._route import Meter

__all__ = ["Meters", "StatsMeters", "Unmetered"]


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
    __slots__ = ("_add", "_record")

    def __init__(self, stats: Stats, path: tuple[str, ...]) -> None:
        summary = "From the complete header of a request to the last byte of its response."
        self._record = stats.histogram((*path, "latency"), summary=summary).record
        self._add = stats.counter((*path, "requests"), unit="requests", summary="Requests that were answered.").add

    def record(self, latency_s: float) -> None:
        self._record(latency_s)
        self._add()
