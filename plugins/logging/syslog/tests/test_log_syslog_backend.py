"""The backend against receivers of every kind: that work, die, come back, read nothing, or cannot be trusted."""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
from pathlib import Path

import pytest

from mtev_log import BackendSettings, IncompleteWrite
from mtev_log.testing import BackendConformance, line
from mtev_log_syslog import SyslogBackend

LOCAL = ("127.0.0.1", 0)


def syslog(path, format="plain", service="acme", **config):
    settings = BackendSettings("x", type="syslog", path=path, format=format, config=config, utc=True)
    return SyslogBackend(settings, service=service)


@pytest.fixture
def opened():
    """Makes backends, open, that are closed at the end."""
    made = []

    def opened(*args, **options):
        made.append(syslog(*args, **options))
        made[-1].open()
        return made[-1]

    yield opened
    for each in made:
        each.close()


def url(scheme, receiver):
    host, port = receiver.address[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def split(stream):
    """The messages of a stream with octet counts, and what is left."""
    found = []
    while match := re.match(rb"(\d+) ", stream):
        end = match.end() + int(match[1])
        if end > len(stream):
            break
        found.append(stream[match.end() : end].decode())
        stream = stream[end:]
    return found, stream


def texts(messages):
    return [each.decode().rpartition(" ")[2] for each in messages]


def words(stream):
    found, rest = split(stream)
    assert rest == b""
    return [each.rpartition(" ")[2] for each in found]


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as bound:
        bound.bind(LOCAL)
        return bound.getsockname()[1]


class TestUdp(BackendConformance):
    format = "plain"

    @pytest.fixture(autouse=True)
    def receiver(self, datagrams):
        self.received = datagrams(socket.AF_INET, LOCAL)

    def make(self, directory):
        return syslog(url("udp", self.received), self.format)

    def read(self, backend, directory):
        return [each.decode() for each in self.received.all()]


class TestUdpAsJson(TestUdp):
    format = "json"


class TestUnixDatagrams(TestUdp):
    @pytest.fixture(autouse=True)
    def receiver(self, datagrams, tmp_path_factory):
        self.received = datagrams(socket.AF_UNIX, str(tmp_path_factory.mktemp("log") / "log"))

    def make(self, directory):
        return syslog(f"unix:{self.received.address}", self.format)


class TestTcp(BackendConformance):
    @pytest.fixture(autouse=True)
    def receiver(self, streams):
        self.received = streams(socket.AF_INET, LOCAL)

    def make(self, directory):
        return syslog(url("tcp", self.received))

    def read(self, backend, directory):
        backend.reopen()  # one that was opened only has no connection
        backend.close()
        found = [split(stream) for stream in self.received.ended()]
        assert all(rest == b"" for _, rest in found)
        return [message for messages, _ in found for message in messages]


class TestTls(TestTcp):
    @pytest.fixture(autouse=True)
    def receiver(self, streams, server_context, ca_chain):
        self.received = streams(socket.AF_INET, LOCAL, server_context)
        self.ca_chain = ca_chain

    def make(self, directory):
        return syslog(url("tls", self.received), ca_chain=self.ca_chain)


class TestUnixStream(TestTcp):
    @pytest.fixture(autouse=True)
    def receiver(self, streams, tmp_path_factory):
        self.received = streams(socket.AF_UNIX, str(tmp_path_factory.mktemp("log") / "log"))

    def make(self, directory):
        return syslog(self.received.address, framing="octet-counting")


def test_what_is_on_the_wire(opened, datagrams, streams, tmp_path):
    udp = datagrams(socket.AF_INET, LOCAL)
    opened(url("udp", udp), hostname="h", sd_id="a@1", facility="local0").write([line("hello", n=1)])
    opened(url("udp", udp), hostname="h", rfc="3164", severity="err").write([line("hello")])
    first, second = udp.all()
    stamp = b"2023-11-14T22:13:20.123456Z"
    pid = b"%d" % os.getpid()
    assert first == b'<133>1 %b h acme %b notice/conformance [a@1 n="1"] [notice/conformance] hello' % (stamp, pid)
    assert second == b"<27>Nov 14 22:13:20 h acme[%b]: [notice/conformance] hello" % pid
    local = streams(socket.AF_UNIX, str(tmp_path / "log"))
    backend = opened(local.address)
    backend.write([line("one\ntwo"), line("three")])
    backend.close()
    assert local.ended() == [
        b"<29>Nov 14 22:13:20 acme[%b]: [notice/conformance] one#012two\n" % pid
        + b"<29>Nov 14 22:13:20 acme[%b]: [notice/conformance] three\n" % pid
    ]


def test_json_has_the_fields_in_its_text(opened, datagrams):
    udp = datagrams(socket.AF_INET, LOCAL)
    opened(url("udp", udp), "json").write([line("hello", n=1)])
    (message,) = udp.all()
    assert b' notice/conformance - {"timestamp"' in message
    assert message.endswith(b',"n":1}')


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_ipv6(opened, datagrams, streams, scheme):
    kind = datagrams if scheme == "udp" else streams
    try:
        receiver = kind(socket.AF_INET6, ("::1", 0))
    except OSError:
        pytest.skip("there is no IPv6")
    backend = opened(url(scheme, receiver))
    backend.write([line("hello")])
    backend.close()
    if scheme == "udp":
        assert texts(receiver.all()) == ["hello"]
    else:
        assert [words(each) for each in receiver.ended()] == [["hello"]]


def test_long_datagrams_are_cut(opened, datagrams):
    udp = datagrams(socket.AF_INET, LOCAL)
    opened(url("udp", udp)).write([line("é" * 5000)])
    opened(url("udp", udp), max_bytes="480").write([line("é" * 5000)])
    long, short = udp.all()
    assert 2046 <= len(long) <= 2048
    assert 478 <= len(short) <= 480
    assert long.decode().endswith("é")
    assert short.decode().endswith("é")


def test_a_datagram_that_the_system_refuses_is_cut_until_it_fits(opened, datagrams, tmp_path):
    receiver = datagrams(socket.AF_UNIX, str(tmp_path / "log"))
    backend = opened(receiver.address, max_bytes="1000000")
    backend.write([line("first"), line("x" * 900_000), line("last")])
    first, cut, last = receiver.all()
    assert (texts([first]), texts([last])) == (["first"], ["last"])
    assert 1000 < len(cut) < 900_000


def test_a_refused_datagram_is_reported_and_counted_as_not_written(opened, datagrams):
    port = free_port(socket.SOCK_DGRAM)
    backend = opened(f"udp://127.0.0.1:{port}")
    with pytest.raises(IncompleteWrite, match=rf"^udp://127.0.0.1:{port}: \[Errno 111\] Connection refused") as caught:
        backend.write([line("one"), line("two"), line("three")])
    assert caught.value.written == 0
    receiver = datagrams(socket.AF_INET, ("127.0.0.1", port))
    backend.reopen()
    backend.write([line("one"), line("two"), line("three")])
    assert texts(receiver.all()) == ["one", "two", "three"]


@pytest.mark.parametrize("path", ["tcp://127.0.0.1:{port}", "tls://127.0.0.1:{port}", "{folder}/log"])
def test_nobody_there_is_no_matter_for_open_and_costs_no_line(path, opened, tmp_path):
    backend = opened(path.format(port=free_port(), folder=tmp_path))
    for act in (lambda: backend.write([line("one"), line("two")]), backend.reopen):
        with pytest.raises(IncompleteWrite, match=r"\[Errno (111|2)\] (Connection refused|No such file)") as caught:
            act()
        assert caught.value.written == 0


def test_an_unknown_host_costs_no_line(opened, monkeypatch):
    def fail(host, *args, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    backend = opened("tcp://nowhere.invalid")
    with pytest.raises(IncompleteWrite, match=r"tcp://nowhere.invalid:601: .*Name or service not known") as caught:
        backend.write([line("one")])
    assert caught.value.written == 0


def test_a_name_that_takes_for_ever_is_given_up(opened, monkeypatch, streams):
    receiver = streams(socket.AF_INET, LOCAL)
    known, asked = threading.Event(), []
    look_up = socket.getaddrinfo

    def slow(host, *args, flags=0, **options):
        if not flags & socket.AI_NUMERICHOST:
            asked.append(host)
            known.wait(20)
            host = "127.0.0.1"
        return look_up(host, *args, flags=flags, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    backend = opened(f"tcp://slow.example:{receiver.address[1]}", connect_timeout="20ms")
    for _ in range(3):
        with pytest.raises(IncompleteWrite, match="the address of 'slow.example' is not known after"):
            backend.write([line("one")])
    assert asked == ["slow.example"], "one thread at a time"
    known.set()
    for _ in range(500):
        try:
            backend.write([line("one")])
            break
        except IncompleteWrite:
            pass
    backend.close()
    assert [words(each) for each in receiver.ended()] == [["one"]]


def test_a_peer_that_closed_is_noticed_before_the_next_batch(opened, streams):
    receiver = streams(socket.AF_INET, LOCAL)
    backend = opened(url("tcp", receiver))
    expected = []
    for number in range(5):
        backend.write([line(f"{number}a"), line(f"{number}b")])
        expected.append([f"{number}a", f"{number}b"])
        receiver.wait(lambda: len(receiver.received) == len(expected) and receiver.received[-1].endswith(b"b"))
        receiver.hang_up()
    assert [words(each) for each in receiver.ended()] == expected


def test_a_tls_peer_that_closed_is_noticed_before_the_next_batch(opened, streams, server_context, ca_chain):
    receiver = streams(socket.AF_INET, LOCAL, server_context)
    backend = opened(url("tls", receiver), ca_chain=ca_chain)
    backend.write([line("one")])
    receiver.wait(lambda: receiver.received and receiver.received[0].endswith(b"one"))
    receiver.hang_up()
    backend.write([line("two")])
    backend.close()
    assert [words(each) for each in receiver.ended()] == [["one"], ["two"]]


def test_a_peer_that_comes_back_gets_what_the_other_did_not(opened, streams):
    receiver = streams(socket.AF_INET, LOCAL)
    backend = opened(url("tcp", receiver))
    backend.write([line("one")])
    receiver.wait(lambda: receiver.received and receiver.received[0].endswith(b"one"))
    receiver.stop()
    for _ in range(3):
        with pytest.raises(IncompleteWrite) as caught:
            backend.write([line("two"), line("three")])
        assert caught.value.written == 0
    again = streams(socket.AF_INET, receiver.address)
    backend.reopen()
    backend.write([line("two"), line("three")])
    backend.close()
    assert [words(each) for each in again.ended()] == [["two", "three"]]


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_a_peer_that_reads_nothing_fails_and_the_next_begins_with_a_whole_message(
    opened, streams, scheme, server_context, ca_chain
):
    config = {"ca_chain": ca_chain} if scheme == "tls" else {}
    context = server_context if scheme == "tls" else None
    deaf = streams(socket.AF_INET, LOCAL, reads=False)
    backend = opened(url(scheme, deaf), write_timeout="100ms", connect_timeout="100ms", **config)
    records = [line(f"{number}-{'x' * 8000}") for number in range(1000)]
    with pytest.raises(IncompleteWrite, match="too slow|timed out") as caught:
        backend.write(records)
    assert 0 <= caught.value.written < 1000
    deaf.stop()
    listening = streams(socket.AF_INET, deaf.address, context)
    backend = opened(url(scheme, listening), **config)
    backend.write(records[caught.value.written :])
    backend.close()
    (stream,) = listening.ended()
    assert [each.partition("-")[0] for each in words(stream)] == [str(n) for n in range(caught.value.written, 1000)]


def test_half_a_message_is_sent_again_from_its_start(opened, streams):
    receiver = streams(socket.AF_INET, LOCAL, reads=False)
    backend = opened(url("tcp", receiver), write_timeout="100ms")
    records = [line(f"{number}-{'x' * 8000}") for number in range(1000)]
    with pytest.raises(IncompleteWrite) as caught:
        backend.write(records)
    written = caught.value.written
    received = b""
    accepted = receiver.accepted[0]
    accepted.settimeout(20)
    while data := accepted.recv(1 << 16):
        received += data
    whole, rest = split(received)
    assert [each.rpartition(" ")[2].partition("-")[0] for each in whole] == [str(n) for n in range(written)]
    assert not split(rest)[0]
    receiver.stop()
    again = streams(socket.AF_INET, receiver.address)
    backend.reopen()
    backend.write(records[written:])
    backend.close()
    assert [each.partition("-")[0] for each in words(again.ended()[0])] == [str(n) for n in range(written, 1000)]


def test_a_local_daemon_that_is_restarted(opened, datagrams, tmp_path):
    first = datagrams(socket.AF_UNIX, str(tmp_path / "log"))
    backend = opened(first.address)
    backend.write([line("one")])
    assert texts(first.all()) == ["one"]
    first.stop()
    Path(first.address).unlink()
    with pytest.raises(IncompleteWrite, match="Connection refused") as caught:
        backend.write([line("two"), line("three")])
    assert caught.value.written == 0
    second = datagrams(socket.AF_UNIX, first.address)
    backend.write([line("two"), line("three")])
    assert texts(second.all()) == ["two", "three"]


def test_a_local_daemon_that_reads_nothing(opened, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "log"))
        backend = opened(str(tmp_path / "log"), write_timeout="50ms")
        with pytest.raises(IncompleteWrite, match="the receiver is too slow") as caught:
            backend.write([line(str(number)) for number in range(1000)])
        written = caught.value.written
        assert 0 < written < 1000
        assert texts(deaf.recv(1000) for _ in range(written)) == [str(number) for number in range(written)]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "certificate verify failed"),
        ({"tls_name": "other.example"}, "certificate verify failed: Hostname mismatch"),
    ],
)
def test_a_receiver_that_is_not_to_be_trusted(opened, streams, server_context, ca_chain, config, message):
    receiver = streams(socket.AF_INET, LOCAL, server_context)
    if config:
        config = {**config, "ca_chain": ca_chain}
    backend = opened(url("tls", receiver), **config)
    with pytest.raises(IncompleteWrite, match=message) as caught:
        backend.write([line("one")])
    assert caught.value.written == 0


