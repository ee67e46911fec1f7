"""Connections to a receiver: datagrams, and streams with or without TLS. The thin shell round the sockets.

Rules:

1. Nothing waits longer than it was told: sockets do not block, and `poll` waits for them.
2. A stream is asked whether its peer has closed it before anything is written: the system would accept the first bytes
   after that, and lose them.
3. A message is sent when all its bytes have been handed to the system. `Unsent` says how many messages were.
4. That a datagram was refused is known at a later call only; the one before that call counts as not sent.
5. A stream is closed in order: what the peer has sent is read first, else the system would reset the connection, and
   what is under way would be lost.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Protocol

from ._resolver import SocketAddress
from .framing import Framing

__all__ = [
    "Connection",
    "Datagrams",
    "Oversize",
    "Stream",
    "Unsent",
    "connect_tcp",
    "connect_udp",
    "connect_unix",
    "wait",
]

Oversize = Callable[[int, socket.socket], None]
"""Sends a message, by its index, that the system found too long for one datagram. Raises OSError."""

_UNACKNOWLEDGED_MS = 30_000
_LINGER_S = 1.0
_READ_BYTES = 16384
_READS = 16


class Unsent(OSError):
    """Not every message was sent.

    Args:
        sent: how many were, from the first one on.
        reason: why the next one was not.
    """

    def __init__(self, sent: int, reason: str) -> None:
        super().__init__(reason)
        self.sent = sent


class Connection(Protocol):
    """A way to a receiver. One thread at a time."""

    def check(self) -> None:
        """Find out whether it is still of use. Does not block.

        Raises:
            OSError: it is not.
        """

    def send(self, messages: Sequence[bytes], timeout_s: float) -> None:
        """Send messages in order. Blocks for `timeout_s` seconds at most.

        Raises:
            Unsent: not all of them were sent; the connection is to be dropped.
        """

    def close(self) -> None:
        """Close it in order. Blocks for a second at most."""

    def drop(self) -> None:
        """Close it at once."""


class Datagrams:
    """Every message a datagram.

    Args:
        connected: the socket; it belongs to this object.
        oversize: what becomes of a message that is too long.
    """

    def __init__(self, connected: socket.socket, oversize: Oversize) -> None:
        self._socket = connected
        self._oversize = oversize

    def check(self) -> None:
        """Nothing: `send` finds out, and knows what was refused."""

    def send(self, messages: Sequence[bytes], timeout_s: float) -> None:
        """See `Connection`."""
        deadline = time.monotonic() + timeout_s
        index = 0
        try:
            for index, message in enumerate(messages):  # what failed is needed below
                self._send(index, message, deadline, timeout_s)
        except ConnectionRefusedError as error:
            refused = index - 1 if index and self._socket.family != socket.AF_UNIX else index
            raise Unsent(refused, str(error)) from error
        except OSError as error:
            raise Unsent(index, str(error)) from error
        if refusal := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise Unsent(index, str(OSError(refusal, os.strerror(refusal))))

    def close(self) -> None:
        """See `Connection`."""
        self._socket.close()

    drop = close

    def _send(self, index: int, message: bytes, deadline: float, timeout_s: float) -> None:
        while True:
            try:
                self._socket.send(message)
            except BlockingIOError:
                wait(self._socket, select.POLLOUT, deadline, timeout_s)
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                self._oversize(index, self._socket)
                return
            else:
                return


class Stream:
    """Messages in frames, one after the other.

    Args:
        connected: the socket, with TLS or without; it belongs to this object.
        framing: puts a frame round a message.
    """

    def __init__(self, connected: socket.socket, framing: Framing) -> None:
        self._socket = connected
        self._framing = framing

    def check(self) -> None:
        """See `Connection`. What the peer says is ignored."""
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            for _ in range(_READS):
                if not self._socket.recv(_READ_BYTES):
                    raise ConnectionResetError("the peer has closed the connection")

    def send(self, messages: Sequence[bytes], timeout_s: float) -> None:
        """See `Connection`."""
        deadline = time.monotonic() + timeout_s
        frames = [self._framing(message) for message in messages]
        view = memoryview(b"".join(frames))
        done = 0
        try:
            while done < len(view):
                try:
                    done += self._socket.send(view[done:])
                except (BlockingIOError, ssl.SSLWantWriteError):
                    wait(self._socket, select.POLLOUT, deadline, timeout_s)
                except ssl.SSLWantReadError:
                    wait(self._socket, select.POLLIN, deadline, timeout_s)
        except OSError as error:
            whole = sum(1 for end in accumulate(map(len, frames)) if end <= done)
            raise Unsent(whole, str(error)) from error

    def close(self) -> None:
        """See `Connection`."""
        deadline = time.monotonic() + _LINGER_S
        with contextlib.suppress(OSError):
            if isinstance(self._socket, ssl.SSLSocket):
                with contextlib.suppress(OSError):
                    self._socket.unwrap()
            self._socket.shutdown(socket.SHUT_WR)
            while time.monotonic() < deadline:
                try:
                    if not self._socket.recv(_READ_BYTES):
                        break
                except BlockingIOError:
                    wait(self._socket, select.POLLIN, deadline, _LINGER_S)
        self._socket.close()

    def drop(self) -> None:
        """See `Connection`."""
        self._socket.close()


def connect_udp(addresses: Sequence[SocketAddress], oversize: Oversize) -> Datagrams:
    """A way to the first address that this machine has a route to. Does not block.

    Raises:
        OSError: there is none.
    """
    failure: OSError = OSError("there is no address")
    for family, address in addresses:
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            made.connect(address)
        except OSError as error:
            made.close()
            failure = error
        else:
            return Datagrams(made, oversize)
    raise failure


def connect_tcp(
    addresses: Sequence[SocketAddress],
    framing: Framing,
    deadline: float,
    context: ssl.SSLContext | None = None,
    server_name: str = "",
) -> Stream:
    """A stream to the first address that answers; each may take an equal share of the time. Blocks.

    Args:
        addresses: where to.
        framing: how messages stand in it.
        deadline: when to give up, on the monotonic clock.
        context: of TLS; None for a plain stream.
        server_name: whom the certificate has to be for.

    Raises:
        OSError: none answers, or none is to be trusted.
    """
    failure: OSError = OSError("there is no address")
    for number, (family, address) in enumerate(addresses):
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(_share(deadline, len(addresses) - number))
            made.connect(address)
            if made.getsockname() == made.getpeername():
                raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                made.settimeout(_share(deadline, len(addresses) - number))
                made = context.wrap_socket(made, server_hostname=server_name)
            made.setblocking(False)
        except OSError as error:
            made.close()
            failure = error
        else:
            return Stream(made, framing)
    raise failure


def connect_unix(path: str, framing: Framing, oversize: Oversize, timeout_s: float) -> Connection:
    """A way to a local socket: datagrams, or a stream where it takes these. Blocks for `timeout_s` seconds at most.

    Raises:
        OSError: nobody is there.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        made.connect(path)
    except OSError as error:
        made.close()
        if error.errno != errno.EPROTOTYPE:
            raise
    else:
        return Datagrams(made, oversize)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(timeout_s)
        made.connect(path)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return Stream(made, framing)


def _share(deadline: float, parts: int) -> float:
    remaining_s = deadline - time.monotonic()
    if remaining_s <= 0:
        raise TimeoutError("there was no time left to connect")
    return remaining_s / parts


def wait(waiting: socket.socket, event: int, deadline: float, timeout_s: float) -> None:
    """Block until a socket is ready.

    Args:
        waiting: the socket.
        event: `POLLIN` or `POLLOUT`.
        deadline: when to give up, on the monotonic clock.
        timeout_s: the time limit that the deadline comes from, for the message.

    Raises:
        TimeoutError: it was not ready in time.
    """
    poller = select.poll()
    poller.register(waiting, event)
    remaining_s = deadline - time.monotonic()
    if remaining_s <= 0 or not poller.poll(remaining_s * 1000):
        raise TimeoutError(f"the receiver is too slow: it has not taken everything in {timeout_s:g} s")
