"""Connections to a whole service: over TCP, TLS and unix sockets, well behaved and otherwise."""

from __future__ import annotations

import contextlib
import itertools
import resource
import shutil
import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from echo_service import DEADLINE_S, EchoService, echoed, read_to_end, until

from mtev_listener.testing import reset

IDLE = 5000
RUDE = (b"", b"\0" * 100, bytes(range(256)) * 40, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01")
SPARE_DESCRIPTORS = 300


@dataclass(frozen=True)
class Authority:
    """Certificates of a service and of its clients."""

    root: Path
    certificate: Path
    key: Path
    context: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    folder = tmp_path_factory.mktemp("certificates")
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(folder / "ca.pem")
    server = issuer.issue_cert("localhost")
    server.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    (folder / "key.pem").chmod(0o600)
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    issuer.issue_cert(common_name="alice").configure_cert(context)
    return Authority(folder / "ca.pem", folder / "cert.pem", folder / "key.pem", context)


def sslconfig(authority: Authority) -> str:
    return (
        f"<sslconfig><certificate>{authority.certificate}</certificate><key>{authority.key}</key>"
        f"<ca_chain>{authority.root}</ca_chain></sslconfig>"
    )


def config(**keys: object) -> str:
    return f"<config>{''.join(f'<{key}>{value}</{key}>' for key, value in keys.items())}</config>"


@pytest.fixture(scope="module")
def service(echoing, authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    tls = f"{config(handshake_timeout=700)}{sslconfig(authority)}"
    listeners = {
        "plain": '<listener type="echo" port="0"/>',
        "tls": f'<tls>{tls}<listener type="echo" port="0" ssl="on"/></tls>',
        "unix": f'<listener type="echo" address="{folder}/echo.sock"/>',
        "two": f'<listener type="echo" port="0">{config(max_connections=2)}</listener>',
        "one each": f'<listener type="echo" port="0">{config(max_connections_per_peer=1)}</listener>',
        "hasty": f'<listener type="echo" port="0">{config(idle_timeout=200)}</listener>',
        "proxied": f'<listener type="echo" port="0">{config(proxy_protocol="any")}</listener>',
    }
    with EchoService(echoing, folder, listeners) as running:
        yield running


def unix(service: EchoService) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(DEADLINE_S)
    client.connect(str(service.file.parent / "echo.sock"))
    return client


def tls(service: EchoService, authority: Authority) -> ssl.SSLSocket:
    return authority.context.wrap_socket(service.connect("tls"), server_hostname="localhost")


def connections(service: EchoService, part: str = "echo") -> list[str]:
    with service.console() as console:
        return console.ask(f"show connections {part}").splitlines()


@contextlib.contextmanager
def nothing_left(service: EchoService):
    """What happens in between leaves no connection and no descriptor behind."""
    until(lambda: connections(service) == [], "the connections of the last test are gone")
    before = service.descriptors()
    yield
    until(lambda: connections(service) == [], "no connection is left")
    until(lambda: service.descriptors() <= before, "no descriptor is left")


def test_it_echoes_over_tcp_tls_and_a_unix_socket(service, authority):
    with nothing_left(service):
        for client in (service.connect("plain"), tls(service, authority), unix(service)):
            with client:
                assert echoed(client)
                assert echoed(client, b"x" * 1_000_000)


def test_the_other_side_is_told_of_everywhere(service, authority):
    with tls(service, authority) as client, service.connect("plain") as plain:
        assert echoed(client)
        assert echoed(plain)
        host, port = client.getsockname()
        (line,) = connections(service, f"{host}:{port}")
        assert "echo on e:default/0" in line
        assert "TLSv1.3" in line
        assert "CN 'alice'" in line
        sockets = {each["remote"]["port"]: each for each in service.json("/eventer/sockets.json") if "remote" in each}
        assert (sockets[port]["impl"], sockets[port]["callback"]) == ("SSL", "echo")
        assert sockets[port]["detail"].endswith("CN 'alice'")
        assert sockets[plain.getsockname()[1]]["impl"] == "POSIX"
        with service.console() as console:
            shown = console.ask("show listeners")
        assert f"127.0.0.1:{service.port('tls')} echo TLS pool=default connections=1" in shown
        metrics = service.text("/metrics")
        labels = f'mtev_listener="127.0.0.1:{service.port("tls")}"'
        assert any(labels in line and "handshakes_total" in line for line in metrics.splitlines())
        assert "mtev_tls_certificates_not_after_seconds{" in metrics


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_openssl_is_served_too(service, authority):
    command = ["openssl", "s_client", "-quiet", "-verify_return_error", "-servername", "localhost"]
    command += ["-CAfile", str(authority.root), "-connect", f"127.0.0.1:{service.port('tls')}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as client:
        client.stdin.write(b"hello\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"hello\n"
        client.kill()


def test_beyond_the_limit_a_connection_is_closed_at_once_and_said_so(service):
    with service.connect("two") as one, service.connect("two") as two:
        assert echoed(one)
        assert echoed(two)
        with service.connect("two") as refused:
            assert read_to_end(refused) == b""
        assert echoed(one)
    service.daemon.wait_for(r"echo has 2 connections, the limit \(max_connections\)")
    until(lambda: connections(service) == [], "there is room again")
    with service.connect("two") as again:
        assert echoed(again)
    service.daemon.wait_for("accepting again; 1 connections were refused")


def test_one_address_cannot_take_all(service):
    with service.connect("one each") as one:
        assert echoed(one)
        with service.connect("one each") as refused:
            assert read_to_end(refused) == b""
        with service.connect("one each", source_address=("127.0.0.2", 0)) as other:
            assert echoed(other)
    service.daemon.wait_for(r"127\.0\.0\.1 has 1 connections, the limit \(max_connections_per_peer\)")


def test_an_idle_connection_is_closed(service):
    with service.connect("hasty") as idle:
        assert echoed(idle)
        assert read_to_end(idle) == b""


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 192, 0, 2, 1]) + b"\x12\x67\0\x50",
    ],
    ids=["v1", "v2"],
)
def test_who_is_behind_a_proxy_is_shown(service, header):
    with service.connect("proxied") as client:
        client.sendall(header)
        assert echoed(client)
        (line,) = connections(service, "192.0.2.7:4711")
        host, port = client.getsockname()
        assert f"192.0.2.7:4711 through {host}:{port}" in line


