"""Connections that have not said yet which version of HTTP they speak.

The first bytes decide, as soon as they differ from every preface or one of them is complete. What was read goes to the
protocol that is chosen, which takes over the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from mtev_listener import Connection

__all__ = ["Preface"]


class Preface(asyncio.Protocol):
    """Waits for the first bytes of a connection.

    Args:
        connection: the connection.
        prefaces: what may come, and who is responsible for it.
        otherwise: who is responsible for everything else.
        timeout_s: how long to wait.
    """

    def __init__(
        self,
        connection: Connection,
        prefaces: Sequence[tuple[bytes, Callable[[Connection], asyncio.BaseProtocol]]],
        otherwise: Callable[[Connection], asyncio.BaseProtocol],
        timeout_s: float,
    ) -> None:
        self._connection = connection
        self._prefaces = prefaces
        self._otherwise = otherwise
        self._timeout_s = timeout_s
        self._received = b""
        self._transport: asyncio.BaseTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._decided = False
        connection.add_drain(self._drain)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, transport.close)

    def data_received(self, data: bytes) -> None:
        self._received += data
        received = self._received
        for preface, protocol in self._prefaces:
            if received.startswith(preface):
                self._hand_over(protocol)
                return
        if not any(preface.startswith(received) for preface, _ in self._prefaces):
            self._hand_over(self._otherwise)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget()

    def _hand_over(self, protocol: Callable[[Connection], asyncio.BaseProtocol]) -> None:
        self._forget()
        self._decided = True
        assert self._transport is not None, "it has sent something"
        chosen = protocol(self._connection)
        self._connection.set_protocol(chosen)
        chosen.connection_made(self._transport)
        cast(asyncio.Protocol, chosen).data_received(self._received)

    def _drain(self) -> None:
        if not self._decided and self._transport is not None:
            self._transport.close()

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
