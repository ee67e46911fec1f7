"""Who is at the other end of a TLS session, as plain data.

What a certificate says is written down in the forms that people and libmtev know: `/C=CH/O=Acme/CN=host`. Letters that
could pretend to be something else, slashes and control characters, are escaped there; `cn` is the name itself.
"""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

__all__ = ["CertificateFacts", "TlsPeer", "facts_of", "one_line"]

_SHORT = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "givenName": "GN",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "street",
    "surname": "SN",
    "userId": "UID",
}


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says.

    Args:
        cn: the common name of its subject, the last one if there are several; `""` for none.
        subject: its subject in one line.
        issuer: its issuer in one line.
        sans: names that it is for, each with its kind: `DNS:www.example.org`, `IP:127.0.0.1`.
        not_before: seconds since the epoch from which on it is valid.
        not_after: seconds since the epoch until which it is valid.
        serial: its serial number in upper-case hexadecimal.
        fingerprint: SHA-256 of it, in lower-case hexadecimal.
    """

    cn: str = ""
    subject: str = ""
    issuer: str = ""
    sans: tuple[str, ...] = ()
    not_before: float = 0.0
    not_after: float = 0.0
    serial: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class TlsPeer:
    """A TLS session and the peer's certificate.

    Args:
        version: such as `TLSv1.3`.
        cipher: its name.
        bits: strength of the cipher.
        alpn: the protocol that was negotiated; `""` for none.
        server_name: the name that the client asked for; `""` for none.
        certificate: what the peer's certificate says; None when it showed none.
        verified: whether that certificate is from an authority that we trust.
        error: why it is not, in words; `""` otherwise.
    """

    version: str = ""
    cipher: str = ""
    bits: int = 0
    alpn: str = ""
    server_name: str = ""
    certificate: CertificateFacts | None = None
    verified: bool = False
    error: str = ""

    @property
    def cn(self) -> str:
        """The common name in the peer's certificate; `""` without one, and for one that was not verified."""
        return self.certificate.cn if self.certificate is not None and self.verified else ""

    def __str__(self) -> str:
        who = f" CN {self.certificate.cn!r}" if self.certificate is not None else ""
        doubt = f" ({self.error})" if self.error else ""
        return f"{self.version} {self.cipher}{who}{doubt}"


class Session(Protocol):
    """What is asked of an SSL object, ours or the standard library's."""

    def version(self) -> str | None: ...
    def cipher(self) -> tuple[str, str, int] | None: ...
    def selected_alpn_protocol(self) -> str | None: ...


def facts_of(decoded: Mapping[str, object], der: bytes | None) -> CertificateFacts:
    """What a certificate says, from what `ssl.SSLObject.getpeercert` returns.

    Args:
        decoded: its dictionary form.
        der: its binary form, for the fingerprint.
    """
    subject, issuer = _pairs(decoded.get("subject")), _pairs(decoded.get("issuer"))
    names = decoded.get("subjectAltName")
    sans = tuple(f"{_kind(kind)}:{value}" for kind, value in names) if isinstance(names, tuple) else ()
    return CertificateFacts(
        cn=next((value for name, value in reversed(subject) if name == "commonName"), ""),
        subject=one_line(subject),
        issuer=one_line(issuer),
        sans=sans,
        not_before=_seconds(decoded.get("notBefore")),
        not_after=_seconds(decoded.get("notAfter")),
        serial=str(decoded.get("serialNumber", "")),
        fingerprint=hashlib.sha256(der).hexdigest() if der else "",
    )


def one_line(pairs: Iterable[tuple[str, str]]) -> str:
    """A distinguished name as OpenSSL's one-line form has it: `/O=Acme/CN=host`."""
    return "".join(f"/{_SHORT.get(name, name)}={_escaped(value)}" for name, value in pairs)


def date(seconds: float) -> str:
    """A time of a certificate for people: `2026-11-26 08:00:00 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _pairs(names: object) -> list[tuple[str, str]]:
    if not isinstance(names, tuple):
        return []
    return [(str(name), str(value)) for group in names for name, value in group]


def _escaped(value: str) -> str:
    return "".join(
        letter
        if letter.isprintable() and letter not in "/\\"
        else letter.encode("unicode_escape").decode("ascii")
        if letter not in "/\\"
        else f"\\{letter}"
        for letter in value
    )


def _kind(kind: str) -> str:
    return "IP" if kind == "IP Address" else kind


def _seconds(text: object) -> float:
    return float(ssl.cert_time_to_seconds(text)) if isinstance(text, str) else 0.0
