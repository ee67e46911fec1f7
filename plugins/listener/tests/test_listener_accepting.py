"""Accepting, limiting, watching and ending connections: real sockets, on uvloop and on asyncio's own loop."""

import asyncio
import contextlib
import errno
import logging
import queue
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from mtev_listener import BindError, RegistrationError
from mtev_listener._activity import tcp_counters_work
from mtev_listener._address import TcpAddress, UnixAddress
from mtev_listener._settings import ListenerSettings
from mtev_listener.testing import ListenerHarness, reset

LOOPBACK = TcpAddress("127.0.0.1", 0)


@pytest.fixture(params=["uvloop", "asyncio"])
def implementation(request):
    return request.param


@pytest.fixture
def listening(implementation):
    """Start listeners; all are closed at the end."""
    harnesses = []

    def start(factory, address=LOOPBACK, concurrency=1, **settings):
        harness = ListenerHarness(
            factory,
            ListenerSettings("echo", address, "app.conf:7", **settings),
            implementation=implementation,
            concurrency=concurrency,
        )
        harnesses.append(harness)
        return harness.__enter__()

    yield start
    for harness in harnesses:
        harness.__exit__(None, None, None)


class Echo(asyncio.Protocol):
    def __init__(self, connection):
        self.connection = connection

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Seen(Echo):
    """An echo that tells the test about its connections."""

    def __init__(self, connection, connections):
        super().__init__(connection)
        connections.put(connection)


@pytest.fixture
def seen():
    return queue.Queue()


def ask(client, data=b"?"):
    client.sendall(data)
    return client.recv(len(data))


def ended(client):
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def on_loop(connection, function):
    """Call a function on the connection's loop and wait for what it returns."""
    outcome = queue.Queue()
    connection.loop.call(lambda: outcome.put(function()))
    return outcome.get(timeout=10)


# What a protocol learns


def test_a_connection_knows_who_it_is(listening, seen):
    harness = listening(lambda connection: Seen(connection, seen), config={"acl": "internal"})
    with harness.connect() as client:
        connection = seen.get(timeout=10)
        assert connection.type == "echo"
        assert connection.config == {"acl": "internal"}
        assert connection.peer == client.getsockname()
        assert connection.local == client.getpeername() == (harness.bound.address, harness.bound.port)
        assert connection.where == "app.conf:7"
        assert (connection.tls, connection.remote_cn, connection.command) == (None, "", b"")
        assert connection.loop.name == "e:default/0"
        assert str(connection.peer[1]) in str(connection)
        assert not connection.is_closed
        with pytest.raises(TypeError):
            connection.config["acl"] = "none"
    assert harness.wait_until_empty()
    assert connection.is_closed


def test_a_unix_connection_has_a_local_path_and_an_unnamed_peer(listening, seen, tmp_path):
    harness = listening(lambda connection: Seen(connection, seen), UnixAddress(str(tmp_path / "x.sock")))
    with harness.connect() as client:
        assert ask(client) == b"?"
        connection = seen.get(timeout=10)
        assert (connection.local, connection.peer) == (str(tmp_path / "x.sock"), None)
    assert harness.bound.address == str(tmp_path / "x.sock")
    assert harness.bound.port == 0


def test_ipv6_works_where_the_machine_has_it(listening):
    try:
        harness = listening(Echo, TcpAddress("::1", 0))
    except BindError as error:
        pytest.skip(str(error))
    with harness.connect() as client:
        assert ask(client) == b"?"
    assert str(harness.bound).startswith("[::1]:")


def test_sockets_are_in_the_table_as_long_as_they_are_open(listening, seen):
    harness = listening(lambda connection: Seen(connection, seen))
    table = harness.eventer.sockets
    (listener,) = table.entries()
    assert (listener.callback, listener.local[1]) == ("listener_acceptor", harness.bound.port)
    with harness.connect() as client:
        connection = seen.get(timeout=10)
        assert connection.info in table.entries()
        shown = next(each for each in table.describe() if each["callback"] == "echo")
        assert shown["remote"] == {"address": "127.0.0.1", "port": client.getsockname()[1]}
        assert shown["eventer_pool"] == "default"
        assert connection.info.fd > 0
    assert harness.wait_until_empty()
    harness.listeners.stop()
    assert len(table) == 0


