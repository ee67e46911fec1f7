"""The acceptor: takes connections off one listening socket, and lets each begin on its loop.

How it works. The listening socket is watched by one loop. When connections wait, a batch of them is accepted, counted
against the limit, given a line in the table of sockets, and set up on the same loop or, with fan-out, on the next loop
of the pool. Set up means: the event loop makes its own transport for the socket, `Opening` makes the protocol, and from
then on the transport calls the protocol directly. There is no wrapper in between that would cost time per packet or
could be displaced by a protocol that exchanges itself. That a connection ended is learned from its socket (see
`_sockets`), that it is idle from the kernel's counters (see `_activity`), that it shall end is told to it (`drain`).

Rules:

1. Beyond `max_connections`, and beyond `max_connections_per_peer` of one address, a connection is accepted and closed
   at once: the peer sees a refusal instead of silence. It is logged when that begins and, with the number of those
   turned away, when it is over.
2. Out of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM), and on any error that it does not know, it stops
   looking for a moment and tries again: peers wait in the backlog, and no loop spins on a socket that stays readable.
3. At most a batch is accepted per turn of the loop: a storm of connections does not starve those that are there.
4. After `close` nothing is taken in any more, from any thread's point of view.
5. What a connection has to do before its protocol begins (a PROXY header, the TLS handshake) has a time limit, and at
   most `_HANDSHAKES` do it at once on a loop; the others wait their turn within the same limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

from mtev_eventer import Loop, LoopStopped, SocketInfo, SocketTable

from ._accept_thread import AcceptThread
from ._address import Endpoint, endpoint_of, show_endpoint
from ._handover import Opening, hand_over
from ._move import Leaving
from ._population import Admission, Population
from ._preface import read_proxy_header
from ._refusals import Episodes
from ._settings import ListenerSettings
from ._sockets import AcceptedSocket, ListeningSocket
from ._sweeps import Sweeps
from ._upgrade import SHUTDOWN_S
from .connection import Connection, ProtocolFactory
from .errors import ListenerError

if TYPE_CHECKING:
    from mtev_tls import ServerTls

__all__ = ["Acceptor"]

_log = logging.getLogger("mtev.listener")

_BATCH = 64
_HANDSHAKES = 256
_PAUSE_S = 0.25
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_GONE_ALREADY = {errno.ECONNABORTED, errno.EPROTO, errno.EINTR, errno.EPERM}


class Acceptor:
    """Accepts on one listening socket.

    Args:
        settings: the listener.
        listening: its socket, bound.
        loop: which loop watches it.
        choose: on which loop the next connection, of that peer, lives; thread-safe.
        factory: makes the protocol of a connection.
        sockets: the table to appear in.
        population: the connections of the listener, which several acceptors may share.
        sweeps: who watches for idle ones.
        counted: whether the system counts the bytes of TCP connections.
        tls: how to speak TLS; None for not at all.

    Attributes:
        settings: as above; replaced when the configuration changes. New connections go by the new ones.
        tls: as above, likewise.
        counted: as above, likewise.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        listening: ListeningSocket,
        *,
        loop: Loop,
        choose: Callable[[Endpoint], Loop],
        factory: ProtocolFactory,
        sockets: SocketTable,
        population: Population,
        sweeps: Sweeps,
        counted: bool,
        tls: ServerTls | None = None,
    ) -> None:
        self.settings = settings
        self.local = listening.local
        self.loop = loop
        self.population = population
        self.tls = tls
        self.counted = counted
        self._listening = listening
        self._choose = choose
        self._factory = factory
        self._sockets = sockets
        self._sweeps = sweeps
        self._handshakes: dict[str, asyncio.Semaphore] = {}
        self._episodes = Episodes(_log)
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: AcceptThread | None = None
        self._armed = False
        self._closing = False
        self._closed = threading.Event()
        self._refusing_since = 0
        self._exhausted = False
        self._info: SocketInfo | None = sockets.add(
            SocketInfo(
                callback="listener_acceptor",
                fd=listening.socket.fileno(),
                pool=loop.pool.name,
                local=self.local,
                loop=loop.name,
            )
        )

    def start(self) -> None:
        """Begin to accept. Thread-safe."""
        if not self.settings.accept_thread:
            self.loop.call(self._arm)
        elif not self._closing:
            name = f"accept {show_endpoint(self.local)}"
            self._thread = AcceptThread(name, self._listening.socket, self._accept, self._release)
            self._thread.start()

    def set_backlog(self, backlog: int) -> None:
        """Have the system keep more or fewer connections waiting. Thread-safe."""
        with contextlib.suppress(OSError):  # it was closed meanwhile
            self._listening.socket.listen(backlog)

    def close(self) -> None:
        """Accept no more and close the listening socket; connections stay. Thread-safe, harmless to repeat."""
        if self._closing:
            return
        self._closing = True
        if self._thread is not None:
            self._thread.stop()
            return
        try:
            self.loop.call(self._close)
        except LoopStopped:  # the loop is gone, and with it whatever watched the socket
            self._release()

    def wait_closed(self, timeout_s: float) -> bool:
        """Block until the listening socket is closed; whether it was in time."""
        return self._closed.wait(timeout_s)

    def drain(self) -> None:
        """Tell every connection that the service drains. Thread-safe."""
        self._tell(Connection.drain)

    def abort(self) -> None:
        """Close every connection at once. Thread-safe."""
        self._tell(Connection.abort)

    def _tell(self, what: Callable[[Connection], None]) -> None:
        """Do something to every connection: all those of a loop in one turn, so that none is told much later."""
        by_loop: dict[Loop, list[Connection]] = {}
        for connection in self.population.members():
            by_loop.setdefault(connection.loop, []).append(connection)
        for loop, connections in by_loop.items():
            with contextlib.suppress(LoopStopped):  # it is gone, and its connections with it
                loop.call(_each, what, connections)

    # On the loop of the listening socket

    def _arm(self) -> None:
        if not self._closing and not self._armed:
            self._armed = True
            self.loop.asyncio_loop.add_reader(self._listening.socket, self._on_readable)

    def _disarm(self) -> None:
        if self._armed:
            self._armed = False
            self.loop.asyncio_loop.remove_reader(self._listening.socket)

    def _on_readable(self) -> None:
        pause_s = self._accept()
        if pause_s:
            self._disarm()
            self.loop.asyncio_loop.call_later(pause_s, self._arm)

    # On the loop of the listening socket, or on its accept thread

    def _accept(self) -> float:
        """Accept a batch; for how many seconds not to look again, 0 to go on."""
        for _ in range(_BATCH):
            if self._closing:
                return 0.0
            try:
                accepted, address = self._listening.socket.accept()
            except BlockingIOError:  # at the limit, accept says EMFILE even when nobody waits: only this is recovery
                self._exhausted = False
                return 0.0
            except OSError as error:
                if error.errno in _GONE_ALREADY:
                    continue
                self._out_of_something(error)
                return _PAUSE_S
            self._admit(accepted, endpoint_of(address))
        return 0.0

    def _out_of_something(self, error: OSError) -> None:
        if not self._exhausted:  # say it once, not four times a second
            self._exhausted = True
            advice = "; raise the limit on open files" if error.errno in _EXHAUSTED else ""
            _log.error(
                "%s: cannot accept: %s; trying again every %g s%s",
                self.settings.where,
                error.strerror or error,
                _PAUSE_S,
                advice,
            )

    def _admit(self, accepted: socket.socket, peer: Endpoint) -> None:
        settings = self.settings
        loop = self._choose(peer)
        connection = Connection(
            type=settings.type,
            loop=loop,
            config=settings.config,
            peer=peer,
            local=_local_end(accepted, self.local),
            where=settings.where,
        )
        admission = self.population.admit(connection)
        if admission is not Admission.ADMITTED:
            accepted.close()
            self._refused(admission, peer)
            return
        self._accepted_again()
        descriptor = AcceptedSocket(accepted, partial(self._gone, connection))
        descriptor.setblocking(False)
        connection.settle(self, descriptor)
        connection.info = self._sockets.add(
            SocketInfo(
                callback=settings.type,
                fd=descriptor.fileno(),
                pool=loop.pool.name,
                local=connection.local,
                remote=peer,
                loop=loop.name,
            )
        )
        loop.enter()
        if loop.here:
            self._begin(connection, descriptor)
            return
        try:
            loop.call(self._begin, connection, descriptor)
        except LoopStopped:  # that loop is gone: the service is stopping
            descriptor.close()

    def _refused(self, admission: Admission, peer: Endpoint) -> None:
        if admission is Admission.PEER_FULL:
            self._refused_peer(peer)
        elif not self._refusing_since:
            self._refusing_since = self.population.refused
            _log.warning(
                "%s: %s has %d connections, the limit (max_connections); further ones are refused",
                self.settings.where,
                self.settings.type,
                self.settings.max_connections,
            )

    def _refused_peer(self, peer: Endpoint) -> None:
        host = peer[0] if isinstance(peer, tuple) else show_endpoint(peer)
        self._episodes.tell(
            "peer",
            logging.WARNING,
            f"{self.settings.where}: {host} has {self.settings.max_connections_per_peer} connections, the limit "
            "(max_connections_per_peer); further ones are refused",
        )

    def _accepted_again(self) -> None:
        if self._refusing_since:
            refused = self.population.refused - self._refusing_since + 1
            self._refusing_since = 0
            _log.warning("%s: accepting again; %d connections were refused", self.settings.where, refused)

    def _close(self) -> None:
        self._disarm()
        self._release()

    def _release(self) -> None:
        self._listening.close()
        info, self._info = self._info, None
        if info is not None:
            self._sockets.remove(info)
        self._closed.set()

    # On the loop of the connection

    def move(self, connection: Connection, loop: Loop, factory: ProtocolFactory, received: bytes) -> None:
        """Have a connection go on on another loop; see `Connection.move`."""
        if loop is connection.loop:
            hand_over(connection, factory, received)
        else:
            Leaving(connection, partial(self._depart, connection, loop, factory, received)).begin()

    def _depart(self, connection: Connection, loop: Loop, factory: ProtocolFactory, received: bytes) -> None:
        descriptor = connection.depart(loop)
        try:
            loop.call(self._begin, connection, descriptor, factory, received)
        except LoopStopped:
            descriptor.close()

    def _begin(
        self,
        connection: Connection,
        descriptor: AcceptedSocket,
        factory: ProtocolFactory | None = None,
        received: bytes = b"",
    ) -> None:
        """Set a connection up on its loop, from the beginning, or in mid-stream with the protocol of a factory."""
        task = connection.loop.asyncio_loop.create_task(self._set_up(connection, descriptor, factory, received))
        connection.opening(task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
                await self._introduce(connection, descriptor)
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
            self._refused_peer(header.source)
            raise _Refused

    def _turn(self, loop: Loop) -> asyncio.Semaphore:
        turn = self._handshakes.get(loop.name)
        if turn is None:
            turn = self._handshakes[loop.name] = asyncio.Semaphore(_HANDSHAKES)
        return turn

    def _failed(self, connection: Connection, error: Exception) -> None:
        """Say why a connection did not begin. A peer can repeat it without end, so most of it is only counted."""
        if isinstance(error, _Refused):
            return
        peer = show_endpoint(connection.proxy or connection.peer)
        if self.tls is None:
            self._episodes.tell("other", logging.INFO, f"{connection}: it ended before it began: {error}")
        elif isinstance(error, (TimeoutError, ConnectionAbortedError)):
            limit = f"the handshake took longer than {self.settings.handshake_timeout_s:g} s"
            self._episodes.tell(
                "slow", logging.WARNING, f"{self.settings.where}: SSL accept failed from {peer}: {limit}"
            )
        elif isinstance(error, (ssl.SSLError, ListenerError)):
            reason = getattr(error, "reason", None) or str(error)
            text = f"{self.settings.where}: SSL accept failed from {peer}: {reason}"
            self._episodes.tell("handshake", logging.WARNING, text)
        else:  # the peer left
            self._episodes.tell("left", logging.DEBUG, f"{self.settings.where}: SSL accept failed from {peer}: {error}")

    def _gone(self, connection: Connection) -> None:
        connection.closed()
        connection.loop.leave()
        self.population.discard(connection)
        info, connection.info = connection.info, None
        if info is not None:
            self._sockets.remove(info)


class _Refused(Exception):
    """A limit was reached, and that was said already."""


def _each(what: Callable[[Connection], None], connections: Sequence[Connection]) -> None:
    for connection in connections:
        what(connection)


def _local_end(accepted: socket.socket, listening: Endpoint) -> Endpoint:
    if isinstance(listening, str):
        return listening
    try:
        return endpoint_of(accepted.getsockname())
    except OSError:  # the peer reset it while it waited
        return listening
