"""`control_dispatch` over real sockets."""

import asyncio
import socket
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_listener import Listeners, RegistrationError
from mtev_listener._address import TcpAddress, UnixAddress
from mtev_listener._settings import ListenerSettings
from mtev_listener.testing import ListenerHarness


class Collector(asyncio.Protocol):
    """Answers, at the end of the input, with the code and with all that it received."""

    def __init__(self, connection):
        self.connection = connection
        self.received = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data

    def eof_received(self):
        info = self.connection.info.callback.encode()
        self.transport.write(b"|".join([self.connection.command, info, self.received]))


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def dispatching(request):
    with ListenerHarness(Collector, command=b"TEST", implementation=request.param) as harness:
        yield harness


def rest_of(client):
    received = b""
    try:
        while data := client.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=20), st.lists(st.integers(0, 24), max_size=6))
def test_however_the_bytes_are_cut_the_protocol_receives_them_all(dispatching, tail, places):
    data = b"TEST" + tail
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    with dispatching.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in pairwise(edges):
            client.sendall(data[start:end])
        client.shutdown(socket.SHUT_WR)
        assert rest_of(client) == b"TEST|protocol|" + data


def test_an_unknown_command_is_closed_with_a_line_that_shows_its_number(dispatching, caplog):
    with dispatching.connect() as client:
        client.sendall(b"PRI * HTTP/2.0")
        assert rest_of(client) == b""
    assert dispatching.wait_until_empty()
    (line,) = [each.message for each in caplog.records if "no command" in each.message]
    assert "0x50524920" in line
    assert "from 127.0.0.1:" in line


@pytest.mark.parametrize("sent", [b"", b"TES"])
def test_an_end_before_the_command_ends_it(dispatching, sent):
    with dispatching.connect() as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert rest_of(client) == b""
    assert dispatching.wait_until_empty()


@pytest.mark.parametrize("sent", [b"", b"TES"])
@pytest.mark.parametrize("implementation", ["uvloop", "asyncio"])
def test_the_command_must_come_in_time_and_the_rest_need_not(sent, implementation):
    asked = ListenerSettings("control_dispatch", TcpAddress("127.0.0.1", 0), command_timeout_s=0.2)
    with (
        ListenerHarness(Collector, asked, command=b"TEST", implementation=implementation) as harness,
        harness.connect() as quick,
        harness.connect() as slow,
    ):
        quick.sendall(b"TEST")
        slow.sendall(sent)
        assert rest_of(slow) == b""
        quick.sendall(b" of time")
        quick.shutdown(socket.SHUT_WR)
        assert rest_of(quick) == b"TEST|protocol|TEST of time"


def test_draining_ends_a_connection_that_has_not_chosen_yet(dispatching):
    with ListenerHarness(Collector, command=b"TEST") as harness, harness.connect() as client:
        client.sendall(b"TE")
        assert harness.drain() == 0
        assert rest_of(client) == b""


def test_an_idle_timeout_goes_on_counting_after_the_handover_over_a_unix_socket(tmp_path):
    asked = ListenerSettings("control_dispatch", UnixAddress(str(tmp_path / "x.sock")), idle_timeout_s=0.2)
    with ListenerHarness(Collector, asked, command=b"TEST") as harness, harness.connect() as client:
        client.sendall(b"TEST")
        assert rest_of(client) == b""
        assert harness.wait_until_empty()


def test_a_protocol_that_cannot_be_made_closes_the_connection(caplog):
    def factory(connection):
        raise LookupError("no such thing")

    with ListenerHarness(factory, command=b"TEST") as harness:
        with harness.connect() as client:
            client.sendall(b"TEST")
            assert rest_of(client) == b""
        assert harness.wait_until_empty()
    assert "no such thing" in caplog.text


def test_commands_are_registered_with_those_who_dispatch():
    listeners = Listeners()
    with pytest.raises(RegistrationError, match="'echo' dispatches no commands; .*control_dispatch"):
        listeners.register_command("echo", b"TEST", Collector, name="test")
    assert listeners.commands() == {}
    listeners.register_command("control_dispatch", b"TEST", Collector, name="test", version="1.0")
    (command,) = listeners.commands()["control_dispatch"]
    assert (command.code, command.title) == (b"TEST", "test/1.0")


def test_another_type_dispatches_by_commands_of_its_own():
    asked = ListenerSettings("acme_dispatch", TcpAddress("127.0.0.1", 0))
    harness = ListenerHarness(Collector, ListenerSettings("control_dispatch", asked.address), command=b"TEST")
    listeners = harness.listeners
    listeners.register_dispatch("acme_dispatch", summary="for acme")
    listeners.register_command("acme_dispatch", b"ACME", Collector, name="acme", version="2.0")
    with pytest.raises(RegistrationError, match="'acme_dispatch' is registered already"):
        listeners.register_dispatch("acme_dispatch")
    with pytest.raises(RegistrationError, match="cannot be a listener type"):
        listeners.register_dispatch("acme dispatch")
    assert [command.title for command in listeners.commands()["acme_dispatch"]] == ["acme/2.0"]
    assert listeners.types["acme_dispatch"] == "for acme"
    harness.settings = asked
    with harness:
        for code, answer in ((b"ACME", b"ACME|acme/2.0|ACME"), (b"TEST", b"")):
            with harness.connect() as client:
                client.sendall(code)
                client.shutdown(socket.SHUT_WR)
                assert rest_of(client) == answer
