"""The PROXY protocol: the codec by properties, and listeners behind proxies."""

import asyncio
import contextlib
import ipaddress
import itertools
import queue
import socket
import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from mtev_listener._address import TcpAddress
from mtev_listener._settings import ListenerSettings, parse_networks
from mtev_listener.proxy import ProxyError, ProxyHeader, ProxyReader, crc32c, encode_v1, encode_v2
from mtev_listener.testing import ListenerHarness
from mtev_tls import TlsSettings
from mtev_tls.testing import own

ports = st.integers(0, 65535)
v4 = st.tuples(st.ip_addresses(v=4).map(str), ports)
v6 = st.tuples(st.ip_addresses(v=6).map(str), ports)
paths = st.from_regex(r"/[a-z0-9/._-]{1,90}", fullmatch=True)
ends = st.tuples(v4, v4) | st.tuples(v6, v6)
pieces = st.lists(st.integers(1, 9), min_size=1, max_size=9)
tlvs = st.dictionaries(st.integers(0, 255).filter(lambda kind: kind != 3), st.binary(max_size=40), max_size=4)


def read(data, version="any", cuts=None):
    """The header and what is left, reading no more than the reader wants, in pieces of some size."""
    reader = ProxyReader(version)
    at = 0
    while at < len(data):
        size = min(reader.wanted, len(data) - at)
        if cuts is not None:
            size = max(1, min(size, next(cuts)))
        assert size > 0
        header = reader.feed(data[at : at + size])
        at += size
        if header is not None:
            return header, data[at:]
    return None, b""


@given(ends, st.binary(max_size=20), pieces)
def test_version_1_comes_back_however_it_is_cut_and_takes_nothing_else(pair, rest, cuts):
    header, left = read(encode_v1(*pair) + rest, "v1", itertools.cycle(cuts))
    assert header == ProxyHeader(*pair)
    assert left == rest


@given(ends | st.tuples(paths, paths), tlvs, st.binary(max_size=20), pieces)
def test_version_2_comes_back_however_it_is_cut_and_takes_nothing_else(pair, facts, rest, cuts):
    header, left = read(encode_v2(*pair, facts) + rest, "v2", itertools.cycle(cuts))
    assert (header.source, header.destination) == pair
    assert {kind: value for kind, value in header.tlvs.items() if kind != 3} == facts
    assert left == rest


def test_a_proxy_may_speak_for_itself():
    assert read(encode_v1(None, None))[0] == ProxyHeader()
    assert read(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n")[0] == ProxyHeader()
    assert read(encode_v2(None, None))[0].source is None
    assert read(encode_v1(("127.0.0.1", 1), ("::1", 2)))[0] == ProxyHeader()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
        b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        b"PROXY " + b"x" * 120,
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x22\x11\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c" + b"x" * 12,
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0e" + b"x" * 14,
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f" + b"x" * 12 + b"\x01\0\x01",
    ],
)
def test_anything_else_is_refused(data):
    with pytest.raises(ProxyError) as failure:
        read(data)
    assert str(failure.value)


@given(ends, st.integers(0, 27), st.integers(1, 255))
def test_a_checksum_that_does_not_fit_is_noticed(pair, at, flip):
    data = bytearray(encode_v2(*pair))
    data[16 + at % (len(data) - 16 - 7)] ^= flip
    with pytest.raises(ProxyError, match="checksum"):
        read(bytes(data))


def test_the_checksum_is_the_one_of_castagnoli():
    assert crc32c(b"123456789") == 0xE3069283


@given(st.binary(max_size=200), st.sampled_from(["v1", "v2", "any"]))
def test_whatever_comes_is_a_header_or_an_error_or_not_yet_whole(data, version):
    try:
        header, _ = read(data, version)
    except ProxyError:
        return
    assert header is None or isinstance(header, ProxyHeader)


@pytest.mark.parametrize(("version", "other"), [("v1", encode_v2), ("v2", encode_v1)])
def test_the_other_version_is_refused_where_only_one_is_allowed(version, other):
    with pytest.raises(ProxyError):
        read(other(("127.0.0.1", 1), ("127.0.0.1", 2)), version)


# On listeners


class Tell(asyncio.Protocol):
    """Says who is there, and then repeats."""

    def __init__(self, connection, seen):
        seen.put(connection)
        self.connection = connection

    def connection_made(self, transport):
        self.transport = transport
        transport.write(f"{self.connection.peer} through {self.connection.proxy}\n".encode())

    def data_received(self, data):
        self.transport.write(data)


