"""The acceptor: takes connections off one listening socket, and lets each begin on its loop.

How it works. The listening socket is watched by one loop. When connections wait, a batch of them is accepted, counted
against the limits, given a line in the table of sockets, and handed to the `Opener` on the same loop or, with fan-out,
on another loop of the pool.

Rules:

1. Beyond `max_connections`, and beyond `max_connections_per_peer` of one address, a connection is accepted and closed
   at once: the peer sees a refusal instead of silence. It is logged when that begins and, with the number of those
   turned away, when it is over.
2. Out of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM), and on any error that it does not know, it stops
   looking for a moment and tries again: peers wait in the backlog, and no loop spins on a socket that stays readable.
3. At most a batch is accepted per turn of the loop: a storm of connections does not starve those that are there.
4. After `close` nothing is taken in any more, from any thread's point of view.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Callable
from functools import partial

from mtev_eventer import Loop, LoopStopped, SocketInfo, SocketTable

from ._accept_thread import AcceptThread
from ._address import Endpoint, endpoint_of, show_endpoint
from ._opener import Opener
from ._population import Admission
from ._sockets import AcceptedSocket, ListeningSocket
from .connection import Connection

__all__ = ["Acceptor"]

_log = logging.getLogger("mtev.listener")

_BATCH = 64
_PAUSE_S = 0.25
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_GONE_ALREADY = {errno.ECONNABORTED, errno.EPROTO, errno.EINTR, errno.EPERM}


class Acceptor:
    """Accepts on one listening socket.

    Args:
        opener: the listener, which several acceptors may share.
        listening: its socket, bound.
        loop: which loop watches it.
        choose: on which loop the next connection, of that peer, lives; thread-safe.
        sockets: the table to appear in.
    """

    def __init__(
        self,
        opener: Opener,
        listening: ListeningSocket,
        *,
        loop: Loop,
        choose: Callable[[Endpoint], Loop],
        sockets: SocketTable,
    ) -> None:
        self.local = listening.local
        self.loop = loop
        self._opener = opener
        self._listening = listening
        self._choose = choose
        self._sockets = sockets
        self._thread: AcceptThread | None = None
        self._armed = False
        self._closing = False
        self._closed = threading.Event()
        self._refused_in_a_row: int | None = None
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
        if not self._opener.settings.accept_thread:
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
                self._opener.settings.where,
                error.strerror or error,
                _PAUSE_S,
                advice,
            )

    def _admit(self, accepted: socket.socket, peer: Endpoint) -> None:
        opener, settings = self._opener, self._opener.settings
        loop = self._choose(peer)
        connection = Connection(
            type=settings.type,
            loop=loop,
            config=settings.config,
            peer=peer,
            local=_local_end(accepted, self.local),
            where=settings.where,
        )
        admission = opener.population.admit(connection)
        if admission is not Admission.ADMITTED:
            self._refused(admission, peer)
            accepted.close()
            return
        opener.tally.accepted.add()
        self._accepted_again()
        descriptor = AcceptedSocket(accepted, partial(opener.gone, connection))
        descriptor.setblocking(False)
        connection.settle(opener, descriptor)
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
            opener.begin(connection, descriptor)
            return
        try:
            loop.call(opener.begin, connection, descriptor)
        except LoopStopped:  # that loop is gone: the service is stopping
            descriptor.close()

    def _refused(self, admission: Admission, peer: Endpoint) -> None:
        if admission is Admission.PEER_FULL:
            self._opener.refused_peer(peer)
            return
        self._opener.tally.refused.add()
        if self._refused_in_a_row is None:
            self._refused_in_a_row = 0
            settings = self._opener.settings
            _log.warning(
                "%s: %s has %d connections, the limit (max_connections); further ones are refused",
                settings.where,
                settings.type,
                settings.max_connections,
            )
        self._refused_in_a_row += 1

    def _accepted_again(self) -> None:
        if self._refused_in_a_row is not None:
            where = self._opener.settings.where
            _log.warning("%s: accepting again; %d connections were refused", where, self._refused_in_a_row)
            self._refused_in_a_row = None

    def _close(self) -> None:
        self._disarm()
        self._release()

    def _release(self) -> None:
        self._listening.close()
        info, self._info = self._info, None
        if info is not None:
            self._sockets.remove(info)
        self._closed.set()


def _local_end(accepted: socket.socket, listening: Endpoint) -> Endpoint:
    if isinstance(listening, str):
        return listening
    try:
        return endpoint_of(accepted.getsockname())
    except OSError:  # the peer reset it while it waited
        return listening
