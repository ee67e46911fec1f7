"""Prometheus' text formats: exposition 0.0.4 and OpenMetrics 1.0. Pure: families in, text out.

Histograms appear in classic form. The edges of its buckets are edges of bins wherever they have at most two digits, and
then the counts are exact, but for one thing: our bins contain their lower edge, Prometheus' buckets their upper one. A
value that is exactly an edge is counted one bucket further up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ._families import Family, Labels, Sample
from .snapshot import Snapshot

__all__ = ["DEFAULT_BUCKETS", "OPENMETRICS", "PLAIN", "exposition"]

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

DEFAULT_BUCKETS = tuple(float(f"{digit}e{power}") for power in range(-6, 2) for digit in (1, 2, 5))
"""From a microsecond to fifty seconds, three to each power of ten."""


def exposition(families: Sequence[Family], *, openmetrics: bool, buckets: Sequence[float] = DEFAULT_BUCKETS) -> str:
    """Every family as text.

    Args:
        families: what to show.
        openmetrics: in OpenMetrics' form instead of the plain one.
        buckets: upper edges of the classic buckets, rising; the last one, infinity, is added.
    """
    lines: list[str] = []
    for family in families:
        lines += _head(family, openmetrics=openmetrics)
        for sample in family.samples:
            lines += _lines(family, sample, buckets)
    if openmetrics:
        lines.append("# EOF")
    return "".join(f"{line}\n" for line in lines)


def number(value: float) -> str:
    """A number as both formats write it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(value) if isinstance(value, int) else repr(value)


def _head(family: Family, *, openmetrics: bool) -> Iterator[str]:
    name, kind = family.name, str(family.type)
    if not openmetrics:  # its names are those of the samples, and it has neither this type nor units
        name = f"{name}_total" if kind == "counter" else f"{name}_info" if kind == "info" else name
        kind = "gauge" if kind == "info" else kind
    if family.help:
        yield f"# HELP {name} {_escaped_help(family.help, quotes=openmetrics)}"
    yield f"# TYPE {name} {kind}"
    if openmetrics and family.unit and name.endswith(f"_{family.unit}"):
        yield f"# UNIT {name} {family.unit}"


def _lines(family: Family, sample: Sample, buckets: Sequence[float]) -> Iterator[str]:
    match sample.value:
        case Snapshot() as snapshot:
            yield from _histogram(family.name, sample.labels, snapshot, buckets)
        case str() as text:
            yield f"{family.name}_info{_shown((*sample.labels, ('value', text)))} 1"
        case value:
            suffix = "_total" if family.type == "counter" else ""
            yield f"{family.name}{suffix}{_shown(sample.labels)} {number(value)}"


def _histogram(name: str, labels: Labels, snapshot: Snapshot, buckets: Sequence[float]) -> Iterator[str]:
    for edge in buckets:
        yield f"{name}_bucket{_shown((*labels, ('le', number(float(edge)))))} {round(snapshot.below(edge))}"
    yield f"{name}_bucket{_shown((*labels, ('le', '+Inf')))} {snapshot.count}"
    yield f"{name}_sum{_shown(labels)} {number(snapshot.sum)}"
    yield f"{name}_count{_shown(labels)} {snapshot.count}"


def _shown(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _escaped_help(text: str, *, quotes: bool) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text
