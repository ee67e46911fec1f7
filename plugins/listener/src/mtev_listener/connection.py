"""Connections: what a protocol may know of, and ask of, the connection that it speaks on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from ._activity import Sweep, tcp_counters
from ._address import Endpoint, show_endpoint
from ._between import install
from ._upgrade import upgrade
from .errors import ListenerError

if TYPE_CHECKING:
    from mtev_eventer import Loop, SocketInfo
    from mtev_tls import ServerTls, TlsPeer

    from ._move import Home
    from ._sockets import AcceptedSocket

__all__ = ["Connection", "ProtocolFactory"]

_log = logging.getLogger("mtev.listener")


class Connection:
    """One accepted connection.

    It belongs to one loop, from `move` on to another one; use it there, unless a member says that it is thread-safe.
    The protocol's own callbacks (`connection_made`, `data_received`, `connection_lost` ...) come straight from the
    event loop.

    Attributes:
        type: the listener type that it came in by.
        config: the merged `<config>` of the listener; read-only.
        peer: host and port; the path of a unix socket; or None where the peer has no name.
        local: our end, in the same form.
        loop: the loop that it runs on.
        where: `file:line` of the listener.
        proxy: who handed the connection on, where `peer` is known from a PROXY header; None otherwise.
        tls: the TLS session and the peer's certificate; None on a plain connection.
        remote_cn: common name in the peer's certificate; `""` without one, and for one that was not verified.
        command: the four bytes that `control_dispatch` went by; `b""` otherwise. The protocol receives them too.
        info: its line in the table of sockets; None once it is closed. A protocol may refine `info.callback`.
        transport: the transport; None until the connection is set up. Another one after `start_tls`.
        counted_peer: the address under which the listener counts it; of no use to protocols.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_counted",
        "_draining",
        "_drains",
        "_home",
        "_moving",
        "_opening",
        "_socket",
        "_sweep",
        "_touched",
        "command",
        "config",
        "counted_peer",
        "info",
        "local",
        "loop",
        "peer",
        "proxy",
        "remote_cn",
        "tls",
        "transport",
        "type",
        "where",
    )

    def __init__(
        self,
        *,
        type: str,  # noqa: A002  # the name that the configuration has for it
        loop: Loop,
        config: Mapping[str, str] | None = None,
        peer: Endpoint = None,
        local: Endpoint = None,
        where: str = "",
        info: SocketInfo | None = None,
    ) -> None:
        self.type = type
        self.loop = loop
        self.config: Mapping[str, str] = {} if config is None else config
        self.peer = peer
        self.local = local
        self.where = where
        self.info = info
        self.proxy: Endpoint = None
        self.tls: TlsPeer | None = None
        self.counted_peer = ""
        self.remote_cn = ""
        self.command = b""
        self.transport: asyncio.Transport | None = None
        self._drains: list[Callable[[], None]] = []
        self._draining = False
        self._closed = False
        self._touched = False
        self._counted = False
        self._sweep: Sweep | None = None
        self._home: Home | None = None
        self._moving = False
        self._socket: AcceptedSocket | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def draining(self) -> bool:
        """Whether the service is about to stop: finish what is under way, begin nothing new."""
        return self._draining

    @property
    def is_closed(self) -> bool:
        """Whether its socket is gone. Thread-safe."""
        return self._closed

    def touch(self) -> None:
        """Count as active, for the idle timeout. Costs one store.

        Needed only for what the sockets do not show: work that goes on without a byte either way.
        """
        self._touched = True

    def add_drain(self, callback: Callable[[], None]) -> None:
        """Ask to be told when the service drains.

        A connection without such a callback is closed when the service drains; what was written is still sent. One
        with a callback finishes what it is doing and closes its transport then, within the time that draining has.

        Args:
            callback: called once, on the connection's loop; soon, when draining has begun already.
        """
        if self._draining:
            self.loop.asyncio_loop.call_soon(self._call_drain, callback)
        else:
            self._drains.append(callback)

    def close(self) -> None:
        """Close it in order: what was written is still sent. Harmless to repeat."""
        if self.transport is not None:
            self.transport.close()
        else:
            self._close_unopened()

    def abort(self) -> None:
        """Close it at once; what was not sent yet is lost. Harmless to repeat."""
        if self.transport is not None:
            self.transport.abort()
        else:
            self._close_unopened()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Put another protocol in charge, and keep whatever of the listener stands between it and the transport.

        Its `connection_made` is not called; it finds the transport in `transport`.
        """
        assert self.transport is not None, "a connection without a transport has no protocol to exchange"
        install(self.transport, protocol)

    def start_tls(self, tls: ServerTls, *, timeout_s: float = 10.0) -> Awaitable[TlsPeer]:
        """Upgrade a plain connection to TLS, as after STARTTLS; this side is the server.

        Say yes to the peer first, and call this at once, in the same callback: from here on nothing more is read as
        plaintext. Bytes that came together with the command are in the protocol's hands, and must be thrown away: they
        were not protected, whoever sent them (STARTTLS injection). When this has ended, write to the new `transport`.

        Args:
            tls: whose certificate to show.
            timeout_s: how long the handshake may take, in seconds.

        Returns:
            To be awaited on the connection's loop: who the peer is.

        Raises:
            ssl.SSLError, OSError: the handshake failed; the connection is closed.
            ListenerError: the connection is closed, or speaks TLS already.
        """
        return upgrade(self, tls, timeout_s)

    def move(self, loop: Loop, factory: ProtocolFactory, received: bytes = b"") -> None:
        """Go on on another loop, with another protocol. Returns at once; to be called on the connection's loop.

        The protocol that calls this is done with the connection: it must neither write nor close any more, and is not
        told of its end. What it wrote before is sent first. Its drain callbacks are forgotten.

        Args:
            loop: of any pool; the same one only exchanges the protocol.
            factory: makes the new protocol, on that loop.
            received: what was read already and is for it.

        Raises:
            ListenerError: the connection is closed or about to move already, or it speaks TLS, whose state belongs to
                its loop.
            LoopStopped: the other loop does not run.
        """
        if self.transport is None or self.transport.is_closing() or self._home is None or self._moving:
            raise ListenerError(f"{self}: it is closed or on its way, and cannot be moved")
        if self.tls is not None:
            raise ListenerError(f"{self}: it speaks TLS, and stays on its loop; move it before the handshake")
        _ = loop.asyncio_loop  # raises where it does not run
        self._drains.clear()
        self._moving = loop is not self.loop
        self._home.move(self, loop, factory, received)

    def depart(self, loop: Loop) -> AcceptedSocket:
        """Leave the present loop for another one. Called by the listener when all is sent.

        Returns:
            The socket, for the other loop.

        Raises:
            OSError: the system has no descriptor left for it.
        """
        assert self.transport is not None
        assert self._socket is not None
        self._socket = self._socket.successor()
        self._unwatch()
        self._moving = False
        transport, self.transport = self.transport, None
        transport.abort()
        self.loop.leave()
        self.loop = loop
        loop.enter()
        if self.info is not None:
            self.info.fd, self.info.loop, self.info.pool = self._socket.fileno(), loop.name, loop.pool.name
        return self._socket

    def settle(self, home: Home, descriptor: AcceptedSocket) -> None:
        """Say where it came in, and which socket it has. Called by the listener."""
        self._home = home
        self._socket = descriptor

    def opening(self, task: asyncio.Task[None] | None) -> None:
        """Say which task sets it up. Called by the listener."""
        self._opening = task

    def secured(self, peer: TlsPeer) -> None:
        """Take over what TLS says of the peer. Called by the listener."""
        self.tls = peer
        self.remote_cn = peer.cn
        if self.info is not None:
            self.info.impl = "SSL"
            self.info.detail = str(peer)

    def closed(self) -> None:
        """The socket is gone. Called by the listener; of no use to protocols."""
        self._closed = True
        self._opening = None
        self._drains.clear()
        self._unwatch()
        self._socket = None

    def drain(self) -> None:
        """Begin to drain. Called by the listener; of no use to protocols."""
        if self._draining:
            return
        self._draining = True
        callbacks, self._drains = self._drains, []
        for callback in callbacks:
            self._call_drain(callback)
        if not callbacks:
            self.close()

    def activity(self) -> tuple[tuple[int, ...], bool]:
        """What the idle sweep compares; see `_activity`."""
        touched, self._touched = self._touched, False
        counters = tcp_counters(self._socket) if self._counted and self._socket is not None else None
        if counters is not None:
            return counters, touched
        waiting = 0 if self.transport is None else self.transport.get_write_buffer_size()
        return (waiting,), touched

    def close_idle(self, *, by_force: bool) -> None:
        """Close it because it was idle for too long; see `_activity`."""
        if by_force:
            self.abort()
        else:
            if self._home is not None:
                self._home.went_idle(self)
            self.close()

    def watch(self, sweep: Sweep, *, counted: bool) -> None:
        """Have it closed when it is idle for too long. Called by the listener, on the connection's loop.

        Args:
            sweep: who watches.
            counted: whether the system counts the bytes of its socket.
        """
        self._counted = counted
        self._sweep = sweep
        sweep.add(self)

    def _unwatch(self) -> None:
        sweep, self._sweep = self._sweep, None
        if sweep is not None:
            sweep.discard(self)

    def _close_unopened(self) -> None:
        """There is no transport, or none on its present loop yet: end what makes it, or what is about to."""
        self._draining = True
        if self._opening is not None:
            self._opening.cancel()

    def _call_drain(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:  # one protocol's fault must not keep the others from draining
            _log.exception("%s: its drain callback %r failed; closed", self, callback)
            self.close()

    def __repr__(self) -> str:
        return f"<Connection {self.type} {show_endpoint(self.local)} from {show_endpoint(self.peer)}>"

    def __str__(self) -> str:
        return f"{self.type} connection from {show_endpoint(self.peer)} to {show_endpoint(self.local)}"


ProtocolFactory = Callable[[Connection], asyncio.BaseProtocol]
"""Makes the protocol of one connection. Called on the connection's loop; what it raises closes that connection."""
