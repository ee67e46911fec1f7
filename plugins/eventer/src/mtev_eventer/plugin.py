"""The eventer as a plugin: reads its stanza, publishes `Eventer`, and shows over REST and console what goes on."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from mtev_conf import Configuration, Section
from mtev_kernel import ConfigurationError, Context, Plugin, hookimpl
from mtev_stats import Stats

from . import hookspecs, topology
from ._console import Commands, ConsoleCommands
from ._monitor import Blocked
from ._rest import RestViews, add_views
from ._settings import EventerSettings, Remark, default_concurrency, read_settings
from .errors import LoopDied
from .eventer import Eventer

__all__ = ["EventerPlugin"]

_DRAIN_S = 5.0
_STOP_S = 5.0
_ATTRIBUTES = ("id", "implementation", "inherit", "require_env")


class EventerPlugin(Plugin):
    """Runs an `Eventer` for the service.

    Args:
        context: this plugin's view of the kernel.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        context.hooks.declare(hookspecs)
        self._started = context.hooks.site(hookspecs.eventer_started)
        self._blocked_site = context.hooks.site(hookspecs.eventer_loop_blocked)
        self._blocked: set[str] = set()
        self._death: Future[None] = _unsettled()
        self._eventer: Eventer | None = None
        self._forget_topology: Callable[[], None] | None = None

    @property
    def eventer(self) -> Eventer:
        """What is published as a service, from `configure` on."""
        assert self._eventer is not None
        return self._eventer

    def configure(self) -> None:
        """Read `<eventer>`, make the pools and queues, and publish them.

        Raises:
            ConfigurationError: the stanza says something that cannot be.
        """
        configuration = self.context.services.require(Configuration)
        if self._forget_topology is None:
            self._forget_topology = configuration.facilities.register("hwloc", topology.count)
        settings = self._settings(configuration)
        if settings.implementation == "uvloop" and importlib.util.find_spec("uvloop") is None:
            raise ConfigurationError(
                'uvloop is not installed; install it, or write <eventer implementation="asyncio">', self.context.where
            )
        self._eventer = Eventer(
            settings,
            log=self.context.log,
            died=self._loop_died,
            blocked=self._loop_blocked,
            stats=self.context.services.require(Stats),
        )
        self.context.services.publish(Eventer, self._eventer)

    def start(self) -> None:
        """Start every loop; other plugins may use them from their own `start` on."""
        self._death = _unsettled()
        self.eventer.start()

    async def post_init(self) -> None:
        """Tell everybody that the loops turn."""
        if self._started.call is not None:
            await self._started.call()

    async def run(self) -> None:
        """Fail the plugin when a loop dies.

        Raises:
            LoopDied: one did.
        """
        await asyncio.wrap_future(self._death)

    def drain(self) -> None:
        """Wait for jobs, within limits."""
        self.eventer.drain(_DRAIN_S)

    def stop(self) -> None:
        """Stop whatever runs."""
        if self._forget_topology is not None:
            self._forget_topology()
            self._forget_topology = None
        if self._eventer is not None:
            self._eventer.stop(_STOP_S)

    @hookimpl(optional=True)
    def mtev_rest_routes(self, rest: RestViews) -> None:
        """Add `/eventer/{sockets,timers,jobq,callbacks,loops,memory}.json`."""
        add_views(rest, lambda: self.eventer)

    @hookimpl(optional=True)
    def mtev_console_commands(self, console: ConsoleCommands) -> None:
        """Add `show eventer debug ...`, `mtev jobq` and `mtev eventer ...`."""
        Commands(lambda: self.eventer).add_to(console)

    def _loop_blocked(self, event: Blocked) -> None:
        if event.over:
            self._blocked.discard(event.loop)
        else:
            self._blocked.add(event.loop)
        if self._blocked:
            self.context.degraded(f"loops that do not turn: {', '.join(sorted(self._blocked))}")
        else:
            self.context.healthy()
        if self._blocked_site.call is not None:
            self._blocked_site.call(event.loop, event.seconds, event.where)

    def _loop_died(self, error: LoopDied) -> None:
        self.context.degraded(str(error))
        if not self._death.done():
            self._death.set_exception(error)

    def _settings(self, configuration: Configuration) -> EventerSettings:
        if self.context.config:
            keys = ", ".join(sorted(self.context.config))
            raise ConfigurationError(
                f"the plugin 'eventer' has its options in <eventer><config>; write there: {keys}", self.context.where
            )
        sections = [each for each in configuration.sections("eventer") if each.enabled]
        for unused in sections[:-1]:
            self.context.warn(f"{unused.where}: this <eventer> is not used; the last one, at {sections[-1].where}, is")
        section = sections[-1] if sections else None
        settled = read_settings(
            section.hash() if section is not None else {},
            section.attributes.get("implementation") if section is not None else None,
            concurrency=default_concurrency(gil=_has_gil(), processors=os.cpu_count()),
        )
        if section is None:
            return settled.settings
        for text in _misplaced(section):
            self.context.warn(text)
        places = _places(section)
        for remark in settled.warnings:
            self.context.warn(_placed(remark, section, places))
        for remark in settled.notes:
            self.context.log.info("%s", _placed(remark, section, places))
        if settled.errors:
            first, *more = settled.errors
            message = "; ".join([first.text, *(_placed(each, section, places) for each in more)])
            raise ConfigurationError(f"<eventer>: {message}", places.get(first.key, section.where))
        return settled.settings


def _unsettled() -> Future[None]:
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()  # so that cancelling the one who waits does not cancel it
    return future


def _has_gil() -> bool:
    asked: Callable[[], bool] | None = getattr(sys, "_is_gil_enabled", None)
    return True if asked is None else asked()


def _places(section: Section) -> dict[str, str]:
    """Where each key in force is written, as far as that can be seen."""
    return {
        each.attributes.get("name", each.name) if each.name == "value" else each.name: each.where
        for each in section.sections("ancestor-or-self::*/config/*")
    }


def _placed(remark: Remark, section: Section, places: Mapping[str, str]) -> str:
    return f"{places.get(remark.key, section.where)}: <eventer>: {remark.text}"


def _misplaced(section: Section) -> list[str]:
    """What stands in the stanza where nobody reads it."""
    texts = [
        f"{section.where}: <eventer>: the attribute '{name}' is not read here and has no effect"
        for name in section.attributes
        if name not in _ATTRIBUTES and ":" not in name and not name.startswith("{")
    ]
    texts += [
        f"{each.where}: <eventer>: <{each.name}> stands outside of <config> and has no effect; write it inside"
        for each in section.sections("*[not(self::config)]")
    ]
    return texts
