"""Activity: which connections are idle, without a line of Python run per packet.

How it works. A timer per listener and loop looks at each connection four times per timeout and compares marks that
grow as bytes flow. For TCP on Linux the mark is the kernel's own count of bytes received and acknowledged (TCP_INFO):
every protocol is covered and pays nothing, and retransmission into the void does not count. Where there is no such
count (unix sockets, other systems) reads are counted by a protocol in between, writes only as far as output that had
to wait in the transport's buffer leaves it. Anybody may say `Connection.touch()` beside that.

Rules:

1. A connection is idle when all its marks stood still for the timeout. Looking four times per timeout means that it is
   noticed after one to one and a quarter times the timeout (libmtev: one to two times).
2. An idle connection is closed in order first (what is buffered is still sent), and aborted if it is there at the next
   look: a peer that reads nothing would keep it open for ever otherwise.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Idleness", "Sweep", "Watched", "looking_period_s", "tcp_counters", "tcp_counters_work"]

Mark = tuple[int, ...]

_COUNTERS = struct.Struct("=QQ")
_COUNTERS_AT = 120  # tcpi_bytes_acked and tcpi_bytes_received, Linux 4.2 and later
_LOOKS_PER_TIMEOUT = 4
_SHORTEST_PERIOD_S, _LONGEST_PERIOD_S = 0.01, 5.0


class Idleness:
    """How long one connection has been idle. Pure.

    Args:
        now: seconds on any clock that does not go back.
        mark: whatever changes when there is activity.
    """

    __slots__ = ("_mark", "_since")

    def __init__(self, now: float, mark: Mark) -> None:
        self._since = now
        self._mark = mark

    def look(self, now: float, mark: Mark, *, touched: bool = False) -> float:
        """Compare with the last look.

        Args:
            now: the time, on the same clock as before.
            mark: the mark now.
            touched: count it as active whatever the mark says.

        Returns:
            For how long nothing has changed, in seconds.
        """
        if touched or mark != self._mark:
            self._mark = mark
            self._since = now
        return now - self._since


def looking_period_s(timeout_s: float) -> float:
    """How often to look at connections with that idle timeout, in seconds."""
    return min(max(timeout_s / _LOOKS_PER_TIMEOUT, _SHORTEST_PERIOD_S), _LONGEST_PERIOD_S)


class Watched(Protocol):
    """What the sweep needs of a connection."""

    def activity(self) -> tuple[Mark, bool]:
        """The mark now, and whether it was touched since the last time."""

    def close_idle(self, *, by_force: bool) -> None:
        """Close it in order, or abort it."""


class Sweep:
    """The idle connections of one listener on one loop. Used on that loop only.

    Args:
        timeout_s: the idle timeout in seconds.
        clock: seconds; not the wall clock.
    """

    def __init__(self, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.timeout_s = timeout_s
        self._clock = clock
        self._watched: dict[Watched, Idleness] = {}
        self._closing: set[Watched] = set()

    def __len__(self) -> int:
        return len(self._watched)

    def add(self, connection: Watched) -> None:
        """Watch a connection from now on."""
        self._watched[connection] = Idleness(self._clock(), connection.activity()[0])

    def discard(self, connection: Watched) -> None:
        """Watch it no longer; harmless when it is not watched."""
        self._watched.pop(connection, None)
        self._closing.discard(connection)

    def look(self) -> None:
        """Look at every connection once, and close what is idle."""
        now = self._clock()
        for connection, idleness in list(self._watched.items()):
            if connection in self._closing:
                connection.close_idle(by_force=True)
                continue
            mark, touched = connection.activity()
            if idleness.look(now, mark, touched=touched) > self.timeout_s:
                self._closing.add(connection)
                connection.close_idle(by_force=False)


def tcp_counters(descriptor: socket.socket) -> tuple[int, int] | None:
    """Bytes that the peer acknowledged and bytes received from it, or None where the system does not say."""
    if not sys.platform.startswith("linux") or descriptor.family == socket.AF_UNIX:
        return None
    try:
        info = descriptor.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _COUNTERS_AT + _COUNTERS.size)
    except OSError:
        return None
    if len(info) < _COUNTERS_AT + _COUNTERS.size:
        return None
    acknowledged, received = _COUNTERS.unpack_from(info, _COUNTERS_AT)
    return acknowledged, received


def tcp_counters_work() -> bool:
    """Whether `tcp_counters` really counts here: tried on a connection to oneself, for emulated kernels do not.

    Blocks for moments; opens an ephemeral port on loopback and closes it again.
    """
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), timeout=1.0) as client,
            server.accept()[0] as accepted,
        ):
            client.sendall(b"?")
            accepted.settimeout(1.0)
            accepted.recv(1)
            counters = tcp_counters(accepted)
            return counters is not None and counters[1] == 1
    except OSError:
        return False
