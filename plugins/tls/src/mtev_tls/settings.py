"""`<sslconfig>` as plain data, checked key by key. Pure: no file is opened here.

Keys are libmtev's, and some more. They are inherited as `<config>` is: all `<sslconfig>` around an element count, and
the nearest value of a key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal, TypeVar

from mtev_conf import Secret, Section, parse_boolean, parse_enumeration
from mtev_kernel import ConfigurationError

from .layer import Layer, parse_layer
from .material import Material
from .names import check_pattern

__all__ = ["KEYS", "NamedCertificate", "Side", "TlsReading", "TlsSettings", "Verify", "read_tls"]

Side = Literal["server", "client"]
Verify = Literal["none", "optional", "required"]
T = TypeVar("T")

KEYS: dict[str, str] = {
    "layer": "versions and options of TLS",
    "layer_openssl_11": "the same, before `layer`",
    "layer_openssl_10": "for an OpenSSL that is not spoken here any more; without effect",
    "certificate": "certificate and chain, a path or PEM",
    "certificate_file": "the same, after `certificate`",
    "key": "private key, a path or PEM",
    "key_file": "the same, after `key`",
    "key_password": "what the key is encrypted with",
    "ca_chain": "authorities that the peer's certificate may come from, a path or PEM",
    "ca_file": "the same, after `ca_chain`",
    "ca_accept": "authorities whose names are told to clients, a path or PEM",
    "crl": "revoked certificates, a path or PEM",
    "ciphers": "ciphers up to TLS 1.2, in OpenSSL's notation",
    "ciphersuites": "ciphers of TLS 1.3",
    "alpn": "protocols to negotiate, or none",
    "npn": "the same, after `alpn`",
    "verify": "none, optional or required: certificates of clients",
    "optional_no_ca": "accept certificates of unknown authorities",
    "ignore_dates": "accept certificates that have expired or are not valid yet",
    "session_tickets": "let clients resume sessions",
    "check_hostname": "of a client: the certificate must be for the host that was asked for",
    "unknown_server_name": "default or refuse: names that no certificate is for",
    "ocsp_response": "file with an OCSP response to staple",
}
"""Every key, with what it says."""

_CHILD = "server_name"
_LONGEST_PROTOCOL = 255
_NEWER_PYTHON = "needs Python 3.15 or later"


@dataclass(frozen=True, slots=True)
class NamedCertificate:
    """A certificate for clients that ask for certain names.

    Args:
        names: patterns in normal form.
        certificate: with its chain.
        key: its private key.
        where: `file:line` of the element.
    """

    names: tuple[str, ...]
    certificate: Material
    key: Material
    where: str = ""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How one side speaks TLS.

    Args:
        side: `server` or `client`.
        layer: versions and options.
        certificate: with its chain; None for a client without one.
        key: its private key.
        key_password: what the key is encrypted with; None for nothing.
        ca: authorities for the peer's certificate; None for the system's (client), or none (server).
        ca_accept: authorities to name to clients; None for nothing stated. An empty text in it stands for none.
        crl: revoked certificates.
        ciphers: for TLS 1.2 and below.
        alpn: protocols in order of preference; None when nothing is stated, () for none.
        verify: what is asked of the peer's certificate.
        optional_no_ca: certificates of unknown authorities pass.
        ignore_dates: expired certificates pass, and those that are not valid yet.
        session_tickets: clients may resume sessions.
        check_hostname: of a client.
        refuse_unknown_names: clients that ask for a name without a certificate are turned away.
        named: certificates by the name that is asked for.
        ocsp_response: an OCSP response in DER.
        where: `file:line` of what uses it.
    """

    side: Side = "server"
    layer: Layer = field(default_factory=parse_layer)
    certificate: Material | None = None
    key: Material | None = None
    key_password: Secret | None = None
    ca: Material | None = None
    ca_accept: Material | None = None
    crl: Material | None = None
    ciphers: str = "DEFAULT"
    alpn: tuple[str, ...] | None = None
    verify: Verify = "none"
    optional_no_ca: bool = False
    ignore_dates: bool = False
    session_tickets: bool = False
    check_hostname: bool = True
    refuse_unknown_names: bool = False
    named: tuple[NamedCertificate, ...] = ()
    ocsp_response: Material | None = None
    where: str = ""

    def materials(self) -> tuple[Material, ...]:
        """Everything that is read from files or the configuration."""
        own = (self.certificate, self.key, self.ca, self.ca_accept, self.crl, self.ocsp_response)
        named = (each for entry in self.named for each in (entry.certificate, entry.key))
        return tuple(each for each in (*own, *named) if each is not None and each.text.strip())


