"""mtev-tls: TLS contexts from `<sslconfig>`, renewed when their files change.

tls = context.services.require(Tls)
reading = read_tls(section, side="server")
server = tls.server(reading.settings)
await loop.connect_accepted_socket(factory, accepted, ssl=server.context)
peer = server.peer(transport.get_extra_info("ssl_object"))
"""

from __future__ import annotations

from .contexts import ClientTls, ServerTls, peer_of
from .errors import EngineError, MaterialError, TlsError
from .layer import Layer, parse_layer
from .material import Material
from .peer import CertificateFacts, TlsPeer
from .settings import KEYS, NamedCertificate, TlsReading, TlsSettings, read_tls
from .tls import Tls

__all__ = [
    "KEYS",
    "CertificateFacts",
    "ClientTls",
    "EngineError",
    "Layer",
    "Material",
    "MaterialError",
    "NamedCertificate",
    "ServerTls",
    "Tls",
    "TlsError",
    "TlsPeer",
    "TlsReading",
    "TlsSettings",
    "parse_layer",
    "peer_of",
    "read_tls",
]
