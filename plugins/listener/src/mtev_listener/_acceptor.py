"""The acceptor: takes connections off one listening socket, and lets each begin on its loop.

How it works. The listening socket is watched by one loop. When connections wait, a batch of them is accepted, counted
against the limit, given a line in the table of sockets, and set up on the same loop or, with fan-out, on the next loop
of the pool. Set up means: the event loop makes its own transport for the socket, `Opening` makes the protocol, and from
then on the transport calls the protocol directly. There is no wrapper in between that would cost time per packet or
could be displaced by a protocol that exchanges itself. That a connection ended is learned from its socket (see
`_sockets`), that it is idle from the kernel's counters (see `_activity`), that it shall end is told to it (`drain`).

Rules:

1. Beyond `max_connections` a connection is accepted and closed at once: the peer sees a refusal instead of silence.
   It is logged when that begins and, with the number of those turned away, when it is over.
2. Out of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM), and on any error that it does not know, it stops
   looking for a moment and tries again: peers wait in the backlog, and no loop spins on a socket that stays readable.
3. At most a batch is accepted per turn of the loop: a storm of connections does not starve those that are there.
4. After `close` nothing is taken in any more, from any thread's point of view.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Callable
from functools import partial
from types import MappingProxyType

from mtev_eventer import Loop, LoopStopped, SocketInfo, SocketTable

from ._activity import Sweep, looking_period_s
from ._address import Endpoint, endpoint_of
from ._handover import Opening
from ._population import Population
from ._settings import ListenerSettings
from ._sockets import AcceptedSocket, ListeningSocket
from .connection import Connection, ProtocolFactory

__all__ = ["Acceptor"]

_log = logging.getLogger("mtev.listener")

_BATCH = 64
_PAUSE_S = 0.25
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_GONE_ALREADY = {errno.ECONNABORTED, errno.EPROTO, errno.EINTR, errno.EPERM}


class Acceptor:
    """Accepts on one listening socket.

    Args:
        settings: the listener.
        listening: its socket, bound.
        loop: which loop watches it.
        choose: on which loop the next connection lives; thread-safe.
        factory: makes the protocol of a connection.
        sockets: the table to appear in.
        counted: whether the system counts the bytes of TCP connections.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        listening: ListeningSocket,
        *,
        loop: Loop,
        choose: Callable[[], Loop],
        factory: ProtocolFactory,
        sockets: SocketTable,
        counted: bool,
    ) -> None:
        self.settings = settings
        self.local = listening.local
        self.loop = loop
        self.population = Population(settings.max_connections)
        self._listening = listening
        self._choose = choose
        self._factory = factory
        self._sockets = sockets
        self._counted = counted
        self._config = MappingProxyType(dict(settings.config))
        self._sweeps: dict[str, Sweep] = {}
        self._timers: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
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
        self.loop.call(self._arm)

    def close(self) -> None:
        """Accept no more and close the listening socket; connections stay. Thread-safe, harmless to repeat."""
        if self._closing:
            return
        self._closing = True
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

    def release(self) -> None:
        """Stop the timers. Thread-safe; the last thing to be called."""
        while self._timers:
            self._timers.pop()()

    def _tell(self, what: Callable[[Connection], None]) -> None:
        for connection in self.population.members():
            with contextlib.suppress(LoopStopped):  # its loop is gone, and the connection with it
                connection.loop.call(what, connection)

    # On the loop of the listening socket

    def _arm(self) -> None:
        if not self._closing and not self._armed:
            self._armed = True
            self.loop.asyncio_loop.add_reader(self._listening.socket, self._accept)

    def _disarm(self) -> None:
        if self._armed:
            self._armed = False
            self.loop.asyncio_loop.remove_reader(self._listening.socket)

    def _accept(self) -> None:
        for _ in range(_BATCH):
            if self._closing:
                return
            try:
                accepted, address = self._listening.socket.accept()
            except BlockingIOError:  # at the limit, accept says EMFILE even when nobody waits: only this is recovery
                self._exhausted = False
                return
            except OSError as error:
                if error.errno in _GONE_ALREADY:
                    continue
                self._pause(error)
                return
            self._admit(accepted, endpoint_of(address))

    def _pause(self, error: OSError) -> None:
        self._disarm()
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
        self.loop.asyncio_loop.call_later(_PAUSE_S, self._arm)

    def _admit(self, accepted: socket.socket, peer: Endpoint) -> None:
        settings = self.settings
        loop = self._choose()
        connection = Connection(
            type=settings.type,
            loop=loop,
            config=self._config,
            peer=peer,
            local=_local_end(accepted, self.local),
            where=settings.where,
        )
        if not self.population.admit(connection):
            accepted.close()
            self._refused()
            return
        self._accepted_again()
        descriptor = AcceptedSocket(accepted, partial(self._gone, connection))
        descriptor.setblocking(False)
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
        if loop is self.loop:
            self._begin(connection, descriptor)
            return
        try:
            loop.call(self._begin, connection, descriptor)
        except LoopStopped:  # that loop is gone: the service is stopping
            descriptor.close()

    def _refused(self) -> None:
        if not self._refusing_since:
            self._refusing_since = self.population.refused
            _log.warning(
                "%s: %s has %d connections, the limit (max_connections); further ones are refused",
                self.settings.where,
                self.settings.type,
                self.settings.max_connections,
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

    def _begin(self, connection: Connection, descriptor: AcceptedSocket) -> None:
        task = connection.loop.asyncio_loop.create_task(self._set_up(connection, descriptor))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _set_up(self, connection: Connection, descriptor: AcceptedSocket) -> None:
        counted = self._counted and descriptor.family != socket.AF_UNIX
        timeout_s = self.settings.idle_timeout_s

        def opening() -> Opening:
            return Opening(
                connection, self._factory, no_delay=self.settings.no_delay, watch_reads=bool(timeout_s) and not counted
            )

        try:
            if timeout_s:
                connection.watch(descriptor, counted=counted)
                self._sweep(connection.loop, timeout_s).add(connection)
            await connection.loop.asyncio_loop.connect_accepted_socket(opening, descriptor)
        except Exception as error:  # whatever keeps one connection from beginning ends that one
            _log.info("%s: it ended before it began: %s", connection, error)
            descriptor.close()
        except BaseException:
            descriptor.close()
            raise

    def _sweep(self, loop: Loop, timeout_s: float) -> Sweep:
        sweep = self._sweeps.get(loop.name)
        if sweep is None:
            sweep = self._sweeps[loop.name] = Sweep(timeout_s)
            timer = loop.every(looking_period_s(timeout_s), sweep.look, name="listener_idle")
            self._timers.append(timer.cancel)
        return sweep

    def _gone(self, connection: Connection) -> None:
        connection.closed()
        self.population.discard(connection)
        sweep = self._sweeps.get(connection.loop.name)
        if sweep is not None:
            sweep.discard(connection)
        info, connection.info = connection.info, None
        if info is not None:
            self._sockets.remove(info)


def _local_end(accepted: socket.socket, listening: Endpoint) -> Endpoint:
    if isinstance(listening, str):
        return listening
    try:
        return endpoint_of(accepted.getsockname())
    except OSError:  # the peer reset it while it waited
        return listening
