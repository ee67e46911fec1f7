"""The plugin in a real service, over real sockets."""

import asyncio
import http.client
import json
import socket
import threading
from contextlib import closing

import pytest

from mtev_http import Response, Rest, Stream, WebSocket
from mtev_http_observer import HttpObserver, note
from mtev_kernel import Plugin, hookimpl, hookspec
from mtev_kernel.testing import NotReady, PluginConformance, inline
from mtev_listener import Listeners

CONFIG = """<app>
  <modules>
    <generic image="http_observer" name="http_observer"><config>{options}</config></generic>
    <generic image="teller" name="teller"/>
  </modules>
  <listeners address="127.0.0.1"><listener type="http_rest_api" port="0"/></listeners>
  <rest linger_timeout_ms="50"><acl><rule type="deny" url="secret"/><rule type="allow"/></acl></rest>
</app>"""
OPTIONS = "<header_in_x-in>in</header_in_x-in><header_out_x-out>out</header_out_x-out>"
PATH = "/module/http_observer/requests.json"


class TestConformance(PluginConformance):
    """The rules that every plugin keeps."""

    plugin = "http_observer"
    config = CONFIG.replace('<generic image="teller" name="teller"/>', "").replace("{options}", OPTIONS)


class Console:
    """The hook of mtev-telnet, as far as this plugin uses it."""

    @hookspec
    def mtev_console_commands(console: object) -> object: ...


class Teller(Plugin):
    """Somebody else's plugin: routes whose requests last as long as the test wants; and it stands for the console."""

    manifest = """
        id = "teller"
        summary = "tells"
        api = "1.0"
        requires = ["http"]
        hooks = ["mtev_console_commands"]
        implements = ["http_request_log"]
    """

    def __init__(self, context):
        super().__init__(context)
        context.hooks.declare(Console)
        context.services.publish(Teller, self)
        self.commands = {}
        self.entered, self.gate, self.logged = threading.Event(), threading.Event(), threading.Semaphore(0)

    def start(self):
        rest = self.context.services.require(Rest)
        rest.add("POST", "/", r"^told/(\d+)$", self.told, summary="tells", name="tell")
        rest.add("GET", "/", "^held$", self.held, summary="waits")
        rest.add("GET", "/", "^secret$", self.held, summary="is denied")
        rest.add("GET", "/", "^pieces$", self.pieces, summary="in pieces")
        rest.websocket("/", "^socket$", self.socket, summary="a websocket")
        self.context.hooks.site(Console.mtev_console_commands).call(self)

    def command(self, words, function, **more):
        self.commands[words] = function

    @hookimpl(after=["http_observer"])
    def http_request_log(self):
        self.logged.release()

    async def told(self, request):
        await request.body()
        note(request, "told", request.captures[0])
        return Response(201, "told", headers={"X-Out": "o"})

    async def wait(self):
        self.entered.set()
        await asyncio.to_thread(self.gate.wait)

    async def held(self, request):
        await self.wait()
        return Response(200, "held")

    async def pieces(self, request):
        async def pieces():
            yield b"12345"
            await self.wait()
            yield b"678"

        return Response(200, Stream(pieces()))

    async def socket(self, socket: WebSocket):
        await self.wait()


@pytest.fixture
def service(mtev_kernel):
    return lambda options=OPTIONS: mtev_kernel(
        CONFIG.replace("{options}", options), plugins=[inline(Teller, Teller.manifest)]
    )


def connect(running):
    bound = running.service(Listeners).bound[0]
    return http.client.HTTPConnection(bound.address, bound.port, timeout=30)


def ask(running, path, method="GET", body=None, headers=None):
    with closing(connect(running)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def shown(running, query=""):
    """What requests.json shows, but for the requests for it."""
    status, text = ask(running, PATH + query)
    assert status == 200
    rows = json.loads(text)
    assert text == "[" + ",".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in rows) + (
        "]\n"
    )
    return [row for row in rows if row["uri"] != PATH]


def answered(running):
    """Wait until the hooks have seen the end of a response, which its client may see before."""
    assert running.service(Teller).logged.acquire(timeout=30)


def test_an_answered_request_is_shown_with_its_phases(service):
    running = service()
    ask(running, "/told/7?a=b", "POST", b"12345", {"X-In": "i", "Host": "a.example"})
    answered(running)
    (row,) = shown(running)
    assert {
        "received_bytes": 5,
        "remote_address": "127.0.0.1",
        "uri": "/told/7",
        "querystring": "a=b",
        "method": "POST",
        "protocol": "HTTP/1.1",
        "host": "a.example",
        "status": "201",
        "in": "i",
        "out": "o",
        "route": "tell",
        "state": "done",
        "told": "7",
    }.items() <= row.items()
    offsets = [value for name, value in row.items() if name.endswith("_offset_ns")]
    assert len(offsets) == 5
    assert offsets == sorted(offsets)
    assert row["sent_bytes"] > 4


