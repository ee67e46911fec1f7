"""What listings and statistics show of a job queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mtev_stats import Stats

__all__ = ["JobQueueStatus", "register_status"]

_FIGURES: tuple[tuple[str, str, str, Literal["I", "L", "s"]], ...] = (
    ("mem_safety", "safety", "", "s"),
    ("concurrency", "concurrency", "threads", "I"),
    ("desired_concurrency", "desired_concurrency", "threads", "I"),
    ("floor_concurrency", "floor", "threads", "I"),
    ("min_concurrency", "min_concurrency", "threads", "I"),
    ("max_concurrency", "max_concurrency", "threads", "I"),
    ("backlog", "backlog", "jobs", "I"),
    ("max_backlog", "max_backlog", "jobs", "I"),
    ("inflight", "inflight", "jobs", "I"),
    ("abandoned", "abandoned", "jobs", "I"),
    ("timeouts", "timeouts", "jobs", "L"),
    ("total_jobs", "total_jobs", "jobs", "L"),
)
"""libmtev's name of each figure, where it stands in a status, its unit, and libmtev's type."""


@dataclass(frozen=True, slots=True)
class JobQueueStatus:
    """A job queue at one moment.

    Args:
        name: its name.
        concurrency: threads alive.
        desired_concurrency: how many it may have.
        min_concurrency, max_concurrency: bounds for that; 0 for none.
        safety: libmtev's memory safety; without effect.
        mode: `FIFO` or `LIFO`.
        total_jobs: how many have run.
        backlog: how many wait, those outside of a full backlog included.
        inflight: how many are running.
        timeouts: how many were given up before they ran.
        avg_wait_ms, avg_run_ms: smoothed averages of waiting and running, in milliseconds.
        floor: how many idle threads stay.
        max_backlog: how many may wait inside; 0 for any number.
        abandoned: how many are running although their awaiters have given them up.
        subqueues: how many subqueues have jobs that wait.
    """

    name: str
    concurrency: int
    desired_concurrency: int
    min_concurrency: int
    max_concurrency: int
    safety: str
    mode: str
    total_jobs: int
    backlog: int
    inflight: int
    timeouts: int
    avg_wait_ms: float
    avg_run_ms: float
    floor: int = 0
    max_backlog: int = 0
    abandoned: int = 0
    subqueues: int = 0


def register_status(
    stats: Stats, path: tuple[str, ...], tags: dict[str, str], status: Callable[[], JobQueueStatus]
) -> None:
    """Show the figures that libmtev has for a queue, under its names and types.

    Args:
        stats: where.
        path: below which name.
        tags: of each.
        status: asked whenever somebody reads one.
    """
    for name, attribute, unit, kind in _FIGURES:
        stats.gauge((*path, name), partial(_read, attribute, status), tags=tags, unit=unit, kind=kind)


def _read(attribute: str, status: Callable[[], JobQueueStatus]) -> int | str:
    value: int | str = getattr(status(), attribute)
    return value
