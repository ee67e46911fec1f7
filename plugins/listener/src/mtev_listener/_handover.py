"""Handing a transport to a protocol: at the beginning of a connection, and when command dispatch has made its choice.

The loop's transport speaks to the protocol directly from then on; nothing of ours stands between them. The exception is
`ReadWatch`, put in between where there is an idle timeout and the system does not count bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import cast

from .connection import Connection, ProtocolFactory

__all__ = ["Opening", "ReadWatch", "feed", "hand_over"]

_log = logging.getLogger("mtev.listener")


class Opening(asyncio.Protocol):
    """The protocol of a connection's first moment: makes the real one, and hands over.

    Args:
        connection: the connection.
        factory: makes its protocol.
        no_delay: send small packets at once.
        watch_reads: put a `ReadWatch` in between.
    """

    def __init__(self, connection: Connection, factory: ProtocolFactory, *, no_delay: bool, watch_reads: bool) -> None:
        self._connection = connection
        self._factory = factory
        self._no_delay = no_delay
        self._watch_reads = watch_reads

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        connection = self._connection
        connection.transport = cast("asyncio.Transport", transport)
        _set_no_delay(transport, self._no_delay)
        if connection.draining:
            connection.close()
            return
        hand_over(connection, self._factory, watch_reads=self._watch_reads)


def hand_over(
    connection: Connection, factory: ProtocolFactory, data: bytes = b"", *, watch_reads: bool = False
) -> None:
    """Make a protocol and put it in charge of a connection, as if it had been from the beginning.

    What the factory, `connection_made` or the feeding raises is logged with its traceback; the connection is aborted.

    Args:
        connection: with its transport.
        factory: makes the protocol.
        data: what was read already; the protocol receives it first.
        watch_reads: put a `ReadWatch` in between; done anyway where one was before.
    """
    transport = connection.transport
    assert transport is not None
    try:
        protocol = factory(connection)
        if watch_reads or isinstance(transport.get_protocol(), ReadWatch):
            protocol = ReadWatch(connection, protocol)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if data and not transport.is_closing():
            feed(protocol, data)
    except Exception:  # a protocol's fault costs its connection, and nobody else's
        _log.exception("%s: its protocol failed to begin; closed", connection)
        transport.abort()


def feed(protocol: asyncio.BaseProtocol, data: bytes) -> None:
    """Give bytes to a protocol of either kind, as a transport does."""
    if not isinstance(protocol, asyncio.BufferedProtocol):
        cast("asyncio.Protocol", protocol).data_received(data)
        return
    rest = memoryview(data)
    while rest:
        buffer = memoryview(protocol.get_buffer(len(rest))).cast("B")
        if not buffer:
            raise RuntimeError("get_buffer() returned an empty buffer")
        size = min(len(buffer), len(rest))
        buffer[:size] = rest[:size]
        protocol.buffer_updated(size)
        rest = rest[size:]


class ReadWatch(asyncio.Protocol):
    """Touches the connection at each read, and passes everything on to the real protocol.

    Args:
        connection: what to touch.
        protocol: the real one, of either kind.
    """

    def __init__(self, connection: Connection, protocol: asyncio.BaseProtocol) -> None:
        self._touch = connection.touch
        self._protocol = protocol
        self.connection_made = protocol.connection_made  # type: ignore[method-assign]  # passed on as they are
        self.connection_lost = protocol.connection_lost  # type: ignore[method-assign]  # likewise
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]  # likewise
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]  # likewise
        self.eof_received = cast("asyncio.Protocol", protocol).eof_received  # type: ignore[method-assign]  # likewise

    def data_received(self, data: bytes) -> None:
        """Note that there was something, and pass it on."""
        self._touch()
        feed(self._protocol, data)


def _set_no_delay(transport: asyncio.BaseTransport, no_delay: bool) -> None:
    """Said in so many words, because the loops differ in what they do by themselves."""
    underlying = transport.get_extra_info("socket")
    if underlying is not None and underlying.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):  # the peer may be gone already
            underlying.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, no_delay)
