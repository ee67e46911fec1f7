"""The plugin: publishes `Stats`, and shows it over REST and on the console."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from mtev_conf import Configuration
from mtev_kernel import Context, HookResult, Plugin, hookimpl

from . import _report, hookspecs
from ._endpoints import Endpoints, RestRegistry
from ._process import register_process
from ._settings import StatsSettings, read_settings
from .histogram import Histogram
from .registry import Stats

__all__ = ["StatsPlugin"]


class _Console(Protocol):
    def command(
        self, words: str, function: Callable[[Sequence[str]], Iterable[str]], *, summary: str, usage: str = ""
    ) -> object: ...


class StatsPlugin(Plugin):
    """Publishes `Stats`; see the package's text.

    Args:
        context: this plugin's view of the kernel.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._stats = Stats()
        self._settings = StatsSettings()
        context.hooks.declare(hookspecs)
        context.services.publish(Stats, self._stats)

    def configure(self) -> None:
        """Read `<stats>`.

        Raises:
            ConfigurationError: it says something that cannot be.
        """
        sections = [each for each in self.context.services.require(Configuration).sections("stats") if each.enabled]
        self._settings, odd = read_settings(sections)
        for text in odd:
            self.context.warn(text)
        self._stats.limit = self._settings.max_metrics
        # libmtev tags everything of its own so.
        self._stats.tag(("mtev",), {"app": "mtev", "framework": "libmtev"})
        if self._settings.process:
            register_process(self._stats)

    def start(self) -> None:
        """Let other plugins register their metrics."""
        if (call := self.context.hooks.site(hookspecs.mtev_stats_metrics).call) is not None:
            call(self._stats)

    @hookimpl(optional=True)
    def mtev_rest_routes(self, rest: RestRegistry) -> HookResult | None:
        """Offer `/mtev/stats.json`, `/mtev/memory.json` and `/metrics`."""
        Endpoints(self._stats, self._settings, self.context.log.warning).register(rest)
        return None

    @hookimpl(optional=True)
    def mtev_console_commands(self, console: _Console) -> HookResult | None:
        """Offer `show stats` and `show histogram`."""
        console.command(
            "show stats", self._show_stats, summary="Metrics by name: a part of it, or a pattern", usage="[PATTERN]"
        )
        console.command(
            "show histogram", self._show_histogram, summary="A histogram with its percentiles", usage="PATTERN"
        )
        return None

    def _show_stats(self, arguments: Sequence[str]) -> Iterable[str]:
        if len(arguments) > 1:
            raise ValueError("show stats: takes one argument at most: a part of a name, or a pattern")
        return _report.table(_report.matching(self._stats.entries(), arguments[0] if arguments else "*"))

    def _show_histogram(self, arguments: Sequence[str]) -> Iterable[str]:
        if len(arguments) != 1:
            raise ValueError("show histogram: takes one argument: the name of a histogram, a part of it, or a pattern")
        entries = _report.matching(self._stats.entries(), arguments[0])
        found = [entry for entry in entries if isinstance(entry.metric, Histogram)]
        exact = [entry for entry in found if ".".join(entry.path) == arguments[0]]
        if not found:
            raise LookupError(f"no histogram is called '{arguments[0]}'; 'show stats' lists all metrics")
        if len(found) > 1 and not exact:
            yield f"{len(found)} histograms are called so; name one of them:"
            yield from (f"  {'.'.join(entry.path)}" for entry in found)
            return
        yield from _report.drawing((exact or found)[0])
