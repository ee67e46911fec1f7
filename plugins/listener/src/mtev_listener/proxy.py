"""The PROXY protocol, versions 1 and 2: who is behind a proxy, in a few bytes before everything else. Pure.

Source: "The PROXY protocol, versions 1 & 2" of HAProxy.

Rules:

1. Version 1 is one line of at most 107 bytes, version 2 begins with twelve fixed bytes and says its own length.
2. A reader never takes a byte that belongs to what follows: `wanted` says how many may be read without harm.
3. `LOCAL` and `UNKNOWN` say that the proxy speaks for itself; then the connection's own ends count.
4. Anything else is an error: whoever may say who he is must say it properly.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from ._address import Endpoint
from .errors import ListenerError

__all__ = ["ProxyError", "ProxyHeader", "ProxyReader", "Version", "encode_v1", "encode_v2"]

Version = str
"""`v1`, `v2`, or `any` for either."""

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V1 = b"PROXY "
_V1_LONGEST = 107
_V2_HEAD = struct.Struct(">12sBBH")
_V2_LONGEST = 4096
_LOCAL, _PROXY = 0x20, 0x21
_STREAM4, _STREAM6, _STREAM_UNIX = 0x11, 0x21, 0x31
_CRC32C = 0x03


class ProxyError(ListenerError):
    """What came is no PROXY header, or not one of the version that was expected."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a proxy says of a connection.

    Args:
        source: who is behind it; None when the proxy speaks for itself.
        destination: whom that one has called.
        tlvs: further facts by their type (version 2): 1 is the protocol negotiated, 2 the name of the host asked for.
    """

    source: Endpoint = None
    destination: Endpoint = None
    tlvs: Mapping[int, bytes] = field(default_factory=dict)


class ProxyReader:
    """Reads a header, however it is cut up.

    Args:
        version: which may come: `v1`, `v2` or `any`.
    """

    __slots__ = ("_data", "_version")

    def __init__(self, version: Version) -> None:
        self._version = version
        self._data = b""

    @property
    def wanted(self) -> int:
        """How many bytes may be read at most, so that none of what follows is among them."""
        have = len(self._data)
        if have < len(_V1) or (self._is_v2() and have < len(SIGNATURE)):
            return (len(SIGNATURE) if self._version == "v2" else len(_V1)) - have if have < len(_V1) else 1
        if not self._is_v2():
            return 1
        if have < _V2_HEAD.size:
            return _V2_HEAD.size - have
        return _V2_HEAD.size + self._length() - have

    def feed(self, data: bytes) -> ProxyHeader | None:
        """Take what arrived: at most as many bytes as were wanted.

        Returns:
            The header once it is whole.

        Raises:
            ProxyError: it is none.
        """
        self._data += data
        if self._is_v2():
            return self._read_v2()
        if not _V1.startswith(self._data[: len(_V1)]) or self._version == "v2":
            raise ProxyError(f"no PROXY header of version {self._version[-1]} came: {self._data[:16]!r}")
        if not self._data.endswith(b"\r\n"):
            if len(self._data) >= _V1_LONGEST or b"\n" in self._data:
                raise ProxyError(f"a PROXY header of version 1 is not one line of at most {_V1_LONGEST} bytes")
            return None
        return _decode_v1(self._data[:-2])

    def _is_v2(self) -> bool:
        return bool(self._data) and SIGNATURE.startswith(self._data[: len(SIGNATURE)])

    def _length(self) -> int:
        length: int = _V2_HEAD.unpack_from(self._data)[3]
        return length

    def _read_v2(self) -> ProxyHeader | None:
        if self._version == "v1":
            raise ProxyError("a PROXY header of version 2 came, and only version 1 is allowed")
        if len(self._data) < _V2_HEAD.size:
            return None
        length = self._length()
        if length > _V2_LONGEST:
            raise ProxyError(f"a PROXY header says that it has {length} bytes; {_V2_LONGEST} are the most")
        if len(self._data) < _V2_HEAD.size + length:
            return None
        return _decode_v2(self._data)


def encode_v1(source: Endpoint, destination: Endpoint) -> bytes:
    """A header of version 1. Other than two IP ends of one family it can only say that it does not know."""
    match source, destination:
        case (str() as host, int() as port), (str() as other, int() as other_port):
            if (":" in host) == (":" in other):
                family = "TCP6" if ":" in host else "TCP4"
                return f"PROXY {family} {host} {other} {port} {other_port}\r\n".encode("ascii")
    return b"PROXY UNKNOWN\r\n"


def encode_v2(source: Endpoint, destination: Endpoint, tlvs: Mapping[int, bytes] | None = None) -> bytes:
    """A header of version 2, with a checksum. Without two ends of one family the proxy speaks for itself."""
    command, family, addresses = _PROXY, 0, b""
    match source, destination:
        case (str() as host, int() as port), (str() as other, int() as other_port) if (":" in host) == (":" in other):
            kind, family = (socket.AF_INET6, _STREAM6) if ":" in host else (socket.AF_INET, _STREAM4)
            packed = socket.inet_pton(kind, host) + socket.inet_pton(kind, other)
            addresses = packed + struct.pack(">HH", port, other_port)
        case str() as path, str() as other:
            family = _STREAM_UNIX
            addresses = struct.pack("108s108s", path.encode(), other.encode())
        case _:
            command = _LOCAL
    rest = b"".join(_tlv(kind, value) for kind, value in (tlvs or {}).items())
    checksum = _tlv(_CRC32C, b"\0" * 4)
    body = addresses + rest + checksum
    head = _V2_HEAD.pack(SIGNATURE, command, family, len(body))
    return head + body[:-4] + struct.pack(">I", crc32c(head + body))


def crc32c(data: bytes) -> int:
    """The checksum of Castagnoli, as the protocol has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()


