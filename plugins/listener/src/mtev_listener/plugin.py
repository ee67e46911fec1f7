"""The plugin: reads the `<listeners>` stanza, and opens, drains and closes what it asks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol, cast

from mtev_conf import Configuration
from mtev_eventer import Eventer
from mtev_kernel import ConfigurationError, Context, HookResult, Plugin, hookimpl
from mtev_kernel.records import PluginListing

from . import _capabilities
from ._settings import ListenerSettings, read_listeners
from .connection import Connection
from .listeners import CONTROL_DISPATCH, Listeners

__all__ = ["ListenerPlugin"]

_DRAIN_S = 15.0
"""How long `drain` waits for connections; below the kernel's own limit for the step, so that it ends in order."""

_LINGER_S = 5.0


class _Rest(Protocol):
    def view(
        self, base: str, expression: str, function: Callable[[Mapping[str, str]], object], *, summary: str
    ) -> object: ...


class _Console(Protocol):
    def command(self, words: str, function: Callable[[Sequence[str]], Iterable[str]], *, summary: str) -> object: ...


class ListenerPlugin(Plugin):
    """Publishes `Listeners`; see the package's text."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._listeners = Listeners()
        self._settings: list[ListenerSettings] = []
        self._kernel_version = ""
        self._listeners.register_command(
            CONTROL_DISPATCH,
            b"CAPA",
            lambda connection: _Transit(connection, self._snapshot),
            name="capabilities_transit",
            version="1.0",
        )
        context.services.publish(Listeners, self._listeners)

    def configure(self) -> None:
        """Read the stanza; every problem is reported at once."""
        self._kernel_version = _installed_version("mtev-kernel")
        reading = read_listeners(self.context.services.require(Configuration))
        for warning in reading.warnings:
            self.context.warn(warning)
        if reading.problems:
            raise ConfigurationError.combined(reading.problems)
        self._settings = reading.listeners

    def validate(self) -> None:
        """Every type and every pool must exist by now."""
        eventer = self.context.services.require(Eventer)
        if problems := self._listeners.check(self._settings, eventer, self.context.hint):
            raise ConfigurationError.combined(problems)

    def start(self) -> None:
        """Bind and listen: clients can connect from now on, and wait."""
        self._listeners.open(self._settings, self.context.services.require(Eventer))

    def post_init(self) -> None:
        """Accept: every plugin has started."""
        self._listeners.accept()
        for bound in self._listeners.bound:
            self.context.log.info("%s: %s listens on %s", bound.where, bound.type, bound)

    @hookimpl
    def mtev_stopping(self) -> HookResult | None:
        """Take nothing new, at once: those who drain later, and first, rely on it."""
        self._listeners.close()
        return None

    def drain(self) -> None:
        """Let connections finish."""
        if left := self._listeners.drain(time.monotonic() + _DRAIN_S):
            self.context.log.warning("%d connections did not finish within %g s; they will be cut", left, _DRAIN_S)

    def stop(self) -> None:
        """Close what is left."""
        if left := self._listeners.stop():
            self.context.log.error("%d connections could not be closed: their loop does not answer", left)

    @hookimpl(optional=True)
    def mtev_rest_routes(self, rest: _Rest) -> HookResult | None:
        """Offer `/capa.json`."""
        rest.view(
            "/",
            r"^capa\.json$",
            lambda query: _capabilities.as_json(self._snapshot()),
            summary="Capabilities of this service: versions, features, dispatched commands, modules",
        )
        return None

    @hookimpl(optional=True)
    def mtev_console_commands(self, console: _Console) -> HookResult | None:
        """Offer `show listeners`."""
        console.command("show listeners", self._show, summary="Where the service listens, and how many are connected")
        return None

    def _show(self, arguments: Sequence[str]) -> Iterable[str]:
        if arguments:
            raise ValueError("show listeners: takes no arguments")
        counts = self._listeners.describe()
        for bound, each in zip(self._listeners.bound, counts, strict=True):
            yield (
                f"{bound} {bound.type} pool={bound.pool} connections={each['connections']} "
                f"accepted={each['accepted']} refused={each['refused']} ({bound.where})"
            )

    def _snapshot(self) -> _capabilities.Snapshot:
        build, run = _capabilities.this_machine()
        listing = self.context.services.find(PluginListing)
        records = [] if listing is None else listing.plugins()
        return _capabilities.Snapshot(
            version=self._listeners.capabilities.application_version,
            mtev_version=self._kernel_version,
            build=build,
            run=run,
            now_ms=_capabilities.now_ms(),
            features=self._listeners.capabilities.features(),
            services=self._listeners.commands(),
            modules={each.name: "generic" for each in records if each.state in ("running", "degraded")},
        )


class _Transit(asyncio.Protocol):
    """The command `CAPA`: the capabilities as a bare XML document, then the end.

    Our side is closed first, and the connection when the peer has closed its own: closing at once would reset the
    connection if more of a request came in, and could cost the peer what it has not read yet.
    """

    def __init__(self, connection: Connection, snapshot: Callable[[], _capabilities.Snapshot]) -> None:
        self._connection = connection
        self._snapshot = snapshot
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say it all."""
        out = cast("asyncio.WriteTransport", transport)  # uvloop's are so in all but name
        self._end = self._connection.loop.asyncio_loop.call_later(_LINGER_S, self._connection.abort)
        out.write(_capabilities.as_xml(self._snapshot(), connected=self._connection.type))
        out.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has it, or never will."""
        if self._end is not None:
            self._end.cancel()


def _installed_version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
