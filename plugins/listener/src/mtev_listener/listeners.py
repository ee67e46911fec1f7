"""The service of this plugin: which protocols there are, where the service listens, and who is connected."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mtev_kernel.errors import ConfigurationError
from mtev_tls import ServerTls, TlsError

from ._acceptor import Acceptor
from ._activity import tcp_counters_work
from ._capabilities import Capabilities
from ._changes import changes
from ._commands import Command, CommandTable
from ._dispatch import Dispatcher
from ._group import Bound, Group
from ._opener import Opener
from ._population import Population
from ._settings import ListenerSettings
from ._sockets import ListeningSocket, adopt_socket, listen
from ._sweeps import Sweeps
from ._systemd import take_sockets
from ._tally import Tally
from .connection import Connection, ProtocolFactory
from .errors import BindError, RegistrationError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from mtev_eventer import Eventer, Loop, Pool
    from mtev_tls import Tls, TlsSettings

    from ._address import Endpoint

__all__ = ["CONTROL_DISPATCH", "Bound", "Listeners"]

CONTROL_DISPATCH = "control_dispatch"

_ALPN = "/alpn:"
_TYPE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]*")
_ABORTED_WITHIN_S = 3.0


class _MakeTls(Protocol):
    def __call__(self, settings: TlsSettings, *, offers: Sequence[str]) -> ServerTls: ...


@dataclass(frozen=True, slots=True)
class _Type:
    factory: ProtocolFactory | None
    summary: str


class Listeners:
    """Registers protocols, and opens, drains and closes the listeners that the configuration asks for.

    Attributes:
        capabilities: what plugins say of the service; shown in `/capa.json` and by `CAPA`.
    """

    def __init__(self) -> None:
        self.capabilities = Capabilities()
        self._lock = threading.Lock()
        self._types: dict[str, _Type] = {
            CONTROL_DISPATCH: _Type(None, "reads a four-byte command, then hands over to its protocol")
        }
        self._tables: dict[str, CommandTable] = {CONTROL_DISPATCH: CommandTable()}
        self._factories: dict[str, dict[bytes, ProtocolFactory]] = {CONTROL_DISPATCH: {}}
        self._changing = threading.Lock()
        self._groups: list[Group] = []
        self._leaving: list[Group] = []
        self._prepared: dict[int, ServerTls] = {}
        self._sockets: dict[str, list[int]] | None = None
        self._counters: bool | None = None
        self._sweeps = Sweeps()

    # For plugins that speak a protocol. Thread-safe.

    def register_type(self, name: str, factory: ProtocolFactory, *, summary: str = "") -> None:
        """Offer a protocol under a listener type. To be called from a plugin's constructor or `configure`.

        Args:
            name: what `<listener type="…">` calls it.
            factory: makes the protocol of each connection.
            summary: one line for listings.

        Raises:
            RegistrationError: the name is malformed, or taken.
        """
        with self._lock:
            self._add_type(name, _Type(factory, summary))

    def register_dispatch(self, name: str, *, summary: str = "") -> None:
        """Offer another listener type that dispatches by four bytes, with commands of its own.

        Args:
            name: what `<listener type="…">` calls it, and `register_command` its table.
            summary: one line for listings.

        Raises:
            RegistrationError: the name is malformed, or taken.
        """
        with self._lock:
            self._add_type(name, _Type(None, summary))
            self._tables[name] = CommandTable()
            self._factories[name] = {}

    def register_command(
        self, dispatch: str, code: bytes, factory: ProtocolFactory, *, name: str, version: str = ""
    ) -> None:
        """Offer a protocol to connections that begin with four given bytes. They are the first that it receives.

        Args:
            dispatch: the dispatching listener type: `control_dispatch`, or one that `register_dispatch` has made.
            code: the four bytes.
            factory: makes the protocol of each connection.
            name: what capabilities call it, such as `mtev_wire_rest_api`. Several codes may share one.
            version: of the protocol, such as `1.0`.

        Raises:
            RegistrationError: there is no such dispatch, the code has not four bytes, or it is taken.
        """
        with self._lock:
            table = self._tables.get(dispatch)
            if table is None:
                known = ", ".join(self._tables)
                raise RegistrationError(f"'{dispatch}' dispatches no commands; listener types that do: {known}")
            table.add(Command(code, name, version))
            self._factories[dispatch][code] = factory

    @property
    def types(self) -> Mapping[str, str]:
        """The registered listener types and their summaries."""
        with self._lock:
            return {name: entry.summary for name, entry in self._types.items()}

    def commands(self) -> dict[str, list[Command]]:
        """The commands of each dispatching listener type that has any."""
        with self._lock:
            return {name: table.commands() for name, table in self._tables.items() if table.commands()}

    # Where the service listens. Thread-safe.

    @property
    def bound(self) -> list[Bound]:
        """Every listening socket, in the order of the configuration. Empty before `start` and after `stop`."""
        return [group.bound for group in self._groups]

    @property
    def connections(self) -> dict[Bound, int]:
        """How many connections each listener has now."""
        return {group.bound: len(group.population) for group in self._groups}

    def describe(self) -> list[dict[str, object]]:
        """Every listener with its counts, as plain data."""
        return [group.describe() for group in self._groups]

    def members(self) -> list[Connection]:
        """Every connection that is there now, those of listeners that are going among them."""
        return [each for group in (*self._groups, *self._leaving) for each in group.population.members()]

    # For the plugin object, in the order of its steps. These block.

    def check(
        self, listeners: Sequence[ListenerSettings], eventer: Eventer, hint: Callable[[str, str], str]
    ) -> list[ConfigurationError]:
        """What the settings ask for that nobody offers.

        Args:
            listeners: what to check.
            eventer: knows the pools.
            hint: tells what to install; see `Context.hint`.
        """
        problems = []
        for settings in listeners:
            opening = f'<listener type="{settings.type}">'
            if settings.type not in self.types:
                advice = hint("listener-type", settings.type) or f"the types there are: {', '.join(sorted(self.types))}"
                problems.append(ConfigurationError(f"{opening}: no enabled plugin speaks it; {advice}", settings.where))
            if settings.fanout_pool:
                try:
                    eventer.pool(settings.fanout_pool)
                except LookupError as error:
                    text = str(error.args[0] if error.args else error)
                    problems.append(ConfigurationError(f"{opening}: fanout_pool: {text}", settings.where))
        return problems

    def prepare(self, listeners: Sequence[ListenerSettings], tls: Tls) -> list[ConfigurationError]:
        """Read the certificates of listeners that speak TLS, so that `open` and `apply` find them ready.

        Returns:
            What is wrong with them.
        """
        prepared, problems = self._secured(listeners, tls.server)
        if not problems:
            self._prepared = prepared
        return problems

    def try_certificates(self, listeners: Sequence[ListenerSettings]) -> list[ConfigurationError]:
        """What is wrong with the certificates of listeners that may be to come. Blocks for moments."""

        def loaded(settings: TlsSettings, *, offers: Sequence[str]) -> ServerTls:
            tls = ServerTls(settings, offers=offers)
            tls.load()
            return tls

        return self._secured(listeners, loaded)[1]

    def _secured(
        self, listeners: Sequence[ListenerSettings], make: _MakeTls
    ) -> tuple[dict[int, ServerTls], list[ConfigurationError]]:
        """What each listener that speaks TLS speaks it with, by the identity of its settings, and what is wrong."""
        made: dict[int, ServerTls] = {}
        problems: list[ConfigurationError] = []
        for settings in listeners:
            if settings.tls is not None:
                try:
                    made[id(settings)] = make(settings.tls, offers=self._alpn(settings.type))
                except TlsError as error:
                    problems.append(_placed(error, settings))
        return made, problems

    def open(self, listeners: Sequence[ListenerSettings], eventer: Eventer) -> None:
        """Bind and listen everywhere, or nowhere. Nothing is accepted before `accept`.

        Raises:
            BindError: some cannot; the message has one line for each. Retriable when all of them are.
        """
        failures: list[BindError] = []
        for settings in listeners:
            try:
                self._groups.append(self._open(settings, eventer))
            except BindError as error:
                failures.append(error)
        if failures:
            self.close()
            self._forget(time.monotonic() + _ABORTED_WITHIN_S)
            raise BindError("\n".join(map(str, failures)), retriable=all(each.retriable for each in failures)) from (
                failures[0].__cause__
            )

    def apply(self, listeners: Sequence[ListenerSettings], eventer: Eventer) -> list[str]:
        """Make the listeners what is wanted, without touching those that stay, or their connections.

        Call `prepare` before. What cannot be opened is left out; everything else is done all the same. Blocks for
        moments.

        Returns:
            What could not be opened, in words.
        """
        with self._changing:
            todo = changes([group.settings for group in self._groups], listeners)
            failures: list[str] = []
            for number, settings in todo.keep.items():
                tls = self._prepared.get(id(settings))
                self._groups[number].update(settings, tls, counted=self._counted(settings))
            leaving = [self._groups[number] for number in todo.close]
            for group in leaving:
                group.close()
            for group in leaving:
                group.wait_closed(time.monotonic() + _ABORTED_WITHIN_S)
                group.drain()
                group.forget()
            self._leaving = [group for group in (*self._leaving, *leaving) if len(group.population)]
            fresh: dict[int, Group] = {}
            for settings in todo.open:
                try:
                    fresh[id(settings)] = self._open(settings, eventer)
                except BindError as error:
                    failures.append(str(error))
            kept = {id(settings): self._groups[number] for number, settings in todo.keep.items()}
            known = {**kept, **fresh}
            self._groups = [known[id(settings)] for settings in listeners if id(settings) in known]
            for group in fresh.values():
                group.accept()
            return failures

    def accept(self) -> None:
        """Begin to accept connections."""
        for group in self._groups:
            group.accept()

    def close(self) -> None:
        """Close the listening sockets; connections stay. Does not block."""
        for group in self._groups:
            group.close()

    def drain(self, until: float) -> int:
        """Tell connections to end and wait for it.

        Args:
            until: the deadline, by `time.monotonic()`.

        Returns:
            How many are there still.
        """
        self.close()
        groups = [*self._groups, *self._leaving]
        for group in groups:
            group.wait_closed(until)
            group.drain()
        return sum(0 if group.population.wait_until_empty(until) else len(group.population) for group in groups)

    def wait_until_empty(self, until: float) -> bool:
        """Wait until nobody is connected, whoever ends the connections.

        Args:
            until: the deadline, by `time.monotonic()`.

        Returns:
            Whether it came to that.
        """
        return all(group.population.wait_until_empty(until) for group in (*self._groups, *self._leaving))

    def stop(self) -> int:
        """Close everything at once, whatever was done before.

        Returns:
            How many connections would not go within a few seconds; 0 is the rule.
        """
        self.close()
        for group in (*self._groups, *self._leaving):
            group.drain()
            group.abort()
        return self._forget(time.monotonic() + _ABORTED_WITHIN_S)

    def _forget(self, until: float) -> int:
        left = 0
        for group in (*self._groups, *self._leaving):
            group.wait_closed(until)
            if not group.population.wait_until_empty(until):
                left += len(group.population)
            group.forget()
        self._groups, self._leaving = [], []
        self._sweeps.stop()
        return left

    def _add_type(self, name: str, entry: _Type) -> None:
        if not _TYPE_NAME.fullmatch(name):
            raise RegistrationError(f"'{name}' cannot be a listener type; expected a word such as http_rest_api")
        if name in self._types:
            raise RegistrationError(f"the listener type '{name}' is registered already")
        self._types[name] = entry

    def _open(self, settings: ListenerSettings, eventer: Eventer) -> Group:
        pool = eventer.pool(settings.fanout_pool) if settings.fanout_pool else eventer.default
        tls = self._prepared.get(id(settings))
        if settings.tls is not None and tls is None:
            raise BindError(f"{settings.where}: its certificates were not read", retriable=False)
        loops = pool.loops if settings.accept == "each" else (pool.choose(),)
        sockets: list[ListeningSocket] = []
        try:
            for _ in loops:
                sockets.append(self._listen(settings, sockets))
        except BindError:
            for each in sockets:
                each.close()
            raise
        match sockets[0].local:
            case (str() as address, int() as port):
                pass
            case other:
                address, port = str(other), 0
        bound = Bound(settings.type, address, port, settings.where, pool.name, tls is not None)
        population = Population(settings.max_connections, settings.max_connections_per_peer)
        opener = Opener(
            settings,
            self._factory(settings),
            population=population,
            tally=Tally(eventer.stats, str(bound), settings.type, population.__len__),
            sockets=eventer.sockets,
            sweeps=self._sweeps,
            counted=self._counted(settings),
            tls=tls,
        )
        acceptors = [
            Acceptor(opener, each, loop=loop, choose=_chooser(settings, pool, loop), sockets=eventer.sockets)
            for loop, each in zip(loops, sockets, strict=True)
        ]
        return Group(bound, acceptors, opener)

    def _listen(self, settings: ListenerSettings, before: Sequence[ListeningSocket]) -> ListeningSocket:
        if not settings.systemd:
            first = before[0].local if before else None
            return listen(settings, port=first[1] if isinstance(first, tuple) else None)
        if self._sockets is None:
            try:
                self._sockets = take_sockets(os.environ)
            except ValueError as error:
                raise BindError(f"{settings.where}: {error}", retriable=False) from error
        descriptors = self._sockets.get(settings.systemd)
        if not descriptors:
            known = ", ".join(sorted(self._sockets)) or "none at all"
            raise BindError(
                f'{settings.where}: systemd has passed no socket called "{settings.systemd}" that is not in use; '
                f"there are: {known}",
                retriable=False,
            )
        return adopt_socket(settings, descriptors.pop(0))

    def unclaimed(self) -> list[str]:
        """Sockets that systemd has passed and nobody has asked for, by name; known when any listener asked for one."""
        return [] if self._sockets is None else [name for name, left in self._sockets.items() if left]

    def _counted(self, settings: ListenerSettings) -> bool:
        """Whether the system is to count the bytes of connections; tried once, when an idle timeout first asks."""
        if not settings.idle_timeout_s:
            return False
        if self._counters is None:
            self._counters = tcp_counters_work()
        return self._counters

    def _alpn(self, kind: str) -> list[str]:
        """The protocols that a listener of that type can speak, for TLS to offer; what was registered last is first."""
        prefix = f"{kind}{_ALPN}"
        return [name.removeprefix(prefix) for name in reversed(list(self._types)) if name.startswith(prefix)]

    def _factory(self, settings: ListenerSettings) -> ProtocolFactory:
        plain = self._types[settings.type].factory or self._dispatching(settings)
        negotiated = {
            protocol: factory
            for protocol in self._alpn(settings.type)
            if (factory := self._types[f"{settings.type}{_ALPN}{protocol}"].factory) is not None
        }
        if settings.tls is None or not negotiated:
            return plain

        def factory_of(connection: Connection) -> asyncio.BaseProtocol:
            protocol = connection.tls.alpn if connection.tls is not None else ""
            return negotiated.get(protocol, plain)(connection)

        return factory_of

    def _dispatching(self, settings: ListenerSettings) -> ProtocolFactory:
        table, factories = self._tables[settings.type], self._factories[settings.type]

        def factory(connection: Connection) -> asyncio.BaseProtocol:
            return Dispatcher(connection, table, factories, settings.command_timeout_s)

        return factory


def _placed(error: TlsError, settings: ListenerSettings) -> ConfigurationError:
    """An error about certificates, with the place of the listener where it names none itself."""
    text = str(error)
    file = settings.where.rpartition(":")[0]
    return ConfigurationError(text if file and text.startswith(file) else f"{settings.where}: {text}")


def _chooser(settings: ListenerSettings, pool: Pool, loop: Loop) -> Callable[[Endpoint], Loop]:
    """How a listener spreads its connections over loops."""
    match settings.fanout:
        case "":
            return lambda peer: loop
        case _ if settings.accept == "each":
            return lambda peer: loop
        case "least_loaded":
            return lambda peer: pool.least_loaded()
        case "peer":
            return lambda peer: pool.choose(peer[0] if isinstance(peer, tuple) else "unix")
        case _:
            return lambda peer: pool.choose()