def _decode_v1(line: bytes) -> ProxyHeader:
    words = line.split(b" ")
    if words[:2] == [b"PROXY", b"UNKNOWN"]:
        return ProxyHeader()
    try:
        _, family, source, destination, source_port, destination_port = (word.decode("ascii") for word in words)
        kind = {"TCP4": IPv4Address, "TCP6": IPv6Address}[family]
        return ProxyHeader((str(kind(source)), _port(source_port)), (str(kind(destination)), _port(destination_port)))
    except (ValueError, KeyError):
        raise ProxyError(f"a PROXY header of version 1 is malformed: {line!r}") from None


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or (text != "0" and text.startswith("0")) or int(text) > 65535:
        raise ValueError(text)
    return int(text)


def _decode_v2(data: bytes) -> ProxyHeader:
    _, command, family, _ = _V2_HEAD.unpack_from(data)
    body = data[_V2_HEAD.size :]
    if command not in (_LOCAL, _PROXY):
        raise ProxyError(f"a PROXY header has the version and command {command:#04x}; expected 0x20 or 0x21")
    source: Endpoint
    destination: Endpoint
    match family:
        case 0x11 | 0x21:
            size = 4 if family == _STREAM4 else 16
            used = 2 * size + 4
            if len(body) < used:
                raise ProxyError("a PROXY header is too short for its addresses")
            ports = struct.unpack_from(">HH", body, 2 * size)
            source = (str(ip_address(body[:size])), ports[0])
            destination = (str(ip_address(body[size : 2 * size])), ports[1])
        case 0x31:
            used = 216
            if len(body) < used:
                raise ProxyError("a PROXY header is too short for its addresses")
            source, destination = (
                each.rstrip(b"\0").decode("utf-8", "backslashreplace") or None for each in (body[:108], body[108:216])
            )
        case _ if command == _LOCAL or family == 0:
            source, destination, used = None, None, 0 if family == 0 else len(body)
        case _:
            raise ProxyError(f"a PROXY header has the family {family:#04x}, which is no stream of bytes")
    tlvs = _decode_tlvs(body[used:])
    if _CRC32C in tlvs:
        _check(data, tlvs[_CRC32C])
    if command == _LOCAL:
        return ProxyHeader(tlvs=tlvs)
    return ProxyHeader(source, destination, tlvs)


def _decode_tlvs(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if at + 3 > len(data):
            raise ProxyError("a PROXY header ends within a field")
        kind, length = struct.unpack_from(">BH", data, at)
        at += 3
        if at + length > len(data):
            raise ProxyError("a PROXY header ends within a field")
        found[kind] = data[at : at + length]
        at += length
    return found


def _check(data: bytes, stated: bytes) -> None:
    at = data.rindex(stated) if len(stated) == 4 else -1
    blank = data[:at] + b"\0" * 4 + data[at + 4 :]
    if at < 0 or crc32c(blank) != int.from_bytes(stated, "big"):
        raise ProxyError("the checksum of a PROXY header does not fit it")


def _tlv(kind: int, value: bytes) -> bytes:
    return struct.pack(">BH", kind, len(value)) + value
