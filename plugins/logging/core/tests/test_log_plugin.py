"""The plugin in a running service: life cycle, standard library, console, reload, hooks of others."""

from __future__ import annotations

import importlib.resources
import json
import logging
import os
import subprocess
import sys
import threading
from xml.etree import ElementTree

import pytest

from mtev_conf import ChangeRefused, Configuration
from mtev_kernel import ABORT, ConfigurationError, ExitCode, Plugin, hookimpl, hookspec
from mtev_kernel.testing import NotReady, PluginConformance, inline
from mtev_log import BackendSettings, Logs, Record
from mtev_log._stderr import StderrBackend
from mtev_log.testing import BackendConformance


class TestConformance(PluginConformance):
    plugin = "log"
    config = "<app><logs><log name='notice' disabled='on'/></logs></app>"


class TestStderrBackend(BackendConformance):
    """Standard error itself stands the suite that backends of third parties have to."""

    @pytest.fixture(autouse=True)
    def in_memory(self):
        self.fd = os.memfd_create("stderr")
        yield
        os.close(self.fd)

    def make(self, directory):
        return StderrBackend(BackendSettings("stderr"), self.fd)

    def read(self, backend, directory):
        data = os.pread(self.fd, 1 << 24, 0)
        return [line for line in data.decode("utf-8", "replace").split("\n") if line]


def on_a_terminal(monkeypatch, records, form="plain", **environ):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    leader, follower = os.openpty()
    try:
        StderrBackend(BackendSettings("stderr", format=form), follower).write(records)
        os.write(follower, b"\0")
        data = b""
        while not data.endswith(b"\0"):  # a terminal hands over what it has, be it in the middle
            data += os.read(leader, 4096)
        return data.removesuffix(b"\0").replace(b"\r\n", b"\n")
    finally:
        os.close(leader)
        os.close(follower)


def test_standard_error_has_colours_on_a_terminal(monkeypatch):
    records = [
        Record(0, "error/x", "one\ntwo"),
        Record(0, "notice/x", "three"),
        Record(0, "notice/x", "four", level=logging.WARNING),
        Record(0, "debug", "five"),
    ]
    assert on_a_terminal(monkeypatch, records, TERM="xterm") == (
        b"\x1b[31mone\x1b[0m\n\x1b[31mtwo\x1b[0m\nthree\n\x1b[33mfour\x1b[0m\n\x1b[90mfive\x1b[0m\n"
    )
    plain = b"one\ntwo\nthree\nfour\nfive\n"
    assert on_a_terminal(monkeypatch, records, TERM="xterm", NO_COLOR="1") == plain
    assert on_a_terminal(monkeypatch, records, TERM="dumb") == plain
    assert on_a_terminal(monkeypatch, records) == plain
    assert b"\x1b" not in on_a_terminal(monkeypatch, records, form="logfmt", TERM="xterm")


class KeptBackend:
    """Keeps what it gets, in the list that its test reads."""

    def __init__(self, settings, records):
        self.records = records

    def open(self): ...
    def flush(self): ...
    def reopen(self): ...
    def close(self): ...

    def write(self, records):
        self.records += records


class Keeper(Plugin):
    """A third party's plugin: offers the log type `kept`, and stands for the console."""

    manifest = """
        id = "keeper"
        summary = "keeps lines"
        api = "1.0"
        requires = ["log"]
        stanzas = ["logs//*[@type='kept']"]
        hooks = ["mtev_console_commands"]
    """

    def __init__(self, context):
        super().__init__(context)
        self.records = []
        self.commands = {}
        context.hooks.declare(ConsoleHooks)
        context.services.publish(Keeper, self)

    def configure(self):
        logs = self.context.services.require(Logs)
        logs.register_backend("kept", lambda settings: KeptBackend(settings, self.records), synchronous=True)

    def start(self):
        call = self.context.hooks.site(ConsoleHooks.mtev_console_commands).call
        if call is not None:
            call(self)

    def command(self, words, function, *, summary, usage=""):
        assert summary
        self.commands[words] = function

    def type(self, line):
        for words in sorted(self.commands, key=len, reverse=True):
            if line == words or line.startswith(f"{words} "):
                return list(self.commands[words](line[len(words) :].split()))
        raise AssertionError(f"no command for {line!r}")

    @property
    def messages(self):
        return [(record.facility, record.message) for record in self.records]


class ConsoleHooks:
    @hookspec
    def mtev_console_commands(console): ...


