"""One engine for each event loop that has HTTP connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ._engine import Engine

if TYPE_CHECKING:
    from mtev_eventer import Loop
    from mtev_listener import Connection

__all__ = ["Engines"]


class Engines:
    """The engines of one service. Thread-safe.

    Args:
        make: makes the engine of the running loop.
    """

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._engines: dict[Loop, Engine] = {}

    def protocol(self, connection: Connection) -> asyncio.BaseProtocol:
        """A protocol for a new connection. Called on the connection's loop."""
        engine = self._engines.get(connection.loop)
        if engine is None:  # only this loop's thread adds its own key
            engine = self._engines[connection.loop] = self._make()
        return engine.protocol(connection)

    async def drain(self, timeout_s: float) -> int:
        """Drain every engine on its own loop.

        Args:
            timeout_s: how long to wait for connections to close.

        Returns:
            How many connections are left.
        """
        engines = list(self._engines.items())
        return sum(await asyncio.gather(*(loop.run(engine.drain, timeout_s) for loop, engine in engines)))

    async def close(self) -> None:
        """Close every engine on its own loop."""
        engines = list(self._engines.items())
        self._engines.clear()
        await asyncio.gather(*(loop.run(engine.close) for loop, engine in engines))
