"""What a `<log>` of type `syslog` says, checked. Pure: no file is opened, and no name is looked up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mtev_conf import parse_boolean, parse_duration_s, parse_enumeration, parse_integer
from mtev_log import BackendSettings

from .address import Address, Transport, parse_address
from .framing import FRAMINGS
from .levels import facility_of, severity_of
from .messages import LEAST_BYTES

__all__ = ["SyslogOptions", "TlsOptions", "read_name", "read_options", "read_value", "seconds"]

T = TypeVar("T")

_TLS = ("ca_chain", "certificate_file", "key_file", "tls_name", "verify")
_STREAM = ("framing",)
_STRUCTURED = ("bom", "sd_id")
_REMOTE = ("connect_timeout",)
_OPTIONS = ("app_name", "facility", "hostname", "max_bytes", "rfc", "severity", "write_timeout")
_SD_ID = re.compile(r"(?=.{3,32}$)[!#-<>?A-\\^-~]+@[0-9]+(\.[0-9]+)*")
_VISIBLE = re.compile(r"[!-~]+")
_MOST_BYTES = {Transport.UDP: 65_507, Transport.UNIX: 1_048_576, Transport.TCP: 1_048_576, Transport.TLS: 1_048_576}
_LEAST_TIMEOUT_S, _MOST_TIMEOUT_S = 0.01, 60.0


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How the receiver is trusted, and what it is shown.

    Args:
        ca_chain: file with the authorities; None for those of the system.
        certificate_file: file with the certificate of this service and its chain; None for none.
        key_file: file with its key; None where it is in the same file.
        tls_name: whom the receiver's certificate has to be for.
        verify: whether the certificate is checked at all.
    """

    ca_chain: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    tls_name: str = ""
    verify: bool = True


@dataclass(frozen=True, slots=True)
class SyslogOptions:
    """What a `<log>` says.

    Args:
        address: the receiver.
        facility: 0 to 23.
        severity: 0 to 7, of all lines; -1 to take that of each.
        app_name, hostname: how messages are signed; `""` for the service's and the machine's name.
        sd_id: the structured-data element of fields; `""` to leave them out.
        rfc: `5424` or `3164`.
        framing: one of `FRAMINGS`.
        max_bytes: how long a message gets, without its frame.
        bom: whether texts are marked as UTF-8.
        connect_timeout_s: for name, connection and handshake together.
        write_timeout_s: for a batch of lines.
        tls: None where there is no TLS.
    """

    address: Address
    facility: int = 3
    severity: int = -1
    app_name: str = ""
    hostname: str = ""
    sd_id: str = "fields@32473"
    rfc: str = "5424"
    framing: str = "octet-counting"
    max_bytes: int = 8192
    bom: bool = False
    connect_timeout_s: float = 3.0
    write_timeout_s: float = 3.0
    tls: TlsOptions | None = None


def read_options(settings: BackendSettings) -> SyslogOptions:
    """What a `<log>` of type `syslog` says.

    Raises:
        ConfigurationError: it cannot be understood; with what is wrong, and what is expected.
    """
    settings.check_options(*_OPTIONS, *_TLS, *_STREAM, *_STRUCTURED, *_REMOTE)
    try:
        address = parse_address(settings.path.strip())
    except ValueError as error:
        raise settings.error(f"path='{settings.path}': {error}") from None
    transport = address.transport
    rfcs = ("3164", "5424") if transport is Transport.UNIX else ("5424", "3164")
    rfc = read_value(settings, "rfc", lambda text: parse_enumeration(text, rfcs), rfcs[0])
    if transport is not Transport.TLS:
        _refuse(settings, _TLS, "path='tls://...'")
    if transport is Transport.UDP:
        _refuse(settings, _STREAM, "tcp, tls and local sockets")
    if transport is Transport.UNIX:
        _refuse(settings, _REMOTE, "receivers on the network")
    if rfc == "3164":
        _refuse(settings, _STRUCTURED, "rfc='5424'")
    framings = tuple(FRAMINGS)
    default_bytes = 2048 if transport is Transport.UDP else 8192
    return SyslogOptions(
        address,
        read_value(settings, "facility", facility_of, 3),
        read_value(settings, "severity", severity_of, -1),
        read_name(settings, "app_name", 48),
        read_name(settings, "hostname", 255),
        read_value(settings, "sd_id", _sd_id, "fields@32473"),
        rfc,
        read_value(
            settings,
            "framing",
            lambda text: parse_enumeration(text, framings),
            "newline" if transport is Transport.UNIX else "octet-counting",
        ),
        read_value(
            settings, "max_bytes", lambda text: parse_integer(text, LEAST_BYTES, _MOST_BYTES[transport]), default_bytes
        ),
        read_value(settings, "bom", parse_boolean, False),
        read_value(settings, "connect_timeout", seconds, 3.0),
        read_value(settings, "write_timeout", seconds, 3.0),
        _tls(settings, address) if transport is Transport.TLS else None,
    )


def read_value(settings: BackendSettings, key: str, parse: Callable[[str], T], default: T) -> T:
    """The value of an option, parsed; the default where it is not there or empty.

    Raises:
        ConfigurationError: `parse` raised a ValueError; with its message.
    """
    text = settings.config.get(key, "").strip()
    if not text:
        return default
    try:
        return parse(text)
    except ValueError as error:
        raise settings.error(f"{key}='{text}': {error}") from None


def read_name(settings: BackendSettings, key: str, most: int) -> str:
    """A name that a header may hold; `""` where there is none.

    Raises:
        ConfigurationError: it is no such name.
    """

    def parse(text: str) -> str:
        if len(text) > most or not _VISIBLE.fullmatch(text):
            raise ValueError(f"expected 1 to {most} visible ASCII characters without a blank")
        return text

    return read_value(settings, key, parse, "")


def seconds(text: str) -> float:
    """A time limit in seconds.

    Raises:
        ValueError: it is no duration, or out of range.
    """
    value = parse_duration_s(text)
    if not _LEAST_TIMEOUT_S <= value <= _MOST_TIMEOUT_S:
        raise ValueError("expected 10ms to 60s")
    return value


def _sd_id(text: str) -> str:
    if text == "-":
        return ""
    if not _SD_ID.fullmatch(text):
        raise ValueError("expected name@number with your private enterprise number, 32 characters at most, or '-'")
    return text


def _tls(settings: BackendSettings, address: Address) -> TlsOptions:
    verify = read_value(settings, "verify", parse_boolean, True)
    certificate = _file(settings, "certificate_file")
    key = _file(settings, "key_file")
    if key is not None and certificate is None:
        raise settings.error("key_file is of no use without certificate_file")
    name = settings.config.get("tls_name", "").strip() or address.host.removesuffix(".").partition("%")[0]
    if not name.isascii():
        raise settings.error(f"tls_name='{name}': expected a host name or an IP address")
    return TlsOptions(_file(settings, "ca_chain"), certificate, key, name, verify)


def _file(settings: BackendSettings, key: str) -> Path | None:
    text = settings.config.get(key, "").strip()
    return Path(text).absolute() if text else None


def _refuse(settings: BackendSettings, keys: Iterable[str], instead: str) -> None:
    for key in keys:
        if key in settings.own:
            raise settings.error(f"the option '{key}' is for {instead} only")