STANZA = """<log name="k" type="kept"/>
            <c><outlet name="k"/><log name="error"/><log name="notice"/></c>"""


@pytest.fixture
def serve(mtev_kernel):
    def start(stanza=STANZA, plugins=()):
        return mtev_kernel(f"<app>\n<logs>\n{stanza}\n</logs>\n</app>", plugins=[inline(Keeper), *plugins])

    return start


def test_the_standard_library_logs_into_the_streams_while_the_service_runs(serve):
    running = serve()
    keeper = running.service(Keeper)
    logging.getLogger("acme").warning("while it runs")
    assert ("notice/acme", "while it runs") in keeper.messages
    assert running.stop() == ExitCode.OK
    logging.getLogger("acme").warning("afterwards")
    assert ("notice/acme", "afterwards") not in keeper.messages


def test_what_plugins_log_while_stopping_is_still_written(serve):
    class Talker(Plugin):
        manifest = 'id = "talker"\nsummary = "x"\napi = "1.0"\nrequires = ["log"]\nstanzas = ["logs"]'

        def stop(self):
            self.context.log.info("good bye")

    running = serve(plugins=[Talker])
    keeper = running.service(Keeper)
    running.stop()
    assert ("notice/talker", "good bye") in keeper.messages


def test_a_plugin_may_drop_lines_through_the_hook(serve):
    class Censor(Plugin):
        manifest = 'id = "censor"\nsummary = "x"\napi = "1.0"\nrequires = ["log"]\nstanzas = ["logs"]'

        @hookimpl
        def mtev_log_line(self, record):
            return ABORT if "secret" in record.message else None

    running = serve(plugins=[Censor])
    stream = running.service(Logs).stream("error/x")
    stream.log("the secret")
    stream.log("the news")
    told = [message for facility, message in running.service(Keeper).messages if facility == "error/x"]
    assert told == ["the news"]


def test_without_a_stanza_warnings_and_notices_go_to_standard_error(mtev_kernel, capfd):
    class Needs(Plugin):
        manifest = 'id = "needs"\nsummary = "x"\napi = "1.0"\nrequires = ["log"]\nstanzas = ["needs"]'

    running = mtev_kernel("<app><needs/></app>", plugins=[Needs])
    assert running.service(Logs).flush()
    capfd.readouterr()
    logging.getLogger("acme").debug("a debug line")
    logging.getLogger("acme").info("a notice")
    logging.getLogger("acme").error("an error")
    assert running.service(Logs).flush()
    lines = [line.partition("] ")[2] for line in capfd.readouterr().err.splitlines()]
    assert lines == ["a notice", "an error"]


def test_the_command_lines_debug_enables_the_stream(mtev_kernel, capfd):
    class Needs(Plugin):
        manifest = 'id = "needs"\nsummary = "x"\napi = "1.0"\nrequires = ["log"]\nstanzas = ["needs"]'

    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    try:
        running = mtev_kernel("<app><needs/></app>", plugins=[Needs])
        logging.getLogger("acme").debug("a debug line")
        running.stop()
        assert root.level == logging.DEBUG
    finally:
        root.setLevel(before)
    assert "test_log_plugin.py" in next(line for line in capfd.readouterr().err.splitlines() if "a debug line" in line)


def test_an_unknown_type_is_refused_with_its_place_and_what_to_install(serve):
    with pytest.raises(NotReady) as caught:
        serve('<log name="x" type="jolg"/>\n<log name="y" type="kept"/>')
    assert "service.conf:3: <log>: the log 'x' has type='jolg', which no enabled plugin offers" in str(caught.value)
    assert caught.value.running.wait() == ExitCode.CONFIG


def test_a_known_type_of_a_missing_distribution_names_it(make_context):
    assert "mtev-log-file" in make_context().hint("log-type", "file")


def test_what_has_no_effect_is_a_warning(serve):
    running = serve(f'{STANZA}\n<log name="k2" type="kept" rotate_bytes="200000"/>')
    warnings = [each.message for each in running.kernel.problems if each.severity == "warning"]
    assert len(warnings) == 1
    assert "service.conf:5: <log>: rotate_bytes has no effect: the type 'kept' does not know it" in warnings[0]


def test_options_in_a_generic_are_refused(make_context):
    from mtev_log.plugin import LogPlugin

    with pytest.raises(ConfigurationError, match=r"test.conf:1: the plugin 'log' has no options.*level"):
        LogPlugin(make_context("log", config={"level": "debug"})).configure()


