"""The plugin: reads `<uptime>`, tells of milestones, and shows the uptime over REST and on the console."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from mtev_conf import ChangeEvent, Configuration, Proposal
from mtev_kernel import DONE, ConfigurationError, Context, Plugin, hookimpl

from . import hookspecs
from .settings import Settings, read
from .uptime import Uptime

__all__ = ["UptimePlugin"]


class RestViews(Protocol):
    """What this plugin uses of mtev-http, which it therefore need not depend on."""

    def view(
        self, base: str, expression: str, function: Callable[[Mapping[str, str]], object], *, summary: str
    ) -> object: ...


class ConsoleCommands(Protocol):
    """What this plugin uses of mtev-telnet, likewise."""

    def command(self, words: str, function: Callable[[Sequence[str]], Iterable[str]], *, summary: str) -> object: ...


class UptimePlugin(Plugin):
    """Knows how long the service has been up.

    Args:
        context: this plugin's view of the kernel.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        context.hooks.declare(hookspecs)
        self._reached = context.hooks.site(hookspecs.acme_uptime_reached)
        self._uptime = Uptime(Settings(""))
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def configure(self) -> None:
        """Read the stanza.

        Raises:
            ConfigurationError: something in it cannot be meant.
        """
        if self.context.config:
            raise ConfigurationError(
                f"acme.uptime has its options in <uptime>, but its <config> has {', '.join(self.context.config)}",
                self.context.where,
            )
        self._uptime.settings = read(self.context.services.require(Configuration))

    def start(self) -> None:
        """The clock runs from here."""
        self._uptime.began = time.monotonic()
        self._uptime.told = 0.0

    async def run(self) -> None:
        """Tell of every milestone when it comes."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), self._uptime.wait_s(time.monotonic()))
            except TimeoutError:
                self._tell()

    @hookimpl
    def mtev_conf_changing(self, proposal: Proposal) -> None:
        """Refuse a document whose `<uptime>` cannot be meant."""
        if proposal.concerns("uptime"):
            try:
                read(proposal.configuration)
            except ConfigurationError as error:
                proposal.refuse(error)

    @hookimpl
    def mtev_conf_changed(self, event: ChangeEvent) -> None:
        """Take the new settings. Called on whichever thread made the change."""
        if event.concerns("uptime"):
            self._uptime.settings = read(event.configuration)
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._changed.set)

    @hookimpl(optional=True)
    def mtev_rest_routes(self, rest: RestViews) -> None:
        """Add `GET /acme/uptime.json`."""
        rest.view("/acme/", r"^uptime\.json$", self._show_json, summary="how long the service has been up")

    @hookimpl(optional=True)
    def mtev_console_commands(self, console: ConsoleCommands) -> None:
        """Add `show uptime`."""
        console.command("show uptime", self._show_lines, summary="how long the service has been up")

    def _tell(self) -> None:
        seconds = self._uptime.reach(time.monotonic())
        if seconds is None:
            return
        label = self._uptime.settings.label
        if self._reached.call is not None and self._reached.call(label, seconds) is DONE:
            return
        self.context.log.info("%s has been up for %g s", label, seconds)

    def _show_json(self, query: Mapping[str, str]) -> object:
        return self._uptime.show(time.monotonic())

    def _show_lines(self, arguments: Sequence[str]) -> Iterable[str]:
        if arguments:
            raise ValueError("show uptime takes no arguments")
        for key, value in self._uptime.show(time.monotonic()).items():
            yield f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
