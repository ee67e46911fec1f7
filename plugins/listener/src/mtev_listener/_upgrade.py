"""From plaintext to TLS in mid-stream (STARTTLS), on either kind of loop.

How it works. Reading is paused at the very call, so that the peer's first TLS bytes wait in the socket. The event loop
then puts TLS between transport and protocol. While it shakes hands, and until the protocol has the new transport, a
`_Gate` stands in the protocol's place: what is decrypted early waits there, instead of being answered over the old
transport in plaintext. It is delivered when the one who awaits has run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from mtev_tls import peer_of

from ._between import feed
from .errors import ListenerError

if TYPE_CHECKING:
    from mtev_tls import ServerTls, TlsPeer

    from .connection import Connection

__all__ = ["SHUTDOWN_S", "upgrade"]

SHUTDOWN_S = 2.0
"""How long to wait for the peer to say that it has ended, too, when a TLS session is closed in order."""


def upgrade(connection: Connection, tls: ServerTls, timeout_s: float) -> Awaitable[TlsPeer]:
    """Pause reading at once, and do the rest when awaited; see `Connection.start_tls`."""
    transport = connection.transport
    if transport is None or transport.is_closing():
        raise ListenerError(f"{connection}: it is closed, and cannot be upgraded to TLS")
    if connection.tls is not None:
        raise ListenerError(f"{connection}: it speaks TLS already")
    transport.pause_reading()
    return _shake_hands(connection, transport, tls, timeout_s)


async def _shake_hands(
    connection: Connection, transport: asyncio.Transport, tls: ServerTls, timeout_s: float
) -> TlsPeer:
    loop = asyncio.get_running_loop()
    protocol = transport.get_protocol()
    gate = _Gate(protocol)
    try:
        secured = await loop.start_tls(
            transport,
            gate,
            tls.context,
            server_side=True,
            ssl_handshake_timeout=timeout_s,
            ssl_shutdown_timeout=SHUTDOWN_S,
        )
    except BaseException:
        transport.abort()
        gate.lost(None)
        raise
    if secured is None:  # asyncio's answer when the peer has left meanwhile
        gate.lost(None)
        raise ListenerError(f"{connection}: the peer left during the upgrade to TLS")
    connection.transport = secured
    peer = peer_of(secured.get_extra_info("ssl_object"))
    connection.secured(peer)
    loop.call_soon(gate.open, secured)
    return peer


class _Gate(asyncio.Protocol):
    """Keeps what comes until it is opened.

    Args:
        protocol: whom it is for.
    """

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol
        self._kept: list[bytes] = []
        self._ended = False
        self._lost = False

    def open(self, transport: asyncio.Transport) -> None:
        """Put the protocol in charge, and deliver."""
        if self._lost:
            return
        transport.set_protocol(self._protocol)
        for data in self._kept:
            if not transport.is_closing():
                feed(self._protocol, data)
        if self._ended and not transport.is_closing():
            eof_received = getattr(self._protocol, "eof_received", None)
            if eof_received is None or not eof_received():
                transport.close()

    def lost(self, exc: Exception | None) -> None:
        """Tell the protocol that the connection is gone, once."""
        if not self._lost:
            self._lost = True
            self._protocol.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Keep it; a peer that sends more than a few records before it is answered waits in the loop's buffers."""
        self._kept.append(data)

    def eof_received(self) -> bool:
        """Keep the transport open until the protocol has had its say."""
        self._ended = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over before it began."""
        self.lost(exc)
