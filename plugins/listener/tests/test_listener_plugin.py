"""The plugin in a real service: what it offers, what it complains about, and how it comes and goes."""

import asyncio
import json
import socket
import threading
import xml.etree.ElementTree as ElementTree
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from mtev_conf import Configuration
from mtev_conf.plugin import ConfPlugin
from mtev_eventer.plugin import EventerPlugin
from mtev_kernel import ConfigurationError, ExitCode, Plugin, hookspec
from mtev_kernel.lifecycle import RetryPolicy
from mtev_kernel.records import Options
from mtev_kernel.testing import KernelStarter, NotReady, PluginConformance, inline
from mtev_listener import Listeners
from mtev_listener._settings import ATTRIBUTES, CONFIG_KEYS, read_listeners
from mtev_listener.plugin import ListenerPlugin
from mtev_stats.plugin import StatsPlugin
from mtev_tls.plugin import TlsPlugin

LISTENERS = """<listeners>
  <listener type="control_dispatch" port="0"/>
  <listener type="echo" port="0"/>
</listeners>"""


def manifest_of(package):
    return (resources.files(package) / "plugin.toml").read_text()


class Echo(asyncio.Protocol):
    def __init__(self, connection): ...

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Specs:
    @hookspec
    def mtev_rest_routes(rest):
        """What mtev-http declares."""

    @hookspec
    def mtev_console_commands(console):
        """What mtev-telnet declares."""


class Above(Plugin):
    """Stands for the plugins above: speaks a protocol, and asks for routes and commands."""

    manifest = """
        id = "above"
        summary = "for a test"
        api = "1.0"
        requires = ["listener"]
        hooks = ["mtev_rest_routes", "mtev_console_commands"]
    """

    def __init__(self, context):
        super().__init__(context)
        context.hooks.declare(Specs)
        self.views = {}
        self.commands = {}

    def configure(self):
        listeners = self.context.services.require(Listeners)
        listeners.register_type("echo", Echo, summary="says it again")
        listeners.capabilities.application_version = "3.2.1"
        listeners.capabilities.add_feature("echo", "1")

    def start(self):
        self.context.hooks.site(Specs.mtev_rest_routes).call(self)
        self.context.hooks.site(Specs.mtev_console_commands).call(self)
        self.context.services.publish(Above, self)

    def view(self, base, expression, function, *, summary):
        self.views[base + expression] = function

    def command(self, words, function, *, summary, usage=""):
        self.commands[words] = function


BELOW = (
    inline(ConfPlugin, manifest_of("mtev_conf")),
    inline(StatsPlugin, manifest_of("mtev_stats")),
    inline(EventerPlugin, manifest_of("mtev_eventer")),
    inline(TlsPlugin, manifest_of("mtev_tls")),
)
LISTENER = inline(ListenerPlugin, manifest_of("mtev_listener"), distribution="mtev-listener 0.1.0")


def document(listeners=LISTENERS, on_error="fail"):
    return f'<app><modules on-error="{on_error}"><generic image="above" name="above"/></modules>\n{listeners}\n</app>'


@pytest.fixture
def service(mtev_kernel):
    def start(listeners=LISTENERS, on_error="fail", **options):
        plugins = [*BELOW, LISTENER, inline(Above)]
        return mtev_kernel(document(listeners, on_error), plugins=plugins, installed=(), **options)

    return start


def connect(bound):
    return socket.create_connection((bound.address, bound.port), timeout=20)


def read_all(client):
    received = b""
    while data := client.recv(65536):
        received += data
    return received


def test_a_service_listens_where_its_configuration_says(service):
    running = service()
    dispatch, echo = running.service(Listeners).bound
    assert (dispatch.type, echo.type) == ("control_dispatch", "echo")
    assert dispatch.where.endswith(".conf:3")
    assert dispatch.pool == "default"
    with connect(echo) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        assert running.service(Listeners).connections == {dispatch: 0, echo: 1}


def test_stopping_ends_connections_and_frees_the_port(service):
    running = service()
    echo = running.service(Listeners).bound[1]
    with connect(echo) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        assert running.stop() == ExitCode.OK
        assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(echo)


def test_capabilities_as_json(service):
    running = service()
    above = running.service(Above)
    document = json.loads(json.dumps(above.views[r"/^capa\.json$"]({})))
    assert document["version"] == "3.2.1"
    try:
        assert document["mtev_version"] == version("mtev-kernel")
    except PackageNotFoundError:  # run from the source tree
        assert document["mtev_version"] == "unknown"
    assert document["features"] == {"echo": {"version": "1"}}
    assert document["modules"]["listener"] == {"type": "generic"}
    (service_of,) = document["services"].values()
    assert service_of["commands"]["0x43415041"] == {"name": "capabilities_transit", "version": "1.0"}


