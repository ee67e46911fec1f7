"""For tests: settings from throw-away certificates, and sessions that need no socket.

    authority = trustme.CA()
    server = ServerTls(TlsSettings(**own(authority.issue_cert("localhost"))))
    client = ClientTls(TlsSettings(side="client", verify="required", ca=trusting(authority)))

Needs the extra `testing`.
"""

from __future__ import annotations

import contextlib
import datetime
import ssl
from typing import Self, TypedDict

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from .material import Material

__all__ = ["Own", "Pair", "own", "pem", "revocation_list", "serials", "trusting"]

_TURNS = 20


class Own(TypedDict):
    """What settings say of one's own certificate."""

    certificate: Material
    key: Material


def pem(certificate: trustme.LeafCert) -> tuple[str, str]:
    """A certificate with its chain, and its key, as PEM."""
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems).decode()
    return chain, certificate.private_key_pem.bytes().decode()


def own(certificate: trustme.LeafCert) -> Own:
    """A certificate and its key as keyword arguments for `TlsSettings`."""
    chain, key = pem(certificate)
    return {"certificate": Material("certificate", chain), "key": Material("key", key)}


def trusting(*authorities: trustme.CA) -> Material:
    """Authorities, for `TlsSettings.ca`."""
    return Material("ca_chain", "".join(each.cert_pem.bytes().decode() for each in authorities))


def revocation_list(authority: trustme.CA, *serials: int) -> str:
    """A list of revoked certificates, as PEM.

    Args:
        authority: who says so.
        *serials: serial numbers of certificates.
    """
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateRevocationListBuilder(issuer.subject, now - 2 * day, now + day)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder(serial, now - day).build()
        builder = builder.add_revoked_certificate(entry)
    signed = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]  # an authority's key can sign
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def serials(certificate: trustme.LeafCert) -> list[int]:
    """The serial numbers of a certificate and of those above it in its chain."""
    return [x509.load_pem_x509_certificate(blob.bytes()).serial_number for blob in certificate.cert_chain_pems]


class Pair:
    """A server and a client that talk through buffers: what event loops do, without one.

    Args:
        server: the context that answers.
        client: the context that calls.
        host: whom the client calls; None for nobody in particular.
    """

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext, host: str | None = "localhost") -> None:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(to_server, to_client, server_side=True)
        self.client = client.wrap_bio(to_client, to_server, server_side=False, server_hostname=host)

    def shake(self) -> Self:
        """Do the handshake.

        Raises:
            ssl.SSLError: either side refuses the other.
        """
        waiting = [self.client, self.server]
        for _ in range(_TURNS):
            for session in list(waiting):
                with contextlib.suppress(ssl.SSLWantReadError):
                    session.do_handshake()
                    waiting.remove(session)
            if not waiting:
                return self
        raise AssertionError("the handshake does not come to an end")

    def say(self, data: bytes = b"hello") -> Self:
        """Have the client say something, and the server repeat it.

        Raises:
            ssl.SSLError: either side has refused the other meanwhile.
        """
        self.client.write(data)
        assert self.server.read(len(data)) == data
        self.server.write(data)
        assert self.client.read(len(data)) == data
        return self
