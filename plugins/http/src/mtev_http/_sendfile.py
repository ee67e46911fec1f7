"""Files by sendfile(2), beside a transport: for asyncio and uvloop alike, which do not both offer it.

While a file is sent, nobody else writes to the connection. What the transport has buffered goes first.
"""

from __future__ import annotations

import asyncio
import os

from ._stream import FileStream

__all__ = ["can_send_file", "send_file"]

_PIECE_BYTES = 512 * 1024


def can_send_file(transport: asyncio.Transport) -> bool:
    """Whether the system can put a file straight into this connection: not through TLS."""
    return transport.get_extra_info("sslcontext") is None and transport.get_extra_info("socket") is not None


async def send_file(transport: asyncio.Transport, stream: FileStream, timeout_s: float) -> None:
    """Send a part of a file over a connection whose transport has nothing left to write.

    Args:
        transport: its buffer is empty.
        stream: not read yet.
        timeout_s: how long the peer may take nothing.

    Raises:
        EOFError: the file has become shorter.
        TimeoutError: the peer did not read.
        OSError: the connection broke, or the file could not be read.
    """
    descriptor = os.dup(transport.get_extra_info("socket").fileno())
    try:
        offset, left = stream.offset, stream.length or 0
        while left:
            try:
                sent = os.sendfile(descriptor, stream.descriptor, offset, min(left, _PIECE_BYTES))
            except BlockingIOError:
                await _writable(descriptor, timeout_s)
                continue
            if sent == 0:
                raise EOFError("the file has become shorter while it was sent")
            offset += sent
            left -= sent
            await asyncio.sleep(0)  # other connections have their turn
    finally:
        os.close(descriptor)


async def _writable(descriptor: int, timeout_s: float) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_writer(descriptor, wake)
    try:
        async with asyncio.timeout(timeout_s):
            await ready
    finally:
        loop.remove_writer(descriptor)
