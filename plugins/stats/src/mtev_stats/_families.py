"""Metrics as Prometheus sees them: families of one name whose members differ in labels. Pure.

Rules:

1. A family's name is the path with `_` between its parts. A part that is the value of one of the metric's own tags is
   left out, for a label says it: `mtev.eventer.callbacks.<name>.latency` with the tag `mtev-callback:<name>` belongs to
   the family `mtev_eventer_callbacks_latency`.
2. The unit stands at the end, and `_total` at that of counters. Letters that a name cannot have become `_`.
3. Tags become labels, their categories in the same way.
4. Members of one family have one type, and no two of them the same labels; what would break that is left out, and the
   family remembers which it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from .counter import Counter
from .gauge import Gauge
from .histogram import Histogram
from .registry import Entry
from .snapshot import Snapshot

__all__ = ["Family", "Labels", "Sample", "families"]

Labels = tuple[tuple[str, str], ...]
FamilyType = Literal["counter", "gauge", "histogram", "info"]

_ODD_IN_NAME = re.compile(r"[^a-zA-Z0-9_:]")
_ODD_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(frozen=True, slots=True)
class Sample:
    """One member of a family.

    Args:
        labels: its labels, sorted.
        value: its number; a text for what is only information; a snapshot for a histogram.
    """

    labels: Labels
    value: float | str | Snapshot


@dataclass(slots=True)
class Family:
    """Metrics of one name.

    Args:
        name: without the suffixes of its samples.
        type: what they are.
        unit: theirs, or `""`.
        help: one sentence, or `""`.
        samples: the members.
        left_out: paths of those that contradict the others.
    """

    name: str
    type: FamilyType
    unit: str
    help: str
    samples: list[Sample] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def families(entries: Iterable[Entry]) -> list[Family]:
    """Sort metrics into families, in the order of their names."""
    found: dict[str, Family] = {}
    labels_seen: dict[str, set[Labels]] = {}
    for entry in entries:
        kind, value, unit = _reading(entry)
        if value is None:
            continue
        name = _name(entry, kind, unit)
        labels = _labels(entry)
        family = found.setdefault(name, Family(name, kind, unit, entry.summary))
        seen = labels_seen.setdefault(name, set())
        if family.type != kind or labels in seen:
            family.left_out.append(".".join(entry.path))
            continue
        seen.add(labels)
        family.help = family.help or entry.summary
        family.samples.append(Sample(labels, value))
    return [family for _, family in sorted(found.items()) if family.samples]


def _reading(entry: Entry) -> tuple[FamilyType, float | str | Snapshot | None, str]:
    match entry.metric:
        case Histogram() as histogram:
            return "histogram", histogram.snapshot(), histogram.unit
        case Counter() as counter:
            return "counter", counter.value, counter.unit
        case Gauge() as gauge:
            value = gauge.value
            return ("info" if isinstance(value, str) else "gauge"), value, gauge.unit


def _name(entry: Entry, kind: FamilyType, unit: str) -> str:
    said = set(entry.own_tags.values())
    parts = [part for part in entry.path if part not in said] or list(entry.path)
    name = _ODD_IN_NAME.sub("_", "_".join(parts))
    if name[:1].isdigit():
        name = f"_{name}"
    suffix = _ODD_IN_NAME.sub("_", unit)
    if suffix and not name.endswith(f"_{suffix}"):
        name = f"{name}_{suffix}"
    # The suffix is the exposition's to add; a path that has it already would get it twice.
    return name.removesuffix("_total") if kind == "counter" else name.removesuffix("_info") if kind == "info" else name


def _labels(entry: Entry) -> Labels:
    labels: dict[str, str] = {}
    for category, value in sorted(entry.tags.items()):
        name = _ODD_IN_LABEL.sub("_", category)
        if name[:1].isdigit():
            name = f"_{name}"
        if name.startswith("__"):  # reserved by Prometheus
            name = f"tag{name}"
        if name in ("le", "quantile"):  # what histograms and summaries use themselves
            name = f"{name}_"
        while name in labels:
            name = f"{name}2"
        labels[name] = value
    return tuple(sorted(labels.items()))
