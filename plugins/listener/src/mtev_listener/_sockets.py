"""Sockets: one to listen on, bound as the settings say, and one per accepted connection that tells when it is closed.

Rules:

1. What is not a dead unix socket is never removed: a file, a directory, a symbolic link, or a socket that somebody
   still answers on stays, and the bind fails. At the end only the very socket that was bound is removed.
2. A unix socket has its owner and permissions before anybody can connect: bind, chown, chmod, then listen.
3. Event loops differ in how they call protocols, but both asyncio and uvloop own the socket object of a transport, and
   end with `close()` or `detach()` on it, once, after the last `connection_lost`. `AcceptedSocket` reports that moment,
   which makes it the one place where connections are counted: whatever protocol is in charge by then.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ._address import TcpAddress, UnixAddress, endpoint_of, group_id, show_endpoint, user_id
from ._owner import owner_of
from ._settings import ListenerSettings
from ._systemd import adopt
from .errors import BindError

__all__ = ["AcceptedSocket", "ListeningSocket", "adopt_socket", "listen", "system_backlog"]

_RETRIABLE = {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_ADVICE = {
    errno.EADDRINUSE: "stop whoever listens there, or choose another port",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address at present",
    errno.EACCES: "this user may not listen there; ports below 1024 and directories of others need the right to",
    errno.ENOENT: "create the directory",
    errno.EAFNOSUPPORT: "this machine has no such address family",
}
_PROBE_TIMEOUT_S = 1.0


class AcceptedSocket(socket.socket):
    """The socket of one connection.

    Args:
        accepted: what `accept` returned; its descriptor moves here.
        closed: called once, when the descriptor is closed or given back to the event loop to close.
    """

    __slots__ = ("_closed_callback",)

    def __init__(self, accepted: socket.socket, closed: Callable[[], None]) -> None:
        self._closed_callback: Callable[[], None] | None = closed
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())

    def close(self) -> None:
        """Close the descriptor, and report it."""
        super().close()
        if self.fileno() == -1:
            self._report()

    def give_up(self) -> None:
        """Close it, also where an event loop holds on to it.

        A loop that was about to begin may wait for the peer for a while yet; that the connection is shut down tells it.
        """
        with contextlib.suppress(OSError):  # the peer has done so already
            self.shutdown(socket.SHUT_RDWR)
        self.close()

    def successor(self) -> AcceptedSocket:
        """Another descriptor of the same connection, whose end is the one that is reported from now on."""
        duplicate = socket.socket(self.family, self.type, self.proto, fileno=os.dup(self.fileno()))
        callback, self._closed_callback = self._closed_callback, None
        assert callback is not None
        return AcceptedSocket(duplicate, callback)

    def detach(self) -> int:
        """Give the descriptor away, and report it."""
        descriptor = super().detach()
        self._report()
        return descriptor

    def _report(self) -> None:
        callback, self._closed_callback = self._closed_callback, None
        if callback is not None:
            callback()


class ListeningSocket:
    """A bound socket, not yet accepted from.

    Attributes:
        socket: the socket itself; non-blocking.
        local: where it really listens, the port that the system chose included.
    """

    def __init__(self, listening: socket.socket, unix_path: str | None) -> None:
        self.socket = listening
        self.local = endpoint_of(listening.getsockname())
        self._unix_path = unix_path
        self._identity = _identity(unix_path) if unix_path else None

    def close(self) -> None:
        """Stop listening and remove the path of a unix socket, if it is still ours. Harmless to repeat."""
        if self._unix_path is not None and self._identity == _identity(self._unix_path):
            with contextlib.suppress(OSError):
                os.unlink(self._unix_path)  # noqa: PTH108  # a plain call on a plain string
        self._unix_path = None
        self.socket.close()


def listen(settings: ListenerSettings, *, port: int | None = None) -> ListeningSocket:
    """Bind and listen. Connections queue up from now on; accepting them is another matter. Blocks for moments only.

    Args:
        settings: where and how.
        port: in the place of that of the settings: the one that the system chose for the first of several sockets.

    Raises:
        BindError: it cannot; the message names the element, the address, and who is there if that can be known.
    """
    address = settings.address
    try:
        if isinstance(address, UnixAddress):
            return _listen_unix(address, settings.backlog)
        shared = settings.accept == "each"
        return _listen_tcp(address if port is None else replace(address, port=port), settings.backlog, shared=shared)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "")
        owner = owner_of(address) if error.errno == errno.EADDRINUSE else ""
        if owner:
            advice = f"{owner} listens there; stop it, or choose another address"
        raise BindError(
            f'{settings.where}: <listener type="{settings.type}"> cannot listen on {address}: '
            f"{error.strerror or error}" + (f"; {advice}" if advice else ""),
            retriable=error.errno in _RETRIABLE,
        ) from error


def adopt_socket(settings: ListenerSettings, descriptor: int) -> ListeningSocket:
    """A socket that somebody else has opened and listens on, in the place of `listen`.

    Raises:
        BindError: it is no such socket, or not where the settings say.
    """
    opening = f'{settings.where}: <listener type="{settings.type}"> cannot take the socket that systemd has opened'
    try:
        found = adopt(descriptor)
    except (OSError, ValueError) as error:
        raise BindError(f"{opening}: {error}", retriable=False) from error
    made = ListeningSocket(found, None)
    wanted = settings.address
    expected = wanted.path if isinstance(wanted, UnixAddress) else (wanted.host, wanted.port)
    if made.local != expected:
        found.detach()
        raise BindError(
            f"{opening}: it is {show_endpoint(made.local)}, and the configuration says {wanted}", retriable=False
        )
    return made


def _listen_tcp(address: TcpAddress, backlog: int, *, shared: bool = False) -> ListeningSocket:
    listening = socket.socket(address.family, socket.SOCK_STREAM)
    with contextlib.ExitStack() as undo:
        undo.callback(listening.close)
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((address.host, address.port))
        listening.listen(backlog)
        undo.pop_all()
    return ListeningSocket(listening, None)


def system_backlog(proc: Path = Path("/proc")) -> int | None:
    """The most connections that the system keeps waiting for any socket; None where it does not say."""
    try:
        return int((proc / "sys/net/core/somaxconn").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _listen_unix(address: UnixAddress, backlog: int) -> ListeningSocket:
    path = None if address.abstract else address.path
    if path is not None:
        _remove_dead(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.ExitStack() as undo:
        undo.callback(listening.close)
        listening.setblocking(False)
        listening.bind(address.name)
        if path is not None:
            undo.callback(_unlink_quietly, path)
            if address.owner or address.group:
                os.chown(path, *_ids(address))
            Path(path).chmod(address.mode)
        listening.listen(backlog)
        undo.pop_all()
    return ListeningSocket(listening, path)


def _remove_dead(path: str) -> None:
    """Remove what a crashed service left behind; see rule 1."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "something is there that is not a socket, and it was left alone; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108  # a plain call on a plain string
        except FileNotFoundError:
            return
        except (TimeoutError, BlockingIOError):
            raise OSError(errno.EADDRINUSE, "another process listens there") from None
        else:
            raise OSError(errno.EADDRINUSE, "another process listens there")


def _ids(address: UnixAddress) -> tuple[int, int]:
    """User and group by number; -1 leaves them as they are. The names were checked with the settings."""
    user = user_id(address.owner) if address.owner else -1
    group = group_id(address.group) if address.group else -1
    return user, group


def _unlink_quietly(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108  # a plain call on a plain string


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISSOCK(status.st_mode) else None
