"""Bodies that are made while they are sent: pieces from an iterator, events, parts of a file.

What an engine does with a `Stream`:

1. It iterates, waits for the peer before it asks for the next piece, and frames what it gets.
2. It calls `close` exactly once in the end, whatever happened: sent, failed, the peer left, or HEAD.
3. A stream that ends early or fails has the connection (the stream of HTTP/2) broken off, so that nobody takes a part
   for the whole.
4. A `FileStream` may be sent by other means than iterating, such as sendfile.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass

from ._headers import check_header

__all__ = ["FileStream", "ServerSentEvent", "Stream", "encode_event", "events"]

_PIECE_BYTES = 256 * 1024

Trailers = Callable[[], Iterable[tuple[str, str]]]


class Stream:
    """A body in pieces.

    Args:
        pieces: bytes; empty pieces are left out. An async generator is closed at the end.
        length: how many bytes there will be; None when that is not known before.
        trailers: called after the last piece: fields to send after the body, where the protocol has them. HTTP/1.1
            sends them only without a length.

    Raises:
        ValueError: the length is negative.
    """

    __slots__ = ("_pieces", "length", "trailers")

    def __init__(
        self, pieces: AsyncIterable[bytes], length: int | None = None, trailers: Trailers | None = None
    ) -> None:
        if length is not None and length < 0:
            raise ValueError(f"a body cannot have {length} bytes")
        self._pieces = pieces
        self.length = length
        self.trailers = trailers

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces.__aiter__()

    def last_fields(self) -> list[tuple[str, str]]:
        """The trailers, checked.

        Raises:
            ValueError: one of them cannot be sent.
        """
        if self.trailers is None:
            return []
        fields = list(self.trailers())
        for name, value in fields:
            check_header(name, value)
        return fields

    async def close(self) -> None:
        """Let go of what the pieces come from. May be called again."""
        aclose = getattr(self._pieces, "aclose", None)
        if aclose is not None:
            await aclose()


class FileStream(Stream):
    """A part of a file. It owns the descriptor, and closes it.

    Args:
        descriptor: of a file that is open for reading.
        offset: of the first byte.
        count: how many bytes.
    """

    __slots__ = ("descriptor", "offset")

    def __init__(self, descriptor: int, offset: int, count: int) -> None:
        super().__init__(_read(self), count)
        self.descriptor = descriptor
        self.offset = offset

    async def close(self) -> None:
        """Close the file."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        await super().close()


async def _read(stream: FileStream) -> AsyncIterator[bytes]:
    offset, left = stream.offset, stream.length or 0
    while left:
        piece = await asyncio.to_thread(os.pread, stream.descriptor, min(left, _PIECE_BYTES), offset)
        if not piece:
            raise EOFError("the file has become shorter while it was sent")
        yield piece
        offset += len(piece)
        left -= len(piece)


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event of an event stream (WHATWG HTML, section 9.2).

    Args:
        data: any text; its lines are sent as such.
        event: its type; `""` for `message`.
        id: what the client names as the last one that it got, when it connects again; None for none.
        retry_ms: how long the client waits before that; None leaves it as it is.

    Raises:
        ValueError: a type or id holds a line break, or an id a NUL.
    """

    data: str = ""
    event: str = ""
    id: str | None = None
    retry_ms: int | None = None

    def __post_init__(self) -> None:
        for name, text in (("event", self.event), ("id", self.id or "")):
            if any(character in text for character in "\r\n\0"):
                raise ValueError(f"the {name} of a server-sent event holds a line break or NUL: {text!r}")


def encode_event(event: ServerSentEvent) -> bytes:
    """An event as it is sent."""
    lines = []
    if event.event:
        lines.append(f"event: {event.event}")
    if event.id is not None:
        lines.append(f"id: {event.id}")
    if event.retry_ms is not None:
        lines.append(f"retry: {event.retry_ms}")
    data = event.data.replace("\r\n", "\n").replace("\r", "\n")
    lines.extend(f"data: {line}" for line in data.split("\n"))
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


async def events(source: AsyncIterable[ServerSentEvent | str], ping_s: float | None) -> AsyncIterator[bytes]:
    """Events as pieces of a stream, with a comment when nothing has happened for a while.

    Args:
        source: events; a text is the data of one.
        ping_s: after how many seconds of silence; None for never. It keeps proxies from cutting the connection, and
            finds out that a client has left.
    """
    iterator = aiter(source)
    coming: asyncio.Task[ServerSentEvent | str] | None = None
    try:
        yield b": \n\n"  # the client's `open` event, without waiting for the first of ours
        while True:
            coming = asyncio.ensure_future(anext(iterator))
            while not (await asyncio.wait((coming,), timeout=ping_s))[0]:
                yield b": \n\n"
            try:
                event = coming.result()
            except StopAsyncIteration:
                return
            yield encode_event(ServerSentEvent(event) if isinstance(event, str) else event)
    finally:
        if coming is not None and not coming.done():
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        aclose = getattr(iterator, "aclose", None)
        if aclose is not None:
            await aclose()
