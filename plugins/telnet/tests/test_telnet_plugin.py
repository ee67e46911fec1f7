"""The plugin: alone with what it needs, and in a real service."""

from __future__ import annotations

import logging
import re
import socket
import threading
from functools import partial
from importlib import resources

import pytest

from mtev_conf import Configuration
from mtev_conf.plugin import ConfPlugin
from mtev_eventer.plugin import EventerPlugin  # what mtev-listener requires
from mtev_kernel import DONE, ConfigurationError, Plugin, hookimpl
from mtev_kernel.testing import inline
from mtev_listener import Bound, Listeners
from mtev_listener.plugin import ListenerPlugin
from mtev_telnet import CommandExists, Console
from mtev_telnet.plugin import TelnetPlugin

CONFIG = """<example>
  <listeners>
    <consoles type="mtev_console">
      <listener port="0"><config/></listener>
    </consoles>
  </listeners>
</example>"""


class FakeListeners(Listeners):
    """Listeners that listen nowhere, and say otherwise."""

    addresses = ()

    @property
    def bound(self):
        return [Bound("mtev_console", each, 32322, f"app.conf:{line}", "default") for line, each in self.addresses]


@pytest.fixture
def context(make_context):
    def make(document=CONFIG, addresses=()):
        listeners = FakeListeners()
        listeners.addresses = addresses
        return make_context(
            "telnet",
            distribution="mtev-telnet 0.1.0",
            services={Configuration: Configuration.parse(document, "app.conf", {}), Listeners: listeners},
        )

    return make


def test_it_offers_the_listener_type_and_the_console(context):
    made = context()
    plugin = TelnetPlugin(made)
    plugin.configure()
    assert made.services.require(Console) is plugin.console
    with pytest.raises(Exception, match="'mtev_console' is registered already"):
        made.services.require(Listeners).register_type("mtev_console", lambda connection: None)


def test_every_wrong_option_is_reported_with_its_place(context):
    document = """<app>
  <listeners type="mtev_console">
    <listener port="1"><config><line_protocol>ssh</line_protocol></config></listener>
    <listener port="2"><config><max_sessions>-1</max_sessions></config></listener>
    <listener port="3" type="other"><config><max_sessions>-1</max_sessions></config></listener>
    <listener port="4" require_env="NO"><config><max_sessions>-1</max_sessions></config></listener>
  </listeners>
</app>"""
    with pytest.raises(ConfigurationError) as caught:
        TelnetPlugin(context(document)).configure()
    first, second = map(str, caught.value.parts)
    assert re.match(r"app.conf:3: .*line_protocol 'ssh' is neither 'telnet' nor 'raw'", first)
    assert re.match(r"app.conf:4: .*max_sessions: ", second)


def test_a_history_file_is_said_to_be_unused(context, caplog):
    plugin = TelnetPlugin(context(CONFIG.replace("<config/>", "<config><history_file>x</history_file></config>")))
    plugin.configure()
    plugin.start()
    assert "app.conf:4: console: history_file is not used" in caplog.text


def test_a_console_that_others_can_reach_is_reported_once(context, caplog):
    addresses = [(1, "127.0.0.1"), (2, "0.0.0.0"), (3, "::1"), (4, "::"), (5, "/run/console"), (6, "127.8.8.8")]
    plugin = TelnetPlugin(context(addresses=addresses))
    plugin.configure()
    plugin.start()
    plugin.post_init()
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text.partition(" ")[0] for text in warned] == ["app.conf:2:", "app.conf:4:"]
    assert "no authentication" in warned[0]


def test_commands_are_attributed_to_their_plugins(context):
    made = context()
    plugin = TelnetPlugin(made)
    plugin.configure()

    class Acme:
        @hookimpl
        def mtev_console_commands(self, console):
            console.command("acme method", self.run, summary="x")
            console.command("acme function", lambda words: [], summary="x")
            console.command("acme partial", partial(self.run, []), summary="x")
            console.mode("acme mode", self.enter, summary="x")

        def run(self, words):
            return []

        def enter(self, session, words):
            return None

    made.hook_registry.attach("acme", "acme-console 3.0", Acme())
    plugin.start()
    for name in ("method", "function", "partial", "mode"):
        with pytest.raises(CommandExists) as caught:
            plugin.console.command(f"acme {name}", plugin.start, summary="x")
        assert str(caught.value) == (
            f"plugin 'telnet' (mtev-telnet 0.1.0) registers the console command 'acme {name}', which plugin 'acme' "
            "(acme-console 3.0) registered already; remove one of them or give it another name"
        )


class Terminal:
    def __init__(self, session):
        self.session = session

    @property
    def prompt(self):
        return f"conf({self.session.user or 'nobody'})# "

    def register(self, commands):
        commands.command("no section", lambda words: [f"no {words[0]}"], summary="removes a section", usage="NAME")


