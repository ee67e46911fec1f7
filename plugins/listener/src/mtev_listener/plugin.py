"""The plugin: reads the `<listeners>` stanza, and opens, drains and closes what it asks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol, cast

from mtev_conf import ChangeEvent, Configuration, Proposal
from mtev_eventer import Eventer
from mtev_kernel import ConfigurationError, Context, HookResult, Plugin, hookimpl
from mtev_kernel.records import PluginListing
from mtev_tls import Tls

from . import _capabilities
from ._address import show_endpoint
from ._settings import ListenerSettings, read_listeners
from ._sockets import system_backlog
from .connection import Connection
from .listeners import CONTROL_DISPATCH, Listeners

__all__ = ["ListenerPlugin"]

_DRAIN_S = 15.0
"""How long `drain` waits for connections; below the kernel's own limit for the step, so that it ends in order."""

_LINGER_S = 5.0
_STANZAS = ("listeners",)


class _Rest(Protocol):
    def view(
        self, base: str, expression: str, function: Callable[[Mapping[str, str]], object], *, summary: str
    ) -> object: ...
    def resource(
        self, method: str, base: str, expression: str, function: Callable[[object], _Answer], *, summary: str
    ) -> object: ...


@dataclass(frozen=True, slots=True)
class _Answer:
    """What HTTP makes a response of."""

    body: bytes
    content_type: str = "application/xml"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class _Console(Protocol):
    def command(
        self, words: str, function: Callable[[Sequence[str]], Iterable[str]], *, summary: str, usage: str = ""
    ) -> object: ...


class ListenerPlugin(Plugin):
    """Publishes `Listeners`; see the package's text."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._listeners = Listeners()
        self._settings: list[ListenerSettings] = []
        self._kernel_version = ""
        self._running = False
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
        limit = system_backlog()
        for each in self._settings:
            if limit is not None and each.backlog > limit:
                self.context.warn(
                    f"{each.where}: backlog: {each.backlog} is more than the {limit} connections that the system keeps "
                    "waiting (sysctl net.core.somaxconn)"
                )

    def validate(self) -> None:
        """Every type and every pool must exist by now, and every certificate must be good."""
        if problems := self._judge(self._settings):
            raise ConfigurationError.combined(problems)
        if problems := self._listeners.prepare(self._settings, self.context.services.require(Tls)):
            raise ConfigurationError.combined(problems)

    def start(self) -> None:
        """Bind and listen: clients can connect from now on, and wait."""
        self._listeners.open(self._settings, self.context.services.require(Eventer))

    def post_init(self) -> None:
        """Accept: every plugin has started."""
        self._listeners.accept()
        self._running = True
        for bound in self._listeners.bound:
            self.context.log.info("%s: %s listens on %s%s", bound.where, bound.type, bound, " (TLS)" * bound.tls)
        for name in self._listeners.unclaimed():
            self.context.warn(f'systemd has passed a socket called "{name}", and no listener says systemd="{name}"')

    @hookimpl
    def mtev_conf_changing(self, proposal: Proposal) -> None:
        """Refuse a document whose `<listeners>` cannot be followed."""
        if not proposal.concerns(*_STANZAS):
            return
        reading = read_listeners(proposal.configuration)
        problems = reading.problems or self._judge(reading.listeners)
        if not problems:
            problems = self._listeners.try_certificates(reading.listeners)
        for problem in problems:
            proposal.refuse(problem)

    @hookimpl
    def mtev_conf_changed(self, event: ChangeEvent) -> None:
        """Open, change and close listeners as the document says now; what stays keeps its connections."""
        if self._running and event.concerns(*_STANZAS):
            self._follow()

    def _follow(self) -> None:
        reading = read_listeners(self.context.services.require(Configuration))
        problems = reading.problems or self._judge(reading.listeners)
        if not problems:
            problems = self._listeners.prepare(reading.listeners, self.context.services.require(Tls))
        for problem in problems:  # it was judged before; only files can have changed since
            self.context.log.error("the listeners stay as they were: %s", problem)
        if problems:
            return
        self._settings = reading.listeners
        failures = self._listeners.apply(self._settings, self.context.services.require(Eventer))
        for failure in failures:
            self.context.log.error("%s", failure)
        if failures:
            self.context.degraded("; ".join(failures))
        else:
            self.context.healthy()

    def _judge(self, settings: Sequence[ListenerSettings]) -> Sequence[ConfigurationError]:
        return self._listeners.check(settings, self.context.services.require(Eventer), self.context.hint)

    @hookimpl
    def mtev_stopping(self) -> HookResult | None:
        """Take nothing new, at once: those who drain later, and first, rely on it."""
        self._running = False
        self._listeners.close()
        return None

    def drain(self) -> None:
        """Let connections finish."""
        if left := self._listeners.drain(time.monotonic() + _DRAIN_S):
            self.context.log.warning("%d connections did not finish within %g s; they will be cut", left, _DRAIN_S)

    def stop(self) -> None:
        """Close what is left."""
        self._running = False
        if left := self._listeners.stop():
            self.context.log.error("%d connections could not be closed: their loop does not answer", left)

    @hookimpl(optional=True)
    def mtev_rest_routes(self, rest: _Rest) -> HookResult | None:
        """Offer `/capa.json` and `/capa`."""
        rest.view(
            "/",
            r"^capa\.json$",
            lambda query: _capabilities.as_json(self._snapshot()),
            summary="Capabilities of this service: versions, features, dispatched commands, modules",
        )
        rest.resource("GET", "/", r"^capa$", self._capa, summary="the same as XML")
        return None

    @hookimpl(optional=True)
    def mtev_console_commands(self, console: _Console) -> HookResult | None:
        """Offer `show listeners` and `show connections`."""
        console.command("show listeners", self._show, summary="Where the service listens, and how many are connected")
        console.command(
            "show connections",
            self._show_connections,
            summary="Who is connected, over which listener, and with which certificate",
            usage="[PATTERN]",
        )
        return None

    def _show(self, arguments: Sequence[str]) -> Iterable[str]:
        if arguments:
            raise ValueError("show listeners: takes no arguments")
        counts = self._listeners.describe()
        for bound, each in zip(self._listeners.bound, counts, strict=True):
            failures = f" handshake_failures={each['handshake_failures']}" * bound.tls
            yield (
                f"{bound} {bound.type}{' TLS' * bound.tls} pool={bound.pool} connections={each['connections']} "
                f"accepted={each['accepted']} refused={each['refused']}{failures} ({bound.where})"
            )

    def _show_connections(self, arguments: Sequence[str]) -> Iterable[str]:
        if len(arguments) > 1:
            raise ValueError("show connections: takes one argument at most: a part of what is shown")
        shown = (_line(each) for each in self._listeners.members())
        yield from (line for line in shown if not arguments or arguments[0] in line)

    def _capa(self, request: object) -> _Answer:
        return _Answer(_capabilities.as_xml(self._snapshot()))

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


def _line(connection: Connection) -> str:
    state = " draining" if connection.draining else " opening" if connection.transport is None else ""
    proxy = "" if connection.proxy is None else f" through {show_endpoint(connection.proxy)}"
    tls = "" if connection.tls is None else f" {connection.tls}"
    ends = f"{show_endpoint(connection.peer)}{proxy} -> {show_endpoint(connection.local)}"
    return f"{ends} {connection.type} on {connection.loop.name}{state}{tls}"


def _installed_version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