@pytest.mark.parametrize("no_delay", [True, False])
def test_no_delay_is_what_the_configuration_says(listening, seen, no_delay):
    harness = listening(lambda connection: Seen(connection, seen), no_delay=no_delay)
    with harness.connect() as client:
        ask(client)
        connection = seen.get(timeout=10)
        underlying = connection.transport.get_extra_info("socket")
        found = on_loop(connection, lambda: underlying.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        assert bool(found) == no_delay


# Where connections live


@pytest.mark.parametrize(("fanout", "loops"), [("", 1), ("round_robin", 3), ("least_loaded", 3), ("peer", 1)])
def test_fanout_spreads_connections_over_the_loops(listening, seen, fanout, loops):
    harness = listening(lambda connection: Seen(connection, seen), concurrency=3, fanout=fanout)
    clients = [harness.connect() for _ in range(6)]
    try:
        assert [ask(client) for client in clients] == [b"?"] * 6
        connections = [seen.get(timeout=10) for _ in clients]
        assert len({connection.loop.name for connection in connections}) == loops
    finally:
        for client in clients:
            client.close()
    assert harness.wait_until_empty()


def test_nothing_is_accepted_before_its_time_and_nobody_is_refused_meanwhile():
    harness = ListenerHarness(Echo)
    harness.eventer.start()
    harness.listeners.open([harness.settings], harness.eventer)
    try:
        with harness.connect() as client:
            client.sendall(b"early")
            assert list(harness.listeners.connections.values()) == [0]
            harness.listeners.accept()
            assert client.recv(5) == b"early"
            assert list(harness.listeners.connections.values()) == [1]
    finally:
        harness.listeners.stop()
        harness.eventer.stop()


# Limits


def test_beyond_the_limit_connections_are_refused_clearly(listening, caplog):
    harness = listening(Echo, max_connections=2)
    with harness.connect() as one, harness.connect() as two:
        assert ask(one) == ask(two) == b"?"
        for _ in range(3):
            with harness.connect() as refused:
                assert ended(refused)
        assert harness.listeners.describe()[0]["refused"] == 3
    assert harness.wait_until_empty()
    with harness.connect() as client:
        assert ask(client) == b"?"
    told = [each.message for each in caplog.records if each.name == "mtev.listener"]
    assert told == [
        "app.conf:7: echo has 2 connections, the limit (max_connections); further ones are refused",
        "app.conf:7: accepting again; 3 connections were refused",
    ]


def test_out_of_descriptors_it_waits_without_spinning_and_recovers(implementation):
    """In a process of its own, for the limit is the process's."""
    script = f"""
        import asyncio, logging, os, resource, socket, sys, time
        from mtev_listener.testing import ListenerHarness

        class Echo(asyncio.Protocol):
            def __init__(self, connection): ...
            def connection_made(self, transport): self.transport = transport
            def data_received(self, data): self.transport.write(data)

        with ListenerHarness(Echo, implementation={implementation!r}) as harness:
            clients = [harness.connect() for _ in range(3)]
            for client in clients:
                client.sendall(b"?")
                assert client.recv(1) == b"?"
            waiting = socket.socket()
            waiting.settimeout(10)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) , hard))
            waiting.connect((harness.bound.address, harness.bound.port))
            while not harness.complaints:
                time.sleep(0.01)
            used = time.process_time()
            time.sleep(1)
            assert time.process_time() - used < 0.3, "it spins"
            clients[0].sendall(b"!")
            assert clients[0].recv(1) == b"!", "those who are there are served"
            clients.pop().close()
            waiting.sendall(b"+")
            assert waiting.recv(1) == b"+", "those who waited are served as soon as that is possible"
            assert len(harness.complaints) == 1, harness.complaints
            print(harness.complaints[0])
    """
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith("test.conf:1: cannot accept: Too many open files; trying again")


# Idle connections

IDLE_S = 0.6


@pytest.fixture(params=["tcp", "unix"])
def address(request, tmp_path):
    if request.param == "tcp" and not tcp_counters_work():
        pytest.skip("this system does not count bytes of TCP connections")
    return LOOPBACK if request.param == "tcp" else UnixAddress(str(tmp_path / "x.sock"))


def test_an_idle_connection_is_closed(listening, address):
    harness = listening(Echo, address, idle_timeout_s=IDLE_S)
    with harness.connect() as client:
        assert ask(client) == b"?"
        assert ended(client)
    assert harness.wait_until_empty()


def test_reading_keeps_a_connection_alive(listening, address):
    class Deaf(Echo):
        def data_received(self, data):
            if data == b"?":
                self.transport.write(b"!")

    harness = listening(Deaf, address, idle_timeout_s=IDLE_S)
    with harness.connect() as client:
        until = time.monotonic() + 1.7 * IDLE_S
        while time.monotonic() < until:
            client.sendall(b".")
            time.sleep(IDLE_S / 12)  # a peer that sends now and then
        assert ask(client) == b"!"


@pytest.mark.skipif(not tcp_counters_work(), reason="this system does not count bytes of TCP connections")
def test_writing_keeps_a_connection_alive(listening):
    class Ticker(Echo):
        def connection_made(self, transport):
            super().connection_made(transport)
            self.tick()

        def tick(self):
            if not self.transport.is_closing():
                self.transport.write(b".")
                asyncio.get_running_loop().call_later(IDLE_S / 12, self.tick)

    harness = listening(Ticker, idle_timeout_s=IDLE_S)
    with harness.connect() as client:
        until = time.monotonic() + 1.7 * IDLE_S
        while time.monotonic() < until:
            assert client.recv(1) == b"."


def test_touching_keeps_a_connection_alive(listening, address, seen):
    harness = listening(lambda connection: Seen(connection, seen), address, idle_timeout_s=IDLE_S)
    with harness.connect() as client:
        connection = seen.get(timeout=10)
        until = time.monotonic() + 1.7 * IDLE_S
        while time.monotonic() < until:
            connection.touch()
            time.sleep(IDLE_S / 12)  # work that shows on no socket
        assert ask(client) == b"?"
        assert ended(client)


def test_a_peer_that_reads_nothing_is_cut(listening, address):
    class Flood(Echo):
        def connection_made(self, transport):
            transport.write(b"x" * 50_000_000)

    harness = listening(Flood, address, idle_timeout_s=IDLE_S)
    with harness.connect():
        assert harness.wait_until_empty()


def test_an_idle_timeout_works_for_a_protocol_with_its_own_buffer(listening, address):
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self, connection):
            self.buffer = bytearray(2)

        def connection_made(self, transport):
            self.transport = transport

        def get_buffer(self, sizehint):
            return self.buffer

        def buffer_updated(self, nbytes):
            self.transport.write(bytes(self.buffer[:nbytes]))

    harness = listening(Buffered, address, idle_timeout_s=IDLE_S)
    with harness.connect() as client:
        client.sendall(b"12345")
        received = b""
        while len(received) < 5:
            received += client.recv(5)
        assert received == b"12345"
        assert ended(client)


