"""The opener: sets connections up on their loops, from the accepted socket to the protocol, and sees them end.

How it works. A loop makes its own transport for the socket, `Opening` makes the protocol, and from then on the
transport calls the protocol directly. There is no wrapper in between that would cost time per packet or could be
displaced by a protocol that exchanges itself. That a connection ended is learned from its socket (see `_sockets`), that
it is idle from the kernel's counters (see `_activity`), that it shall end is told to it (`drain`).

Rules:

1. What a connection has to do before its protocol begins (a PROXY header, the TLS handshake) has a time limit, and at
   most `_HANDSHAKES` do it at once on a loop; the others wait their turn within the same limit.
2. Whatever keeps one connection from beginning ends that one, is counted, and is logged as far as it is news: peers can
   repeat it without end.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

from mtev_eventer import Loop, LoopStopped

from ._address import Endpoint, show_endpoint
from ._handover import Opening, hand_over
from ._move import Leaving
from ._population import Population
from ._preface import read_proxy_header
from ._refusals import Episodes
from ._settings import ListenerSettings
from ._sockets import AcceptedSocket
from ._sweeps import Sweeps
from ._tally import Tally
from ._upgrade import SHUTDOWN_S
from .connection import Connection, ProtocolFactory
from .errors import ListenerError

if TYPE_CHECKING:
    from mtev_eventer import SocketTable
    from mtev_tls import ServerTls

__all__ = ["Opener"]

_log = logging.getLogger("mtev.listener")

_HANDSHAKES = 256


class Opener:
    """Sets up the connections of one `<listener>`. Its methods are for the connection's loop.

    Args:
        settings: the listener.
        factory: makes the protocol of a connection.
        population: its connections.
        tally: what it counts.
        sockets: the table that they appear in.
        sweeps: who watches for idle ones.
        counted: whether the system counts the bytes of TCP connections.
        tls: how to speak TLS; None for not at all.

    Attributes:
        settings: as above; replaced when the configuration changes. New connections go by the new ones.
        tls: as above, likewise.
        counted: as above, likewise.
        population: as above.
        tally: as above.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        factory: ProtocolFactory,
        *,
        population: Population,
        tally: Tally,
        sockets: SocketTable,
        sweeps: Sweeps,
        counted: bool,
        tls: ServerTls | None = None,
    ) -> None:
        self.settings = settings
        self.population = population
        self.tally = tally
        self.tls = tls
        self.counted = counted
        self._factory = factory
        self._sockets = sockets
        self._sweeps = sweeps
        self._handshakes: dict[Loop, asyncio.Semaphore] = {}
        self._episodes = Episodes(_log)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(
        self,
        connection: Connection,
        descriptor: AcceptedSocket,
        factory: ProtocolFactory | None = None,
        received: bytes = b"",
    ) -> None:
        """Set a connection up, from the beginning, or in mid-stream with the protocol of a factory."""
        task = connection.loop.asyncio_loop.create_task(self._set_up(connection, descriptor, factory, received))
        connection.opening(task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def move(self, connection: Connection, loop: Loop, factory: ProtocolFactory, received: bytes) -> None:
        """Have a connection go on on another loop; see `Connection.move`."""
        if loop is connection.loop:
            hand_over(connection, factory, received)
        else:
            Leaving(connection, partial(self._depart, connection, loop, factory, received)).begin()

    def gone(self, connection: Connection) -> None:
        """The socket of a connection is closed. From any thread."""
        connection.closed()
        connection.loop.leave()
        self.population.discard(connection)
        info, connection.info = connection.info, None
        if info is not None:
            self._sockets.remove(info)

    def went_idle(self, connection: Connection) -> None:
        """A connection is about to be closed because it was idle for too long."""
        _log.debug("%s was idle for too long: closed", connection)
        self.tally.idle.add()

    def refused_peer(self, peer: Endpoint) -> None:
        """A peer has as many connections as it may have. From any thread."""
        self.tally.refused_peers.add()
        host = peer[0] if isinstance(peer, tuple) else show_endpoint(peer)
        self._episodes.tell(
            "peer",
            logging.WARNING,
            f"{self.settings.where}: {host} has {self.settings.max_connections_per_peer} connections, the limit "
            "(max_connections_per_peer); further ones are refused",
        )

    def _depart(self, connection: Connection, loop: Loop, factory: ProtocolFactory, received: bytes) -> None:
        try:
            descriptor = connection.depart(loop)
        except OSError as error:
            _log.error("%s: cannot move to %s: %s; closed", connection, loop.name, error.strerror or error)
            connection.abort()
            return
        try:
            loop.call(self.begin, connection, descriptor, factory, received)
        except LoopStopped:
            descriptor.close()

    async def _set_up(
        self, connection: Connection, descriptor: AcceptedSocket, factory: ProtocolFactory | None, received: bytes
    ) -> None:
        try:
            await self._connect(connection, descriptor, factory, received)
        except Exception as error:  # whatever keeps one connection from beginning ends that one
            self._failed(connection, error)
            descriptor.give_up()
        except BaseException:
            descriptor.give_up()
            raise

    async def _connect(
        self, connection: Connection, descriptor: AcceptedSocket, factory: ProtocolFactory | None, received: bytes
    ) -> None:
        settings, tls = self.settings, self.tls
        counted = self.counted and descriptor.family != socket.AF_UNIX
        timeout_s = settings.idle_timeout_s

        def opening() -> Opening:
            if timeout_s:
                connection.watch(self._sweeps.of(connection.loop, timeout_s), counted=counted)
            return Opening(
                connection,
                self._factory if factory is None else factory,
                no_delay=settings.no_delay,
                watch_reads=bool(timeout_s) and not counted,
                received=received,
            )

        loop = connection.loop.asyncio_loop
        if factory is not None or (tls is None and settings.proxy_protocol == "off"):
            await loop.connect_accepted_socket(opening, descriptor)
            return
        async with asyncio.timeout(settings.handshake_timeout_s), self._turn(connection.loop):
            if settings.proxy_protocol != "off":
                try:
                    await self._introduce(connection, descriptor)
                except (ListenerError, OSError) as error:
                    raise _NotIntroduced(str(error)) from error
            if tls is None:
                await loop.connect_accepted_socket(opening, descriptor)
            else:
                await loop.connect_accepted_socket(
                    opening,
                    descriptor,
                    ssl=tls.context,
                    ssl_handshake_timeout=settings.handshake_timeout_s,
                    ssl_shutdown_timeout=SHUTDOWN_S,
                )
                self.tally.handshakes.add()

    async def _introduce(self, connection: Connection, descriptor: AcceptedSocket) -> None:
        """Learn from a proxy who is behind it."""
        proxy = connection.peer
        if isinstance(proxy, tuple):
            address = ip_address(proxy[0].partition("%")[0])
            if not any(address in network for network in self.settings.proxy_from):
                raise ListenerError("it may not speak the PROXY protocol (proxy_from)")
        header = await read_proxy_header(descriptor, self.settings.proxy_protocol)
        if header.source is None:
            return
        connection.proxy, connection.peer = proxy, header.source
        if connection.info is not None:
            connection.info.remote = header.source
        host = header.source[0] if isinstance(header.source, tuple) else ""
        if not self.population.is_behind_proxy(connection, host):
            self.refused_peer(header.source)
            raise _Refused

    def _turn(self, loop: Loop) -> asyncio.Semaphore:
        turn = self._handshakes.get(loop)
        if turn is None:
            turn = self._handshakes[loop] = asyncio.Semaphore(_HANDSHAKES)
        return turn

    def _failed(self, connection: Connection, error: Exception) -> None:
        """Count it, and say why a connection did not begin."""
        if isinstance(error, _Refused):
            return
        where, peer = self.settings.where, show_endpoint(connection.proxy or connection.peer)
        late = isinstance(error, (TimeoutError, ConnectionAbortedError))
        if self.tls is None and not late and not isinstance(error, _NotIntroduced):
            self._episodes.tell("other", logging.INFO, f"{connection}: it ended before it began: {error}")
        elif self.tls is None or isinstance(error, _NotIntroduced):
            self.tally.proxy_failures.add()
            limit = f"its PROXY header was not there within {self.settings.handshake_timeout_s:g} s"
            self._episodes.tell("proxy", logging.WARNING, f"{where}: refused {peer}: {limit if late else error}")
        else:
            self._handshake_failed(f"{where}: SSL accept failed from {peer}", error, late=late)

    def _handshake_failed(self, opening: str, error: Exception, *, late: bool) -> None:
        self.tally.handshake_failures.add()
        if late:
            self.tally.handshake_timeouts.add()
            limit = f"the handshake took longer than {self.settings.handshake_timeout_s:g} s"
            self._episodes.tell("slow", logging.WARNING, f"{opening}: {limit}")
        elif isinstance(error, (ssl.SSLError, ListenerError)):
            reason = getattr(error, "reason", None) or str(error)
            self._episodes.tell("handshake", logging.WARNING, f"{opening}: {reason}")
        else:  # the peer left
            self._episodes.tell("left", logging.DEBUG, f"{opening}: {error}")


class _NotIntroduced(Exception):
    """The connection did not begin with a PROXY header, or with one that does not count."""


class _Refused(Exception):
    """A limit was reached, and that was said already."""
