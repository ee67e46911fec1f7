"""TLS contexts: made of settings and files, and made anew when a file changes.

How it works. `load` reads every file, and builds a context for each certificate. `context` is the one to hand to event
loops; sessions that begin take whatever it is at that moment, sessions that are there keep what they have. `refresh`
looks at the files' identities and, when one has changed, builds everything again; only when all of it is good does it
take the place of the old. So half of a certificate that is being replaced, or a broken file, changes nothing.

The standard library's `ssl` does the work. What it cannot do (see `_openssl`) is done with pyOpenSSL, and only then.
"""

from __future__ import annotations

import _ssl
import logging
import ssl
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import EngineError, MaterialError
from .layer import Layer
from .material import Identity, Material, as_file, kinds
from .names import match
from .peer import CertificateFacts, TlsPeer, date, facts_of
from .settings import NamedCertificate, TlsSettings

if TYPE_CHECKING:
    from mtev_conf import Secret

__all__ = ["ClientTls", "NamedContext", "ServerTls", "TlsContexts", "load_own", "peer_of"]

_log = logging.getLogger("mtev.tls")

_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME, which the ssl module has no name for
_SETTLING_S = 2.0
"""A file that changed that recently may still be being written; one that cannot be used then is tried again quietly."""


class ServerSession(ssl.SSLObject):
    """A TLS session of a server, which remembers the name that the client asked for."""

    server_name = ""


@dataclass(frozen=True, slots=True)
class NamedContext:
    """A certificate in use.

    Args:
        names: patterns of the names that clients ask for; empty for the default.
        source: where the certificate is from.
        facts: what it says.
    """

    names: tuple[str, ...]
    source: Material
    facts: CertificateFacts


@dataclass(frozen=True, slots=True)
class _Built:
    """What `_build` makes."""

    context: ssl.SSLContext
    certificates: tuple[NamedContext, ...]


class TlsContexts:
    """What servers and clients have in common. Not to be made itself.

    Args:
        settings: how to speak.
        offers: protocols that can be spoken on the connection, for ALPN; None for whatever the settings say.

    Attributes:
        settings: as above.
        reloads: how often changed files were taken up.
        fault: why changed files are not taken up, or `""`.
    """

    def __init__(self, settings: TlsSettings, *, offers: Sequence[str] | None = None) -> None:
        self.settings = settings
        self.reloads = 0
        self.fault = ""
        self._alpn = _alpn(settings.alpn, offers)
        self._built: _Built | None = None
        self._identities: dict[str, Identity] = {}
        self._loaded_s = 0.0

    @property
    def context(self) -> ssl.SSLContext:
        """The context for new sessions. For `connect_accepted_socket` and its like.

        Raises:
            MaterialError: nothing was loaded.
        """
        built = self._built
        if built is None:
            raise MaterialError(f"{self.settings.where}: the certificates were not loaded; call load() first")
        return built.context

    @property
    def certificates(self) -> tuple[NamedContext, ...]:
        """The certificates in use, the default one first."""
        return () if self._built is None else self._built.certificates

    def load(self) -> None:
        """Read every file and make the contexts. Blocks on the file system for moments.

        Raises:
            MaterialError: a file cannot be read or used; the message names it.
            EngineError: the settings ask for what the libraries here cannot do.
        """
        identities = self._look()
        self._take(self._build(), identities)

    def refresh(self) -> bool:
        """Take up changed files. Blocks on the file system for moments; not for two threads at once.

        Returns:
            Whether something new is in use.

        Raises:
            MaterialError: something has changed and cannot be used. What was in use stays; the next call tries again,
                and raises again only when the fault is another one.
        """
        identities = self._look()
        if identities == self._identities and not self.fault:
            return False
        if any(identity is None and self._identities.get(path) is not None for path, identity in identities.items()):
            gone = ", ".join(path for path, identity in identities.items() if identity is None)
            return self._failed(MaterialError(f"{self.settings.where}: a file is gone: {gone}"))
        try:
            built = self._build()
        except MaterialError as error:
            if self._is_settling(identities):
                return False
            return self._failed(error)
        if self._look() != identities:  # it changed under our eyes: the next look decides
            return False
        self._take(built, identities)
        self.reloads += 1
        return True

    def peer(self, session: object) -> TlsPeer:
        """Who is at the other end.

        Args:
            session: the `ssl_object` of a transport's `get_extra_info`.
        """
        return peer_of(session)

    def describe(self) -> dict[str, object]:
        """What is in use, as plain data for listings. No secrets."""
        return {
            "where": self.settings.where,
            "side": self.settings.side,
            "verify": self.settings.verify,
            "loaded": self._loaded_s,
            "reloads": self.reloads,
            "fault": self.fault,
            "certificates": [
                {
                    "names": list(each.names),
                    "source": each.source.path or "inline",
                    "subject": each.facts.subject,
                    "issuer": each.facts.issuer,
                    "sans": list(each.facts.sans),
                    "not_before": each.facts.not_before,
                    "not_after": each.facts.not_after,
                    "serial": each.facts.serial,
                    "fingerprint": each.facts.fingerprint,
                }
                for each in self.certificates
            ],
        }

    def _take(self, built: _Built, identities: dict[str, Identity]) -> None:
        self._built, self._identities, self._loaded_s, self.fault = built, identities, time.time(), ""
        for text in self._doubts():
            _log.warning("%s", text)

    def _look(self) -> dict[str, Identity]:
        return {each.path: each.identity() for each in self.settings.materials() if each.path}

    def _failed(self, error: MaterialError) -> bool:
        known, self.fault = self.fault, str(error)
        if known == self.fault:
            return False
        raise error

    def _is_settling(self, identities: Mapping[str, Identity]) -> bool:
        newest_ns = max((each[2] for each in identities.values() if each is not None), default=0)
        return 0 <= time.time() - newest_ns / 1e9 < _SETTLING_S

    def _doubts(self) -> list[str]:
        """What is odd about what was loaded."""
        now = time.time()
        doubts = [
            f"{each.where}: {each.shown}: anybody on this machine can read this key; chmod o-r is wanting"
            for each in (self.settings.key, *(entry.key for entry in self.settings.named))
            if each is not None and each.readable_by_others()
        ]
        for each in self.certificates:
            if now > each.facts.not_after:
                doubts.append(f"{each.source.where}: {each.source.shown}: it expired at {date(each.facts.not_after)}")
            elif now < each.facts.not_before:
                doubts.append(
                    f"{each.source.where}: {each.source.shown}: it is valid from {date(each.facts.not_before)}"
                )
        return doubts

    def _build(self) -> _Built:
        raise NotImplementedError


