"""Where a `<log type="syslog">` sends its lines, as its `path` says. Pure: no name is looked up here.

    udp://HOST[:PORT]   tcp://HOST[:PORT]   tls://HOST[:PORT]   unix:PATH   PATH

An IPv6 address stands in brackets. The ports are those of RFC 5426, RFC 6587 and RFC 5425.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum

__all__ = ["DEFAULT_SOCKET", "Address", "Transport", "parse_address", "parse_socket"]

DEFAULT_SOCKET = "/dev/log"
"""The local syslog socket."""

EXPECTED = "expected udp://host:port, tcp://host:port, tls://host:port, unix:/path or /path"
"""What a path may be, for messages."""

_LONGEST_SOCKET_BYTES = 107
_URL = re.compile(
    r"(?P<scheme>[a-z0-9+.-]+)://(?P<host>\[[^\]/]*\]|[^:/\[\]]*)(?::(?P<port>[0-9]{1,5}))?/?", re.IGNORECASE
)
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_NUMERIC = re.compile(r"[0-9.]+")


class Transport(Enum):
    """How messages travel."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    UNIX = "unix"


_PORTS = {Transport.UDP: 514, Transport.TCP: 601, Transport.TLS: 6514}


@dataclass(frozen=True, slots=True)
class Address:
    """A receiver.

    Args:
        transport: how messages get there.
        host: a name, or an IP address without brackets; `""` for a local socket.
        port: 1 to 65535; 0 for a local socket.
        path: absolute, of a local socket; else `""`.
    """

    transport: Transport
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.transport is Transport.UNIX:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport.value}://{host}:{self.port}"


def parse_address(text: str) -> Address:
    """The address that a path means; the local syslog socket for an empty one.

    Raises:
        ValueError: it means none; with what is wrong, and what is expected.
    """
    if "://" not in text:
        return Address(Transport.UNIX, path=parse_socket(text or DEFAULT_SOCKET))
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError(EXPECTED)
    scheme = found["scheme"].lower()
    try:
        transport = Transport(scheme)
    except ValueError:
        raise ValueError(f"there is no transport '{scheme}'; {EXPECTED}") from None
    if transport is Transport.UNIX:
        raise ValueError(f"a local socket is unix:/path, with one slash; {EXPECTED}")
    port = int(found["port"]) if found["port"] else _PORTS[transport]
    if not 1 <= port <= 65535:
        raise ValueError(f"there is no port {port}; expected 1 to 65535")
    return Address(transport, _host(found["host"]), port)


def parse_socket(text: str) -> str:
    """The path of a local socket, with `unix:` before it or without.

    Raises:
        ValueError: it can be none.
    """
    path = text.removeprefix("unix:")
    if not path.startswith("/") or "\0" in path:
        raise ValueError("expected the absolute path of a local socket")
    if len(path.encode("utf-8", "surrogateescape")) > _LONGEST_SOCKET_BYTES:
        raise ValueError(f"the path of a socket has at most {_LONGEST_SOCKET_BYTES} bytes")
    return path


def _host(text: str) -> str:
    if text.startswith("["):
        address, _, zone = text[1:-1].partition("%")
        try:
            ipaddress.IPv6Address(address)
        except ValueError:
            raise ValueError(f"'{text}' is no IPv6 address in brackets") from None
        return f"{address}%{zone}" if zone else address
    if _NUMERIC.fullmatch(text):
        try:
            ipaddress.IPv4Address(text)
        except ValueError:
            raise ValueError(f"'{text}' is no IPv4 address") from None
        return text
    name = text.removesuffix(".")
    if not name or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f"'{text}' is no host name; {EXPECTED}")
    return text
