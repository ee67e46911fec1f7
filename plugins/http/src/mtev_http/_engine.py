"""The seam between REST and whatever speaks HTTP on the wire.

An engine belongs to one event loop. It turns the bytes of a connection into `Request` objects, asks a `Dispatcher` for
each `Response`, and turns that into bytes. It knows nothing of routes, lists or hooks; they know nothing of it. Every
engine passes `mtev_http.testing.EngineConformance` unchanged.

What a response is made of:

1. `special` is false: a header and `body`. One write.
2. `stream` is set: what makes the body; see `_stream` for what is to be done with one.
3. It is a `WebSocketUpgrade`: accept the handshake, which was judged already, hand `Frames` to `response.run`, and have
   the connection closed when that returns. A service that drains closes with 1001.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Protocol

from ._request import BodyLimits, Link, Request
from ._response import Response

__all__ = ["FAREWELL_S", "Dispatcher", "Engine", "EngineFactory", "EngineSettings", "malformed", "named"]


FAREWELL_S = 0.3
"""How long a draining engine waits for a request that may be on its way on an idle connection, in seconds."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine holds its peers to.

    Args:
        keepalive_timeout_s: for the first request of a connection to be complete up to its body, and between requests.
        header_limit_bytes: the longest header field.
        header_count: the most header fields.
        target_limit_bytes: the longest request target.
        linger_timeout_s: how long to wait for the end of a connection: a body that the handler left unread is read and
            dropped, so that the client gets to see its response; and a client that has closed its sending side may
            still get what it asked for.
        body: size and time of bodies.
        write_timeout_s: how long a peer may take next to nothing of a response before it is cut off.
        requests_per_connection: after so many responses a connection is closed; 0 for never.
    """

    keepalive_timeout_s: float = 15.0
    header_limit_bytes: int = 8190
    header_count: int = 128
    target_limit_bytes: int = 8190
    linger_timeout_s: float = 2.0
    body: BodyLimits = field(default_factory=BodyLimits)
    write_timeout_s: float = 30.0
    requests_per_connection: int = 0


class Dispatcher(Protocol):
    """What answers requests; see `_dispatch`."""

    def respond(self, request: Request) -> Coroutine[object, object, Response]:
        """The response to a request. Raises nothing but cancellation, which means that the peer has left."""

    def completed(self, request: Request, response: Response, sent_bytes: int) -> None:
        """The last byte of a response was handed to the transport, or its peer left. Called once for each response.

        Args:
            request: the request.
            response: as it was sent.
            sent_bytes: size of the response on the wire, header included; 0 when the peer left before.
        """

    def broke(self, request: Request, error: BaseException) -> None:
        """Something else than the peer ended a body while it was sent; the engine breaks the connection off."""


class Engine(Protocol):
    """HTTP on the connections of one event loop. Every method is called on that loop."""

    def protocol(self, link: Link) -> asyncio.BaseProtocol:
        """A protocol for one new connection.

        It asks `link.add_drain` to be told when the connection is to end: at once when it is idle, else after the
        response that it owes.
        """

    async def drain(self, timeout_s: float) -> int:
        """Close idle connections after a moment (`FAREWELL_S`), and others after the response to what they have asked.

        Connections that come later get one response. May be called again.

        Args:
            timeout_s: how long to wait for the connections to close.

        Returns:
            How many are left.
        """

    async def close(self) -> None:
        """Cancel what runs and close every connection."""


EngineFactory = Callable[[Dispatcher, EngineSettings, logging.Logger], Engine]
"""Makes the engine of the running loop."""


def malformed(log: logging.Logger, peer: tuple[str, int] | str | None, reason: str) -> None:
    """Log a request that is no HTTP: one line, bounded and printable whatever the peer sent."""
    log.warning("malformed request from %s: %s", named(peer), ascii(reason)[1:-1][:200])


def named(peer: tuple[str, int] | str | None) -> str:
    """The other end of a connection in one printable word, for logs."""
    if isinstance(peer, tuple):
        return f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"
    return ascii(peer) if peer else "an unnamed peer"
