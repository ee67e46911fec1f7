"""The access log: its format, and that no request can forge it."""

import asyncio
import logging
import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http import Request, Response, Rest
from mtev_http._access_log import NOWHERE, Entry, write, write_forensic
from mtev_http._acl import AccessList, AccessLists, Conditions
from mtev_http._dispatch import RestDispatcher, Sites
from mtev_http._router import Router
from mtev_kernel import ABORT, CONTINUE

COLUMNS = re.compile(
    r'(\S+) - (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] "(\S+) (\S+) (HTTP/1\.[01])" (\d{3}) (\d+|-) '
    r'"([^"]*)" "([^"]*)"'
)


@dataclass
class Link:
    """A connection from somewhere."""

    peer: object
    local = None
    config = {}
    remote_cn = ""
    tls = None


@dataclass
class Stream:
    material: bool = True
    lines: list = field(default_factory=list)

    def log_later(self, line, /):
        self.lines.append((str(line), line.fields()))


def asked(target="/hello?x=1", method="GET", headers=(), user="", peer=("192.0.2.1", 4711)):
    request = Request(method, target, "1.1", list(headers), Link(peer))
    request.user = user
    return request


def entry(request, response, sent_bytes=150, latency_s=0.25) -> Entry:
    kept = []

    class Keep:
        material = True
        log_later = staticmethod(kept.append)

    write(Keep, request, response, sent_bytes, latency_s)
    return kept[0]._replace(received_s=1_700_000_000.9)


def text(request, sent_bytes=150):
    return str(entry(request, Response(200, b"hello\n"), sent_bytes))


def fields(request, response, sent_bytes=150, latency_s=0.25):
    return entry(request, response, sent_bytes, latency_s).fields()


def test_a_line_is_in_combined_log_format():
    headers = [(b"Referer", b"http://x/"), (b"User-Agent", b"curl/8.5.0"), (b"Authorization", b"Basic c2VjcmV0")]
    assert text(asked(headers=headers, user="ann")) == (
        '192.0.2.1 - ann [14/Nov/2023:22:13:20 +0000] "GET /hello?x=1 HTTP/1.1" 200 6 "http://x/" "curl/8.5.0"'
    )


@pytest.mark.parametrize(("method", "sent_bytes", "size"), [("GET", 150, "6"), ("HEAD", 150, "-"), ("GET", 0, "-")])
def test_the_size_is_that_of_the_body_that_was_sent(method, sent_bytes, size):
    assert COLUMNS.fullmatch(text(asked(method=method), sent_bytes=sent_bytes))[8] == size


@pytest.mark.parametrize(
    ("peer", "address"), [(("::1", 80), "::1"), ("/run/a b.sock", r"/run/a\x20b.sock"), (None, "-"), ("", "-")]
)
def test_peers_of_every_kind(peer, address):
    assert text(asked(peer=peer)).startswith(f"{address} - - [")


def test_what_could_forge_a_line_is_escaped():
    headers = [(b"User-Agent", b'"\r\n1.2.3.4 \\ \xff'), (b"Referer", b"\x1b[31m")]
    line = text(asked('/a"b\udcff\u00e9', headers=headers, user='x "y"'))
    assert line.startswith(r"192.0.2.1 - x\x20\x22y\x22 [")
    assert r'"GET /a\x22b\xff\xc3\xa9 HTTP/1.1"' in line
    assert line.endswith(r' "\x1b[31m" "\x22\x0d\x0a1.2.3.4 \x5c \xff"')


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(min_size=1).map(lambda each: each.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")),
    st.binary(),
    st.binary(),
)
def test_a_line_has_its_columns_whatever_is_sent(user, target, referer, agent):
    request = asked(target, headers=[(b"Referer", referer), (b"User-Agent", agent)], user=user)
    line = text(request)
    assert line.isascii()
    assert line.isprintable()
    assert COLUMNS.fullmatch(line)
    for value in fields(request, Response(), 0, 0.1).values():
        str(value).encode()


def test_the_fields_are_libmtevs():
    request = asked("/a%20b?x=%201&y", user="ann")
    assert fields(request, Response(404, b"none"), 150, 0.25) == {
        "ip": "192.0.2.1",
        "user": "ann",
        "method": "GET",
        "protocol": "HTTP/1.1",
        "uri": "/a b",
        "querystring": "x=%201&y",
        "status": 404,
        "latency": 0.25,
        "bytes_written": 150,
        "bytes_read": 0,
        "request_id": request.id,
    }


def test_a_target_that_cannot_be_decoded_is_shown_as_it_is():
    told = fields(asked("/%zz\udcff"), Response(400), 0, 0.1)
    assert (told["uri"], told["querystring"]) == (r"/%zz\xff", "")


def test_what_is_logged_before_anything_is_done_has_no_outcome():
    stream = Stream()
    write_forensic(stream, asked("/a%20b?x", user="ann"))
    ((line, told),) = stream.lines
    assert re.fullmatch(r'192\.0\.2\.1 - ann \[.*\] "GET /a%20b\?x HTTP/1\.1"', line)
    assert set(told) == {"ip", "user", "method", "protocol", "uri", "querystring", "request_id"}


@pytest.fixture
def service():
    log = logging.getLogger("test.http")
    router = Router()
    dispatcher = RestDispatcher(router, Sites.idle(), log)
    dispatcher.access = AccessLists((AccessList(Conditions(), True, "app.conf:2"),))
    Rest(router, log).add("GET", "/", "^hello$", lambda request: Response(200, "hello"), summary="says hello")
    return dispatcher


def answer(service, request):
    response = asyncio.run(service.respond(request))
    service.completed(request, response, 100)


def test_each_request_is_a_line(service):
    service.access_log = stream = Stream()
    for target in ("/hello", "/none", "/%zz"):
        answer(service, asked(target))
    assert [told["status"] for _, told in stream.lines] == [200, 404, 400]
    assert all(COLUMNS.fullmatch(line) for line, _ in stream.lines)
    assert all(told["latency"] >= 0 for _, told in stream.lines)


def test_nobody_is_told_while_the_stream_leads_nowhere(service):
    answer(service, asked())
    assert not NOWHERE.material
    service.access_log = stream = Stream(material=False)
    answer(service, asked())
    assert stream.lines == []


@pytest.mark.parametrize(("outcome", "lines"), [(CONTINUE, 1), (None, 1), (ABORT, 0)])
def test_a_hook_can_keep_a_line_out(service, outcome, lines):
    told = []
    service._sites.request_log.call = lambda *words: (told.append(words), outcome)[1]
    service.access_log = stream = Stream()
    answer(service, asked("/hello"))
    assert (len(told), len(stream.lines)) == (1, lines)
