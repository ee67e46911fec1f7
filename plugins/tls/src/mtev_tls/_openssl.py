"""Contexts on pyOpenSSL, for what the standard library's `ssl` cannot do.

That is: certificates of unknown authorities accepted with the reason known (`optional_no_ca`), the names of
authorities told to clients (`ca_accept`), and OCSP responses stapled to the handshake (`ocsp_response`).

How it works. Event loops ask an `ssl.SSLContext` for a session between two memory buffers (`wrap_bio`), and that
session to do handshakes, reads and writes. `PyContext` is such a context, and its sessions are `PySession`: a pyOpenSSL
connection with buffers of its own, from and to which the loops' bytes are carried. Everything else is the loops' as it
always is. This costs a copy each way and some Python per operation, which is why it serves only those who ask for it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, NoReturn, cast

from ._ocsp import Staple
from .errors import EngineError
from .material import Material
from .names import match as match_name
from .names import normal
from .peer import CertificateFacts, TlsPeer, one_line

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from OpenSSL import SSL, crypto
except ImportError as problem:
    raise EngineError(
        "optional_no_ca, ca_accept and ocsp_response need pyOpenSSL, which is not here; "
        f'install it with: pip install "mtev-tls[openssl]" ({problem})'
    ) from problem

if TYPE_CHECKING:
    from .settings import TlsSettings

__all__ = ["PyContext", "PySession", "client_context", "server_context"]

_CHUNK_BYTES = 64 * 1024
_NO_CHECK_TIME = 0x200000
_UNKNOWN_AUTHORITY = {18, 19, 20, 21, 27}
"""X509_V_ERR_*: self-signed, self-signed in the chain, issuer not here, leaf cannot be verified, untrusted."""

Verifier = Callable[[SSL.Connection, crypto.X509, int, int, int], bool]


def server_context(settings: TlsSettings, certificate: Material, key: Material, alpn: Sequence[str]) -> PyContext:
    """A context that answers.

    Raises:
        MaterialError: a file cannot be read or used.
    """
    context = PyContext(ssl.PROTOCOL_TLS_SERVER)
    inner = SSL.Context(SSL.TLS_SERVER_METHOD)
    _load_own(inner, settings, certificate, key)
    _apply(inner, settings)
    offered = [each.encode("ascii") for each in alpn]
    if offered:

        def choose(connection: SSL.Connection, wanted: list[bytes]) -> bytes:
            common = [each for each in offered if each in wanted]
            return common[0] if common else cast("bytes", SSL.NO_OVERLAPPING_PROTOCOLS)  # a marker of pyOpenSSL's

        inner.set_alpn_select_callback(choose)
    if settings.verify != "none" and settings.ca_accept is not None and settings.ca_accept.text.strip():
        for authority in _certificates(settings.ca_accept):
            inner.add_client_ca(authority)
    if settings.ocsp_response is not None:
        staple = Staple(settings.ocsp_response, _certificates(certificate))
        inner.set_ocsp_server_callback(lambda connection, data: staple.current())
    context.inner = inner
    context.verify = settings.verify
    return context


def client_context(settings: TlsSettings, alpn: Sequence[str]) -> PyContext:
    """A context that calls.

    Raises:
        MaterialError: a file cannot be read or used.
    """
    context = PyContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # done here, for the ssl module's is not asked
    inner = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if settings.certificate is not None and settings.key is not None:
        _load_own(inner, settings, settings.certificate, settings.key)
    _apply(inner, settings)
    if settings.ca is None:
        inner.set_default_verify_paths()
    if alpn:
        inner.set_alpn_protos([each.encode("ascii") for each in alpn])
    context.inner = inner
    context.verify = "required"
    context.match_hostname = settings.check_hostname
    return context


class PyContext(ssl.SSLContext):
    """An `ssl.SSLContext` whose sessions are pyOpenSSL's.

    Attributes:
        inner: pyOpenSSL's context.
        verify: what is asked of the peer's certificate.
        match_hostname: of a client: the certificate must be for the host that was asked for.
    """

    inner: SSL.Context
    verify: str = "none"
    match_hostname: bool = False
    _choose: Callable[[PySession, str | None, ssl.SSLContext], int | None] | None = None

    def wrap_bio(  # type: ignore[override]  # a session of another class with the same operations
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> PySession:
        """A session between two buffers, as event loops ask for it."""
        name = server_hostname.decode("ascii") if isinstance(server_hostname, bytes) else server_hostname
        return PySession(self, incoming, outgoing, server_side=server_side, server_hostname=name or "")

    @property  # type: ignore[override]  # its sessions are of another class with the same operations
    def sni_callback(self) -> Callable[[PySession, str | None, ssl.SSLContext], int | None] | None:
        """Called with the name that a client asks for; see `ssl.SSLContext.sni_callback`."""
        return self._choose

    @sni_callback.setter
    def sni_callback(self, choose: Callable[[PySession, str | None, ssl.SSLContext], int | None] | None) -> None:
        self._choose = choose

        def asked(connection: SSL.Connection) -> None:
            session: PySession = connection.get_app_data()
            name = connection.get_servername()
            if choose is not None:
                session.refused = choose(session, name.decode("ascii", "replace") if name else None, self) is not None

        self.inner.set_tlsext_servername_callback(asked)


class PySession:
    """A TLS session that an event loop drives; its methods are those of `ssl.SSLObject`.

    Attributes:
        server_name: the name that the client asked for.
        refused: the name has no certificate, and that ends the handshake.
        doubt: why the peer's certificate was not verified, in words.
        verified: whether the peer's certificate was shown and verified.
    """

    def __init__(
        self,
        context: PyContext,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        *,
        server_side: bool,
        server_hostname: str,
    ) -> None:
        self.server_side = server_side
        self.server_hostname = server_hostname
        self.server_name = ""
        self.refused = False
        self.doubt = ""
        self._context = context
        self._incoming = incoming
        self._outgoing = outgoing
        self._untouched = False  # encrypted bytes may wait in the connection's own buffer
        self._connection = SSL.Connection(context.inner, None)
        self._connection.set_app_data(self)
        if server_side:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
            if server_hostname:
                self._connection.set_tlsext_host_name(server_hostname.encode("idna"))

    @property
    def context(self) -> PyContext:
        """The context; another one may take its place while the client's name is being looked at."""
        return self._context

    @context.setter
    def context(self, context: PyContext) -> None:
        self._context = context
        self._connection.set_context(context.inner)

    def do_handshake(self) -> None:
        """Go on with the handshake; raises as `ssl.SSLObject.do_handshake` does."""
        self._pump(self._connection.do_handshake)
        if not self.server_side and self._context.match_hostname:
            self._check_host()

    def read(self, size: int = 1024, buffer: bytearray | memoryview | None = None) -> bytes | int:
        """Decrypted bytes, or their number when they go to a buffer; none at the end of the session."""
        try:
            if buffer is None:
                return bytes(self._pump(lambda: self._connection.recv(size)))
            count: int = self._pump(lambda: self._connection.recv_into(buffer, size))
        except _EndOfSession:
            return b"" if buffer is None else 0
        return count

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Encrypt bytes; how many were taken."""
        written: int = self._pump(lambda: self._connection.send(bytes(data)))
        return written

    def unwrap(self) -> None:
        """Say that nothing more comes, and wait for the peer to say so."""
        self._pump(self._close)

    def pending(self) -> int:
        """How many decrypted bytes wait; at least one when there is something to learn by reading.

        Loops read on while there is something here or in their own buffer, which was emptied into ours.
        """
        if self._untouched:
            try:
                self._connection.recv(1, socket.MSG_PEEK)
            except (SSL.WantReadError, SSL.WantWriteError):
                self._untouched = False
            except SSL.Error:
                return 1  # reading tells what it is
        count: int = self._connection.pending()
        return count

    def version(self) -> str | None:
        """The version of TLS."""
        name: str = self._connection.get_protocol_version_name()
        return name

    def cipher(self) -> tuple[str, str, int] | None:
        """The cipher's name, the version and the bits."""
        name = self._connection.get_cipher_name()
        if name is None:
            return None
        return name, self._connection.get_cipher_version() or "", self._connection.get_cipher_bits() or 0

    def compression(self) -> None:
        """None: nothing is compressed."""

    def selected_alpn_protocol(self) -> str | None:
        """The protocol that was negotiated."""
        protocol: bytes = self._connection.get_alpn_proto_negotiated()
        return protocol.decode("ascii", "replace") or None

    def selected_npn_protocol(self) -> None:
        """None: the predecessor of ALPN is not spoken."""

    def getpeercert(self, binary_form: bool = False) -> bytes | dict[str, object] | None:
        """The peer's certificate in DER. The decoded form is empty: `tls_peer` has it."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            return None
        return certificate.public_bytes(serialization.Encoding.DER) if binary_form else {}

    def tls_peer(self) -> TlsPeer:
        """Who is at the other end."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        name, _, bits = self.cipher() or ("", "", 0)
        return TlsPeer(
            version=self.version() or "",
            cipher=name,
            bits=bits,
            alpn=self.selected_alpn_protocol() or "",
            server_name=self.server_name,
            certificate=None if certificate is None else _facts(certificate),
            verified=certificate is not None and not self.doubt,
            error=self.doubt,
        )

    def _close(self) -> None:
        if not self._connection.shutdown():
            raise SSL.WantReadError

    def _check_host(self) -> None:
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None or not _is_for(certificate, self.server_hostname):
            raise ssl.SSLCertVerificationError(
                f"certificate verify failed: the certificate is not for '{self.server_hostname}'"
            )

    def _pump(self, operation: Callable[[], object]):  # type: ignore[no-untyped-def]  # noqa: ANN202  # what the operation returns
        """Carry bytes in, operate, carry bytes out."""
        while self._incoming.pending:
            self._connection.bio_write(self._incoming.read(_CHUNK_BYTES))
            self._untouched = True
        if self._incoming.eof:
            self._connection.bio_shutdown()
        try:
            return operation()
        except (SSL.WantReadError, SSL.WantWriteError):
            self._untouched = False
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "more bytes are needed") from None
        except SSL.ZeroReturnError:
            raise _EndOfSession(ssl.SSL_ERROR_ZERO_RETURN, "the session has ended") from None
        except SSL.SysCallError as error:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the peer ended the connection within TLS") from error
        except SSL.Error as error:
            self._fail(_text(error), error)
        finally:
            if self.refused:  # nothing of what was prepared for another name is sent
                self._fail("unrecognized name")
            self._flush()

    def _flush(self) -> None:
        while True:
            try:
                self._outgoing.write(self._connection.bio_read(_CHUNK_BYTES))
            except SSL.Error:
                return  # nothing more to send

    def _fail(self, reason: str, cause: BaseException | None = None) -> NoReturn:
        if "certificate verify failed" in reason:
            text = f"{reason}: {self.doubt}" if self.doubt else reason
            raise ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, text) from cause
        raise ssl.SSLError(ssl.SSL_ERROR_SSL, reason) from cause