def test_capabilities_over_the_wire(service):
    running = service()
    with connect(running.service(Listeners).bound[0]) as client:
        client.sendall(b"CAPA / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = read_all(client)
    root = ElementTree.fromstring(answer)
    assert root.findtext("version") == "3.2.1"
    assert root.find("services/service[@connected='true']").get("name") == "control_dispatch"


def test_show_listeners(service):
    running = service()
    command = running.service(Above).commands["show listeners"]
    echo = running.service(Listeners).bound[1]
    with connect(echo) as client:
        client.sendall(b"?")
        client.recv(1)
        lines = list(command([]))
    assert len(lines) == 2
    assert lines[1].startswith(f"127.0.0.1:{echo.port} echo pool=default connections=1 accepted=1 refused=0 (")
    with pytest.raises(ValueError, match="no arguments"):
        list(command(["x"]))


def test_a_busy_port_ends_the_service_and_is_named(service):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(NotReady) as caught:
            service(f'<listeners>\n<listener type="echo" port="{port}"/></listeners>')
    assert f'.conf:3: <listener type="echo"> cannot listen on 127.0.0.1:{port}: Address already in use' in str(
        caught.value
    )


def test_a_busy_port_is_tried_again_where_the_configuration_asks_for_it(mtev_kernel):
    started = threading.Event()

    class Signalling(Above):
        def post_init(self):
            started.set()

    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        config = f"""<app><modules>
            <generic image="above" name="above"/>
            <generic image="listener" name="listener" on-error="retry"/>
            </modules><listeners><listener type="echo" port="{port}"/></listeners></app>"""
        running = mtev_kernel(
            config,
            plugins=[*BELOW, LISTENER, inline(Signalling)],
            installed=(),
            options=Options(retry=RetryPolicy(first_s=0.05, longest_s=0.05)),
        )
        assert running.plugin("listener").state == "retrying"
        assert str(port) in running.plugin("listener").cause
    assert started.wait(20)
    (bound,) = running.service(Listeners).bound
    with connect(bound) as client:
        client.sendall(b"?")
        assert client.recv(1) == b"?"


def problems_of(mtev_kernel, listeners):
    kernel = mtev_kernel.kernel(document(listeners), plugins=[*BELOW, LISTENER, inline(Above)], installed=())
    return [(each.severity, each.message, each.code) for each in asyncio.run(kernel.check())]


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        ('type="mtev_console" port="1"', ("no enabled plugin speaks it", "mtev-telnet")),
        ('type="nonsense" port="1"', ("no enabled plugin speaks it", "control_dispatch, echo")),
        ('type="echo" port="1" fanout_pool="web"', ("fanout_pool", "web", "default")),
        ('type="echo" port="1" ssl="on"', ("there is no <certificate>", "TLS cannot be spoken")),
        ('type="echo" port="1" address="localhost"', ("localhost", "host names are not looked up")),
        ('type="echo"', ("port", "required")),
    ],
)
def test_a_check_finds_what_is_wrong_without_listening(mtev_kernel, listener, words):
    problems = problems_of(mtev_kernel, f"<listeners>\n<listener {listener}/></listeners>")
    ((severity, message, code),) = problems
    assert (severity, code) == ("error", ExitCode.CONFIG)
    assert ".conf:3: <listener" in message
    assert all(word in message for word in words)


def test_a_check_reports_everything_at_once(mtev_kernel):
    problems = problems_of(
        mtev_kernel,
        '<listeners>\n<listener type="echo" port="x"/>\n<listener type="echo" address="y" port="1"/></listeners>',
    )
    text = "\n".join(message for _, message, _ in problems)
    assert ".conf:3: " in text
    assert ".conf:4: " in text


def test_what_is_only_odd_is_a_warning(mtev_kernel):
    problems = problems_of(mtev_kernel, '<listeners><listener type="echo" port="0" colour="red"/></listeners>')
    assert [severity for severity, _, _ in problems] == ["warning"]


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        ('port="0" backlog="2000000000"', "backlog: 2000000000 is more than the "),
        ('address="@x" mode="0660"', "'mode' has no effect on @x: an abstract socket has neither mode nor owner"),
    ],
)
def test_what_the_system_does_not_heed_is_a_warning(mtev_kernel, listener, words):
    ((severity, message, _),) = problems_of(mtev_kernel, f'<listeners>\n<listener type="echo" {listener}/></listeners>')
    assert severity == "warning"
    assert words in message
    assert ".conf:3: " in message


def test_the_sample_is_a_stanza_that_this_plugin_accepts():
    sample = (resources.files("mtev_listener") / "sample.xml").read_text()
    reading = read_listeners(Configuration.parse(f"<app>{sample}</app>", "app.conf", {}))
    assert (reading.problems, reading.warnings) == ([], [])
    assert len(reading.listeners) == 1


def test_the_readme_names_every_attribute_and_key():
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    assert [word for word in (*ATTRIBUTES, *CONFIG_KEYS) if f"`{word}`" not in readme] == []


class Starter(KernelStarter):
    """Starts kernels with what the plugin requires, installed or not, and with what makes use of it."""

    def kernel(self, config=None, *, plugins=(), **more):
        return super().kernel(config, plugins=[*BELOW, *plugins, inline(Above)], **{**more, "installed": ()})


class TestConformance(PluginConformance):
    manifest = manifest_of("mtev_listener")
    factory = ListenerPlugin
    config = document()

    @pytest.fixture
    def mtev_kernel(self, tmp_path):
        starter = Starter(tmp_path)
        yield starter
        assert starter.stop_all() == []


def test_a_stanza_without_listeners_is_fine(mtev_kernel):
    assert problems_of(mtev_kernel, "<listeners/>") == []


def test_errors_are_configuration_errors():
    with pytest.raises(ConfigurationError):
        raise read_listeners(Configuration.parse("<app><listeners><listener/></listeners></app>")).problems[0]
