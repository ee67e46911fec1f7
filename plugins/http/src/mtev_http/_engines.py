"""The engines of a service: one of each kind for each event loop that has connections for it.

host = context.services.require(EngineHost)
listeners.register_type("http_rest_api/alpn:h2", host.serve(Http2Engine), summary="REST over HTTP/2")
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from ._engine import Dispatcher, Engine, EngineFactory, EngineSettings
from ._preface import Preface

if TYPE_CHECKING:
    from mtev_eventer import Loop
    from mtev_listener import Connection

__all__ = ["EngineHost"]

ProtocolMaker = Callable[["Connection"], asyncio.BaseProtocol]


class _Engines:
    """The engines of one kind. Thread-safe."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._engines: dict[Loop, Engine] = {}

    def protocol(self, connection: Connection) -> asyncio.BaseProtocol:
        engine = self._engines.get(connection.loop)
        if engine is None:  # only this loop's thread adds its own key
            engine = self._engines[connection.loop] = self._make()
        return engine.protocol(connection)

    async def drain(self, timeout_s: float) -> int:
        engines = list(self._engines.items())
        return sum(await asyncio.gather(*(loop.run(engine.drain, timeout_s) for loop, engine in engines)))

    async def close(self) -> None:
        engines = list(self._engines.items())
        self._engines.clear()
        await asyncio.gather(*(loop.run(engine.close) for loop, engine in engines))


class EngineHost:
    """Gives engines what they serve, and ends them when the service stops. Published under this class; thread-safe.

    Args:
        dispatcher: answers their requests.
        log: for what is no HTTP.

    Attributes:
        settings: what they hold their peers to; those of `<rest>` once it was read.
    """

    def __init__(self, dispatcher: Dispatcher, log: logging.Logger) -> None:
        self.settings = EngineSettings()
        self._dispatcher = dispatcher
        self._log = log
        self._kinds: list[_Engines] = []
        self._prefaces: list[tuple[bytes, ProtocolMaker]] = []

    def serve(self, factory: EngineFactory) -> ProtocolMaker:
        """Have an engine serve REST.

        Args:
            factory: makes it, on each loop that has connections for it, when the first one comes.

        Returns:
            What the listener is to make protocols with.
        """
        engines = _Engines(lambda: factory(self._dispatcher, self.settings, self._log))
        self._kinds.append(engines)
        return engines.protocol

    def recognize(self, preface: bytes, protocol: ProtocolMaker) -> None:
        """Have connections that begin with something else than a request of HTTP/1.1 served by another engine.

        Args:
            preface: what they begin with.
            protocol: what `serve` returned; it gets the preface too.
        """
        self._prefaces.append((preface, protocol))

    def either(self, protocol: ProtocolMaker) -> ProtocolMaker:
        """What makes the protocol of a connection that may begin with a preface: that one's, or else the given one.

        Over TLS it is ALPN that decides, so nothing is waited for there.
        """

        def make(connection: Connection) -> asyncio.BaseProtocol:
            if not self._prefaces or connection.tls is not None:
                return protocol(connection)
            return Preface(connection, self._prefaces, protocol, self.settings.keepalive_timeout_s)

        return make

    async def drain(self, timeout_s: float) -> int:
        """Drain every engine on its own loop.

        Args:
            timeout_s: how long to wait for connections to close.

        Returns:
            How many connections are left.
        """
        return sum(await asyncio.gather(*(engines.drain(timeout_s) for engines in self._kinds)))

    async def close(self) -> None:
        """Close every engine on its own loop."""
        await asyncio.gather(*(engines.close() for engines in self._kinds))
