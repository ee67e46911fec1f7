"""A listener as the configuration has it: one or several sockets on one address, with their connections."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mtev_eventer import Loop, LoopStopped

from ._acceptor import Acceptor
from ._address import show_endpoint
from ._opener import Opener
from ._population import Population
from ._settings import ListenerSettings
from .connection import Connection

if TYPE_CHECKING:
    from mtev_tls import ServerTls

__all__ = ["Bound", "Group"]


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the service listens.

    Args:
        type: the listener type.
        address: IP address, or the path of a unix socket.
        port: the real one, also where the system chose it; 0 for a unix socket.
        where: `file:line` of the listener.
        pool: the pool whose loops serve its connections.
        tls: whether TLS is spoken.
    """

    type: str
    address: str
    port: int
    where: str
    pool: str
    tls: bool = False

    def __str__(self) -> str:
        return show_endpoint(self.address if not self.port else (self.address, self.port))


class Group:
    """The acceptors of one `<listener>`, and what they have in common.

    Args:
        bound: where it listens.
        acceptors: one, or one for each loop of the pool.
        opener: sets its connections up.
    """

    def __init__(self, bound: Bound, acceptors: Sequence[Acceptor], opener: Opener) -> None:
        self.bound = bound
        self.acceptors = tuple(acceptors)
        self._opener = opener

    @property
    def settings(self) -> ListenerSettings:
        """Those in force."""
        return self._opener.settings

    @property
    def population(self) -> Population:
        """Its connections."""
        return self._opener.population

    def update(self, settings: ListenerSettings, tls: ServerTls | None, *, counted: bool) -> None:
        """Go by other settings for what begins from now on. The address cannot change.

        Args:
            settings: those.
            tls: how to speak TLS; None for not at all.
            counted: whether the system counts the bytes of TCP connections.
        """
        opener, old = self._opener, self.settings
        opener.population.limit = settings.max_connections
        opener.population.per_peer = settings.max_connections_per_peer
        opener.settings, opener.tls, opener.counted = settings, tls, counted
        if settings.backlog != old.backlog:
            for acceptor in self.acceptors:
                acceptor.set_backlog(settings.backlog)
        self.bound = replace(self.bound, type=settings.type, where=settings.where, tls=tls is not None)

    def accept(self) -> None:
        """Begin to accept."""
        for acceptor in self.acceptors:
            acceptor.start()

    def close(self) -> None:
        """Close the sockets; connections stay. Does not block."""
        for acceptor in self.acceptors:
            acceptor.close()

    def wait_closed(self, until: float) -> None:
        """Block until the sockets are closed, or the deadline by `time.monotonic()`."""
        for acceptor in self.acceptors:
            acceptor.wait_closed(max(until - time.monotonic(), 0.0))

    def drain(self) -> None:
        """Tell the connections that it is to end."""
        self._tell(Connection.drain)

    def abort(self) -> None:
        """Close the connections at once."""
        self._tell(Connection.abort)

    def forget(self) -> None:
        """Take its figures out of the statistics; it is closed, and another one may listen where it did."""
        self._opener.tally.remove()

    def describe(self) -> dict[str, object]:
        """Itself with its counts, as plain data."""
        tally = self._opener.tally
        return {
            "type": self.bound.type,
            "address": self.bound.address,
            "port": self.bound.port,
            "pool": self.bound.pool,
            "where": self.bound.where,
            "tls": self.bound.tls,
            "connections": len(self.population),
            "accepted": tally.accepted.value,
            "refused": tally.refused.value + tally.refused_peers.value,
            "handshake_failures": tally.handshake_failures.value,
            "proxy_failures": tally.proxy_failures.value,
            "idle": tally.idle.value,
        }

    def _tell(self, what: Callable[[Connection], None]) -> None:
        """Do something to every connection: all those of a loop in one turn, so that none is told much later."""
        by_loop: dict[Loop, list[Connection]] = {}
        for connection in self.population.members():
            by_loop.setdefault(connection.loop, []).append(connection)
        for loop, connections in by_loop.items():
            with contextlib.suppress(LoopStopped):  # it is gone, and its connections with it
                loop.call(_each, what, connections)


def _each(what: Callable[[Connection], None], connections: Sequence[Connection]) -> None:
    for connection in connections:
        what(connection)
