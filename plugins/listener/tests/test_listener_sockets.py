"""Binding: a failure says where and why; of the file system only what is its own and dead is removed."""

import errno
import os
import socket
import stat

import pytest

from mtev_listener import BindError
from mtev_listener._address import TcpAddress, UnixAddress
from mtev_listener._settings import ListenerSettings
from mtev_listener._sockets import AcceptedSocket, listen, system_backlog


def settings(address, **more):
    return ListenerSettings(type="echo", address=address, where="app.conf:7", **more)


def unix(path, mode=0o600):
    return settings(UnixAddress(str(path), mode))


def leave_dead_socket(path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()


def test_port_zero_gives_a_real_port():
    listening = listen(settings(TcpAddress("127.0.0.1", 0)))
    try:
        assert listening.local[0] == "127.0.0.1"
        with socket.create_connection(listening.local, timeout=5):
            pass
    finally:
        listening.close()


def test_a_busy_port_is_named_with_its_element_and_may_be_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(BindError) as caught:
            listen(settings(TcpAddress("127.0.0.1", port)))
    assert str(caught.value).startswith('app.conf:7: <listener type="echo"> cannot listen on 127.0.0.1:')
    assert str(port) in str(caught.value)
    assert caught.value.retriable
    assert caught.value.__cause__.errno == errno.EADDRINUSE


def test_an_address_of_another_machine_may_come_later():
    with pytest.raises(BindError, match="no interface of this machine") as caught:
        listen(settings(TcpAddress("192.0.2.1", 0)))
    assert caught.value.retriable


def test_an_abstract_socket_is_no_file_and_is_free_when_closed():
    name = f"@mtev-test-{os.getpid()}"
    listening = listen(unix(name))
    assert listening.local == name
    with pytest.raises(BindError, match=rf"cannot listen on {name}: Address already in use; this very process listens"):
        listen(unix(name))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{name[1:]}")
    listening.close()
    listen(unix(name)).close()


def test_the_systems_limit_for_backlogs_is_known(tmp_path):
    limit = tmp_path / "sys/net/core/somaxconn"
    assert system_backlog(tmp_path) is None
    limit.parent.mkdir(parents=True)
    limit.write_text("4096\n")
    assert system_backlog(tmp_path) == 4096


def test_a_unix_socket_is_private_and_gone_when_closed(tmp_path):
    path = tmp_path / "x.sock"
    listening = listen(unix(path))
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert listening.local == str(path)
    listening.close()
    assert not path.exists()
    listening.close()


def test_its_mode_may_be_another(tmp_path):
    path = tmp_path / "x.sock"
    listening = listen(unix(path, 0o666))
    assert stat.S_IMODE(path.lstat().st_mode) == 0o666
    listening.close()


def test_a_dead_socket_is_replaced(tmp_path):
    path = tmp_path / "x.sock"
    leave_dead_socket(path)
    listening = listen(unix(path))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listening.close()


def test_a_socket_that_somebody_answers_on_stays(tmp_path):
    path = tmp_path / "x.sock"
    first = listen(unix(path))
    with pytest.raises(BindError, match="another process listens there") as caught:
        listen(unix(path))
    assert caught.value.retriable
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    first.close()


@pytest.mark.parametrize("kind", ["file", "directory", "fifo", "link to a dead socket"])
def test_what_is_no_socket_is_never_removed(tmp_path, kind):
    path = tmp_path / "x.sock"
    match kind:
        case "file":
            path.write_text("precious")
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case _:
            leave_dead_socket(tmp_path / "real")
            path.symlink_to("real")
    before = path.lstat()
    with pytest.raises(BindError, match="not a socket") as caught:
        listen(unix(path))
    assert not caught.value.retriable
    assert path.lstat().st_ino == before.st_ino


def test_at_the_end_only_its_own_socket_is_removed(tmp_path):
    path = tmp_path / "x.sock"
    listening = listen(unix(path))
    path.unlink()
    other = listen(unix(path))
    listening.close()
    assert path.exists()
    other.close()


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(BindError, match="create the directory"):
        listen(unix(tmp_path / "nowhere" / "x.sock"))


@pytest.mark.parametrize("how", ["close", "detach"])
def test_an_accepted_socket_reports_its_end_once(how):
    ours, theirs = socket.socketpair()
    told = []
    accepted = AcceptedSocket(ours, lambda: told.append(True))
    assert ours.fileno() == -1
    if how == "detach":
        os.close(accepted.detach())
    accepted.close()
    accepted.close()
    assert told == [True]
    theirs.close()
