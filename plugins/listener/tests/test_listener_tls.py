"""TLS on listeners: handshakes that succeed, fail, take for ever, and the upgrade of a plain connection."""

import asyncio
import contextlib
import logging
import queue
import shutil
import socket
import ssl
import subprocess
import threading

import pytest
import trustme

from mtev_listener import ListenerError
from mtev_listener._address import TcpAddress
from mtev_listener._settings import ListenerSettings
from mtev_listener.testing import ListenerHarness, reset
from mtev_tls import Material, ServerTls, TlsSettings
from mtev_tls.testing import own, pem, trusting

LOOPBACK = TcpAddress("127.0.0.1", 0)
OPENSSL = shutil.which("openssl")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority):
    return TlsSettings(**own(authority.issue_cert("localhost")), where="app.conf:7")


@pytest.fixture
def context(authority):
    made = ssl.create_default_context()
    authority.configure_trust(made)
    return made


@pytest.fixture(params=["uvloop", "asyncio"])
def listening(request, context):
    harnesses = []

    def start(factory, tls, *, client=context, concurrency=1, **settings):
        harness = ListenerHarness(
            factory,
            ListenerSettings("echo", LOOPBACK, "app.conf:7", tls=tls, **settings),
            implementation=request.param,
            concurrency=concurrency,
            tls=client,
        )
        harnesses.append(harness)
        return harness.__enter__()

    yield start
    for harness in harnesses:
        harness.__exit__(None, None, None)


class Echo(asyncio.Protocol):
    def __init__(self, connection, seen=None):
        if seen is not None:
            seen.put(connection)

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


def ask(client, question=b"?"):
    client.sendall(question)
    received = b""
    while len(received) < len(question):
        data = client.recv(65536)
        assert data, "the connection ended"
        received += data
    return received


def say_and_read_to_the_end(place, data):
    with socket.create_connection(place, timeout=10) as client, contextlib.suppress(ConnectionResetError):
        client.sendall(data)
        while client.recv(4096):
            pass


def test_a_connection_knows_its_peer(listening, authority, server, context):
    seen = queue.Queue()
    asked = TlsSettings(
        certificate=server.certificate, key=server.key, ca=trusting(authority), verify="optional", where="app.conf:7"
    )
    harness = listening(lambda connection: Echo(connection, seen), asked)
    alice = authority.issue_cert("alice@example.org", common_name="alice")
    alice.configure_cert(context)
    with harness.connect() as client:
        assert ask(client, b"x" * 200_000) == b"x" * 200_000
        connection = seen.get(timeout=10)
        assert connection.remote_cn == "alice"
        assert connection.tls.version == client.version()
        assert connection.tls.server_name == "localhost"
        (described,) = [each for each in harness.eventer.sockets.describe() if "remote" in each]
        assert described["impl"] == "SSL"
        assert described["detail"].startswith("TLSv1.3 TLS_")
        assert described["detail"].endswith("CN 'alice'")
        assert harness.bound.tls


def test_a_connection_without_a_certificate_is_nobody(listening, server):
    seen = queue.Queue()
    harness = listening(lambda connection: Echo(connection, seen), server)
    with harness.connect() as client:
        assert ask(client) == b"?"
        connection = seen.get(timeout=10)
        assert (connection.remote_cn, connection.tls.certificate) == ("", None)


def test_failed_handshakes_end_that_connection_alone_and_are_said(listening, server, caplog):
    harness = listening(Echo, server)
    place = (harness.bound.address, harness.bound.port)
    caplog.set_level(logging.DEBUG, "mtev.listener")
    with harness.connect() as good:
        for nonsense in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\x05junk!", b"\0" * 2000):
            say_and_read_to_the_end(place, nonsense)
        for sent in (b"", b"\x16\x03\x01\x02\x00"):
            client = socket.create_connection(place, timeout=10)
            client.sendall(sent)
            reset(client)
        assert ask(good) == b"?"
    assert harness.wait_until_empty()
    said = [record.message for record in caplog.records if "SSL accept failed from 127.0.0.1:" in record.message]
    assert said
    assert said[0].startswith("app.conf:7: ")
    assert harness.complaints == []
    described = harness.listeners.describe()[0]
    assert (described["accepted"], described["handshake_failures"]) == (6, 5)


def test_a_handshake_has_a_time_limit(listening, server, caplog):
    harness = listening(Echo, server, handshake_timeout_s=0.2)
    place = (harness.bound.address, harness.bound.port)
    with socket.create_connection(place, timeout=10) as silent, contextlib.suppress(ConnectionResetError):
        assert silent.recv(1) == b""
    assert harness.wait_until_empty()
    assert "the handshake took longer than 0.2 s" in caplog.text
    with harness.connect() as client:
        assert ask(client) == b"?"
    name = str(harness.bound)
    counts = {
        figure: harness.eventer.stats.find(("mtev", "listener", name, figure)).value
        for figure in ("handshakes", "handshake_failures", "handshake_timeouts")
    }
    assert counts == {"handshakes": 1, "handshake_failures": 1, "handshake_timeouts": 1}


