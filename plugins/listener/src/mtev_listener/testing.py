r"""For authors of protocols: listeners in a test process, and the suite that every protocol should pass.

    class TestEcho(ListenerConformance):
        question, answer = b"hello\n", b"hello\n"

        def factory(self, connection: Connection) -> asyncio.BaseProtocol:
            return Echo(connection)

Rules that the suite proves, on uvloop and on asyncio's own loop:

1. The protocol answers, however the bytes of the question are cut up, and also when `control_dispatch` handed over.
2. Connections do not mix.
3. It ends when the service drains.
4. Whatever a peer sends, and whenever it goes away or resets, the connection ends, nothing is logged as an error, and
   the next one is served.
5. A peer that has said all it has to say, and ended its side, still gets its answer.
6. A peer that asks and asks, and reads nothing, does not fill the memory: what is written for it stays within `most`,
   or the connection is closed. Others are served meanwhile.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import select
import socket
import ssl
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import pytest

from mtev_eventer import Eventer, EventerSettings, PoolSettings
from mtev_tls import Tls, TlsSettings

from ._address import TcpAddress, UnixAddress
from ._handover import ReadWatch
from ._settings import ListenerSettings, parse_networks
from .connection import Connection, ProtocolFactory
from .listeners import CONTROL_DISPATCH, Bound, Listeners
from .proxy import encode_v2

__all__ = ["ListenerConformance", "ListenerHarness", "reset"]

_GARBAGE = (
    b"\0" * 1000,
    b"\xff" * 1000,
    bytes(range(256)) * 8,
    b"\r\n" * 500,
    b"GET",
    b"\xff\xfa\xff\xff\xf0\x1b[A\x03\x04",
    b"A" * 70_000,
)

_QUIET_S = 0.3
_IN_SOCKETS = 8_000_000
"""More than the system's own buffers take."""

Implementation = Literal["uvloop", "asyncio"]


class ListenerHarness:
    """One listener with its own loops, for a `with` statement. Blocks where it waits.

    Args:
        factory: makes the protocol of each connection.
        settings: replaces the defaults: type `protocol`, an ephemeral port on loopback.
        implementation: which event loop.
        concurrency: how many loops.
        command: register the factory as a command with that code, under `control_dispatch`, instead of as a type.
        patience_s: how long to wait for anything, in seconds.
        tls: the context with which `connect` speaks TLS; None for plain connections.

    Attributes:
        listeners: the service, as a plugin has it.
        eventer: the loops.
        certificates: what it speaks TLS with; `certificates.refresh()` takes up changed files.
        complaints: what was logged as an error meanwhile, by anybody.
    """

    def __init__(
        self,
        factory: ProtocolFactory,
        settings: ListenerSettings | None = None,
        *,
        implementation: Implementation = "uvloop",
        concurrency: int = 1,
        command: bytes = b"",
        patience_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.patience_s = patience_s
        self._tls = tls
        self.listeners = Listeners()
        self.eventer = Eventer(
            EventerSettings(
                implementation=implementation, pools=(PoolSettings("default", concurrency),), blocked_s=patience_s
            )
        )
        self.certificates = Tls()
        self.complaints: list[str] = []
        self.settings = settings or ListenerSettings(
            type=CONTROL_DISPATCH if command else "protocol", address=TcpAddress("127.0.0.1", 0), where="test.conf:1"
        )
        if command:
            self.listeners.register_command(CONTROL_DISPATCH, command, factory, name="protocol")
        else:
            self.listeners.register_type(self.settings.type, factory)
        self._handler = _Recorder(self.complaints)

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._handler)
        self.eventer.start()
        problems = self.listeners.prepare([self.settings], self.certificates)
        assert problems == [], problems
        self.listeners.open([self.settings], self.eventer)
        self.listeners.accept()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.listeners.stop()
        self.eventer.stop()
        logging.getLogger().removeHandler(self._handler)

    @property
    def bound(self) -> Bound:
        """Where it listens."""
        return self.listeners.bound[0]

    def connect(self, *, receive_buffer_bytes: int | None = None) -> socket.socket:
        """A connection to it, as a client has it.

        Args:
            receive_buffer_bytes: how much the client's side of the system keeps for it; None for the system's choice.
        """
        address = self.settings.address
        unix = isinstance(address, UnixAddress)
        client = socket.socket(
            socket.AF_UNIX if unix else socket.AF_INET6 if ":" in self.bound.address else socket.AF_INET
        )
        client.settimeout(self.patience_s)
        if receive_buffer_bytes is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        try:
            client.connect(address.name if isinstance(address, UnixAddress) else (self.bound.address, self.bound.port))
        except OSError:
            client.close()
            raise
        return client if unix or self._tls is None else self._tls.wrap_socket(client, server_hostname="localhost")

    def drain(self, timeout_s: float | None = None) -> int:
        """Drain as a stopping service does; how many connections are left."""
        return self.listeners.drain(time.monotonic() + (self.patience_s if timeout_s is None else timeout_s))

    def wait_until_empty(self) -> bool:
        """Wait until no connection is left; whether it came to that."""
        return self.listeners.wait_until_empty(time.monotonic() + self.patience_s)


