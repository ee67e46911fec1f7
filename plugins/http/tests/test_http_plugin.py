"""The plugin: against the conformance suite, and in a real service over real sockets."""

import asyncio
import http.client
import json
import logging
import socket
import threading
from functools import partial
from importlib import resources
from pathlib import Path

import anyio.to_thread
import pytest

from mtev_conf import ChangeRefused, Configuration
from mtev_conf.plugin import ConfPlugin
from mtev_eventer.plugin import EventerPlugin
from mtev_http import Response, Rest
from mtev_http._config import read_access, read_settings
from mtev_http.plugin import HttpPlugin
from mtev_kernel import ConfigurationError, Plugin, hookimpl
from mtev_kernel.testing import PluginConformance, inline
from mtev_listener import Listeners
from mtev_listener.plugin import ListenerPlugin
from mtev_stats import Stats

CONFIG = """<example>
  <eventer><config><concurrency>2</concurrency></config></eventer>
  <modules><generic image="greeter" name="greeter"/></modules>
  <listeners address="127.0.0.1">
    <config><acl>public</acl></config>
    <listener type="control_dispatch" port="0" fanout="true"/>
    <listener type="http_rest_api" port="0"/>
    <listener type="http_rest_api" port="0"><config><acl>closed</acl></config></listener>
  </listeners>
  <rest body_limit_bytes="1000" linger_timeout_ms="100">
    <acl listener_acl="^public$">
      <rule type="deny" url="^/secret"/>
      <rule type="allow" ip="127.0.0.0/8"/>
    </acl>
  </rest>
</example>"""


class Greeter(Plugin):
    """What another plugin does with REST."""

    manifest = """
        id = "greeter"
        summary = "greets"
        api = "1.0"
        requires = ["http"]
        implements = ["http_request_log", "http_response_starting"]
    """

    def __init__(self, context):
        super().__init__(context)
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.logged = []
        context.services.publish(Greeter, self)

    def start(self):
        self.rest = self.context.services.require(Rest)
        self.rest.add("GET", "/", r"^hello/(\w+)$", self.hello, summary="greets")
        self.rest.add("GET", "/", "^secret$", self.hello, summary="is secret")
        self.rest.add("POST", "/", "^echo$", self.echo, summary="says it again")
        self.rest.add("PATCH", "/", "^echo$", self.echo, summary="says it again")
        self.rest.add("GET", "/", "^held$", self.held, summary="waits for the test")

    async def hello(self, request):
        return Response(200, f"hello, {request.captures[0]}; {request.peer[0]}; {request.config['acl']}")

    async def echo(self, request):
        return Response(200, await request.body())

    async def held(self, request):
        self.entered.set()
        await anyio.to_thread.run_sync(self.gate.wait)
        return Response(200, "waited")

    @hookimpl
    def http_response_starting(self, response):
        response.headers.set("X-Greeter", "was here")

    @hookimpl
    def http_request_log(self, request, response, sent_bytes):
        self.logged.append((request.method, request.raw_path, response.status, sent_bytes > 0))


class Answer:
    """What a plugin answers with that does not know the http plugin."""

    def __init__(self, status, version, body=b""):
        self.status, self.headers, self.body = status, {"ETag": f'"{version}"'}, body
        self.content_type = "application/xml" if body else None


class Changed(Exception):
    status = 412


class Keeper(Plugin):
    """A plugin with a resource, which works without the http plugin too."""

    manifest = """
        id = "keeper"
        summary = "keeps a document"
        api = "1.0"
        implements = ["mtev_rest_routes"]
    """

    def __init__(self, context):
        super().__init__(context)
        self.version, self.text = 1, b"<app/>"

    @hookimpl(optional=True)
    def mtev_rest_routes(self, rest):
        rest.resource("GET", "/mtev/conf/", "^(.*)$", self.get, summary="shows it")
        rest.resource("PUT", "/mtev/conf/", "^(.*)$", self.put, summary="replaces it", body_limit_bytes=2000)

    def get(self, request, path):
        if path != "app":
            raise LookupError(f"no element '{path}'")
        return Answer(200, self.version, self.text)

    async def put(self, request, path):
        if request.headers.get("If-Match") != f'"{self.version}"':
            raise Changed("it has changed")
        self.text = await request.body()
        self.version += 1
        return Answer(204, self.version)


