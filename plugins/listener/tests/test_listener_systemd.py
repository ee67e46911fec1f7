"""Sockets that systemd has opened, and who holds an address that cannot be bound."""

import os
import socket
import subprocess
import sys

import pytest

from mtev_listener import BindError
from mtev_listener._address import TcpAddress, UnixAddress
from mtev_listener._owner import owner_of
from mtev_listener._settings import ListenerSettings
from mtev_listener._sockets import adopt_socket, listen
from mtev_listener._systemd import take_sockets


@pytest.fixture
def passed():
    """A listening socket as it is passed on, by descriptor."""
    opened = []

    def make(family=socket.AF_INET, address=("127.0.0.1", 0), kind=socket.SOCK_STREAM, listening=True):
        made = socket.socket(family, kind)
        made.bind(address)
        if listening:
            made.listen()
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()


def test_descriptors_are_taken_by_name_and_the_variables_are_gone():
    environ = {"LISTEN_FDS": "3", "LISTEN_PID": "7", "LISTEN_FDNAMES": "web::web", "HOME": "/"}
    assert take_sockets(environ, pid=7) == {"web": [3, 5], "unknown": [4]}
    assert environ == {"HOME": "/"}
    assert take_sockets(environ, pid=7) == {}


def test_descriptors_for_another_process_are_not_taken():
    assert take_sockets({"LISTEN_FDS": "3", "LISTEN_PID": "8"}, pid=7) == {}
    assert take_sockets({"LISTEN_FDS": "1", "LISTEN_PID": "7"}, pid=7) == {"unknown": [3]}


@pytest.mark.parametrize("text", ["x", "-1", "99999"])
def test_numbers_that_are_none(text):
    with pytest.raises(ValueError, match="LISTEN_FDS"):
        take_sockets({"LISTEN_FDS": text, "LISTEN_PID": "7"}, pid=7)


def test_a_passed_socket_is_listened_on(passed):
    there = passed()
    settings = ListenerSettings("echo", TcpAddress(*there.getsockname()), "app.conf:7", systemd="web")
    adopted = adopt_socket(settings, os.dup(there.fileno()))
    there.close()
    with socket.create_connection(adopted.local, timeout=10):
        client, _ = adopted.socket.accept()
        client.close()
    assert not os.get_inheritable(adopted.socket.fileno())
    adopted.close()


def test_a_passed_unix_socket_is_not_removed_at_the_end(passed, tmp_path):
    path = str(tmp_path / "x.sock")
    there = passed(socket.AF_UNIX, path)
    adopted = adopt_socket(ListenerSettings("echo", UnixAddress(path), systemd="x"), os.dup(there.fileno()))
    adopted.close()
    assert (tmp_path / "x.sock").exists()


def test_a_passed_socket_must_be_where_the_configuration_says(passed):
    there = passed()
    with pytest.raises(BindError, match=r"app.conf:7: .* it is 127.0.0.1:\d+, and the configuration says 127.0.0.1:1"):
        adopt_socket(ListenerSettings("echo", TcpAddress("127.0.0.1", 1), "app.conf:7"), there.fileno())


def test_other_things_are_refused(passed):
    settings = ListenerSettings("echo", TcpAddress("127.0.0.1", 1), "app.conf:7")
    for there, reason in (
        (passed(listening=False), "does not listen"),
        (passed(kind=socket.SOCK_DGRAM, listening=False), "another kind"),
    ):
        with pytest.raises(BindError, match=reason):
            adopt_socket(settings, there.fileno())
    reading, writing = os.pipe()
    try:
        with pytest.raises(BindError, match="cannot take the socket"):
            adopt_socket(settings, reading)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_the_holder_of_an_address_is_named(passed, host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    there = passed(family, (host, 0))
    port = there.getsockname()[1]
    assert owner_of(TcpAddress(host, port)) == "this very process"
    assert owner_of(TcpAddress("127.0.0.1", 1)) == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_another_process_is_named_in_the_failure(tmp_path):
    code = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        port = int(other.stdout.readline())
        with pytest.raises(
            BindError, match=rf"in use; process {other.pid} \(python.*\) listens there; stop it"
        ) as failure:
            listen(ListenerSettings("echo", TcpAddress("127.0.0.1", port), "app.conf:7"))
        assert failure.value.retriable
        other.stdin.close()


def test_what_cannot_be_known_is_not_said(tmp_path):
    assert owner_of(TcpAddress("127.0.0.1", 80), proc=tmp_path) == ""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text("header\ngarbage\n")
    (tmp_path / "net" / "unix").write_text("")
    assert owner_of(TcpAddress("127.0.0.1", 80), proc=tmp_path) == ""
    assert owner_of(UnixAddress("/x"), proc=tmp_path) == ""


def test_several_sockets_share_an_address_where_each_loop_accepts():
    settings = ListenerSettings("echo", TcpAddress("127.0.0.1", 0), accept="each")
    one = listen(settings)
    two = listen(settings, port=one.local[1])
    assert one.local == two.local
    one.close()
    two.close()


def test_a_unix_socket_gets_owner_group_and_mode(tmp_path):
    path = tmp_path / "x.sock"
    address = UnixAddress(str(path), 0o660, str(os.getuid()), str(os.getgid()))
    listening = listen(ListenerSettings("echo", address))
    status = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (os.getuid(), os.getgid(), 0o660)
    listening.close()
