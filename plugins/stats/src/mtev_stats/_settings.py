"""What `<stats>` says, as plain data. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from mtev_conf import Section, parse_number

from ._exposition import DEFAULT_BUCKETS
from ._native import DEFAULT_SCHEMA
from .registry import DEFAULT_LIMIT

__all__ = ["StatsSettings", "parse_buckets", "read_settings"]

_ATTRIBUTES = ("buckets", "max_metrics", "native_schema", "process")
_COMMON = ("id", "inherit", "require_env")
_MOST_BUCKETS = 200


@dataclass(frozen=True, slots=True)
class StatsSettings:
    """The options of the plugin.

    Args:
        max_metrics: how many metrics there may be.
        buckets: upper edges of Prometheus' classic buckets, rising.
        native_schema: how fine its native histograms are: 2**schema buckets for each power of two.
        process: whether the process' own figures are among the metrics.
    """

    max_metrics: int = DEFAULT_LIMIT
    buckets: tuple[float, ...] = DEFAULT_BUCKETS
    native_schema: int = DEFAULT_SCHEMA
    process: bool = True


def parse_buckets(text: str) -> tuple[float, ...]:
    """Numbers with commas between, rising.

    Raises:
        ValueError: it is something else.
    """
    edges = tuple(parse_number(each.strip()) for each in text.split(","))
    if len(edges) > _MOST_BUCKETS:
        raise ValueError(f"{len(edges)} buckets; {_MOST_BUCKETS} are the most")
    if not all(map(math.isfinite, edges)) or any(one >= other for one, other in itertools.pairwise(edges)):
        raise ValueError(f"'{text}' does not rise; write numbers with commas between, each above the last")
    return edges


def read_settings(sections: Sequence[Section]) -> tuple[StatsSettings, list[str]]:
    """Read the stanza; of several the last one counts.

    Returns:
        The settings, and what has no effect, as texts with `file:line`.

    Raises:
        ConfigurationError: a value means nothing.
    """
    if not sections:
        return StatsSettings(), []
    *others, section = sections
    odd = [f"{each.where}: this <stats> is not used; the last one, at {section.where}, is" for each in others]
    for name in section.attributes:
        if name not in (*_ATTRIBUTES, *_COMMON) and ":" not in name and not name.startswith("{"):
            near = get_close_matches(name, _ATTRIBUTES, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            odd.append(str(section.error(f"the attribute '{name}' has no meaning here{hint}")))
    odd += [str(each.error(f"<{each.name}> has no meaning in <stats>")) for each in section.sections("*")]
    defaults = StatsSettings()
    settings = StatsSettings(
        max_metrics=section.integer("max_metrics", defaults.max_metrics, minimum=100, maximum=1_000_000),
        buckets=section.read("@buckets", parse_buckets, defaults.buckets),
        native_schema=section.integer("native_schema", defaults.native_schema, minimum=-4, maximum=8),
        process=section.boolean("process", defaults.process),
    )
    return settings, odd