class FakeListeners(Listeners):
    """Listeners of a service that has none."""


def manifest_of(package):
    return (resources.files(package) / "plugin.toml").read_text()


def plugins(*more):
    return [
        inline(ConfPlugin, manifest_of("mtev_conf")),
        inline(EventerPlugin, manifest_of("mtev_eventer")),
        inline(ListenerPlugin, manifest_of("mtev_listener")),
        inline(HttpPlugin, manifest_of("mtev_http")),
        *more,
    ]


@pytest.fixture
def service(mtev_kernel):
    return lambda config=CONFIG: mtev_kernel(config, plugins=plugins(Greeter))


def ask(running, path, method="GET", body=None, listener=0, headers=None):
    bound = running.service(Listeners).bound[listener]
    connection = http.client.HTTPConnection(bound.address, bound.port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer
    finally:
        connection.close()


@pytest.mark.parametrize("listener", [0, 1], ids=["control_dispatch", "http_rest_api"])
def test_a_service_answers(service, listener):
    running = service()
    assert ask(running, "/hello/ann", listener=listener)[:2] == (200, "hello, ann; 127.0.0.1; public")
    for method in ("POST", "PATCH"):
        assert ask(running, "/echo", method, b"abc", listener)[:2] == (200, "abc")
    assert ask(running, "/echo", "POST", b"x" * 1001, listener)[0] == 413
    assert ask(running, "/hello/ann", "HEAD", listener=listener)[:2] == (200, "")
    assert ask(running, "/hello/ann", "DELETE", listener=listener)[0] == 405
    assert ask(running, "/hello/ann", "OPTIONS", listener=listener)[2].headers["Allow"] == "OPTIONS, GET, HEAD"
    assert ask(running, "/hello/", listener=listener)[0] == 404


def test_a_plugin_without_our_types_has_resources(mtev_kernel):
    config = CONFIG.replace("</modules>", '<generic image="keeper" name="keeper"/></modules>')
    running = mtev_kernel(config, plugins=plugins(Greeter, Keeper))
    status, body, answer = ask(running, "/mtev/conf/app")
    assert (status, body) == (200, "<app/>")
    assert (answer.headers["ETag"], answer.headers["Content-Type"]) == ('"1"', "application/xml")
    status, body, answer = ask(running, "/mtev/conf/app", "HEAD")
    assert (status, body, answer.headers["ETag"], answer.headers["Content-Length"]) == (200, "", '"1"', "6")
    assert ask(running, "/mtev/conf/none")[:2] == (404, '{"error":"no element \'none\'"}\n')
    assert ask(running, "/mtev/conf/app", "PUT", b"<b/>", headers={"If-Match": '"0"'})[:2] == (
        412,
        '{"error":"it has changed"}\n',
    )
    new = b"x" * 2000
    assert ask(running, "/mtev/conf/app", "PUT", new + b"x", headers={"If-Match": '"1"'})[0] == 413
    status, _, answer = ask(running, "/mtev/conf/app", "PUT", new, headers={"If-Match": '"1"'})
    assert (status, answer.headers["ETag"]) == (204, '"2"')
    assert ask(running, "/mtev/conf/app")[1] == new.decode()
    assert ask(running, "/mtev/conf/app", "DELETE")[0] == 405


def test_many_requests_on_many_connections_and_loops(service):
    running = service()
    bound = running.service(Listeners).bound[0]
    for _ in range(8):
        connection = http.client.HTTPConnection(bound.address, bound.port, timeout=30)
        for name in ("ann", "bob", "cid"):
            connection.request("GET", f"/hello/{name}")
            assert connection.getresponse().read().startswith(f"hello, {name}".encode())
        connection.close()


def test_access_control_is_in_force_and_the_log_has_the_rule(service, caplog):
    running = service()
    status, body, _ = ask(running, "/secret")
    assert (status, body) == (403, '{"error":"denied"}\n')
    assert "GET /secret from ('127.0.0.1', " in caplog.text
    assert "denied by <rule> (" in caplog.text
    assert "service.conf:12)" in caplog.text
    assert ask(running, "/hello/ann", listener=2)[0] == 403
    assert "denied: no <acl> applies" in caplog.text


def test_hooks_of_other_plugins_take_part(service):
    running = service()
    greeter = running.service(Greeter)
    assert ask(running, "/hello/ann")[2].headers["X-Greeter"] == "was here"
    assert ask(running, "/no/such")[2].headers["X-Greeter"] == "was here"
    assert running.stop() == 0
    assert greeter.logged == [("GET", "/hello/ann", 200, True), ("GET", "/no/such", 404, True)]


def test_every_plugin_shows_its_state(service):
    plugins = {each["name"]: each for each in json.loads(ask(service(), "/mtev/plugins.json")[1])}
    assert plugins["listener"]["state"] == "running"
    assert plugins["http"]["seconds"].keys() >= {"load", "configure", "start"}
    assert {"plugin", "distribution", "version", "origin", "status", "api", "cause", "where"} <= plugins["http"].keys()


def test_plugins_below_offer_their_views(service):
    running = service()
    capabilities = json.loads(ask(running, "/capa.json")[1])
    (dispatched,) = capabilities["services"].values()
    names = {command["name"] for command in dispatched["commands"].values()}
    assert "mtev_wire_rest_api" in names
    assert ask(running, "/eventer/sockets.json")[0] == 200


def test_a_malformed_request_is_one_line_and_closed(service, caplog):
    running = service()
    bound = running.service(Listeners).bound[1]
    with socket.create_connection((bound.address, bound.port), timeout=30) as client:
        client.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
        answer = b"".join(iter(partial(client.recv, 65536), b""))
    assert b" 400 " in answer.partition(b"\r\n")[0]
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(records) == 1
    assert records[0].exc_info is None
    assert records[0].getMessage().startswith("malformed request from 127.0.0.1:")


def test_stopping_closes_idle_connections_and_finishes_requests_under_way(service):
    running = service()
    bound = running.service(Listeners).bound[0]
    greeter = running.service(Greeter)
    with (
        socket.create_connection((bound.address, bound.port), timeout=30) as idle,
        socket.create_connection((bound.address, bound.port), timeout=30) as busy,
    ):
        idle.sendall(b"GET /hello/ann HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")
        busy.sendall(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        assert greeter.entered.wait(30)
        running.kernel.request_stop("the test says so")
        assert idle.recv(65536) == b""
        greeter.gate.set()
        answer = b"".join(iter(partial(busy.recv, 65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()
    assert answer.endswith(b"waited")
    assert running.wait() == 0


def test_a_malformed_acl_stops_the_start_and_says_where(mtev_kernel):
    config = CONFIG.replace('url="^/secret"', 'url="("')
    kernel = mtev_kernel.kernel(config, plugins=plugins(Greeter))
    problems = [each.message for each in asyncio.run(kernel.check()) if each.severity == "error"]
    assert any("service.conf:12: <rule>: url='(' is not a regular expression" in each for each in problems)


def test_a_service_without_rest_is_told_that_it_denies_everything(service, caplog):
    start = CONFIG[: CONFIG.index("<rest")] + "</example>"
    running = service(start)
    assert "has no <rest>: every route that asks access control is denied" in caplog.text
    assert ask(running, "/hello/ann")[0] == 403


def test_access_control_is_read_again_on_reload(service, caplog):
    running = service()
    assert ask(running, "/secret")[0] == 403

    def reload(text):
        Path(running.kernel.document.path).write_text(text)
        running.kernel.reload().result(30)

    reload(CONFIG.replace('type="deny" url="^/secret"', 'type="allow" url="^/secret"'))
    assert ask(running, "/secret")[0] == 500  # the handler runs, and has no capture
    with pytest.raises(ChangeRefused, match="is not a regular expression"):
        reload(CONFIG.replace('url="^/secret"', 'url="("').replace('"1000"', '"2000"'))
    assert ask(running, "/secret")[0] == 500
    reload(CONFIG.replace('"1000"', '"2000"'))
    assert "changed: in force once the service is restarted" in caplog.text
    assert ask(running, "/secret")[0] == 403


def context_of(make_context, document, **config):
    return make_context(
        "http",
        config=config,
        services={
            Configuration: Configuration.parse(document, "app.conf", {}),
            Listeners: FakeListeners(),
            Stats: Stats(),
        },
    )


def test_the_console_shows_the_routes(make_context):
    context = context_of(make_context, "<app><rest/></app>")
    plugin = HttpPlugin(context)

    class Console:
        def command(self, words, function, *, summary):
            self.words, self.function = words, function

    console = Console()
    plugin.mtev_console_commands(console)
    rest = context.services.require(Rest)
    rest.view("/eventer/", r"^sockets\.json$", manifest_of, summary="the sockets")
    rest.add("PUT", "/", "^x$", Greeter.hello, summary="an x", auth=False)
    assert console.words == "show rest"
    lines = list(console.function([]))
    assert lines[0] == r"GET [/mtev/] ^plugins\.json$"
    first = lines.index(r"GET [/eventer/] ^sockets\.json$")
    assert lines[first : first + 4] == [
        r"GET [/eventer/] ^sockets\.json$",
        f"\tHANDLER: {__name__}.manifest_of",
        "\tAUTH: acl",
        "\tSUMMARY: the sockets",
    ]
    assert lines[first + 4] == "PUT [/] ^x$"
    assert lines[first + 6] == "\tAUTH: none"
    with pytest.raises(ValueError):
        console.function(["me"])


def test_routes_of_other_plugins_are_asked_for_at_start(make_context):
    context = context_of(make_context, "<app><rest/></app>")
    plugin = HttpPlugin(context)
    plugin.configure()
    rest = context.services.require(Rest)
    own = len(rest.routes)

    class Other:
        @hookimpl
        def mtev_rest_routes(self, rest):
            rest.view("/other/", "^x$", lambda query: {}, summary="x")

    context.hook_registry.attach("other", "other 1", Other())
    plugin.start()
    assert [route.place for route in rest.routes[own:]] == ["/other/(^x$)"]


def test_options_in_the_wrong_place_are_refused(make_context):
    with pytest.raises(ConfigurationError, match=r"test\.conf:1: .* has its options in <rest>.* body_limit"):
        HttpPlugin(context_of(make_context, "<app/>", body_limit="1")).configure()


def test_the_sample_is_a_configuration_that_this_plugin_accepts():
    sample = (resources.files("mtev_http") / "sample.xml").read_text()
    configuration = Configuration.parse(f"<app>{sample}</app>", "app.conf", {})
    assert read_settings(configuration) == read_settings(Configuration.parse("<app/>", "app.conf", {}))
    assert len(read_access(configuration).lists) == 2


class TestConformance(PluginConformance):
    manifest = manifest_of("mtev_http")
    factory = HttpPlugin
    config = CONFIG.replace('<modules><generic image="greeter" name="greeter"/></modules>', "")

    @pytest.fixture(autouse=True)
    def _others(self, mtev_kernel, monkeypatch):
        """The plugins that this one requires, without having them installed."""
        original = mtev_kernel.kernel

        def kernel(config=None, *, plugins=(), **options):
            return original(config, plugins=[*globals()["plugins"]()[:3], *plugins], **options)

        monkeypatch.setattr(mtev_kernel, "kernel", kernel)
