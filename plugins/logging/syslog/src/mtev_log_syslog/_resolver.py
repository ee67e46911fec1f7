"""Looks up host names without waiting longer than asked: the system's resolver knows no time limit."""

from __future__ import annotations

import socket
import threading

__all__ = ["Resolver", "SocketAddress"]

SocketAddress = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]
"""A family, and an address as `connect` takes it."""


class Resolver:
    """Looks up one host. A look-up that is late goes on, and the next call waits for that one: there is one thread.

    Args:
        host: a name or a numeric address.
        port: 1 to 65535.
        kind: the type of the socket.
    """

    def __init__(self, host: str, port: int, kind: socket.SocketKind) -> None:
        self._host = host
        self._port = port
        self._kind = kind
        self._running: _LookUp | None = None

    def look_up(self, timeout_s: float) -> list[SocketAddress]:
        """The addresses of the host, best first. Blocks for so many seconds at most. One thread at a time.

        Raises:
            OSError: there are none.
            TimeoutError: the answer is late.
        """
        try:
            return self._ask(socket.AI_NUMERICHOST)
        except socket.gaierror:
            pass
        running = self._running
        if running is None or running.forked:
            running = self._running = _LookUp(self)
        if not running.done.wait(timeout_s):
            raise TimeoutError(f"the address of '{self._host}' is not known after {timeout_s:g} s")
        self._running = None
        if running.error is not None:
            raise running.error
        return running.found

    def _ask(self, flags: int) -> list[SocketAddress]:
        answers = socket.getaddrinfo(self._host, self._port, type=self._kind, flags=flags)
        return [(family, address) for family, _, _, _, address in answers]  # type: ignore[misc]  # int-only addresses are of systems without IPv6


class _LookUp:
    def __init__(self, resolver: Resolver) -> None:
        self.done = threading.Event()
        self.found: list[SocketAddress] = []
        self.error: OSError | None = None
        self._thread = threading.Thread(target=self._run, args=(resolver,), name="l:resolver", daemon=True)
        self._thread.start()

    @property
    def forked(self) -> bool:
        """Whether the thread is another process's."""
        return not self._thread.is_alive() and not self.done.is_set()

    def _run(self, resolver: Resolver) -> None:
        try:
            self.found = resolver._ask(0)  # one class in two parts
        except OSError as error:
            self.error = error
        finally:
            self.done.set()
