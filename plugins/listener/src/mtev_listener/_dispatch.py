"""`control_dispatch`: reads four bytes within a time limit, and hands the connection to the protocol that they name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from ._commands import Chosen, CommandMatcher, CommandTable, Unknown, code_text
from ._handover import hand_over
from .connection import Connection, ProtocolFactory

__all__ = ["Dispatcher"]

_log = logging.getLogger("mtev.listener")


class Dispatcher(asyncio.Protocol):
    """The protocol in charge until the four bytes are there.

    Args:
        connection: the connection.
        table: which commands there are.
        factories: the protocol of each code.
        timeout_s: how long the bytes may take.
    """

    def __init__(
        self, connection: Connection, table: CommandTable, factories: Mapping[bytes, ProtocolFactory], timeout_s: float
    ) -> None:
        self._connection = connection
        self._matcher = CommandMatcher(table)
        self._factories = factories
        self._timeout_s = timeout_s
        self._end_of_patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait."""
        self._end_of_patience = self._connection.loop.asyncio_loop.call_later(self._timeout_s, self._too_late)

    def data_received(self, data: bytes) -> None:
        """Some of the bytes."""
        connection = self._connection
        if connection.transport is None or connection.transport.is_closing():
            return
        match self._matcher.feed(data):
            case Chosen(command=command, received=received):
                self._stop_waiting()
                connection.command = command.code
                if connection.info is not None:
                    connection.info.callback = command.title
                hand_over(connection, self._factories[command.code], received)
            case Unknown(code=code):
                self._stop_waiting()
                _log.warning("%s: there is no command %s; closed", connection, code_text(code))
                connection.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended before the bytes were there."""
        self._stop_waiting()

    def _too_late(self) -> None:
        _log.info(
            "%s: %d of 4 bytes within %g s; closed", self._connection, len(self._matcher.received), self._timeout_s
        )
        self._connection.abort()

    def _stop_waiting(self) -> None:
        if self._end_of_patience is not None:
            self._end_of_patience.cancel()
            self._end_of_patience = None