@dataclass(slots=True)
class TlsReading:
    """What came of reading: settings where nothing is wrong, all that is wrong, and what is only odd."""

    settings: TlsSettings | None = None
    problems: list[ConfigurationError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_tls(section: Section, *, side: Side) -> TlsReading:
    """Read the `<sslconfig>` that is in force for an element.

    Args:
        section: the element, such as a `<listener>`.
        side: whether it answers or calls.
    """
    reading = TlsReading()
    _Reader(section, side, reading).read()
    return reading


class _Reader:
    def __init__(self, section: Section, side: Side, reading: TlsReading) -> None:
        self._section = section
        self._side: Side = side
        self._reading = reading
        self._values: dict[str, str] = {}
        self._places: dict[str, Section] = {}

    def read(self) -> None:
        try:
            self._values = {key: text for key, text in self._section.hash("sslconfig").items() if key != _CHILD}
        except ConfigurationError as error:
            self._reading.problems.append(error)
            return
        for each in self._section.sections("ancestor-or-self::*/sslconfig/*"):
            self._places[each.attributes.get("name", "") if each.name == "value" else each.name] = each
        self._check_names()
        server = self._side == "server"
        certificate, key = self._material("certificate", "certificate_file"), self._material("key", "key_file")
        if certificate is None and (server or key is not None):
            self._wrong("", "there is no <certificate>; TLS cannot be spoken without one")
        if key is None and certificate is not None:
            self._wrong("", "there is a <certificate> and no <key> for it")
        ca = self._material("ca_chain", "ca_file")
        optional_no_ca = self._choice("optional_no_ca", parse_boolean, False)
        settings = TlsSettings(
            side=self._side,
            layer=self._layer(),
            certificate=certificate,
            key=key,
            key_password=Secret(self._values["key_password"]) if "key_password" in self._values else None,
            ca=ca,
            ca_accept=self._ca_accept(),
            crl=self._material("crl"),
            ciphers=self._values.get("ciphers", "").strip() or "DEFAULT",
            alpn=self._alpn(),
            verify=self._verify(ca, optional_no_ca=optional_no_ca),
            optional_no_ca=optional_no_ca,
            ignore_dates=self._choice("ignore_dates", parse_boolean, False),
            session_tickets=self._choice("session_tickets", parse_boolean, False),
            check_hostname=self._choice("check_hostname", parse_boolean, True),
            refuse_unknown_names=self._choice(
                "unknown_server_name", lambda text: parse_enumeration(text, ("default", "refuse")), "default"
            )
            == "refuse",
            named=self._named(),
            ocsp_response=self._material("ocsp_response"),
            where=self._section.where,
        )
        self._check_together(settings)
        if not self._reading.problems:
            self._reading.settings = settings

    def _check_names(self) -> None:
        for key in self._values:
            if key not in KEYS:
                near = get_close_matches(key, KEYS, n=1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                self._odd(key, f"'{key}' is not a key of <sslconfig> and has no effect{hint}")
        if "layer_openssl_10" in self._values:
            self._odd("layer_openssl_10", "'layer_openssl_10' has no effect: OpenSSL 1.0 is not spoken here any more")

    def _check_together(self, settings: TlsSettings) -> None:
        server = self._side == "server"
        if settings.crl is not None and settings.verify == "none":
            self._wrong("crl", "crl: certificates that are not verified cannot be found revoked; write <ca_chain>")
        if settings.optional_no_ca:
            self._odd(
                "optional_no_ca", "optional_no_ca: whoever asks for a certificate of any name can make one himself"
            )
        if settings.ignore_dates:
            self._odd("ignore_dates", "ignore_dates: certificates are accepted for ever")
        if "ciphersuites" in self._values:
            self._wrong("ciphersuites", f"ciphersuites: to choose the ciphers of TLS 1.3 {_NEWER_PYTHON}")
        for key in () if server else ("unknown_server_name", "ocsp_response", "ca_accept", "session_tickets"):
            if key in self._values:
                self._odd(key, f"'{key}' is for servers and has no effect here")
        if server and "check_hostname" in self._values:
            self._odd("check_hostname", "'check_hostname' is for clients and has no effect here")
        if not server and not settings.check_hostname:
            self._odd("check_hostname", "check_hostname: any host with a valid certificate can pass for the one called")

    def _layer(self) -> Layer:
        key = "layer_openssl_11" if "layer_openssl_11" in self._values else "layer"
        text = self._values.get(key, "").strip()
        try:
            layer = parse_layer(text) if text else parse_layer()
        except ValueError as error:
            self._wrong(key, f"{key}: {error}")
            return parse_layer()
        for warning in layer.warnings:
            self._odd(key, f"{key}: {warning}")
        return layer

    def _material(self, *keys: str) -> Material | None:
        """What the first key that is there names; of those after it libmtev takes no notice, so it is said."""
        found = [key for key in keys if self._values.get(key, "").strip()]
        for key in found[1:]:
            self._odd(key, f"'{key}' has no effect: '{found[0]}' is there, and counts")
        return Material(found[0], self._values[found[0]], self._where(found[0])) if found else None

    def _ca_accept(self) -> Material | None:
        text = self._values.get("ca_accept")
        return None if text is None else Material("ca_accept", text, self._where("ca_accept"))

    def _alpn(self) -> tuple[str, ...] | None:
        key = "alpn" if "alpn" in self._values else "npn"
        text = self._values.get(key, "").strip()
        if not text:
            return None
        if text.lower() == "none":
            return ()
        protocols = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
        for protocol in protocols:
            if not protocol.isascii() or len(protocol) > _LONGEST_PROTOCOL:
                self._wrong(key, f"{key}: '{protocol}' cannot name a protocol; expected up to 255 ASCII letters")
        return protocols

    def _verify(self, ca: Material | None, *, optional_no_ca: bool) -> Verify:
        if self._side == "client":
            if "verify" in self._values:
                self._odd("verify", "'verify' is for servers: a client always verifies the server")
            return "required"
        default: Verify = "optional" if ca is not None or optional_no_ca else "none"
        text = self._choice("verify", lambda text: parse_enumeration(text, ("none", "optional", "required")), default)
        verify: Verify = "required" if text == "required" else "optional" if text == "optional" else "none"
        if verify != "none" and ca is None and not optional_no_ca:
            self._wrong(
                "verify", f"verify: '{verify}' needs <ca_chain>, the authorities that may have issued certificates"
            )
        return verify

    def _named(self) -> tuple[NamedCertificate, ...]:
        found: list[NamedCertificate] = []
        taken: dict[str, str] = {}
        for each in self._section.sections(f"ancestor-or-self::*/sslconfig/{_CHILD}"):
            entry = self._named_one(each)
            if entry is None:
                continue
            for name in entry.names:
                if name in taken:
                    self._reading.problems.append(each.error(f"'{name}' has a certificate already, at {taken[name]}"))
                taken[name] = each.where
            found.append(entry)
        if found and self._side == "client":
            self._reading.warnings.append(f"{found[0].where}: <{_CHILD}> is for servers and has no effect here")
            return ()
        return tuple(found)

    def _named_one(self, section: Section) -> NamedCertificate | None:
        texts = {each.name: each for each in section.sections("*")}
        for key, child in texts.items():
            if key not in ("certificate", "certificate_file", "key", "key_file"):
                self._reading.warnings.append(str(child.error(f"it has no meaning in <{_CHILD}>")))
        certificate = texts.get("certificate") or texts.get("certificate_file")
        key_section = texts.get("key") or texts.get("key_file")
        try:
            names = tuple(check_pattern(name) for name in (section.attributes.get("name") or "").split(","))
        except ValueError as error:
            self._reading.problems.append(section.error(f"name: {error}"))
            return None
        if certificate is None or key_section is None:
            self._reading.problems.append(section.error("it needs a <certificate> and a <key>"))
            return None
        return NamedCertificate(
            names,
            Material(certificate.name, certificate.text, certificate.where),
            Material(key_section.name, key_section.text, key_section.where),
            section.where,
        )

    def _choice(self, key: str, parse: Callable[[str], T], default: T) -> T:
        text = self._values.get(key)
        if text is None:
            return default
        try:
            return parse(text.strip())
        except ValueError as error:
            self._wrong(key, f"{key}: {error}")
            return default

    def _where(self, key: str) -> str:
        place = self._places.get(key)
        return self._section.where if place is None else place.where

    def _wrong(self, key: str, message: str) -> None:
        self._reading.problems.append(
            ConfigurationError(f"<{self._section.name}>: <sslconfig>: {message}", self._where(key))
        )

    def _odd(self, key: str, message: str) -> None:
        self._reading.warnings.append(f"{self._where(key)}: <{self._section.name}>: <sslconfig>: {message}")