def test_rude_peers_leave_nothing_behind(service, authority):
    """Half-open ones, resets, garbage and those that leave in the middle, over plain and secured connections."""
    with nothing_left(service):
        names, ways = ("plain", "tls", "unix", "proxied"), ("close", "reset", "half")
        for name, sent, leave in itertools.product(names, RUDE, ways):
            client = unix(service) if name == "unix" else service.connect(name)
            with client, contextlib.suppress(OSError):
                client.sendall(sent)
                if leave == "half":
                    client.shutdown(socket.SHUT_WR)
                    read_to_end(client)
                elif leave == "reset" and name != "unix":
                    reset(client)
        with service.connect("plain") as half_open:
            half_open.sendall(b"still there?")
            half_open.shutdown(socket.SHUT_WR)
            assert read_to_end(half_open) == b"still there?"
        secured = tls(service, authority)
        assert echoed(secured)
        reset(secured)


def test_a_flood_of_handshakes_does_not_keep_others_out(service, authority):
    with nothing_left(service), contextlib.ExitStack() as held:
        flood = []
        for number in range(400):
            client = held.enter_context(service.connect("tls"))
            with contextlib.suppress(OSError):  # it may have been cut already
                client.sendall((b"", b"\x16\x03\x01\x02\x00\x01\x00", b"nonsense\r\n" * 5)[number % 3])
            flood.append(client)
            if number % 100 == 50:
                with tls(service, authority) as served:
                    assert echoed(served)
        for client in flood:
            read_to_end(client)  # each is cut off
    service.daemon.wait_for(r"SSL accept failed from 127\.0\.0\.1:\d+: the handshake took longer than 0\.7 s")