def test_trust_can_be_turned_off(opened, streams, server_context):
    receiver = streams(socket.AF_INET, LOCAL, server_context)
    backend = opened(url("tls", receiver), verify="off")
    backend.write([line("one")])
    backend.close()
    assert [words(each) for each in receiver.ended()] == [["one"]]


def test_an_old_tls_is_refused(opened, streams, server_context, ca_chain):
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        server_context.maximum_version = ssl.TLSVersion.TLSv1_1
    receiver = streams(socket.AF_INET, LOCAL, server_context)
    with pytest.raises(IncompleteWrite, match=r"ssl|SSL|TLS"):
        opened(url("tls", receiver), ca_chain=ca_chain).write([line("one")])


def test_certificates_are_shown_and_read_anew(opened, streams, server_context, ca_chain, authority, tmp_path):
    server_context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server_context)
    receiver = streams(socket.AF_INET, LOCAL, server_context)
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    issued = authority.issue_cert("client")
    certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    config = {"ca_chain": ca_chain, "certificate_file": str(certificate), "key_file": str(key)}
    backend = opened(url("tls", receiver), **config)
    backend.write([line("one")])
    certificate.write_text("nothing")
    with pytest.raises(IncompleteWrite, match=r"certificate_file='.*c\.pem' with key_file='.*' cannot be used"):
        backend.reopen()
    certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    backend.reopen()
    backend.write([line("two")])
    backend.close()
    assert [words(each) for each in receiver.ended()] == [["one"], ["two"]]


