"""Moving connections to other loops in mid-stream."""

import asyncio
import errno
import os
import threading

import pytest

from mtev_eventer import LoopStopped
from mtev_listener import ListenerError
from mtev_listener._address import TcpAddress
from mtev_listener._settings import ListenerSettings
from mtev_listener.connection import Connection
from mtev_listener.testing import ListenerHarness

LOOPBACK = TcpAddress("127.0.0.1", 0)


class Log(list):
    """What happened to protocols, and where."""

    def __init__(self):
        super().__init__()
        self.made = threading.Semaphore(0)

    def wait_until_made(self):
        assert self.made.acquire(timeout=10)


class Teller(asyncio.Protocol):
    """Tells on which thread it is. Says so at once, and again in front of whatever is sent to it."""

    def __init__(self, connection, log):
        self.connection = connection
        self.log = log

    def connection_made(self, transport):
        self.transport = transport
        self.log.append(("made", threading.current_thread().name))
        self.log.made.release()

    def data_received(self, data):
        self.transport.write(f"{threading.current_thread().name}: ".encode() + data)

    def connection_lost(self, exc):
        self.log.append(("lost", threading.current_thread().name))


class Mover(Teller):
    """Moves to the loop whose number it is sent, with what comes behind."""

    before = b""

    def data_received(self, data):
        number, received = int(data[:1]), data[1:]
        if self.before:
            self.transport.write(self.before)
        self.connection.move(
            self.connection.loop.pool.loops[number], lambda connection: Teller(connection, self.log), received
        )


class Talkative(Mover):
    """Has so much to say before that it is on its way until its peer reads."""

    before = b"x" * 8_000_000


@pytest.fixture(params=["uvloop", "asyncio"])
def serve(request):
    harnesses = []

    def start(kind=Mover, **settings):
        log = Log()
        harness = ListenerHarness(
            lambda connection: kind(connection, log),
            ListenerSettings("mover", LOOPBACK, "app.conf:7", **settings),
            implementation=request.param,
            concurrency=2,
        )
        harnesses.append(harness)
        harness.log = log
        return harness.__enter__()

    yield start
    for harness in harnesses:
        harness.__exit__(None, None, None)


def read(client, size):
    received = bytearray()
    while len(received) < size and (data := client.recv(min(size - len(received), 1_000_000))):
        received += data
    return bytes(received)


def loops_of(harness):
    """The loop that accepts, by number, and the other one."""
    (member,) = harness.listeners.members()
    here = harness.eventer.default.loops.index(member.loop)
    return here, 1 - here


def names(harness, *numbers):
    return [harness.eventer.default.loops[number].name for number in numbers]


@pytest.mark.parametrize("idle_timeout_s", [0.0, 60.0])
def test_it_goes_on_on_the_other_loop(serve, idle_timeout_s):
    harness = serve(idle_timeout_s=idle_timeout_s)
    with harness.connect() as client:
        harness.log.wait_until_made()
        here, there = loops_of(harness)
        old, new = names(harness, here, there)
        client.sendall(b"%dhello" % there)
        said = f"{new}: hello".encode()
        assert read(client, len(said)) == said
        client.sendall(b"more")
        said = f"{new}: more".encode()
        assert read(client, len(said)) == said
        (member,) = harness.listeners.members()
        info = next(each for each in harness.eventer.sockets.entries() if each.remote is not None)
        assert (member.loop.name, info.loop, info.fd) == (new, new, member.transport.get_extra_info("socket").fileno())
        assert [loop.load for loop in harness.eventer.default.loops][there] == 1
        assert [loop.load for loop in harness.eventer.default.loops][here] == 0
    assert harness.wait_until_empty()
    assert harness.log == [("made", old), ("made", new), ("lost", new)], "the first protocol is told of no end"
    assert [each for each in harness.eventer.sockets.entries() if each.remote is not None] == []
    assert [loop.load for loop in harness.eventer.default.loops] == [0, 0]
    assert harness.complaints == []


def test_what_was_written_before_is_sent_first(serve):
    harness = serve(Talkative)
    with harness.connect() as client:
        harness.log.wait_until_made()
        _, there = loops_of(harness)
        client.sendall(b"%dhello" % there)
        (new,) = names(harness, there)
        said = b"x" * 8_000_000 + f"{new}: hello".encode()
        assert read(client, len(said)) == said
    assert harness.wait_until_empty()
    assert harness.complaints == []


def test_to_its_own_loop_only_the_protocol_changes(serve):
    harness = serve()
    with harness.connect() as client:
        harness.log.wait_until_made()
        here, _ = loops_of(harness)
        (name,) = names(harness, here)
        client.sendall(b"%dhello" % here)
        said = f"{name}: hello".encode()
        assert read(client, len(said)) == said
    assert harness.wait_until_empty()
    assert harness.log == [("made", name), ("made", name), ("lost", name)]


