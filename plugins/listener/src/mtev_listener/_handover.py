"""Handing a transport to a protocol: at the beginning of a connection, and when command dispatch has made its choice.

The loop's transport speaks to the protocol directly from then on; nothing of ours stands between them. The exceptions
are `ReadWatch`, put in between where there is an idle timeout and the system does not count bytes, and what measures
callbacks where the pool is profiled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from mtev_tls import peer_of

from ._between import Between, feed, install
from .connection import Connection, ProtocolFactory

if TYPE_CHECKING:
    from mtev_eventer import Timing

__all__ = ["Measured", "Opening", "ReadWatch", "feed", "hand_over"]

_log = logging.getLogger("mtev.listener")
_clock = time.perf_counter_ns


class Opening(asyncio.Protocol):
    """The protocol of a connection's first moment: makes the real one, and hands over.

    Args:
        connection: the connection.
        factory: makes its protocol.
        no_delay: send small packets at once.
        watch_reads: put a `ReadWatch` in between.
        received: what was read already, on another loop.
    """

    def __init__(
        self,
        connection: Connection,
        factory: ProtocolFactory,
        *,
        no_delay: bool,
        watch_reads: bool,
        received: bytes = b"",
    ) -> None:
        self._connection = connection
        self._factory = factory
        self._no_delay = no_delay
        self._watch_reads = watch_reads
        self._received = received

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        connection = self._connection
        connection.opening(None)
        connection.transport = cast("asyncio.Transport", transport)
        session = transport.get_extra_info("ssl_object")
        if session is not None:
            connection.secured(peer_of(session))
        _set_no_delay(transport, self._no_delay)
        if connection.draining:
            connection.close()
            return
        hand_over(connection, self._factory, self._received, watch_reads=self._watch_reads)


def hand_over(
    connection: Connection, factory: ProtocolFactory, data: bytes = b"", *, watch_reads: bool = False
) -> None:
    """Make a protocol and put it in charge of a connection, as if it had been from the beginning.

    What the factory, `connection_made` or the feeding raises is logged with its traceback; the connection is aborted.

    Args:
        connection: with its transport.
        factory: makes the protocol.
        data: what was read already; the protocol receives it first.
        watch_reads: put a `ReadWatch` in between; whatever was there before stays.
    """
    transport = connection.transport
    assert transport is not None
    try:
        protocol = factory(connection)
        install(transport, protocol, partial(between, connection, watch_reads=watch_reads))
        protocol.connection_made(transport)
        if data and not transport.is_closing():
            feed(protocol, data)
    except Exception:  # a protocol's fault costs its connection, and nobody else's
        _log.exception("%s: its protocol failed to begin; closed", connection)
        transport.abort()


class Measured(Between):
    """Measures the callbacks of a protocol, and touches the connection at each read where that is wanted.

    Args:
        connection: whose loop has the figures.
        protocol: the real one.
        received: where reads are recorded.
        touch: whether to touch the connection.
    """

    __slots__ = ("_connection", "_timing", "_touching")

    def __init__(
        self, connection: Connection, protocol: asyncio.BaseProtocol, received: Timing, *, touch: bool = False
    ) -> None:
        super().__init__(protocol)
        self._connection = connection
        self._timing = received
        self._touching = touch

    def data_received(self, data: bytes) -> None:
        """Pass it on, and measure."""
        if self._touching:
            self._connection.touch()
        began = _clock()
        if self._receive is not None:
            self._receive(data)
        else:
            feed(self._protocol, data)
        self._timing.took(_clock() - began)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on, and measure."""
        self._measure("connection_lost", lambda: self._protocol.connection_lost(exc))

    def resume_writing(self) -> None:
        """Pass it on, and measure."""
        self._measure("resume_writing", self._protocol.resume_writing)

    def eof_received(self) -> bool | None:
        """Pass it on, and measure."""
        began = _clock()
        keep = super().eof_received()
        self._record("eof_received", began)
        return keep

    def _measure(self, name: str, callback: Callable[[], None]) -> None:
        began = _clock()
        callback()
        self._record(name, began)

    def _record(self, name: str, began: int) -> None:
        timing = self._connection.loop.timing(f"{self._connection.type}/{name}")
        if timing is not None:
            timing.took(_clock() - began)


def between(connection: Connection, protocol: asyncio.BaseProtocol, *, watch_reads: bool) -> asyncio.BaseProtocol:
    """What stands between the transport and a protocol: the protocol itself, wherever that does."""
    timing = connection.loop.timing(f"{connection.type}/data_received")
    if timing is not None:
        return Measured(connection, protocol, timing, touch=watch_reads)
    return ReadWatch(connection, protocol) if watch_reads else protocol


class ReadWatch(Between):
    """Touches the connection at each read, and passes everything on.

    Args:
        connection: what to touch.
        protocol: the real one.
    """

    __slots__ = ("_touch",)

    def __init__(self, connection: Connection, protocol: asyncio.BaseProtocol) -> None:
        super().__init__(protocol)
        self._touch = connection.touch

    def data_received(self, data: bytes) -> None:
        """Note that there was something, and pass it on."""
        self._touch()
        super().data_received(data)


def _set_no_delay(transport: asyncio.BaseTransport, no_delay: bool) -> None:
    """Said in so many words, because the loops differ in what they do by themselves."""
    underlying = transport.get_extra_info("socket")
    if underlying is not None and underlying.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):  # the peer may be gone already
            underlying.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, no_delay)
