"""What stands between a transport and its protocol, where something has to: see `ReadWatch`.

There is one object at most, and it passes on everything that it does not handle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

__all__ = ["Between", "feed", "install"]


class Between(asyncio.Protocol):
    """Passes everything on to the real protocol, of either kind.

    Args:
        protocol: the real one.
    """

    __slots__ = ("_protocol", "_receive")

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        self.put(protocol)

    @property
    def protocol(self) -> asyncio.BaseProtocol:
        """The real protocol."""
        return self._protocol

    def put(self, protocol: asyncio.BaseProtocol) -> None:
        """Exchange the real protocol."""
        self._protocol = protocol
        # Protocols with buffers of their own are fed in another way.
        self._receive = (
            None if isinstance(protocol, asyncio.BufferedProtocol) else cast("asyncio.Protocol", protocol).data_received
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass it on."""
        self._protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._protocol.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        if self._receive is not None:
            self._receive(data)
        else:
            feed(self._protocol, data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return cast("asyncio.Protocol", self._protocol).eof_received()


def install(
    transport: asyncio.Transport,
    protocol: asyncio.BaseProtocol,
    put_between: Callable[[asyncio.BaseProtocol], asyncio.BaseProtocol] | None = None,
) -> None:
    """Put a protocol in charge, and keep whatever stands between it and the transport.

    Args:
        transport: what it is to be in charge of.
        protocol: the real one.
        put_between: gives what is to be in charge where nothing stands between; None for the protocol itself.
    """
    current = transport.get_protocol()
    if isinstance(current, Between):
        current.put(protocol)
    else:
        transport.set_protocol(protocol if put_between is None else put_between(protocol))


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