def test_files_that_cannot_be_used_are_errors_at_the_start(tmp_path):
    junk = tmp_path / "junk"
    junk.write_text("x")
    for path, message in ((tmp_path / "missing", "No such file"), (junk, "NO_CERTIFICATE")):
        with pytest.raises(OSError, match=rf"ca_chain='{path}' cannot be used: .*{message}"):
            syslog("tls://localhost", ca_chain=str(path)).open()


def test_reload_looks_the_name_up_again(opened, streams, monkeypatch):
    first, second = streams(socket.AF_INET, LOCAL), streams(socket.AF_INET, LOCAL)
    now = [first]
    look_up = socket.getaddrinfo

    def moving(host, port, *args, flags=0, **options):
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        return look_up(*now[0].address, *args, flags=flags, **options)

    monkeypatch.setattr(socket, "getaddrinfo", moving)
    backend = opened("tcp://moving.example:1")
    backend.write([line("one")])
    now[0] = second
    backend.reopen()
    backend.write([line("two")])
    backend.close()
    assert [[words(each) for each in receiver.ended()] for receiver in (first, second)] == [[["one"]], [["two"]]]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_its_own_connection(opened, streams):
    receiver = streams(socket.AF_INET, LOCAL)
    backend = opened(url("tcp", receiver))
    backend.write([line("parent")])
    child = os.fork()
    if child == 0:
        try:
            backend.write([line("child")])
            backend.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    backend.write([line("again")])
    backend.close()
    assert sorted(words(each) for each in receiver.ended()) == [["child"], ["parent", "again"]]