class ServerTls(TlsContexts):
    """The TLS of a listener; see `TlsContexts` and the module's text."""

    def _build(self) -> _Built:
        settings = self.settings
        assert settings.certificate is not None, "a server's settings have a certificate"
        assert settings.key is not None, "a server's settings have a key"
        default = _server_context(settings, settings.certificate, settings.key, self._alpn)
        certificates = [NamedContext((), settings.certificate, _own_facts(settings.certificate))]
        by_name: dict[str, ssl.SSLContext] = {}
        for entry in settings.named:
            context = _server_context(settings, entry.certificate, entry.key, self._alpn)
            by_name |= dict.fromkeys(entry.names, context)
            certificates.append(_named(entry))
        _answer_names(default, by_name, refuse=settings.refuse_unknown_names)
        return _Built(default, tuple(certificates))


class ClientTls(TlsContexts):
    """The TLS of one who connects; see `TlsContexts` and the module's text.

    Hand the host's name to the loop as `server_hostname`: it is what the certificate is checked against.
    """

    def _build(self) -> _Built:
        settings = self.settings
        if settings.optional_no_ca:
            from ._openssl import client_context

            context: ssl.SSLContext = client_context(settings, self._alpn)
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = settings.check_hostname
            _apply(context, settings, self._alpn)
            if settings.ca is None:
                context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        certificates: tuple[NamedContext, ...] = ()
        if settings.certificate is not None and settings.key is not None:
            if not settings.optional_no_ca:
                load_own(context, settings.certificate, settings.key, settings.key_password)
            certificates = (NamedContext((), settings.certificate, _own_facts(settings.certificate)),)
        return _Built(context, certificates)


def peer_of(session: object) -> TlsPeer:
    """Who is at the other end of a session of either engine.

    Raises:
        TypeError: it is no TLS session.
    """
    describe = getattr(session, "tls_peer", None)
    if describe is not None:
        peer = describe()
        assert isinstance(peer, TlsPeer)
        return peer
    if not isinstance(session, (ssl.SSLObject, ssl.SSLSocket)):
        raise TypeError(f"{session!r} is no TLS session")
    name, _, bits = session.cipher() or ("", "", 0)
    der = session.getpeercert(binary_form=True)
    decoded = session.getpeercert()
    return TlsPeer(
        version=session.version() or "",
        cipher=name,
        bits=bits,
        alpn=session.selected_alpn_protocol() or "",
        server_name=session.server_name if isinstance(session, ServerSession) else "",
        certificate=facts_of(decoded, der) if decoded else None,
        verified=bool(decoded),
    )


def load_own(context: ssl.SSLContext, certificate: Material, key: Material, password: Secret | None) -> None:
    """Load a certificate with its chain and key.

    Raises:
        MaterialError: they cannot be read, or do not belong together.
    """
    pem, key_pem = certificate.read(), key.read()
    if "CERTIFICATE" not in kinds(pem):
        raise certificate.error(f"there is no certificate in it, but {', '.join(sorted(kinds(pem)))}")
    if not any(kind.endswith("PRIVATE KEY") for kind in kinds(key_pem)):
        raise key.error(f"there is no private key in it, but {', '.join(sorted(kinds(key_pem)))}")
    text = password.reveal() if password is not None else ""  # never None: OpenSSL would ask on the terminal
    with as_file(pem) as certificate_path, as_file(key_pem) as key_path:
        try:
            context.load_cert_chain(certificate_path, key_path, text)
        except ssl.SSLError as error:
            if b"ENCRYPTED" in key_pem and error.reason != "KEY_VALUES_MISMATCH":
                raise key.error("it is encrypted, and <key_password> is missing or wrong") from error
            raise _explained(error, certificate, key) from error
        except (OSError, ValueError) as error:
            raise key.error(f"it cannot be used: {error}") from error