# Protocols that misbehave, or are exchanged


def test_a_protocol_that_cannot_be_made_costs_its_own_connection(listening, caplog):
    broken = threading.Event()
    broken.set()

    def factory(connection):
        if broken.is_set():
            raise LookupError("no such thing")
        return Echo(connection)

    harness = listening(factory)
    with harness.connect() as client:
        assert ended(client)
    assert harness.wait_until_empty()
    broken.clear()
    with harness.connect() as client:
        assert ask(client) == b"?"
    (record,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "echo connection from 127.0.0.1:" in record.message
    assert record.exc_info[0] is LookupError


def test_a_protocol_that_fails_to_begin_costs_its_own_connection(listening):
    class Stillborn(Echo):
        def connection_made(self, transport):
            raise LookupError("no such thing")

    harness = listening(Stillborn)
    with harness.connect() as client:
        assert ended(client)
    assert harness.wait_until_empty()


def test_a_protocol_that_fails_later_costs_its_own_connection(listening):
    class Fragile(Echo):
        def data_received(self, data):
            raise LookupError("no such thing")

    harness = listening(Fragile)
    with harness.connect() as client:
        client.sendall(b"?")
        assert ended(client)
    assert harness.wait_until_empty()


def test_connections_are_counted_whatever_protocol_takes_over(listening):
    class Upgrading(Echo):
        def data_received(self, data):
            self.transport.set_protocol(Upgraded(self.connection, self.transport))
            self.transport.write(b"!")

    class Upgraded(Echo):
        def __init__(self, connection, transport):
            super().__init__(connection)
            self.transport = transport

    harness = listening(Upgrading)
    with harness.connect() as client:
        assert ask(client, b"?") == b"!"
        assert ask(client, b"+") == b"+"
        assert list(harness.listeners.connections.values()) == [1]
    assert harness.wait_until_empty()


def test_peers_that_reset_at_once_leave_nothing_behind(listening):
    harness = listening(Echo)
    for _ in range(50):
        reset(harness.connect())
    with harness.connect() as client:
        assert ask(client) == b"?"
    assert harness.wait_until_empty()
    assert harness.complaints == []
    assert len(harness.eventer.sockets) == 1


# Draining and stopping


def test_closing_takes_nothing_new_and_leaves_what_is_there(listening):
    harness = listening(Echo)
    with harness.connect() as client:
        assert ask(client) == b"?"
        place = (harness.bound.address, harness.bound.port)
        harness.listeners.close()
        harness.listeners.close()
        assert harness.listeners._groups[0].acceptors[0].wait_closed(10)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place, timeout=10)
        assert ask(client) == b"?"