class _EndOfSession(ssl.SSLZeroReturnError):
    """The peer has said that nothing more comes."""


def _load_own(inner: SSL.Context, settings: TlsSettings, certificate: Material, key: Material) -> None:
    """Load a certificate with its chain and key, judged as the other engine judges them."""
    from .contexts import load_own

    probe = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_own(probe, certificate, key, settings.key_password)
    first, *chain = _certificates(certificate)
    password = settings.key_password.reveal().encode() if settings.key_password is not None else b""
    try:
        inner.use_certificate(first)
        for each in chain:
            inner.add_extra_chain_cert(each)
        private = serialization.load_pem_private_key(key.read(), password or None)
        inner.use_privatekey(private)  # type: ignore[arg-type]  # of the kinds that TLS has; others were refused above
        inner.check_privatekey()
    except (SSL.Error, TypeError, ValueError) as error:
        raise certificate.error(f"it and {key.shown} cannot be used: {_text(error)}") from error


def _apply(inner: SSL.Context, settings: TlsSettings) -> None:
    layer = settings.layer
    inner.set_min_proto_version(int(layer.minimum))
    inner.set_max_proto_version(0 if layer.maximum == ssl.TLSVersion.MAXIMUM_SUPPORTED else int(layer.maximum))
    options = layer.switched_off | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if layer.workarounds:
        options |= ssl.OP_ALL
    if layer.server_preference:
        options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    if not settings.session_tickets:
        options |= ssl.OP_NO_TICKET
        inner.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    inner.set_options(int(options))
    inner.set_session_id(b"mtev-tls")
    try:
        inner.set_cipher_list(settings.ciphers.encode("ascii", "replace"))
    except SSL.Error:
        raise EngineError(f"{settings.where}: <ciphers>: OpenSSL knows no cipher of '{settings.ciphers}'") from None
    _apply_trust(inner, settings)