@pytest.fixture(params=["uvloop", "asyncio"])
def behind(request):
    harnesses = []

    def start(*, tls=None, client=None, version="any", proxy_from="127.0.0.0/8", **settings):
        seen = queue.Queue()
        harness = ListenerHarness(
            lambda connection: Tell(connection, seen),
            ListenerSettings(
                "tell", TcpAddress("127.0.0.1", 0), "app.conf:7", proxy_protocol=version,
                proxy_from=parse_networks(proxy_from), tls=tls, **settings,
            ),
            implementation=request.param,
            tls=client,
        )  # fmt: skip
        harnesses.append(harness)
        return harness.__enter__()

    yield start
    for harness in harnesses:
        harness.__exit__(None, None, None)


def connect(harness):
    return socket.create_connection((harness.bound.address, harness.bound.port), timeout=10)


def line(client):
    received = b""
    while not received.endswith(b"\n"):
        data = client.recv(1)
        assert data, f"the connection ended after {received!r}"
        received += data
    return received.decode().strip()


ALICE = ("192.0.2.7", 4711)


@pytest.mark.parametrize("encode", [encode_v1, encode_v2])
def test_the_peer_is_the_one_behind_the_proxy(behind, encode):
    harness = behind()
    with connect(harness) as client:
        client.sendall(encode(ALICE, ("192.0.2.1", 80)) + b"hello\n")
        assert line(client) == f"{ALICE} through {client.getsockname()}"
        assert line(client) == "hello"
        (described,) = [each for each in harness.eventer.sockets.describe() if "remote" in each]
        assert described["remote"] == {"address": "192.0.2.7", "port": 4711}
    assert harness.wait_until_empty()
    assert harness.complaints == []


def test_a_header_may_drip_in(behind):
    harness = behind(version="v1")
    with connect(harness) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in encode_v1(ALICE, ("192.0.2.1", 80)):
            client.sendall(bytes([byte]))
        assert line(client).startswith(str(ALICE))


def test_a_proxy_that_speaks_for_itself_is_the_peer(behind):
    with connect(behind()) as client:
        client.sendall(encode_v2(None, None))
        assert line(client) == f"{client.getsockname()} through None"


def test_tls_comes_after_the_header(behind):
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    harness = behind(tls=TlsSettings(**own(authority.issue_cert("localhost"))))
    for encode in (encode_v1, encode_v2):
        with connect(harness) as plain:
            plain.sendall(encode(ALICE, ("192.0.2.1", 443)))
            with context.wrap_socket(plain, server_hostname="localhost") as client:
                assert line(client).startswith(str(ALICE))


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"", b"PROXY TCP4 1.2.3.4"])
def test_whoever_says_it_badly_or_not_at_all_is_cut_off(behind, sent, caplog):
    harness = behind(handshake_timeout_s=0.3)
    with connect(harness) as client:
        address = client.getsockname()
        client.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert harness.wait_until_empty()
    assert harness.complaints == []
    assert f"app.conf:7: refused {address[0]}:{address[1]}: " in caplog.text
    assert harness.listeners.describe()[0]["proxy_failures"] == 1


def test_strangers_may_not_say_it(behind):
    harness = behind(proxy_from="192.0.2.0/24")
    with connect(harness) as client:
        client.sendall(encode_v1(ALICE, ("192.0.2.1", 80)))
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert harness.wait_until_empty()


def test_the_limit_per_peer_counts_those_behind_the_proxy(behind, caplog):
    harness = behind(max_connections_per_peer=2)
    clients = []
    for number in range(3):  # more than two from the proxy itself, for each has its own peer behind it
        client = connect(harness)
        clients.append(client)
        client.sendall(encode_v1((f"192.0.2.{number}", 1), ("192.0.2.200", 80)))
        line(client)
    for expected in ("answered", "refused"):
        client = connect(harness)
        clients.append(client)
        client.sendall(encode_v1(("192.0.2.0", 2), ("192.0.2.200", 80)))
        if expected == "answered":
            line(client)
        else:
            assert client.recv(1) == b""
    assert "192.0.2.0 has 2 connections, the limit (max_connections_per_peer)" in caplog.text
    for client in clients:
        client.close()
    assert harness.wait_until_empty()
    assert harness.listeners._groups[0].population._peers == {}


@pytest.mark.parametrize("text", ["", "x", "10.0.0.1/8", "10.0.0.0/8,,"])
def test_networks_that_are_none(text):
    with pytest.raises(ValueError, match="write addresses or networks"):
        parse_networks(text)


def test_networks():
    assert parse_networks("10.0.0.0/8, ::1") == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))
    assert [str(each) for each in parse_networks("any")] == ["0.0.0.0/0", "::/0"]
