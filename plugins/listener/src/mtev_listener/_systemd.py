"""Sockets that systemd has opened for the service (sd_listen_fds(3)): `LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES`.

The first descriptor is 3. Names are those of `FileDescriptorName=` in the socket unit, `unknown` where it has none.
Whoever takes them removes the variables, so that no child takes them for its own.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

__all__ = ["take_sockets"]

_FIRST = 3
_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
_MOST = 1024


def take_sockets(
    environ: MutableMapping[str, str], pid: int | None = None, first: int = _FIRST
) -> dict[str, list[int]]:
    """The descriptors that were passed to this process, by name, and removed from the environment.

    Args:
        environ: the environment; changed.
        pid: the process that asks; None for this one.
        first: the first descriptor.

    Raises:
        ValueError: the variables make no sense.
    """
    values = {name: environ.pop(name, "") for name in _VARIABLES}
    if not values["LISTEN_FDS"] or values["LISTEN_PID"] not in ("", str(os.getpid() if pid is None else pid)):
        return {}
    if not values["LISTEN_FDS"].isdigit() or int(values["LISTEN_FDS"]) > _MOST:
        raise ValueError(f"LISTEN_FDS is '{values['LISTEN_FDS']}'; expected a number from 0 to {_MOST}")
    count = int(values["LISTEN_FDS"])
    names = values["LISTEN_FDNAMES"].split(":") if values["LISTEN_FDNAMES"] else []
    found: dict[str, list[int]] = {}
    for offset in range(count):
        name = names[offset] if offset < len(names) and names[offset] else "unknown"
        found.setdefault(name, []).append(first + offset)
    return found


def adopt(descriptor: int) -> socket.socket:
    """A passed descriptor as a listening socket of ours.

    Raises:
        OSError: it is no descriptor, or no socket.
        ValueError: it is a socket of another kind, or does not listen.
    """
    os.set_inheritable(descriptor, False)
    found = socket.socket(fileno=descriptor)
    try:
        if found.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) or found.type != socket.SOCK_STREAM:
            raise ValueError(f"descriptor {descriptor} is a socket of another kind; expected a stream")
        if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ValueError(
                f"descriptor {descriptor} does not listen; a socket unit needs ListenStream= and Accept=no"
            )
        found.setblocking(False)
    except BaseException:
        found.detach()
        raise
    return found