def test_what_was_written_is_sent_before_a_drained_connection_ends(listening, seen):
    size = 5_000_000

    class Generous(Seen):
        def data_received(self, data):
            self.transport.write(b"x" * size)

    harness = listening(lambda connection: Generous(connection, seen))
    with harness.connect() as client:
        client.sendall(b"?")
        first = client.recv(1)
        drained = threading.Thread(target=harness.drain)
        drained.start()
        received = len(first)
        while data := client.recv(1_000_000):
            received += len(data)
        drained.join(10)
        assert received == size


def test_a_drain_callback_finishes_its_work_first(listening, seen):
    class Working(Seen):
        def __init__(self, connection, connections):
            super().__init__(connection, connections)
            connection.add_drain(self.finish)

        def finish(self):
            assert self.connection.draining
            self.transport.write(b"the rest")
            asyncio.get_running_loop().call_soon(self.transport.close)

    harness = listening(lambda connection: Working(connection, seen))
    with harness.connect() as client:
        assert ask(client) == b"?"
        assert harness.drain() == 0
        assert client.recv(100) == b"the rest"
        assert ended(client)


def test_a_drain_callback_that_comes_late_is_called_at_once(listening, seen):
    harness = listening(lambda connection: Seen(connection, seen))
    with harness.connect() as client:
        connection = seen.get(timeout=10)
        told = queue.Queue()
        on_loop(connection, lambda: connection.add_drain(lambda: told.put("first")))
        harness.drain(0)
        assert told.get(timeout=10) == "first"
        on_loop(connection, lambda: connection.add_drain(lambda: told.put("late")))
        assert told.get(timeout=10) == "late"
        assert ask(client) == b"?"


def test_a_failing_drain_callback_closes_its_connection(listening, seen, caplog):
    harness = listening(lambda connection: Seen(connection, seen))

    def fail():
        raise LookupError("no such thing")

    with harness.connect() as client:
        connection = seen.get(timeout=10)
        on_loop(connection, lambda: connection.add_drain(fail))
        assert harness.drain() == 0
        assert ended(client)
    assert "its drain callback" in caplog.text


def test_draining_is_bounded_and_stopping_cuts_the_rest(listening, seen):
    harness = listening(lambda connection: Seen(connection, seen))
    with harness.connect() as client:
        connection = seen.get(timeout=10)
        on_loop(connection, lambda: connection.add_drain(lambda: None))
        assert harness.drain(0.05) == 1
        assert harness.listeners.stop() == 0
        assert ended(client)
    assert harness.listeners.stop() == 0


def test_stopping_without_having_started_is_harmless():
    harness = ListenerHarness(Echo)
    harness.listeners.close()
    assert harness.listeners.drain(0) == 0
    assert harness.listeners.stop() == 0


