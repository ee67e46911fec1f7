"""Telling those who listen what is sent of a response."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from ._request import Request
from ._response import Response
from ._stream import FileStream, Stream

__all__ = ["watched"]

Sender = Callable[[Request, Response, bytes], object]


def watched(request: Request, response: Response, send: Sender) -> None:
    """Have `send` called with every part of a body, as the engine takes it."""
    stream = response.stream
    if stream is None:
        if response.body:
            send(request, response, response.body)
    elif not isinstance(stream, FileStream):
        response.stream = _Watched(stream, lambda piece: send(request, response, piece))


class _Watched(Stream):
    __slots__ = ("_inner",)

    def __init__(self, stream: Stream, told: Callable[[bytes], object]) -> None:
        super().__init__(_told(stream, told), stream.length, stream.trailers)
        self._inner = stream

    async def close(self) -> None:
        await super().close()
        await self._inner.close()


async def _told(stream: Stream, told: Callable[[bytes], object]) -> AsyncIterator[bytes]:
    async for piece in stream:
        told(piece)
        yield piece