def _server_context(settings: TlsSettings, certificate: Material, key: Material, alpn: Sequence[str]) -> ssl.SSLContext:
    if settings.optional_no_ca or settings.ocsp_response is not None or _names_authorities(settings):
        from ._openssl import server_context

        return server_context(settings, certificate, key, alpn)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = ServerSession
    _apply(context, settings, alpn)
    load_own(context, certificate, key, settings.key_password)
    return context


def _names_authorities(settings: TlsSettings) -> bool:
    """Whether authorities are to be told to clients, which the ssl module cannot."""
    return settings.ca_accept is not None and bool(settings.ca_accept.text.strip())


def _apply(context: ssl.SSLContext, settings: TlsSettings, alpn: Sequence[str]) -> None:
    """What the settings say beside the own certificate."""
    apply_layer(context, settings.layer)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_SINGLE_DH_USE | ssl.OP_SINGLE_ECDH_USE
    if settings.side == "server" and not settings.session_tickets:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    try:
        context.set_ciphers(settings.ciphers)
    except ssl.SSLError:
        raise EngineError(
            f"{settings.where}: <ciphers>: OpenSSL knows no cipher of '{settings.ciphers}'; "
            "'openssl ciphers' lists what it knows"
        ) from None
    if alpn:
        context.set_alpn_protocols(list(alpn))
    match settings.verify:
        case "required":
            context.verify_mode = ssl.CERT_REQUIRED
        case "optional":
            context.verify_mode = ssl.CERT_OPTIONAL
        case "none":
            context.verify_mode = ssl.CERT_NONE
    if settings.ca is not None:
        _load_trust(context, settings.ca, "CERTIFICATE", "a certificate")
    if settings.crl is not None:
        _load_trust(context, settings.crl, "X509 CRL", "a revocation list")
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if settings.ignore_dates:
        context.verify_flags |= _NO_CHECK_TIME


def apply_layer(context: ssl.SSLContext, layer: Layer) -> None:
    """Set versions and options."""
    with warnings.catch_warnings():  # whoever asks for an old version was warned of it, with file and line
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = layer.minimum
        context.maximum_version = layer.maximum
        context.options |= layer.switched_off
    context.options |= ssl.OP_NO_COMPRESSION
    if layer.workarounds:
        context.options |= ssl.OP_ALL
    else:
        context.options &= ~ssl.OP_ALL
        context.options |= ssl.OP_NO_COMPRESSION
    if layer.server_preference:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _load_trust(context: ssl.SSLContext, material: Material, kind: str, what: str) -> None:
    pem = material.read()
    if kind not in kinds(pem):
        raise material.error(f"there is not {what} in it, but {', '.join(sorted(kinds(pem)))}")
    with as_file(pem) as path:
        try:
            context.load_verify_locations(path)
        except (ssl.SSLError, OSError) as error:
            raise material.error(f"it cannot be used: {_reason(error)}") from error


def _answer_names(context: ssl.SSLContext, by_name: Mapping[str, ssl.SSLContext], *, refuse: bool) -> None:
    """Have the certificate chosen by the name that the client asks for."""

    def choose(session: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> int | None:
        if name is None:
            return None
        session.server_name = name  # type: ignore[union-attr]  # a session of ours, of either engine
        chosen = match(name, by_name)
        if chosen is not None:
            session.context = chosen
        elif refuse:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        return None

    context.sni_callback = choose


def _named(entry: NamedCertificate) -> NamedContext:
    return NamedContext(entry.names, entry.certificate, _own_facts(entry.certificate))


def _own_facts(certificate: Material) -> CertificateFacts:
    """What the first certificate of some PEM says."""
    pem = certificate.read().decode("ascii", "replace")
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    try:
        first = pem[pem.index(begin) : pem.index(end) + len(end)] + "\n"
        der = ssl.PEM_cert_to_DER_cert(first)
        # The ssl module shows certificates of authorities and of peers, but not one's own, but for this function,
        # which its own tests rest on. Without it, listings have the fingerprint alone.
        decode = getattr(_ssl, "_test_decode_cert", None)
        if decode is None:
            return facts_of({}, der)
        with as_file(first.encode()) as path:
            return facts_of(decode(path), der)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise certificate.error(f"it cannot be decoded: {_reason(error)}") from error


def _alpn(stated: Sequence[str] | None, offers: Sequence[str] | None) -> tuple[str, ...]:
    if stated is None:
        return tuple(offers or ())
    return tuple(each for each in stated if offers is None or each in offers)


def _explained(error: ssl.SSLError, certificate: Material, key: Material) -> MaterialError:
    reason = error.reason or ""
    if reason == "KEY_VALUES_MISMATCH":
        return key.error(f"it is not the key of {certificate.shown}")
    if reason in ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
        return certificate.error(f"OpenSSL refuses it as too weak: {_reason(error)}")
    return certificate.error(f"it and {key.shown} cannot be used: {_reason(error)}")


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else str(error)