def reload(running, stanza):
    path = running.kernel.document.path
    with open(path, "w") as file:
        file.write(f"<app>\n<logs>\n{stanza}\n</logs>\n</app>")
    running.kernel.reload().result(30)


def test_a_reload_changes_streams_and_keeps_backends(serve):
    running = serve()
    logs = running.service(Logs)
    stream = logs.stream("error/x")
    backend = logs.backend("k")
    done = threading.Event()
    forget = logs.when_changed(done.set)
    reload(
        running,
        '<log name="k" type="kept"/><log name="error"><outlet name="k"/></log><log name="error/x" disabled="on"/>',
    )
    assert done.wait(30)
    forget()
    assert not stream.material
    assert logs.backend("k") is backend


def test_a_reload_that_is_wrong_is_refused_and_changes_nothing(serve):
    running = serve()
    keeper = running.service(Keeper)
    with pytest.raises(ChangeRefused, match=r"service\.conf:3: <log>: format: 'xml' is none of plain, json"):
        reload(running, '<log name="k" type="kept" format="xml"/>')
    running.service(Logs).stream("error/x").log("goes on")
    assert ("error/x", "goes on") in keeper.messages


def test_the_console_lists_streams(serve):
    running = serve()
    listing = running.service(Keeper).type("show logs")
    assert "debug: disabled, debugging; to stderr" in listing
    assert "error: enabled; to k" in listing
    assert any(line.startswith("k: enabled; type kept, path '', ") for line in listing)
    assert "stderr: enabled, timestamps" in listing
    with pytest.raises(ValueError):
        running.service(Keeper).type("show logs please")


def test_the_console_logs_and_describes(serve):
    keeper = serve().service(Keeper)
    assert keeper.type("log to error over and out") == ["logged."]
    assert ("error", "over and out") in keeper.messages
    assert keeper.type("log to unknown x") == ["log <logname> thing to log"]
    (text,) = keeper.type("log details error")
    assert json.loads(text)["outlets"] == [{"name": "k"}]
    assert keeper.type("log details") == ["log details <logname>"]
    assert keeper.type("log details unknown") == ["log details <logname>: no such log"]


def test_the_console_connects_and_disconnects(serve):
    running = serve()
    keeper = running.service(Keeper)
    running.service(Logs).stream("acme")
    assert keeper.type("log connect acme k status >= 500") == []
    running.service(Logs).stream("acme").log("failed", status=500)
    running.service(Logs).stream("acme").log("served", status=200)
    assert [message for facility, message in keeper.messages if facility == "acme"] == ["failed"]
    assert keeper.type("log connect acme k") == [
        "acme feeds k already; disconnect it first to change its filter"
    ]  # fmt: skip
    (text,) = keeper.type("log details acme")
    assert json.loads(text)["outlets"] == [{"name": "k", "filter": "status >= 500"}]
    assert keeper.type("log disconnect acme k") == []
    assert keeper.type("log disconnect acme k") == ["acme does not feed k"]
    assert keeper.type("log connect acme k and(")[0].startswith("filter: expected a field")
    with pytest.raises(LookupError, match="no such log: nobody"):
        keeper.type("log connect acme nobody")
    with pytest.raises(ValueError, match="log connect <log>"):
        keeper.type("log connect acme")


@pytest.mark.parametrize(
    ("flag", "key"),
    [("enable", "enabled"), ("facility", "facility"), ("debug", "debugging"), ("timestamps", "timestamps")],
)
def test_the_console_sets_flags(serve, flag, key):
    running = serve()
    keeper = running.service(Keeper)
    for line, value in ((f"log {flag} k", True), (f"no log {flag} k", False)):
        assert keeper.type(line) == []
        assert running.service(Logs).describe("k")[key] is value
    assert keeper.type(f"log {flag}") == ["no such log"]
    with pytest.raises(LookupError, match="no such log"):
        keeper.type(f"log {flag} unknown")


def test_the_sample_is_understood():
    from mtev_log.configuration import read_streams

    text = importlib.resources.files("mtev_log").joinpath("sample.xml").read_text()
    ElementTree.fromstring(text)
    streams, notices = read_streams(Configuration.parse(f"<app>{text}</app>"))
    assert notices == []
    assert "error/example" in [each.name for each in streams]


def test_importing_the_public_names_needs_no_pytest():
    code = "import sys, mtev_log, mtev_log.plugin, mtev_log.testing; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
