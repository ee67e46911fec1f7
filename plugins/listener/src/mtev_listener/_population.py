"""The connections that a listener has at present. Thread-safe: they live on several loops."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from enum import Enum

from .connection import Connection

__all__ = ["Admission", "Population"]


class Admission(Enum):
    """What becomes of a connection that came in."""

    ADMITTED = "admitted"
    FULL = "full"
    """The listener has as many as it may have."""
    PEER_FULL = "peer full"
    """The peer has."""


class Population:
    """A counted set of connections with limits.

    Attributes:
        limit: how many there may be; 0 for any number. May be changed.
        per_peer: how many of one address; 0 for any number. May be changed.
    """

    def __init__(self, limit: int, per_peer: int = 0) -> None:
        self.limit = limit
        self.per_peer = per_peer
        self._members: set[Connection] = set()
        self._peers: dict[str, int] = {}
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._members)

    def admit(self, connection: Connection) -> Admission:
        """Take a connection in, unless a limit is reached."""
        address = connection.peer[0] if isinstance(connection.peer, tuple) else ""
        with self._changed:
            if self.limit and len(self._members) >= self.limit:
                return Admission.FULL
            if address:
                count = self._peers.get(address, 0)
                if self.per_peer and count >= self.per_peer:
                    return Admission.PEER_FULL
                self._peers[address] = count + 1
            connection.counted_peer = address
            self._members.add(connection)
            return Admission.ADMITTED

    def discard(self, connection: Connection) -> None:
        """It is gone; harmless to repeat."""
        with self._changed:
            if connection not in self._members:
                return
            self._members.discard(connection)
            self._forget_peer(connection.counted_peer)
            if not self._members:
                self._changed.notify_all()

    def members(self) -> Sequence[Connection]:
        """Those that are there now."""
        with self._changed:
            return tuple(self._members)

    def is_behind_proxy(self, connection: Connection, address: str) -> bool:
        """Count a connection under the address behind a proxy from now on.

        Returns:
            Whether that address may have one more.
        """
        with self._changed:
            self._forget_peer(connection.counted_peer)
            connection.counted_peer = address
            count = self._peers.get(address, 0)
            if address:
                self._peers[address] = count + 1
            return not self.per_peer or count < self.per_peer

    def wait_until_empty(self, until: float) -> bool:
        """Block until nobody is there.

        Args:
            until: the deadline, by `time.monotonic()`.

        Returns:
            Whether it became empty in time.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._members, max(until - time.monotonic(), 0.0))

    def _forget_peer(self, address: str) -> None:
        if not address:
            return
        count = self._peers.get(address, 0)
        if count > 1:
            self._peers[address] = count - 1
        else:
            self._peers.pop(address, None)