def test_one_busy_address_closes_all_and_a_second_attempt_works(tmp_path):
    harness = ListenerHarness(Echo)
    path = tmp_path / "x.sock"
    with socket.create_server(("127.0.0.1", 0)) as busy:
        asked = [
            ListenerSettings("protocol", UnixAddress(str(path)), "app.conf:1"),
            ListenerSettings("protocol", TcpAddress("127.0.0.1", busy.getsockname()[1]), "app.conf:2"),
            ListenerSettings("protocol", TcpAddress("192.0.2.1", 0), "app.conf:3"),
        ]
        harness.eventer.start()
        try:
            with pytest.raises(BindError) as caught:
                harness.listeners.open(asked, harness.eventer)
            assert caught.value.retriable
            assert caught.value.__cause__.errno == errno.EADDRINUSE
            assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == ["app.conf:2", "app.conf:3"]
            assert not path.exists()
            assert harness.listeners.bound == []
            assert len(harness.eventer.sockets) == 0
            busy.close()
            harness.listeners.open(asked[:2], harness.eventer)
            assert len(harness.listeners.bound) == 2
            assert harness.listeners.stop() == 0
        finally:
            harness.eventer.stop()


# Registering


def test_a_type_is_registered_once_and_has_a_proper_name():
    harness = ListenerHarness(Echo)
    with pytest.raises(RegistrationError, match="'protocol' is registered already"):
        harness.listeners.register_type("protocol", Echo)
    with pytest.raises(RegistrationError, match="cannot be a listener type"):
        harness.listeners.register_type("two words", Echo)
    harness.listeners.register_type("http_rest_api/alpn:h2", Echo, summary="HTTP")
    assert harness.listeners.types["http_rest_api/alpn:h2"] == "HTTP"


# Further ways to accept


def test_every_loop_may_accept_for_itself(listening, seen):
    harness = listening(lambda connection: Seen(connection, seen), concurrency=2, accept="each")
    clients = [harness.connect() for _ in range(24)]
    try:
        assert [ask(client) for client in clients] == [b"?"] * 24
        assert len({seen.get(timeout=10).loop.name for _ in clients}) == 2
        assert harness.listeners.connections == {harness.bound: 24}
    finally:
        for client in clients:
            client.close()
    assert harness.wait_until_empty()
    assert [loop.load for loop in harness.eventer.loops] == [0, 0]


def test_a_limit_holds_for_all_loops_together(listening):
    harness = listening(Echo, concurrency=3, accept="each", max_connections=2)
    clients = [harness.connect() for _ in range(8)]
    answered = 0
    for client in clients:
        with contextlib.suppress(OSError):
            answered += ask(client) == b"?"
    for client in clients:
        client.close()
    assert answered == 2
    assert harness.listeners.describe()[0]["refused"] == 6


def test_a_thread_may_accept(listening, seen):
    harness = listening(
        lambda connection: Seen(connection, seen), concurrency=2, accept_thread=True, fanout="round_robin"
    )
    clients = [harness.connect() for _ in range(6)]
    try:
        assert [ask(client) for client in clients] == [b"?"] * 6
        assert len({seen.get(timeout=10).loop.name for _ in clients}) == 2
        names = [thread.name for thread in threading.enumerate()]
        assert f"accept 127.0.0.1:{harness.bound.port}" in names
    finally:
        for client in clients:
            client.close()
    assert harness.wait_until_empty()
    harness.listeners.close()
    harness.listeners.drain(time.monotonic() + 10)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((harness.bound.address, harness.bound.port), timeout=10)


def test_the_limit_per_peer_is_of_one_address(listening, caplog):
    harness = listening(Echo, max_connections_per_peer=2)
    place = (harness.bound.address, harness.bound.port)
    with (
        socket.create_connection(place, timeout=10, source_address=("127.0.0.1", 0)) as one,
        socket.create_connection(place, timeout=10, source_address=("127.0.0.1", 0)) as two,
        socket.create_connection(place, timeout=10, source_address=("127.0.0.2", 0)) as other,
    ):
        assert ask(one) == ask(two) == ask(other) == b"?"
        for _ in range(3):
            with socket.create_connection(place, timeout=10, source_address=("127.0.0.1", 0)) as refused:
                assert ended(refused)
        assert ask(one) == b"?"
    assert harness.wait_until_empty()
    said = [each.message for each in caplog.records if "max_connections_per_peer" in each.message]
    limit = "app.conf:7: 127.0.0.1 has 2 connections, the limit (max_connections_per_peer); further ones are refused"
    assert said == [limit]
    with socket.create_connection(place, timeout=10, source_address=("127.0.0.1", 0)) as again:
        assert ask(again) == b"?"
