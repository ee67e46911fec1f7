"""A listener as the configuration has it: one or several sockets on one address, with their connections."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._acceptor import Acceptor
from ._address import show_endpoint
from ._population import Population
from ._settings import ListenerSettings

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
        population: its connections.
    """

    def __init__(self, bound: Bound, acceptors: Sequence[Acceptor], population: Population) -> None:
        self.bound = bound
        self.acceptors = tuple(acceptors)
        self.population = population

    @property
    def settings(self) -> ListenerSettings:
        """Those in force."""
        return self.acceptors[0].settings

    def update(self, settings: ListenerSettings, tls: ServerTls | None, *, counted: bool) -> None:
        """Go by other settings for what begins from now on. The address cannot change.

        Args:
            settings: those.
            tls: how to speak TLS; None for not at all.
            counted: whether the system counts the bytes of TCP connections.
        """
        old = self.settings
        self.population.limit = settings.max_connections
        self.population.per_peer = settings.max_connections_per_peer
        for acceptor in self.acceptors:
            acceptor.settings, acceptor.tls, acceptor.counted = settings, tls, counted
            if settings.backlog != old.backlog:
                acceptor.set_backlog(settings.backlog)
        self.bound = Bound(
            settings.type, self.bound.address, self.bound.port, settings.where, self.bound.pool, tls is not None
        )

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
        self.acceptors[0].drain()

    def abort(self) -> None:
        """Close the connections at once."""
        self.acceptors[0].abort()

    def describe(self) -> dict[str, object]:
        """Itself with its counts, as plain data."""
        return {
            "type": self.bound.type,
            "address": self.bound.address,
            "port": self.bound.port,
            "pool": self.bound.pool,
            "where": self.bound.where,
            "tls": self.bound.tls,
            "connections": len(self.population),
            "accepted": self.population.accepted,
            "refused": self.population.refused,
        }
