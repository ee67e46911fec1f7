"""Handlers that run elsewhere than on the loop of their connection: on the loops of a pool, or in a job queue.

The connection stays where it is. A handler on another loop reads the body, and has its stream read, by calls between
the two loops; each costs some tens of microseconds, so this pays for work that is long, not for work that is short.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from typing import TYPE_CHECKING

from ._request import BodySource, Request
from ._response import Handler, Response
from ._stream import FileStream, Stream

if TYPE_CHECKING:
    from mtev_eventer import JobQueue, Loop, Pool

__all__ = ["in_jobq", "on_pool"]


def on_pool(handler: Handler, pool: Pool) -> Handler:
    """Have a handler run on the loops of a pool, in turn."""

    async def run(request: Request) -> Response:
        loop = pool.choose()
        if loop.here:
            return await _call(handler, request)
        request.read_through(lambda source: _DistantBody(source, asyncio.get_running_loop()))
        response = await loop.run(_call, handler, request)
        if getattr(response, "special", False):  # what is no Response is complained of elsewhere
            _bring_home(response, loop)
        return response

    return run


def in_jobq(handler: Handler, jobq: JobQueue, name: str) -> Handler:
    """Have a plain handler run in a job queue. The body is read before; the handler finds it in `request.content`."""

    async def run(request: Request) -> Response:
        await request.body()
        response = await jobq.run(handler, request, name=name)
        if isinstance(response, Awaitable):
            if isinstance(response, Coroutine):
                response.close()
            raise TypeError("a handler that runs in a job queue is a plain function; this one is async")
        return response

    return run


async def _call(handler: Handler, request: Request) -> Response:
    result = handler(request)
    return await result if isinstance(result, Awaitable) else result


class _DistantBody(BodySource):
    """A body whose engine is on another loop."""

    __slots__ = ("_home", "_source")

    def __init__(self, source: BodySource, home: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._home = home

    async def read(self) -> bytes:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._source.read(), self._home))


def _bring_home(response: Response, loop: Loop) -> None:
    """Have the stream of a response read on the loop that made it, whoever sends it."""
    stream = response.stream
    if stream is None:
        raise TypeError("a websocket stays on the loop of its connection; register it without a pool")
    if not isinstance(stream, FileStream):  # a file is read by whoever sends it
        response.stream = _DistantStream(stream, loop)


class _DistantStream(Stream):
    """A stream that is made on another loop."""

    __slots__ = ("_distant", "_loop")

    def __init__(self, stream: Stream, loop: Loop) -> None:
        super().__init__(_pieces(stream, loop), stream.length, stream.trailers)
        self._distant = stream
        self._loop = loop

    async def close(self) -> None:
        await super().close()
        await self._loop.run(self._distant.close)


async def _pieces(stream: Stream, loop: Loop) -> AsyncIterator[bytes]:
    iterator = aiter(stream)

    async def following() -> bytes | None:
        return await anext(iterator, None)

    while (piece := await loop.run(following)) is not None:
        yield piece