def test_many_at_once_lose_nothing(serve):
    harness = serve()
    clients = [harness.connect() for _ in range(50)]
    for number, client in enumerate(clients):
        client.sendall(b"%d%03d" % (number % 2, number))
    for number, client in enumerate(clients):
        (name,) = names(harness, number % 2)
        said = f"{name}: {number:03d}".encode()
        assert read(client, len(said)) == said
        client.close()
    assert harness.wait_until_empty()
    assert harness.complaints == []


def test_a_peer_that_leaves_on_the_way_is_gone(serve):
    harness = serve(Talkative)
    with harness.connect() as client:
        harness.log.wait_until_made()
        _, there = loops_of(harness)
        client.sendall(b"%d" % there)
        assert read(client, 1) == b"x"
    assert harness.wait_until_empty()
    assert [what for what, _ in harness.log] == ["made"], "no protocol is made for a connection that is gone"
    assert harness.complaints == []


def test_it_drains_before_and_after(serve):
    harness = serve()
    with harness.connect() as client, harness.connect() as other:
        for _ in range(2):
            harness.log.wait_until_made()
        client.sendall(b"1hello")
        assert read(client, 5)
        assert harness.drain() == 0
        assert read(other, 1) == b""
    assert harness.complaints == []


def test_a_connection_on_its_way_is_closed_at_the_end(serve):
    harness = serve(Talkative)
    with harness.connect() as client:
        harness.log.wait_until_made()
        _, there = loops_of(harness)
        client.sendall(b"%d" % there)
        assert read(client, 1) == b"x"
        assert harness.listeners.stop() == 0
    assert harness.complaints == []


def test_what_cannot_be_moved_is_refused(serve):
    errors = []

    class Refused(Teller):
        def data_received(self, data):
            self.connection.tls = object()
            self.try_to_move()
            self.connection.tls = None
            self.connection.close()
            self.try_to_move()

        def try_to_move(self):
            try:
                self.connection.move(harness.eventer.default.loops[0], lambda connection: Teller(connection, Log()))
            except ListenerError as error:
                errors.append(str(error))

    harness = serve(Refused)
    with harness.connect() as client:
        client.sendall(b"x")
        assert client.recv(1) == b""
    assert harness.wait_until_empty()
    assert "it speaks TLS, and stays on its loop" in errors[0]
    assert "it is closed or on its way, and cannot be moved" in errors[1]
    with pytest.raises(ListenerError, match="cannot be moved"):
        Connection(type="x", loop=harness.eventer.default.loops[0]).move(harness.eventer.default.loops[0], Teller)


def test_without_a_descriptor_it_is_closed_and_said_so(serve, monkeypatch, caplog):
    def no_more(descriptor):
        raise OSError(errno.EMFILE, "Too many open files")

    harness = serve()
    with harness.connect() as client:
        harness.log.wait_until_made()
        _, there = loops_of(harness)
        monkeypatch.setattr(os, "dup", no_more)
        client.sendall(b"%dhello" % there)
        assert read(client, 1) == b""
    assert harness.wait_until_empty()
    assert "cannot move to e:default/" in caplog.text
    assert "Too many open files; closed" in caplog.text


def test_what_is_on_its_way_already_is_refused(serve):
    errors, refused = [], threading.Event()

    class Restless(Talkative):
        def data_received(self, data):
            super().data_received(data)
            try:
                super().data_received(data)
            except ListenerError as error:
                errors.append(str(error))
                refused.set()

    harness = serve(Restless)
    with harness.connect() as client:
        harness.log.wait_until_made()
        _, there = loops_of(harness)
        client.sendall(b"%dhello" % there)
        assert refused.wait(10)  # before anything is read: all of it might be sent at once, and nothing be on its way
        (new,) = names(harness, there)
        said = b"x" * 16_000_000 + f"{new}: hello".encode()
        assert read(client, len(said)) == said
    assert len(errors) == 1
    assert "cannot be moved" in errors[0]


def test_a_loop_that_does_not_run_is_refused_and_nothing_is_lost(serve):
    from mtev_eventer import Eventer

    asleep = Eventer().default.loops[0]
    errors = []

    class Refused(Teller):
        def data_received(self, data):
            try:
                self.connection.move(asleep, lambda connection: Teller(connection, Log()))
            except LoopStopped as error:
                errors.append(str(error))
                self.transport.write(b"still here")

    harness = serve(Refused)
    with harness.connect() as client:
        client.sendall(b"x")
        assert read(client, 10) == b"still here"
    assert len(errors) == 1