class Greeter(Plugin):
    manifest = """
        id = "greeter"
        summary = "greets"
        api = "1.0"
        implements = ["mtev_console_commands", "mtev_console_dispatch"]
    """

    def __init__(self, context):
        super().__init__(context)
        self.lines = []

    @hookimpl(optional=True)
    def mtev_console_commands(self, console):
        console.command("show greeting", lambda words: [f"hello, {words[0]}"], summary="greets", usage="NAME")
        console.command("write file", self.write_file, summary="may take its time", session=True, threaded=True)
        console.mode("configure terminal", lambda session, words: Terminal(session), summary="edits")
        console.command("show version", lambda words: [], summary="is taken")

    def write_file(self, session, words):
        yield f"written by {session.peer.partition(':')[0]} on {threading.current_thread().name.partition('/')[2]}"

    @hookimpl(optional=True)
    def mtev_console_dispatch(self, session, line):
        if line == "who":
            session.write(f"you are {session.peer[0]}")
            return DONE
        return None


def manifest_of(package):
    return (resources.files(package) / "plugin.toml").read_text()


@pytest.fixture
def service(mtev_kernel):
    def start(options=""):
        config = CONFIG.replace("<config/>", f"<config>{options}</config>").replace(
            "<listeners>", '<eventer/><modules><generic image="greeter" name="greeter"/></modules><listeners>'
        )
        return mtev_kernel(
            config,
            plugins=[
                inline(ConfPlugin, manifest_of("mtev_conf")),
                inline(EventerPlugin, manifest_of("mtev_eventer")),
                inline(ListenerPlugin, manifest_of("mtev_listener")),
                inline(TelnetPlugin, manifest_of("mtev_telnet")),
                Greeter,
            ],
        )

    return start


def talk(running, data):
    (bound,) = running.service(Listeners).bound
    with socket.create_connection((bound.address, bound.port), timeout=30) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(partial(client.recv, 65536), b"")).decode("latin-1")  # telnet commands are no UTF-8


def test_a_real_service_answers_a_plain_client(service, caplog):
    running = service()
    answer = talk(running, b"show greeting world\nwho\nshow ver\nshow plugins\nexit\n")
    assert answer.startswith(
        "mtev: (no auth)\nexample# hello, world\nexample# you are 127.0.0.1\nexample# build sysname:"
    )
    assert re.search(r"^telnet +running +inline", answer, re.MULTILINE)
    assert "registers the console command 'show version', which plugin 'telnet' (inline" in caplog.text


def test_a_real_service_answers_a_telnet_client(service):
    running = service("<line_protocol>telnet</line_protocol>")
    answer = talk(running, b"show hooks mtev_console\r\nshow services\r\nexit\r\n")
    assert answer.startswith("\xff\xfd\x1fmtev: (no auth)\r\nexample# ")
    assert "mtev_console_dispatch(session: Session, line: str)" in answer
    assert "  1. greeter (inline" in answer
    assert "\n" not in answer.replace("\r\n", "")


def test_a_real_service_has_modes_and_commands_that_take_their_time(service):
    running = service()
    answer = talk(running, b"write file\nconfigure terminal\nno section x\nexit\nexit\n")
    prompt, written = answer.splitlines()[:2]
    assert prompt == "mtev: (no auth)"
    assert re.fullmatch(r"example# written by 127\.0\.0\.1 on \d+ write file", written)
    assert answer.endswith("\nexample# conf(nobody)# no x\nconf(nobody)# example# ")


def test_stopping_names_what_does_not_end(context, caplog, monkeypatch):
    plugin = TelnetPlugin(context())
    plugin.configure()
    plugin.start()
    gate, begun = threading.Event(), threading.Event()

    def lines():
        begun.set()
        gate.wait(30)
        yield "done"

    work = plugin._workers.start("console/7 write file", lines, wake=lambda: None, failed=lambda error: None)
    assert begun.wait(30)
    monkeypatch.setattr("mtev_telnet.plugin._STOP_S", 0.0)
    plugin.stop()
    assert "'console/7 write file' has not ended within 0 s and is left behind" in caplog.text
    gate.set()
    work.thread.join(30)
    caplog.clear()
    plugin.stop()
    assert not caplog.records


def test_stopping_the_service_ends_the_sessions(service):
    running = service()
    (bound,) = running.service(Listeners).bound
    with socket.create_connection((bound.address, bound.port), timeout=30) as client, client.makefile("rb") as lines:
        assert lines.readline() == b"mtev: (no auth)\n"
        assert running.stop() == 0
        assert lines.read() == b"example# \nThe service is stopping.\n"


def test_the_sample_is_a_configuration_that_this_plugin_accepts(context):
    sample = (resources.files("mtev_telnet") / "sample.xml").read_text()
    TelnetPlugin(context(f"<app>{sample}</app>")).configure()
