"""HTTP/2 on the connections of one event loop; an `Engine` of mtev-http."""

from __future__ import annotations

import asyncio
import logging
import time
from email.utils import formatdate

from mtev_http import Dispatcher, EngineSettings, Link

from ._connection import Http2Connection

__all__ = ["PREFACE", "Http2Engine"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client begins with (RFC 9113, section 3.4)."""


class Http2Engine:
    """HTTP/2 on the connections of the running loop.

    Args:
        dispatcher: answers the requests.
        settings: limits and time-outs.
        log: for what is no HTTP/2.
    """

    def __init__(self, dispatcher: Dispatcher, settings: EngineSettings, log: logging.Logger) -> None:
        self.dispatcher = dispatcher
        self.settings = settings
        self.log = log
        self.draining = False
        self._open: set[Http2Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._second = 0
        self._date = ""

    def protocol(self, link: Link) -> asyncio.BaseProtocol:
        """A protocol for one new connection."""
        return Http2Connection(self, link)

    def date(self) -> str:
        """What time it is, as HTTP writes it; made once a second."""
        now = int(time.time())
        if now != self._second:
            self._second, self._date = now, formatdate(now, usegmt=True)
        return self._date

    async def drain(self, timeout_s: float) -> int:
        """Close idle connections at once and others after the responses they are owed; see `Engine`."""
        self.draining = True
        for connection in list(self._open):
            connection.drain()
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return len(self._open)
        return 0

    async def close(self) -> None:
        """Cancel what runs and close every connection."""
        self.draining = True
        tasks = [task for connection in list(self._open) for task in connection.cut()]
        await asyncio.gather(*tasks, return_exceptions=True)

    def opened(self, connection: Http2Connection) -> None:
        """A connection began."""
        self._open.add(connection)
        self._empty.clear()

    def closed(self, connection: Http2Connection) -> None:
        """A connection ended."""
        self._open.discard(connection)
        if not self._open:
            self._empty.set()