def _apply_trust(inner: SSL.Context, settings: TlsSettings) -> None:
    store = inner.get_cert_store()
    assert store is not None, "a context has a store"
    for each in _certificates(settings.ca) if settings.ca is not None else ():
        store.add_cert(crypto.X509.from_cryptography(each))
    flags = 0
    if settings.crl is not None:
        for crl in _revocation_lists(settings.crl):
            store.add_crl(crl)
        flags |= crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL
    if settings.ignore_dates:
        flags |= _NO_CHECK_TIME
    if flags:
        store.set_flags(flags)
    mode = SSL.VERIFY_NONE if settings.verify == "none" else SSL.VERIFY_PEER
    if settings.verify == "required" and settings.side == "server":
        mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    inner.set_verify(mode, _verifier(optional_no_ca=settings.optional_no_ca))


def _verifier(*, optional_no_ca: bool) -> Verifier:
    def judge(connection: SSL.Connection, certificate: crypto.X509, number: int, depth: int, ok: int) -> bool:
        if ok:
            return True
        session: PySession = connection.get_app_data()
        session.doubt = _REASONS.get(number, f"OpenSSL's verification error {number}")
        return optional_no_ca and number in _UNKNOWN_AUTHORITY

    return judge


def _certificates(material: Material) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(material.read())
    except ValueError as error:
        raise material.error(f"it cannot be decoded: {error}") from error