def test_a_flood_of_handshakes_that_never_end_leaves_others_served(listening, server):
    harness = listening(Echo, server, handshake_timeout_s=2.0)
    place = (harness.bound.address, harness.bound.port)
    with harness.connect() as before:
        silent = [socket.create_connection(place, timeout=10) for _ in range(300)]
        for each in silent:
            each.sendall(b"\x16\x03\x01")
        assert ask(before) == b"?"
        with harness.connect() as after:  # it has its turn when the first of them have had their time
            assert ask(after) == b"?"
        for each in silent:
            each.close()
    assert harness.wait_until_empty()
    assert harness.complaints == []


def test_draining_and_stopping_do_not_wait_for_handshakes(listening, server):
    harness = listening(Echo, server, handshake_timeout_s=60.0)
    with (
        socket.create_connection((harness.bound.address, harness.bound.port), timeout=10) as silent,
        harness.connect() as client,
    ):
        silent.sendall(b"\x16\x03\x01")
        assert ask(client) == b"?"
        assert harness.drain(10) == 0
        assert client.recv(1) == b""


def test_idle_connections_are_closed(listening, server):
    harness = listening(Echo, server, idle_timeout_s=0.2)
    with harness.connect() as client:
        assert ask(client) == b"?"
        assert client.recv(1) == b""


def test_new_connections_get_new_certificates(listening, authority, context, tmp_path):
    def write(certificate):
        for name, text in zip(("c.pem", "k.pem"), pem(certificate), strict=True):
            (tmp_path / f"{name}.new").write_text(text)
            (tmp_path / f"{name}.new").replace(tmp_path / name)

    write(authority.issue_cert("localhost"))
    files = TlsSettings(
        certificate=Material("certificate", str(tmp_path / "c.pem")), key=Material("key", str(tmp_path / "k.pem"))
    )
    harness = listening(Echo, files)
    with harness.connect() as old:
        before = old.getpeercert(binary_form=True)
        write(authority.issue_cert("localhost"))
        assert harness.certificates.refresh()
        with harness.connect() as new:
            assert new.getpeercert(binary_form=True) != before
            assert ask(new) == ask(old) == b"?"


def test_the_negotiated_protocol_chooses_who_speaks(context, server):
    class Shout(Echo):
        def data_received(self, data):
            self.transport.write(data.upper())

    harness = ListenerHarness(Echo, ListenerSettings("echo", LOOPBACK, "app.conf:7", tls=server), tls=context)
    harness.listeners.register_type("echo/alpn:shout", Shout)
    harness.listeners.register_type("other/alpn:whisper", Shout)
    with harness:
        for offered, agreed, answer in (
            (["shout"], "shout", b"HEY"),
            (["whisper", "shout"], "shout", b"HEY"),
            (["whisper"], None, b"hey"),
        ):
            context.set_alpn_protocols(offered)
            with harness.connect() as client:
                assert client.selected_alpn_protocol() == agreed
                assert ask(client, b"hey") == answer


# STARTTLS


class Upgrading(asyncio.Protocol):
    """A line protocol: STARTTLS upgrades, WHO tells what it knows, everything else is said again."""

    def __init__(self, connection, tls, failures=None):
        self.connection = connection
        self.tls = tls
        self.failures = failures if failures is not None else queue.Queue()
        self.buffer = b""

    def connection_made(self, transport):
        transport.write(b"220 ready\r\n")

    def data_received(self, data):
        self.buffer += data
        while b"\n" in self.buffer:
            line, _, self.buffer = self.buffer.partition(b"\n")
            self.answer(line.strip())

    def answer(self, line):
        out = self.connection.transport
        if line == b"STARTTLS":
            self.buffer = b""  # what came along was not protected
            out.write(b"220 go ahead\r\n")
            self.task = asyncio.ensure_future(self.upgrade(self.connection.start_tls(self.tls, timeout_s=2.0)))
        elif line.startswith(b"EHLO"):
            out.write(b"250-hello\r\n250 STARTTLS\r\n")
        elif line == b"QUIT":
            out.close()
        elif line == b"WHO":
            out.write(b"plain\r\n" if self.connection.tls is None else b"secured\r\n")
        else:
            out.write(b"500 " + line + b"\r\n")

    async def upgrade(self, secured):
        try:
            await secured
        except Exception as error:
            self.failures.put(error)


@pytest.fixture
def upgrade_to(server):
    made = ServerTls(server)
    made.load()
    return made


