"""The plugin: reads `<rest>`, offers HTTP to the listener, and drains it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from mtev_conf import ChangeEvent, Configuration, Proposal
from mtev_eventer import Eventer
from mtev_kernel import ConfigurationError, Context, Plugin, PluginListing, PluginRecord, hookimpl
from mtev_listener import Listeners
from mtev_stats import Stats

from . import hookspecs
from ._access_log import FORENSIC, STREAM, Streams
from ._config import RestSettings, read_access, read_finishing, read_settings
from ._dispatch import RestDispatcher, Sites
from ._engines import Engines
from ._metering import StatsMeters
from ._openapi import Information
from ._pages import Pages
from ._places import EventerPlaces
from ._route import Route
from ._router import Router
from .rest import Rest

if TYPE_CHECKING:
    from mtev_listener import Connection

    from ._engine import Engine

__all__ = ["HttpPlugin"]

_COMMANDS = (b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"MERG", b"PATC")


class _Console(Protocol):
    """What this plugin uses of the console."""

    def command(self, words: str, function: Callable[[Sequence[str]], Iterable[str]], *, summary: str) -> object: ...


class HttpPlugin(Plugin):
    """REST over HTTP, as listener type `http_rest_api` and behind `control_dispatch`.

    Args:
        context: this plugin's view of the kernel.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        context.hooks.declare(hookspecs)
        self._router = Router()
        self._dispatcher = RestDispatcher(self._router, Sites.of(context), context.log)
        self._rest = Rest(
            self._router,
            context.log,
            EventerPlaces(partial(context.services.require, Eventer)),
            StatsMeters(context.services.require(Stats)),
        )
        self._settings = RestSettings()
        self._engines: Engines | None = None
        self._draining = False
        context.services.publish(Rest, self._rest)
        self._rest.view("/mtev/", r"^plugins\.json$", self._plugins, summary="every plugin, its state and why")
        Pages(
            self._rest,
            information=self._information,
            plugins=lambda: self._plugins({}),
            draining=lambda: self._draining,
            allowed=lambda request: self._dispatcher.access.decide(request).allowed,
        ).add()

    def configure(self) -> None:
        """Read `<rest>`, and register with the listener."""
        if self.context.config:
            raise ConfigurationError(
                f"the plugin 'http' has its options in <rest>, but its <config> has "
                f"{', '.join(sorted(self.context.config))}",
                self.context.where,
            )
        listeners = self.context.services.require(Listeners)
        listeners.register_type("http_rest_api", self._protocol, summary="REST over HTTP/1.1")
        for dispatch in ("http_rest_api", "control_dispatch"):  # what TLS may agree on
            listeners.register_type(f"{dispatch}/alpn:http/1.1", self._protocol, summary="the same, by ALPN")
        for code in _COMMANDS:
            listeners.register_command(
                "control_dispatch", code, self._protocol, name="mtev_wire_rest_api", version="1.0"
            )
        configuration = self.context.services.require(Configuration)
        self._settings = read_settings(configuration)
        self._dispatcher.time_limit_s = self._settings.time_limit_s
        self._dispatcher.finishing = read_finishing(configuration)
        self._dispatcher.access = access = read_access(configuration)
        if not access.lists:
            self.context.warn(f"{access.absent}: every route that asks access control is denied")

    def start(self) -> None:
        """Load the engine, and ask the plugins for their routes."""
        from ._aiohttp_engine import AiohttpEngine

        self._draining = False

        def make() -> Engine:
            return AiohttpEngine(self._dispatcher, self._settings.limits, self.context.log)

        self._engines = Engines(make)
        if (routes := self.context.hooks.site(hookspecs.mtev_rest_routes).call) is not None:
            routes(self._rest)

    async def drain(self) -> None:
        """Close idle connections, and let requests under way finish within `drain_timeout_ms`."""
        self._draining = True
        if self._engines is not None:
            limit_s = self._settings.drain_timeout_s
            left = await self._engines.drain(limit_s)
            if left:
                self.context.log.warning("%d connections were not done after %g s and will be cut", left, limit_s)

    async def stop(self) -> None:
        """Cut what is left."""
        if self._engines is not None:
            await self._engines.close()
            self._engines = None

    @hookimpl
    def mtev_conf_changing(self, proposal: Proposal) -> None:
        """Refuse a document whose `<rest>` cannot be followed."""
        if proposal.concerns("rest"):
            try:
                read_settings(proposal.configuration)
                read_access(proposal.configuration)
                read_finishing(proposal.configuration)
            except ConfigurationError as error:
                proposal.refuse(error)

    @hookimpl
    def mtev_conf_changed(self, event: ChangeEvent) -> None:
        """Take the access control lists and policies of the new configuration."""
        if event.concerns("rest"):
            self._dispatcher.access = read_access(event.configuration)
            self._dispatcher.finishing = read_finishing(event.configuration)

    @hookimpl(optional=True)
    def mtev_log_streams(self, logs: Streams) -> None:
        """Write a line for each request to the stream `http/access`.

        One before it goes to `http/access/forensic`, but only where the configuration has that stream: its lines would
        end up in `http/access` otherwise, as those of every stream do in what stands above it.
        """
        self._dispatcher.access_log = logs.stream(STREAM)
        if self.context.services.require(Configuration).sections(f"//logs//log[@name='{FORENSIC}']"):
            self._dispatcher.forensic_log = logs.stream(FORENSIC)

    @hookimpl(optional=True)
    def mtev_console_commands(self, console: _Console) -> None:
        """Offer `show rest`."""
        console.command("show rest", self._show, summary="the routes of the REST service")

    def _information(self) -> Information:
        return Information(self.context.services.require(Configuration).root_name, self.context.distribution)

    def _plugins(self, query: Mapping[str, str]) -> list[PluginRecord]:
        return self.context.services.require(PluginListing).plugins()

    def _show(self, arguments: Sequence[str]) -> list[str]:
        if arguments:
            raise ValueError("show rest takes no arguments")
        return [line for route in self._rest.routes for line in _describe(route)]

    def _protocol(self, connection: Connection) -> asyncio.BaseProtocol:
        assert self._engines is not None, "the listener accepts only after every plugin has started"
        return self._engines.protocol(connection)


def _describe(route: Route) -> Iterator[str]:
    handler = route.handler
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    yield f"{route.method} [{route.base}] {route.expression}"
    yield f"\tHANDLER: {getattr(handler, '__module__', '')}.{name}"
    yield f"\tAUTH: {'acl' if route.auth else 'none'}"
    yield f"\tSUMMARY: {route.summary}"