def _revocation_lists(material: Material) -> list[x509.CertificateRevocationList]:
    pem = material.read().decode("ascii", "replace")
    end = "-----END X509 CRL-----"
    pieces = [piece + end for piece in pem.split(end)[:-1]]
    try:
        return [x509.load_pem_x509_crl(piece[piece.index("-----BEGIN X509 CRL") :].encode()) for piece in pieces]
    except ValueError as error:
        raise material.error(f"it cannot be decoded: {error}") from error


def _facts(certificate: x509.Certificate) -> CertificateFacts:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        sans = tuple(_san(name) for name in names)
    except x509.ExtensionNotFound:
        sans = ()
    except ValueError:  # a peer's certificate may hold anything
        sans = ("malformed",)
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return CertificateFacts(
        cn=str(common[-1].value) if common else "",
        subject=_name(certificate.subject),
        issuer=_name(certificate.issuer),
        sans=sans,
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        serial=f"{certificate.serial_number:X}".rjust(2, "0"),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _name(name: x509.Name) -> str:
    return one_line([(attribute.oid._name, str(attribute.value)) for attribute in name])


def _san(name: x509.GeneralName) -> str:
    match name:
        case x509.DNSName():
            return f"DNS:{name.value}"
        case x509.IPAddress():
            return f"IP:{name.value}"
        case x509.RFC822Name():
            return f"email:{name.value}"
        case x509.UniformResourceIdentifier():
            return f"URI:{name.value}"
        case _:
            return f"other:{type(name).__name__}"


def _is_for(certificate: x509.Certificate, host: str) -> bool:
    """Whether a certificate is for a host: one of its alternative names, an address or a name with at most one `*`."""
    sans = _facts(certificate).sans
    try:
        return f"IP:{ip_address(host)}" in sans
    except ValueError:
        patterns = {normal(san.removeprefix("DNS:")): True for san in sans if san.startswith("DNS:")}
        return match_name(host, patterns) is not None


def _text(error: BaseException) -> str:
    """What pyOpenSSL's errors say, without the quotes of the list that they are."""
    stack = error.args[0] if error.args else ""
    if isinstance(stack, list):
        return "; ".join(str(entry[-1]) for entry in stack) or "unknown error"
    return str(error)


_REASONS = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is signed by itself",
    19: "its chain ends in an authority that is not trusted",
    20: "its issuer is not known",
    21: "its first certificate cannot be verified",
    23: "it was revoked",
    26: "it is not for this purpose",
    27: "it is not trusted",
}