def test_what_was_never_routed_or_is_denied_is_shown_too(service):
    running = service()
    assert ask(running, "/none")[0] == 404
    assert ask(running, "/held", "DELETE")[0] == 405
    assert ask(running, "/secret")[0] == 403
    for _ in range(3):
        answered(running)
    assert [(row["status"], row.get("route")) for row in shown(running)] == [
        ("404", None),
        ("405", None),
        ("403", "/(^secret$)"),
    ]


def test_a_request_under_way_is_shown_with_its_route_and_first(service):
    running = service()
    teller = running.service(Teller)
    ask(running, "/none")
    answered(running)
    with closing(connect(running)) as connection:
        connection.request("GET", "/held")
        assert teller.entered.wait(30)
        held, missed = shown(running)
        assert (held["route"], held["state"], "status" in held) == ("/(^held$)", "live", False)
        assert missed["state"] == "done"
        teller.gate.set()
        assert connection.getresponse().read() == b"held"


def test_a_stream_under_way_says_how_far_it_is(service):
    running = service()
    teller = running.service(Teller)
    with closing(connect(running)) as connection:
        connection.request("GET", "/pieces")
        assert teller.entered.wait(30)
        (row,) = shown(running)
        assert (row["state"], row["status"], row["sent_bytes"]) == ("live", "200", 5)
        teller.gate.set()
        assert connection.getresponse().read() == b"12345678"
    answered(running)
    for row in shown(running, "?eq_uri=/pieces"):
        assert row["sent_bytes"] > 8


def test_a_client_that_leaves_is_gone(service):
    running = service()
    teller = running.service(Teller)
    bound = running.service(Listeners).bound[0]
    with socket.create_connection((bound.address, bound.port), timeout=30) as client:
        client.sendall(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        assert teller.entered.wait(30)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # RST
    teller.gate.set()
    while [row["state"] for row in shown(running)] == ["live"]:
        pass
    (row,) = shown(running)
    assert row["state"] == "gone"


def test_a_websocket_is_live_until_it_ends(service):
    running = service()
    teller = running.service(Teller)
    bound = running.service(Listeners).bound[0]
    with socket.create_connection((bound.address, bound.port), timeout=30) as client:
        client.sendall(
            b"GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\n\r\n"
        )
        assert teller.entered.wait(30)
        (row,) = shown(running)
        assert (row["state"], row["status"], row["route"]) == ("live", "101", "/(^socket$)")
        teller.gate.set()
        while client.recv(4096):
            pass
    answered(running)


def test_filters_choose_and_bad_ones_are_refused(service):
    running = service()
    for number in (1, 2, 30):
        ask(running, f"/told/{number}", "POST", b"")
        answered(running)
    assert [row["told"] for row in shown(running, r"?re_uri=^/told/\d$&eq_status=201")] == ["1", "2"]
    assert shown(running, "?eq_none=") == []
    assert ask(running, PATH + "?eq_uri=/nowhere") == (200, "[]\n")
    assert ask(running, PATH + "?re_uri=(") == (
        400,
        '{"error":"\'(\' is not a regular expression: missing ), unterminated subpattern at position 0"}\n',
    )
    assert ask(running, PATH + "?re_uri=(a%2B)%2B")[0] == 400
    assert ask(running, PATH + "?" + "&".join(["eq_a=b"] * 17))[0] == 400


def test_access_control_guards_it(mtev_kernel):
    config = CONFIG.replace('url="secret"', 'url="^/module/"').replace("{options}", "")
    running = mtev_kernel(config, plugins=[inline(Teller, Teller.manifest)])
    assert ask(running, PATH) == (403, '{"error":"denied"}\n')


def test_the_console_shows_them(service):
    running = service()
    show = running.service(Teller).commands["show http requests"]
    ask(running, "/told/1?x=%1b", "POST", b"")
    ask(running, "/none")
    for _ in range(2):
        answered(running)
    told, missed = list(show([]))
    assert "done 201" in told
    assert told.endswith("POST /told/1?x=%1b")
    assert list(show(["status~^4"])) == [missed]
    with pytest.raises(ValueError, match="expected FIELD=TEXT or FIELD~EXPRESSION"):
        list(show(["none"]))
    for _ in range(210):
        ask(running, "/none")
        answered(running)
    lines = list(show([]))
    assert (len(lines), lines[-1]) == (201, "... and 12 more; a filter says which")


def test_many_are_shown_in_one_array(service):
    running = service("<max_count>150</max_count>")
    for _ in range(160):
        ask(running, "/none")
        answered(running)
    assert len(shown(running)) == 150
    assert running.service(HttpObserver).settings.max_count == 150


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("<header_in_cookie>c</header_in_cookie>", "'cookie' carries secrets"),
        ("<max_counts>1</max_counts>", "<max_counts> is not known"),
    ],
)
def test_a_wrong_option_stops_the_start(service, options, message):
    with pytest.raises(NotReady, match=message):
        service(options)
