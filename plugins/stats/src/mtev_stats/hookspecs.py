"""The hook points of mtev-stats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtev_kernel import HookResult, hookspec

if TYPE_CHECKING:
    from .registry import Stats

__all__ = ["mtev_stats_metrics"]


@hookspec
def mtev_stats_metrics(stats: Stats) -> HookResult | None:
    """Register metrics; called once, when the statistics start.

    Args:
        stats: takes counters, gauges and histograms.

    Note:
        For plugins that work without statistics too: declare the implementation `optional`. Others require the service
        `Stats`.
    """
