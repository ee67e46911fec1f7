"""The service of this plugin: which protocols there are, where the service listens, and who is connected."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtev_kernel.errors import ConfigurationError

from ._acceptor import Acceptor
from ._activity import tcp_counters_work
from ._address import show_endpoint
from ._capabilities import Capabilities
from ._commands import Command, CommandTable
from ._dispatch import Dispatcher
from ._settings import ListenerSettings
from ._sockets import listen
from .connection import Connection, ProtocolFactory
from .errors import BindError, RegistrationError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from mtev_eventer import Eventer

__all__ = ["CONTROL_DISPATCH", "Bound", "Listeners"]

CONTROL_DISPATCH = "control_dispatch"

_TYPE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]*")
_ABORTED_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the service listens.

    Args:
        type: the listener type.
        address: IP address, or the path of a unix socket.
        port: the real one, also where the system chose it; 0 for a unix socket.
        where: `file:line` of the listener.
        pool: the pool whose loops serve its connections.
    """

    type: str
    address: str
    port: int
    where: str
    pool: str

    def __str__(self) -> str:
        return show_endpoint(self.address if not self.port else (self.address, self.port))


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
        self._acceptors: list[tuple[Bound, Acceptor]] = []

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
        if not _TYPE_NAME.fullmatch(name):
            raise RegistrationError(f"'{name}' cannot be a listener type; expected a word such as http_rest_api")
        with self._lock:
            if name in self._types:
                raise RegistrationError(f"the listener type '{name}' is registered already")
            self._types[name] = _Type(factory, summary)

    def register_command(
        self, dispatch: str, code: bytes, factory: ProtocolFactory, *, name: str, version: str = ""
    ) -> None:
        """Offer a protocol to connections that begin with four given bytes. They are the first that it receives.

        Args:
            dispatch: the dispatching listener type; `control_dispatch`.
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
        return [bound for bound, _ in self._acceptors]

    @property
    def connections(self) -> dict[Bound, int]:
        """How many connections each listener has now."""
        return {bound: len(acceptor.population) for bound, acceptor in self._acceptors}

    def describe(self) -> list[dict[str, object]]:
        """Every listener with its counts, as plain data."""
        return [
            {
                "type": bound.type,
                "address": bound.address,
                "port": bound.port,
                "pool": bound.pool,
                "where": bound.where,
                "connections": len(acceptor.population),
                "accepted": acceptor.population.accepted,
                "refused": acceptor.population.refused,
            }
            for bound, acceptor in self._acceptors
        ]

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

    def open(self, listeners: Sequence[ListenerSettings], eventer: Eventer) -> None:
        """Bind and listen everywhere, or nowhere. Nothing is accepted before `accept`.

        Raises:
            BindError: some cannot; the message has one line for each. Retriable when all of them are.
        """
        failures: list[BindError] = []
        counted = any(each.idle_timeout_s for each in listeners) and tcp_counters_work()
        for settings in listeners:
            try:
                self._acceptors.append(self._open(settings, eventer, counted=counted))
            except BindError as error:
                failures.append(error)
        if failures:
            self.close()
            self._forget(time.monotonic() + _ABORTED_WITHIN_S)
            raise BindError("\n".join(map(str, failures)), retriable=all(each.retriable for each in failures)) from (
                failures[0].__cause__
            )

    def accept(self) -> None:
        """Begin to accept connections."""
        for _, acceptor in self._acceptors:
            acceptor.start()

    def close(self) -> None:
        """Close the listening sockets; connections stay. Does not block."""
        for _, acceptor in self._acceptors:
            acceptor.close()

    def drain(self, until: float) -> int:
        """Tell connections to end and wait for it.

        Args:
            until: the deadline, by `time.monotonic()`.

        Returns:
            How many are there still.
        """
        self.close()
        for _, acceptor in self._acceptors:
            acceptor.wait_closed(max(until - time.monotonic(), 0.0))
            acceptor.drain()
        return sum(
            0 if acceptor.population.wait_until_empty(until) else len(acceptor.population)
            for _, acceptor in self._acceptors
        )

    def wait_until_empty(self, until: float) -> bool:
        """Wait until nobody is connected, whoever ends the connections.

        Args:
            until: the deadline, by `time.monotonic()`.

        Returns:
            Whether it came to that.
        """
        return all(acceptor.population.wait_until_empty(until) for _, acceptor in self._acceptors)

    def stop(self) -> int:
        """Close everything at once, whatever was done before.

        Returns:
            How many connections would not go within a few seconds; 0 is the rule.
        """
        self.close()
        for _, acceptor in self._acceptors:
            acceptor.drain()
            acceptor.abort()
        return self._forget(time.monotonic() + _ABORTED_WITHIN_S)

    def _forget(self, until: float) -> int:
        left = 0
        for _, acceptor in self._acceptors:
            acceptor.wait_closed(max(until - time.monotonic(), 0.0))
            if not acceptor.population.wait_until_empty(until):
                left += len(acceptor.population)
            acceptor.release()
        self._acceptors = []
        return left

    def _open(self, settings: ListenerSettings, eventer: Eventer, *, counted: bool) -> tuple[Bound, Acceptor]:
        pool = eventer.pool(settings.fanout_pool) if settings.fanout_pool else eventer.default
        loop = pool.choose()
        listening = listen(settings)
        acceptor = Acceptor(
            settings,
            listening,
            loop=loop,
            choose=pool.choose if settings.fanout else lambda: loop,
            factory=self._factory(settings),
            sockets=eventer.sockets,
            counted=counted,
        )
        match acceptor.local:
            case (str() as address, int() as port):
                pass
            case other:
                address, port = str(other), 0
        return Bound(settings.type, address, port, settings.where, pool.name), acceptor

    def _factory(self, settings: ListenerSettings) -> ProtocolFactory:
        factory = self._types[settings.type].factory
        return factory if factory is not None else self._dispatching(settings)

    def _dispatching(self, settings: ListenerSettings) -> ProtocolFactory:
        table, factories = self._tables[settings.type], self._factories[settings.type]

        def factory(connection: Connection) -> asyncio.BaseProtocol:
            return Dispatcher(connection, table, factories, settings.command_timeout_s)

        return factory
