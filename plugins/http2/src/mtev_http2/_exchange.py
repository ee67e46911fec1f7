"""One stream of a connection: the body that comes in, and the room for what goes out."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from mtev_http import BodySource, ClientGone

if TYPE_CHECKING:
    from ._connection import Http2Connection

__all__ = ["Exchange"]


class Exchange(BodySource):
    """A request and its response, on one stream.

    Args:
        connection: whose stream.
        number: of the stream.
        expects_continue: whether the peer waits to be asked for the body.

    Attributes:
        number: of the stream.
        task: what answers.
        ended: whether the peer has sent all of its request.
        gone: whether the stream was reset, or its connection lost.
    """

    __slots__ = ("_connection", "_expects_continue", "_pieces", "_readable", "_room", "ended", "gone", "number", "task")

    def __init__(self, connection: Http2Connection, number: int, *, expects_continue: bool) -> None:
        self.number = number
        self.task: asyncio.Task[None] | None = None
        self.ended = False
        self.gone = False
        self._connection = connection
        self._expects_continue = expects_continue
        self._pieces: deque[tuple[bytes, int]] = deque()
        self._readable = asyncio.Event()
        self._room = asyncio.Event()

    async def read(self) -> bytes:
        """The next piece of the body. The peer is given room for as much again."""
        if self._expects_continue:
            self._expects_continue = False
            if not self._pieces and not self.ended:
                self._connection.invite(self)
        while not self._pieces:
            if self.gone:
                raise ClientGone("the stream was reset")
            if self.ended:
                return b""
            self._readable.clear()
            await self._readable.wait()
        piece, size = self._pieces.popleft()
        self._connection.consumed(self, size)
        return piece

    def received(self, piece: bytes, size: int) -> None:
        """A piece of the body came in; with padding it took so much of the window."""
        self._pieces.append((piece, size))
        self._readable.set()

    def finished(self) -> None:
        """The peer has sent all of it."""
        self.ended = True
        self._readable.set()

    def unread(self) -> int:
        """How much of the window is taken by what nobody has read; forgets it."""
        size = sum(size for _, size in self._pieces)
        self._pieces.clear()
        return size

    def lost(self) -> None:
        """The stream was reset, or its connection lost."""
        self.gone = True
        self._readable.set()
        self._room.set()
        if self.task is not None:
            self.task.cancel()

    def widened(self) -> None:
        """There may be room for more to send."""
        self._room.set()

    async def room(self, timeout_s: float) -> None:
        """Wait until there may be room.

        Raises:
            TimeoutError: there was none in time.
        """
        self._room.clear()
        async with asyncio.timeout(timeout_s):
            await self._room.wait()
