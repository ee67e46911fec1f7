"""`/mtev/stats.json` in libmtev's shapes. Pure: metrics in, plain data out.

Three shapes: nested objects with a type and a value at each leaf; `simple`, with plain values and without histograms;
`tagged`, flat, each metric under its last name and its tags.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from .counter import Counter
from .gauge import Gauge, finite
from .histogram import Histogram
from .registry import Entry, Metric
from .snapshot import Snapshot

__all__ = ["HistogramView", "nested", "simple", "tagged", "tagged_name"]

HistogramView = Callable[[Histogram], dict[str, object]]
"""Shows a histogram as the members of a leaf: `_type`, `_value` and what else was asked for."""

_LONGEST_TEXT = 4095
_CATEGORY = re.compile(r"[-A-Za-z0-9`!\"#$%&'./?@^_+]+")
_VALUE = re.compile(r"[-A-Za-z0-9`!\"#$%&'./?@^_:=]*")


def nested(entries: Iterable[Entry], view: HistogramView) -> dict[str, object]:
    """Objects within objects, as the names are; a leaf is `{"_type": ..., "_value": ...}`."""
    top: dict[str, object] = {}
    for entry in entries:
        node = top
        for part in entry.path:
            child = node.setdefault(part, {})
            assert isinstance(child, dict)
            node = child
        node.update(_leaf(entry.metric, view))
    return top


def simple(entries: Iterable[Entry]) -> dict[str, object]:
    """Objects within objects with plain values.

    Histograms are left out; of a name that is both a metric and the beginning of others, the others are shown.
    """
    top: dict[str, object] = {}
    for entry in entries:
        if isinstance(entry.metric, Histogram):
            continue
        *above, last = entry.path
        node = top
        for part in above:
            child = node.get(part)
            if not isinstance(child, dict):
                child = node[part] = {}
            node = child
        if not isinstance(node.get(last), dict):
            node[last] = _leaf(entry.metric, _unseen)["_value"]
    return top


def tagged(entries: Iterable[Entry], view: HistogramView) -> dict[str, object]:
    """One object, with a member for each metric under its last name and its tags.

    Two metrics that would have one name are told apart by a tag `path`; libmtev writes the name twice.
    """
    found: dict[str, object] = {}
    for entry in entries:
        name = tagged_name(entry.path[-1], entry.tags)
        if name in found:
            name = tagged_name(entry.path[-1], {**entry.tags, "path": ".".join(entry.path)})
        found[name] = _leaf(entry.metric, view)
    return found


def tagged_name(name: str, tags: Mapping[str, str]) -> str:
    """A name with its tags, sorted: `latency|ST[mtev-jobq:default_queue]`; what letters do not allow is in base64."""
    if not tags:
        return name
    shown = sorted(f"{_part(category, _CATEGORY)}:{_part(value, _VALUE)}" for category, value in tags.items())
    return f"{name}|ST[{','.join(shown)}]"


def histogram_view(
    take: Callable[[Histogram], Snapshot], kind: str, percentiles: Sequence[float] = ()
) -> HistogramView:
    """How histograms are shown.

    Args:
        take: the snapshot to show.
        kind: `H` for all that was recorded, `h` for what came since the last time.
        percentiles: which to add, 0 to 100.
    """

    def view(histogram: Histogram) -> dict[str, object]:
        snapshot = take(histogram)
        leaf: dict[str, object] = {"_type": kind, "_value": snapshot.decimals()}
        if percentiles:
            values = snapshot.quantiles([each / 100 for each in percentiles])
            leaf["_count"] = snapshot.count
            leaf["_mean"] = finite(snapshot.mean)
            leaf["_percentiles"] = {f"{at:g}": finite(value) for at, value in zip(percentiles, values, strict=True)}
        return leaf

    return view


def _leaf(metric: Metric, view: HistogramView) -> dict[str, object]:
    match metric:
        case Histogram():
            return view(metric)
        case Counter():
            return {"_type": "L", "_value": metric.value}
        case Gauge():
            value = metric.value
            kind = metric.kind_of(value)
            match value:
                case str():
                    value = value[:_LONGEST_TEXT]
                case float():
                    value = value if math.isfinite(value) else None
            return {"_type": kind, "_value": value}


def _unseen(histogram: Histogram) -> dict[str, object]:
    return {"_value": None}


def _part(text: str, plain: re.Pattern[str]) -> str:
    if plain.fullmatch(text):
        return text
    return f'b"{base64.b64encode(text.encode()).decode("ascii")}"'
