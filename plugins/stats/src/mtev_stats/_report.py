"""Statistics on a terminal: one line for each metric, and a histogram drawn with letters. Pure."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Iterator

from . import _bins
from .counter import Counter
from .gauge import Gauge
from .histogram import Histogram
from .registry import Entry
from .snapshot import Snapshot

__all__ = ["drawing", "matching", "table"]

_PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
_ROWS = 20
_BAR = 40


def matching(entries: Iterable[Entry], pattern: str) -> list[Entry]:
    """The metrics whose dotted name fits a pattern with `*`, `?` and `[]`, or has a text without these in it."""
    if not any(letter in pattern for letter in "*?["):
        pattern = f"*{pattern}*"
    return [entry for entry in entries if fnmatch.fnmatchcase(".".join(entry.path), pattern)]


def table(entries: Iterable[Entry]) -> Iterator[str]:
    """A line for each metric: name and value; of a histogram the count, mean, median and 99th percentile."""
    for entry in entries:
        yield f"{'.'.join(entry.path)} = {_value(entry)}"


def drawing(entry: Entry) -> Iterator[str]:
    """A histogram with bars, in at most 80 columns, and its percentiles.

    Raises:
        ValueError: the metric is no histogram.
    """
    if not isinstance(entry.metric, Histogram):
        raise ValueError(f"{'.'.join(entry.path)} is no histogram")
    snapshot = entry.metric.snapshot()
    unit = entry.metric.unit
    yield ".".join(entry.path)
    yield from (f"  {line}" for line in _summary(snapshot, unit))
    if not snapshot.count:
        return
    rows = _rows(snapshot)
    most = max(count for _, _, count in rows)
    for lower, upper, count in rows:
        bar = "#" * math.ceil(count / most * _BAR) if count else ""
        yield f"  {amount(lower, unit):>8} - {amount(upper, unit):<8} {count:>10} {bar}".rstrip()
    values = snapshot.quantiles([each / 100 for each in _PERCENTILES])
    yield "  " + "  ".join(f"p{at:g} {amount(value, unit)}" for at, value in zip(_PERCENTILES, values, strict=True))


def amount(value: float, unit: str) -> str:
    """A value in three digits with its unit: `12.3ms`."""
    if math.isnan(value):
        return "-"
    if unit != "seconds":
        return f"{value:.3g}"
    for limit, factor, name in ((1e-6, 1e9, "ns"), (1e-3, 1e6, "us"), (1.0, 1e3, "ms")):
        if abs(value) < limit:
            return f"{value * factor:.3g}{name}"
    return f"{value:.3g}s" if abs(value) < 1000 else f"{value:.0f}s"


def _value(entry: Entry) -> str:
    match entry.metric:
        case Histogram() as histogram:
            snapshot = histogram.snapshot()
            if not snapshot.count:
                return "0 values"
            median, high = snapshot.quantiles((0.5, 0.99))
            mean, p50, p99 = (amount(each, histogram.unit) for each in (snapshot.mean, median, high))
            return f"{snapshot.count} values, mean {mean}, p50 {p50}, p99 {p99}"
        case Counter() as counter:
            return f"{counter.value} {counter.unit}".rstrip()
        case Gauge() as gauge:
            value = gauge.value
            return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _summary(snapshot: Snapshot, unit: str) -> Iterator[str]:
    yield f"{snapshot.count} values"
    if odd := snapshot.bins.get(_bins.NAN):
        yield f"{odd} more were no numbers"
    if snapshot.count:
        yield f"mean {amount(snapshot.mean, unit)}, deviation {amount(snapshot.deviation, unit)}"


def _rows(snapshot: Snapshot) -> list[tuple[float, float, int]]:
    """Lower edge, upper edge and count of at most `_ROWS` stretches of bins that follow each other."""
    bins = [(key, count) for key, count in snapshot.bins.items() if key != _bins.NAN]
    size = math.ceil(len(bins) / _ROWS)
    groups = (bins[at : at + size] for at in range(0, len(bins), size))
    return [
        (_bins.lower_edge(group[0][0]), _bins.upper_edge(group[-1][0]), sum(count for _, count in group))
        for group in groups
    ]