class ListenerConformance:
    """Inherit from this in a test class whose name begins with `Test`, and define `factory`.

    Attributes:
        hello: what the server says before it is asked, in full.
        hello_over_tls: the same over TLS; None for the same.
        question: something that a client may send.
        answer: what the server's reply to it begins with, after `hello`.
        config: the listener's `<config>`.
        command: the first four bytes of the question, for a protocol that is to work under `control_dispatch` too.
        garbage: what else to send to it, beside the suite's own nonsense.
        most: how many bytes may wait for a peer that does not read them (rule 6).
        half_open: whether the answer comes to a peer that has ended its side (rule 5); a protocol for which the end of
            the input is the end of everything says False, and is then only held to end.
        patience_s: how long to wait for anything, in seconds.
    """

    hello: bytes = b""
    hello_over_tls: bytes | None = None
    question: bytes = b""
    answer: bytes = b""
    config: Mapping[str, str] = {}
    command: bytes = b""
    garbage: Sequence[bytes] = ()
    most: int = 4_000_000
    half_open: bool = True
    patience_s: float = 10.0

    def factory(self, connection: Connection) -> asyncio.BaseProtocol:
        """Make the protocol of a connection."""
        raise NotImplementedError(f"{type(self).__name__} must define factory(self, connection)")

    @pytest.fixture(params=["uvloop", "asyncio"])
    def harness(self, request: pytest.FixtureRequest) -> Iterator[ListenerHarness]:
        """A listener that speaks the protocol, on each kind of loop."""
        with self._harness(request.param) as harness:
            yield harness

    def test_answers(self, harness: ListenerHarness) -> None:
        """Rule 1."""
        with harness.connect() as client:
            self._ask(client)
        assert harness.complaints == []

    def test_answers_byte_by_byte(self) -> None:
        """Rule 1: the network cuts where it likes."""
        with self._harness("uvloop", factory=lambda connection: _Cut(connection, self.factory(connection))) as harness:
            with harness.connect() as client:
                self._ask(client)
            assert harness.complaints == []

    def test_answers_under_control_dispatch(self) -> None:
        """Rule 1: the four bytes that chose the protocol are the first that it receives."""
        if not self.command:
            pytest.skip("the protocol states no 'command'")
        assert self.question.startswith(self.command), "the question must begin with the command's bytes"
        with self._harness("uvloop", command=self.command) as harness, harness.connect() as client:
            self._ask(client)
            assert harness.complaints == []

    def test_answers_over_tls(self) -> None:
        """Rule 1: a protocol need not know of TLS."""
        trustme = pytest.importorskip("trustme")
        from mtev_tls.testing import own

        authority = trustme.CA()
        context = ssl.create_default_context()
        authority.configure_trust(context)
        tls = TlsSettings(**own(authority.issue_cert("localhost")))
        for implementation in ("uvloop", "asyncio"):
            with self._harness(implementation, tls=tls, client=context) as harness:
                with harness.connect() as client:
                    self._ask(client, self.hello_over_tls)
                assert harness.wait_until_empty()
                assert harness.complaints == []

    def test_answers_on_a_unix_socket(self, tmp_path: Path) -> None:
        """Rule 1: a peer need not have a name."""
        address = UnixAddress(str(tmp_path / "x.sock"))
        for implementation in ("uvloop", "asyncio"):
            with self._harness(implementation, address=address) as harness:
                with harness.connect() as client:
                    self._ask(client)
                assert harness.wait_until_empty()
                assert harness.complaints == []

    def test_answers_behind_a_proxy(self) -> None:
        """Rule 1: nor be who it seems."""
        header = encode_v2(("192.0.2.7", 4711), ("192.0.2.1", 80))
        for implementation in ("uvloop", "asyncio"):
            with self._harness(implementation, proxy_protocol="any") as harness:
                with harness.connect() as client:
                    client.sendall(header)
                    self._ask(client)
                    (member,) = harness.listeners.members()
                    assert member.peer == ("192.0.2.7", 4711)
                assert harness.wait_until_empty()
                assert harness.complaints == []

    def test_connections_do_not_mix(self, harness: ListenerHarness) -> None:
        """Rule 2: halves of two questions, interleaved."""
        half = len(self.question) // 2
        with harness.connect() as one, harness.connect() as other:
            one.sendall(self.question[:half])
            other.sendall(self.question[:half])
            one.sendall(self.question[half:])
            other.sendall(self.question[half:])
            self._expect(one)
            self._expect(other)

    def test_ends_when_the_service_drains(self, harness: ListenerHarness) -> None:
        """Rule 3: idle ones, those in the middle of a question, and those that were answered."""
        with harness.connect() as idle, harness.connect() as asking, harness.connect() as asked:
            _read(idle, len(self.hello))
            asking.sendall(self.question[: len(self.question) // 2])
            self._ask(asked)
            assert harness.drain() == 0, "connections outlived the drain"
            for client in (idle, asking, asked):
                _read_to_end(client)
        assert harness.complaints == []

    def test_survives_garbage(self, harness: ListenerHarness) -> None:
        """Rule 4: nonsense, followed by the end of the input."""
        for nonsense in (*_GARBAGE, *self.garbage, self.question[:-1], self.question + _GARBAGE[2]):
            with harness.connect() as client:
                try:
                    client.sendall(nonsense)
                    client.shutdown(socket.SHUT_WR)
                    _read_to_end(client)
                except OSError:
                    pass  # it may hang up on nonsense before it has read all of it
            assert harness.wait_until_empty(), f"the connection did not end after {nonsense[:40]!r}"
        self._still_serves(harness)

    def test_survives_resets(self, harness: ListenerHarness) -> None:
        """Rule 4: the peer is gone at once, in mid-question, and before it read the answer."""
        for sent in (b"", self.question[: len(self.question) // 2], self.question, self.question * 50):
            client = harness.connect()
            client.sendall(sent)
            reset(client)
            assert harness.wait_until_empty(), f"the connection did not end after a reset behind {sent[:40]!r}"
        self._still_serves(harness)

    def test_answers_a_peer_that_has_ended_its_side(self, harness: ListenerHarness) -> None:
        """Rule 5."""
        with harness.connect() as client:
            client.sendall(self.question)
            client.shutdown(socket.SHUT_WR)
            if self.half_open:
                self._expect(client)
            _read_to_end(client, self.patience_s)
        assert harness.wait_until_empty()
        assert harness.complaints == []

    def test_survives_peers_that_read_nothing(self, harness: ListenerHarness) -> None:
        """Rule 6."""
        with harness.connect(receive_buffer_bytes=4096) as deaf:
            deaf.setblocking(False)
            for _ in range(2):
                most = self._flood(harness, deaf)
                assert most <= self.most, f"{most} bytes wait for a peer that does not read"
                with harness.connect() as other:
                    self._ask(other)
            reset(deaf)
        assert harness.wait_until_empty()
        assert harness.complaints == []

    def _flood(self, harness: ListenerHarness, deaf: socket.socket) -> int:
        """Send until nothing more is taken, or the other side hangs up; the most that was seen to wait."""
        most, sent, quiet_since = 0, 0, time.monotonic()
        question = self.question * (1 + 16_384 // max(len(self.question), 1))
        while time.monotonic() - quiet_since < _QUIET_S and sent < _IN_SOCKETS + 2 * self.most:
            try:
                sent += deaf.send(question)
                quiet_since = time.monotonic()
            except BlockingIOError:
                select.select([], [deaf], [], _QUIET_S)
            except OSError:
                break
            most = max(most, *(_waiting(member) for member in harness.listeners.members()), 0)
        return most

    def _harness(
        self,
        implementation: str,
        *,
        command: bytes = b"",
        factory: ProtocolFactory | None = None,
        tls: TlsSettings | None = None,
        client: ssl.SSLContext | None = None,
        address: TcpAddress | UnixAddress | None = None,
        proxy_protocol: Literal["off", "any"] = "off",
    ) -> ListenerHarness:
        if implementation == "uvloop" and importlib.util.find_spec("uvloop") is None:
            pytest.skip("uvloop is not installed")
        settings = ListenerSettings(
            type=CONTROL_DISPATCH if command else "protocol",
            address=address or TcpAddress("127.0.0.1", 0),
            where="test.conf:1",
            config=self.config,
            tls=tls,
            proxy_protocol=proxy_protocol,
            proxy_from=parse_networks("any"),
        )
        return ListenerHarness(
            factory or self.factory,
            settings,
            implementation="uvloop" if implementation == "uvloop" else "asyncio",
            command=command,
            patience_s=self.patience_s,
            tls=client,
        )

    def _ask(self, client: socket.socket, hello: bytes | None = None) -> None:
        assert self.question, f"{type(self).__name__} must state a 'question' and the beginning of its 'answer'"
        client.sendall(self.question)
        self._expect(client, hello)

    def _expect(self, client: socket.socket, hello: bytes | None = None) -> None:
        wanted = (self.hello if hello is None else hello) + self.answer
        assert _read(client, len(wanted)) == wanted

    def _still_serves(self, harness: ListenerHarness) -> None:
        with harness.connect() as client:
            self._ask(client)
        assert harness.complaints == []


class _Cut(ReadWatch):
    """Gives the protocol every byte by itself."""

    def __init__(self, connection: Connection, protocol: asyncio.BaseProtocol) -> None:
        super().__init__(connection, protocol)
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        """Pass it on in pieces, until the protocol hangs up."""
        for at in range(len(data)):
            if self._connection.transport is None or self._connection.transport.is_closing():
                return
            super().data_received(data[at : at + 1])


class _Recorder(logging.Handler):
    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        self._complaints.append(self.format(record))


def reset(client: socket.socket) -> None:
    """Close a TCP connection as a crashing peer does: with a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def _read(client: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size and (data := client.recv(size - len(received))):
        received += data
    return received


def _waiting(member: Connection) -> int:
    """How many bytes wait for a peer; a look from another thread, at a number that changes."""
    transport = member.transport
    return 0 if transport is None else transport.get_write_buffer_size()


def _read_to_end(client: socket.socket, patience_s: float | None = None) -> bytes:
    if patience_s is not None:
        client.settimeout(patience_s)
    received = b""
    try:
        while data := client.recv(65536):
            received += data
    except ConnectionResetError:
        pass  # an end, too
    return received
