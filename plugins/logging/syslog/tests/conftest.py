"""Receivers that tests talk to: of datagrams and of streams, each reading on a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading

import pytest
import trustme

_DEADLINE_S = 20.0


class Streams:
    """Accepts connections, and keeps what comes, each connection apart.

    Args:
        family: of the socket.
        address: to bind to.
        context: of TLS; None for plain streams.
        reads: whether it reads at all.
    """

    def __init__(self, family, address, context=None, *, reads=True):
        self.context = context
        self.reads = reads
        self.received: list[bytearray] = []
        self.changed = threading.Condition()
        self.open = 0
        self.accepted: list[socket.socket] = []
        self.threads: list[threading.Thread] = []
        self.stopping = False
        self.listening = socket.socket(family, socket.SOCK_STREAM)
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not reads:
            self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listening.bind(address)
        self.listening.listen()
        self.address = self.listening.getsockname()
        self._start(self._accept)

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        while not self.stopping:
            try:
                accepted, _ = self.listening.accept()
            except OSError:
                return
            if self.stopping:
                accepted.close()
                return
            with self.changed:
                self.open += 1
                self.accepted.append(accepted)
            self._start(self._read, accepted)

    def _read(self, accepted):
        mine = bytearray()
        try:
            if not self.reads:
                return
            with contextlib.suppress(OSError):
                if self.context is not None:
                    plain, accepted = accepted, self.context.wrap_socket(accepted, server_side=True)
                    with self.changed:
                        self.accepted[self.accepted.index(plain)] = accepted
                with self.changed:
                    self.received.append(mine)
                while data := accepted.recv(65536):
                    with self.changed:
                        mine += data
                        self.changed.notify_all()
        finally:
            with self.changed:
                if self.reads:
                    accepted.close()
                    self.open -= 1
                self.changed.notify_all()

    def wait(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, _DEADLINE_S), [bytes(each[-200:]) for each in self.received]

    def ended(self):
        """What each connection brought, when all of them have ended."""
        self.wait(lambda: self.open == 0 and self.received)
        return [bytes(each) for each in self.received]

    def hang_up(self):
        """Close every connection in order."""
        with self.changed:
            accepted = list(self.accepted)
        for each in accepted:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.wait(lambda: self.open == 0)

    def stop(self):
        self.stopping = True
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for each in self.accepted:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(_DEADLINE_S)
        for each in self.accepted:
            each.close()


class Datagrams:
    """Receives datagrams, with the descriptors that come with them."""

    def __init__(self, family, address):
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(address)
        self.address = self.socket.getsockname()
        self.received: list[bytes] = []
        self.descriptors: list[int] = []
        self.changed = threading.Condition()
        self.end = b"end-of-%d" % id(self)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while True:
            data, descriptors, _, _ = socket.recv_fds(self.socket, 1 << 17, 4)
            with self.changed:
                self.received.append(data)
                self.descriptors += descriptors
                self.changed.notify_all()
            if data == self.end:
                return

    def all(self):
        """Everything that was sent before."""
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as last:
            last.sendto(self.end, self.address)
        self.thread.join(_DEADLINE_S)
        assert not self.thread.is_alive()
        return self.received[:-1]

    def stop(self):
        if self.thread.is_alive():
            self.all()
        self.socket.close()


@pytest.fixture
def start():
    """Starts receivers, which end with the test."""
    started = []

    def start(kind, *args, **options):
        started.append(kind(*args, **options))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def streams(start):
    return lambda *args, **options: start(Streams, *args, **options)


@pytest.fixture
def datagrams(start):
    return lambda *args, **options: start(Datagrams, *args, **options)


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture
def ca_chain(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def server_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context
