"""Moving a connection to another loop, in mid-stream.

How it works. No event loop gives a socket back that it has made a transport of. So the socket is duplicated, the old
transport is thrown away with the original, which ends nothing, because the duplicate keeps the connection open, and the
new loop makes a transport of the duplicate.

Rules:

1. Reading is paused at the very call, so what the peer sends meanwhile waits in the socket. What was written before is
   sent before the connection moves.
2. The protocol that was in charge is told nothing any more; the new one begins as any protocol does.
3. A connection that ends on the way ends as if it had not been about to move, and no protocol is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ._between import install

if TYPE_CHECKING:
    from mtev_eventer import Loop

    from .connection import Connection, ProtocolFactory

__all__ = ["Home", "Leaving"]


class Home(Protocol):
    """What a connection needs of the listener that it came in by."""

    def move(self, connection: Connection, loop: Loop, factory: ProtocolFactory, received: bytes) -> None: ...
    def went_idle(self, connection: Connection) -> None: ...


class Leaving(asyncio.Protocol):
    """In charge of a connection that is about to move, until all is sent.

    Args:
        connection: the connection.
        go: called when nothing is left to be sent; never if the connection ends before.
    """

    def __init__(self, connection: Connection, go: Callable[[], None]) -> None:
        self._connection = connection
        self._go = go
        self._gone = False

    def begin(self) -> None:
        """Take over."""
        transport = self._connection.transport
        assert transport is not None
        transport.pause_reading()
        install(transport, self)
        if transport.get_write_buffer_size():
            transport.set_write_buffer_limits(0)
        else:
            self._depart()

    def pause_writing(self) -> None:
        """Something is left to be sent."""

    def resume_writing(self) -> None:
        """All is sent. The transport is in the middle of saying so, and must not be aborted before it has ended."""
        self._connection.loop.asyncio_loop.call_soon(self._depart)

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended before it moved, or its old transport did."""
        self._gone = True

    def _depart(self) -> None:
        transport = self._connection.transport
        if not self._gone and transport is not None and not transport.is_closing():
            self._gone = True
            self._go()