def test_peers_that_do_not_read_do_not_fill_the_memory(service):
    with nothing_left(service), contextlib.ExitStack() as held:
        deaf = [held.enter_context(service.connect("plain")) for _ in range(40)]
        before = service.resident_bytes()
        for client in deaf:
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    client.send(b"x" * 100_000)
        with service.connect("plain") as other:
            assert echoed(other, b"y" * 100_000)
        # What one of them could send went into the system's buffers, and at most a little into ours.
        assert service.resident_bytes() - before < len(deaf) * 600_000
        for client in deaf:
            reset(client)


@pytest.fixture
def many_descriptors():
    """Enough descriptors for this process to be five thousand clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + SPARE_DESCRIPTORS
    if resource.RLIM_INFINITY != hard < wanted:
        pytest.skip(f"this process may have {hard} descriptors, and {wanted} are wanted")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_thousands_of_idle_connections_are_held_while_others_work(service, many_descriptors):
    with nothing_left(service), contextlib.ExitStack() as held:
        before = service.json("/eventer/memory.json")
        address = "127.0.0.1", service.port("plain")
        idle = []
        for number in range(IDLE):
            client = held.enter_context(socket.create_connection(address, timeout=DEADLINE_S))
            idle.append(client)
            if number % 500 == 0:
                assert echoed(client, b"first")
        with service.connect("plain") as worker:
            for size in (1, 1000, 100_000) * 20:
                assert echoed(worker, b"w" * size)
        until(lambda: service.json("/eventer/memory.json")["sockets"] >= before["sockets"] + IDLE, "all are there")
        (loop,) = service.json("/eventer/loops.json")
        assert loop["connections"] >= IDLE
        assert loop["running"]
        for client in idle[::7]:
            assert echoed(client, b"still here")
        for client in idle[::2]:
            reset(client)
        held.close()
    assert service.json("/eventer/memory.json")["sockets"] <= before["sockets"] + 1


def test_without_descriptors_it_pauses_and_goes_on(echoing, tmp_path):
    listeners = {"plain": '<listener type="echo" port="0" backlog="1024"/>'}
    with EchoService(echoing, tmp_path, listeners, eventer="<rlim_nofiles>256</rlim_nofiles>") as service:
        service.faults = ("cannot accept: Too many open files",)
        address = "127.0.0.1", service.port("plain")
        with contextlib.ExitStack() as held:
            clients = [held.enter_context(socket.create_connection(address, DEADLINE_S)) for _ in range(400)]
            service.daemon.wait_for("cannot accept: Too many open files; trying again every")
            assert echoed(clients[0])
            # It tries four times a second; a loop that spins would take all of the time that passes.
            spent, seen = service.processor_s(), len(service.daemon.lines)
            for client in clients[-3:]:
                client.settimeout(0.5)
                client.sendall(b"waiting")
                with pytest.raises(TimeoutError):
                    client.recv(1)
            assert service.processor_s() - spent < 0.75
            assert not any("cannot accept" in line for line in service.daemon.lines[seen:]), "it is said once"
            for client in clients[:300]:
                client.close()
            clients[-1].settimeout(DEADLINE_S)
            assert clients[-1].recv(7) == b"waiting"
        with service.connect("plain") as client:
            assert echoed(client)


def test_connections_end_in_order_when_the_service_stops(echoing, tmp_path):
    listeners = {
        "plain": '<listener type="echo" port="0"/>',
        "unix": f'<listener type="echo" address="{tmp_path}/x.sock"/>',
    }
    with EchoService(echoing, tmp_path, listeners) as service:
        client = service.connect("plain")
        assert echoed(client)
        assert (tmp_path / "x.sock").exists()
    with client:
        assert read_to_end(client) == b""
    assert not (tmp_path / "x.sock").exists()


def test_the_console_is_a_connection_like_others(service):
    with service.console() as console:
        shown = console.ask("show connections mtev_console")
    assert "mtev_console on e:default/0" in shown