def line_of(client):
    received = b""
    while not received.endswith(b"\n"):
        data = client.recv(1)
        assert data, f"the connection ended after {received!r}"
        received += data
    return received.strip()


def test_a_plain_connection_becomes_a_secured_one(listening, upgrade_to, context):
    harness = listening(lambda connection: Upgrading(connection, upgrade_to), None, client=None)
    with harness.connect() as plain:
        assert line_of(plain) == b"220 ready"
        plain.sendall(b"WHO\r\n")
        assert line_of(plain) == b"plain"
        plain.sendall(b"STARTTLS\r\n")
        assert line_of(plain) == b"220 go ahead"
        with context.wrap_socket(plain, server_hostname="localhost") as secured:
            secured.sendall(b"WHO\r\n" * 100)
            assert [line_of(secured) for _ in range(100)] == [b"secured"] * 100
            described = [each for each in harness.eventer.sockets.describe() if "remote" in each]
            assert [each["impl"] for each in described] == ["SSL"]
    assert harness.wait_until_empty()
    assert harness.complaints == []


def test_what_came_along_with_the_command_is_not_obeyed(listening, upgrade_to, context):
    harness = listening(lambda connection: Upgrading(connection, upgrade_to), None, client=None)
    with harness.connect() as plain:
        assert line_of(plain) == b"220 ready"
        plain.sendall(b"STARTTLS\r\nINJECTED\r\n")
        assert line_of(plain) == b"220 go ahead"
        with context.wrap_socket(plain, server_hostname="localhost") as secured:
            secured.sendall(b"WHO\r\n")
            assert line_of(secured) == b"secured"


def test_plaintext_in_the_place_of_a_handshake_ends_the_connection(listening, upgrade_to):
    failures = queue.Queue()
    harness = listening(lambda connection: Upgrading(connection, upgrade_to, failures), None, client=None)
    with harness.connect() as plain:
        assert line_of(plain) == b"220 ready"
        plain.sendall(b"STARTTLS\r\n")
        assert line_of(plain) == b"220 go ahead"
        plain.sendall(b"INJECTED AFTERWARDS\r\n")
        try:
            while data := plain.recv(4096):
                assert b"INJECTED" not in data
        except ConnectionResetError:
            pass
    assert isinstance(failures.get(timeout=10), (ssl.SSLError, OSError))
    assert harness.wait_until_empty()


def test_an_upgrade_that_never_comes_has_a_time_limit(listening, upgrade_to):
    failures = queue.Queue()
    harness = listening(lambda connection: Upgrading(connection, upgrade_to, failures), None, client=None)
    with harness.connect() as plain:
        assert line_of(plain) == b"220 ready"
        plain.sendall(b"STARTTLS\r\n")
        assert line_of(plain) == b"220 go ahead"
        assert isinstance(failures.get(timeout=10), (OSError, TimeoutError))
        assert harness.wait_until_empty()


def test_a_secured_connection_is_not_secured_again(listening, server, upgrade_to):
    answers = queue.Queue()

    class Twice(Echo):
        def __init__(self, connection):
            self.connection = connection

        def data_received(self, data):
            try:
                self.connection.start_tls(upgrade_to)
            except ListenerError as error:
                answers.put(str(error))
            super().data_received(data)

    harness = listening(Twice, server)
    with harness.connect() as client:
        assert ask(client) == b"?"
    assert "it speaks TLS already" in answers.get(timeout=10)


def test_a_drained_connection_ends_also_after_an_upgrade(listening, upgrade_to, context):
    harness = listening(lambda connection: Upgrading(connection, upgrade_to), None, client=None)
    with harness.connect() as plain:
        assert line_of(plain) == b"220 ready"
        plain.sendall(b"STARTTLS\r\n")
        assert line_of(plain) == b"220 go ahead"
        with context.wrap_socket(plain, server_hostname="localhost") as secured:
            secured.sendall(b"WHO\r\n")
            assert line_of(secured) == b"secured"
            drained = threading.Thread(target=harness.drain)
            drained.start()
            assert secured.recv(1) == b""
            drained.join(10)
            assert not drained.is_alive()


@pytest.mark.skipif(OPENSSL is None, reason="there is no command 'openssl' here")
def test_openssl_upgrades_as_mail_programs_do(listening, upgrade_to, tmp_path, authority):
    (tmp_path / "ca.pem").write_text(trusting(authority).text)
    harness = listening(lambda connection: Upgrading(connection, upgrade_to), None, client=None)
    done = subprocess.run(
        [OPENSSL, "s_client", "-starttls", "smtp", "-connect", f"127.0.0.1:{harness.bound.port}", "-quiet",
         "-CAfile", str(tmp_path / "ca.pem"), "-verify_return_error", "-verify_hostname", "localhost"],
        input=b"WHO\r\nQUIT\r\n", capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert b"secured" in done.stdout, done
