"""The connections that a listener has at present. Thread-safe: they live on several loops."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from .connection import Connection

__all__ = ["Population"]


class Population:
    """A counted set of connections with a limit.

    Args:
        limit: how many there may be; 0 for any number.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._members: set[Connection] = set()
        self._changed = threading.Condition()
        self.accepted = 0
        """How many came in so far."""
        self.refused = 0
        """How many were turned away so far."""

    def __len__(self) -> int:
        return len(self._members)

    def admit(self, connection: Connection) -> bool:
        """Take a connection in, unless the limit is reached. Either way it is counted."""
        with self._changed:
            if self._limit and len(self._members) >= self._limit:
                self.refused += 1
                return False
            self._members.add(connection)
            self.accepted += 1
            return True

    def discard(self, connection: Connection) -> None:
        """It is gone; harmless to repeat."""
        with self._changed:
            self._members.discard(connection)
            if not self._members:
                self._changed.notify_all()

    def members(self) -> Sequence[Connection]:
        """Those that are there now."""
        with self._changed:
            return tuple(self._members)

    def wait_until_empty(self, until: float) -> bool:
        """Block until nobody is there.

        Args:
            until: the deadline, by `time.monotonic()`.

        Returns:
            Whether it became empty in time.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._members, max(until - time.monotonic(), 0.0))
