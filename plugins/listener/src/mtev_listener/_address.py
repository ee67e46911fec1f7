"""Addresses: what a listener may be bound to, and how peers are named. Pure; nothing here looks up a host name."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

__all__ = [
    "Endpoint",
    "TcpAddress",
    "UnixAddress",
    "endpoint_of",
    "group_id",
    "parse_address",
    "show_endpoint",
    "user_id",
]

Endpoint = tuple[str, int] | str | None
"""One end of a connection: host and port, the path of a unix socket, or None where there is no name for it."""

_ANY = {"*": "0.0.0.0", "inet:*": "0.0.0.0", "inet6:*": "::"}  # noqa: S104  # what the operator wrote, in other words
_UNIX_PATH_BYTES = 107


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A literal IP address with a port; port 0 lets the system choose."""

    host: str
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def __str__(self) -> str:
        return show_endpoint((self.host, self.port))


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The path of a unix socket, the permissions that it gets, and whom it belongs to.

    Args:
        path: absolute, or an abstract name of Linux behind `@`, which is no file and has no permissions.
        mode: permissions.
        owner: name or number of its owner; `""` for whoever runs the service.
        group: likewise.
    """

    path: str
    mode: int = 0o600
    owner: str = ""
    group: str = ""

    @property
    def abstract(self) -> bool:
        """Whether it is a name instead of a path."""
        return self.path.startswith("@")

    @property
    def name(self) -> str:
        """What the system calls it."""
        return f"\0{self.path[1:]}" if self.abstract else self.path

    def __str__(self) -> str:
        return self.path


def parse_address(
    text: str, port: int | None, mode: int = 0o600, owner: str = "", group: str = ""
) -> TcpAddress | UnixAddress:
    """Parse the `address` of a listener, in libmtev's order: a path, IPv4, IPv6, then the names for "any".

    Args:
        text: a path that begins with `/`, an abstract name that begins with `@`, an IP literal, `*`, `inet:*` or
            `inet6:*`.
        port: needed unless it is a path.
        mode: permissions of a unix socket.
        owner: whom it belongs to.
        group: likewise.

    Raises:
        ValueError: it is none of these, the path is too long, the port is missing, or there is no such owner.
    """
    if text.startswith(("/", "@")):
        if "\0" in text or text.endswith("/") or text == "@":
            raise ValueError(f"address: '{text}' cannot be the path of a socket")
        if len(os.fsencode(text)) > _UNIX_PATH_BYTES:
            raise ValueError(f"address: '{text}' is longer than the {_UNIX_PATH_BYTES} bytes that sockets allow")
        if owner:
            user_id(owner)
        if group:
            group_id(group)
        return UnixAddress(text, mode, owner, group)
    host = _ANY.get(text)
    if host is None:
        try:
            host = str(ip_address(text))
        except ValueError:
            raise ValueError(
                f"address: '{text}' is no address; write an IPv4 or IPv6 literal, '*' or 'inet:*' (any IPv4), "
                "'inet6:*' (any IPv6), a path that begins with '/', or an abstract name that begins with '@'; "
                "host names are not looked up"
            ) from None
    if port is None:
        raise ValueError(f"the attribute 'port' is required with the address '{text}'; 0 lets the system choose one")
    return TcpAddress(host, port)


def user_id(name: str) -> int:
    """The number of a user, by name or number.

    Raises:
        ValueError: there is none.
    """
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ValueError(f"there is no user '{name}'") from None


def group_id(name: str) -> int:
    """The number of a group, by name or number.

    Raises:
        ValueError: there is none.
    """
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"there is no group '{name}'") from None


def endpoint_of(address: object) -> Endpoint:
    """What the socket calls report as an address, in our form: IPv4 mapped into IPv6 is shown as IPv4.

    Args:
        address: result of `getsockname`, `getpeername` or `accept`.
    """
    match address:
        case (str() as host, int() as port, *_):
            if host.startswith("::ffff:"):
                mapped = IPv6Address(host.partition("%")[0]).ipv4_mapped
                host = str(mapped) if isinstance(mapped, IPv4Address) else host
            return (host, port)
        case str() | bytes():
            name = os.fsdecode(address)
            return f"@{name[1:]}" if name.startswith("\0") else name or None
        case _:
            return None


def show_endpoint(endpoint: Endpoint) -> str:
    """An endpoint as people write it: `127.0.0.1:80`, `[::1]:80`, `/run/x.sock`, or `unnamed`."""
    if endpoint is None:
        return "unnamed"
    if isinstance(endpoint, str):
        return endpoint
    host, port = endpoint
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
