"""What happens on an accepted socket before event loops take it over: the PROXY header is read off it.

The bytes after the header, most of all a TLS ClientHello, stay in the socket: `ProxyReader.wanted` says how many may be
taken without touching them.
"""

from __future__ import annotations

import asyncio
import socket

from .errors import ListenerError
from .proxy import ProxyHeader, ProxyReader, Version

__all__ = ["read_proxy_header"]


async def read_proxy_header(descriptor: socket.socket, version: Version) -> ProxyHeader:
    """Read a header off a socket that nobody else reads from. Cancel it when it takes too long.

    Raises:
        ProxyError: it is none.
        ListenerError: the peer left before it was whole.
        OSError: the connection broke.
    """
    loop = asyncio.get_running_loop()
    reader = ProxyReader(version)
    while True:
        try:
            data = descriptor.recv(reader.wanted)
        except (BlockingIOError, InterruptedError):
            await _readable(loop, descriptor)
            continue
        if not data:
            raise ListenerError("the peer left before its PROXY header was whole")
        header = reader.feed(data)
        if header is not None:
            return header


async def _readable(loop: asyncio.AbstractEventLoop, descriptor: socket.socket) -> None:
    ready = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, tell)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
