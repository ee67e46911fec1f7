"""The sockets in use, for listings. Whoever owns one enters it here, and takes it out again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Address", "SocketInfo", "SocketTable", "ends_of", "mask_bits"]

Address = tuple[str, int] | str | None
"""An IP address with its port, the path of a Unix socket, or nothing."""

_BITS = {"read": 1, "write": 2, "exception": 4}


@dataclass(slots=True, eq=False)
class SocketInfo:
    """A socket as listings show it. Its owner may change it at any time.

    Args:
        callback: what serves it: the name of its protocol.
        fd: its descriptor.
        impl: what carries its bytes: `POSIX`, or `SSL` under TLS.
        mask: what it waits for: `read`, `write`, `exception`, or several with `|` between.
        pool: name of the pool that serves it.
        local: its own address.
        remote: its peer's, None for one that listens.
        loop: name of the loop that serves it, where that is known.
        detail: more about it in words, such as the TLS session and the peer's certificate.
    """

    callback: str
    fd: int
    impl: str = "POSIX"
    mask: str = "read"
    pool: str = "default"
    local: Address = None
    remote: Address = None
    loop: str = ""
    detail: str = ""


def mask_bits(mask: str) -> int:
    """The mask as libmtev's number: 1 for read, 2 for write, 4 for exception. Other words count nothing."""
    bits = 0
    for word in mask.split("|"):
        bits |= _BITS.get(word.strip(), 0)
    return bits


def ends_of(file: object) -> tuple[Address, Address]:
    """The addresses of a socket and of its peer; nothing for what is no socket, or has none."""
    if not isinstance(file, socket.socket):
        return None, None
    return _end(file.getsockname), _end(file.getpeername)


def _end(ask: Callable[[], object]) -> Address:
    try:
        name = ask()
    except OSError:
        return None
    match name:
        case (str() as host, int() as port, *_):
            return host, port
        case str() as path if path:
            return path
    return None


class SocketTable:
    """The sockets in use. Thread-safe; nothing here blocks."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # re-entrant, because a finalizer may remove in the middle of an add
        self._known: dict[SocketInfo, None] = {}

    def add(self, info: SocketInfo) -> SocketInfo:
        """Enter a socket; harmless to repeat.

        Returns:
            What was given.
        """
        with self._lock:
            self._known[info] = None
        return info

    def remove(self, info: SocketInfo) -> None:
        """Take a socket out; harmless when it is not there."""
        with self._lock:
            self._known.pop(info, None)

    def entries(self) -> list[SocketInfo]:
        """Every socket, in the order of entering."""
        with self._lock:
            return [*self._known]

    def __len__(self) -> int:
        return len(self._known)

    def describe(self) -> list[dict[str, object]]:
        """Every socket in the shape of libmtev's `sockets.json`.

        Unlike libmtev, which cannot print them, IPv6 addresses are right.
        """
        return [_describe(each) for each in self.entries()]


def _describe(info: SocketInfo) -> dict[str, object]:
    shown: dict[str, object] = {"callback": info.callback, "fd": info.fd}
    for name, address in (("local", info.local), ("remote", info.remote)):
        if isinstance(address, tuple):
            shown[name] = {"address": address[0], "port": address[1]}
    shown |= {"impl": info.impl, "mask": mask_bits(info.mask), "eventer_pool": info.pool}
    return {**shown, "detail": info.detail} if info.detail else shown
