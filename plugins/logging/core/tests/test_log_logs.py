"""The service `Logs`: where lines go, hooks, nesting, changes at run time, and that a log call never raises."""

from __future__ import annotations

import os
import threading

import pytest

from mtev_conf import Configuration
from mtev_kernel import ABORT, ConfigurationError, hookimpl
from mtev_kernel.hooks import HookRegistry
from mtev_log import Flags, LogError, Logs, OutletCycle, hookspecs
from mtev_log._flatbuffer import encode_flatbuffer
from mtev_log.configuration import read_streams


class Kept:
    """A backend that keeps what it gets."""

    def __init__(self, settings):
        self.settings = settings
        self.records = []
        self.calls = []

    def open(self):
        self.calls.append("open")

    def write(self, records):
        self.records += records

    def flush(self):
        self.calls.append("flush")

    def reopen(self):
        self.calls.append("reopen")

    def close(self):
        self.calls.append("close")

    @property
    def messages(self):
        return [record.message for record in self.records]


class Service:
    """Logs with a hook registry, a pipe for standard error, and the type `kept`."""

    def __init__(self, write_fd, read_fd):
        self.failures = []
        self.registry = HookRegistry(self.failures.append)
        self.registry.declare("log", "mtev-log", hookspecs)
        self.states = []
        self.read_fd = read_fd
        self.logs = Logs(
            self.registry.site(hookspecs.mtev_log_line),
            plain_site=self.registry.site(hookspecs.mtev_log_plain),
            flatbuffer_site=self.registry.site(hookspecs.mtev_log_flatbuffer),
            degraded=self.states.append,
            healthy=lambda: self.states.append("healthy"),
            stderr_fd=write_fd,
        )
        self.logs.register_backend("kept", Kept, synchronous=True)

    def configure(self, stanza):
        document = Configuration.parse(f"<app>\n<logs>\n{stanza}\n</logs>\n</app>", "app.conf")
        streams, _ = read_streams(document)
        self.logs.configure(streams, lambda kind: f"pip install acme-{kind}")

    def start(self, stanza=""):
        self.configure(stanza)
        self.logs.open()
        return self.logs

    def stderr(self):
        os.set_blocking(self.read_fd, False)
        try:
            return os.read(self.read_fd, 1 << 16).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def service():
    read_fd, write_fd = os.pipe()
    yield Service(write_fd, read_fd)
    os.close(read_fd)
    os.close(write_fd)


def test_error_reaches_standard_error_without_any_configuration(service):
    service.logs.stream("error").log("boom")
    service.logs.stream("debug").log("not this")
    text = service.stderr()
    assert text.endswith("] boom\n")
    assert "not this" not in text


def test_a_line_goes_along_the_outlets_with_its_data(service):
    logs = service.start('<log name="k" type="kept" facility="on"/><log name="a/b"><outlet name="k"/></log>')
    try:
        raise ValueError("why")
    except ValueError as error:
        logs.stream("a/b").log("hello", exception=error, ip="192.0.2.1", name="x", self="y")
    (record,) = logs.backend("k").records
    assert record.facility == "a/b"
    assert record.message == "hello"
    assert record.fields == {"ip": "192.0.2.1", "name": "x", "self": "y"}
    assert record.exception.endswith("ValueError: why")
    assert record.file == __file__
    assert record.thread_id == threading.get_native_id()
    assert record.thread_name == threading.current_thread().name
    assert record.flags == Flags(facility=True)


def test_streams_are_material_only_when_they_lead_somewhere(service):
    logs = service.start('<log name="k" type="kept"/><log name="off" disabled="on"><outlet name="k"/></log>')
    early = logs.stream("off/below")
    assert [logs.stream(name).material for name in ("k", "off", "off/below", "nowhere", "error")] == [
        True,
        False,
        False,
        False,
        True,
    ]
    logs.set_flags("off", enabled=True)
    assert early.material
    early.log("now")
    assert logs.backend("k").messages == ["now"]


def test_streams_are_the_same_object_however_often_they_are_asked_for(service):
    stream = service.logs.stream("a/b")
    service.start('<log name="a/b" type="kept"/>')
    assert service.logs.stream("a/b") is stream
    stream.log("still valid")
    assert service.logs.backend("a/b").messages == ["still valid"]


def test_asking_for_a_backend_makes_no_stream(service):
    assert service.logs.backend("unknown") is None
    assert "unknown" not in service.logs.streams


def test_lines_logged_before_the_start_are_not_lost(service):
    service.configure('<log name="k" type="kept"/>')
    service.logs.stream("k").log("early")
    assert service.logs.backend("k").messages == []
    service.logs.open()
    assert service.logs.backend("k").messages == ["early"]


def test_each_way_has_its_own_flags(service):
    logs = service.start(
        """<log name="k" type="kept"/>
           <log name="via" timestamps="on"><outlet name="k"/></log>
           <log name="x" facility="on"><outlet name="k"/><outlet name="via"/></log>"""
    )
    logs.stream("x").log("twice")
    assert [record.flags for record in logs.backend("k").records] == [Flags(timestamps=True), Flags(facility=True)]


def test_the_hook_sees_every_stream_passed_and_can_stop_a_line(service):
    logs = service.start(
        """<log name="k" type="kept"/><log name="m" type="kept"/>
           <log name="via"><outlet name="k"/></log>
           <log name="x"><outlet name="m"/><outlet name="via"/></log>"""
    )
    seen = []

    @hookimpl
    def mtev_log_line(stream, record):
        seen.append((stream.name, record.message))
        return ABORT if stream.name == "via" and "secret" in record.message else None

    attachment = service.registry.attach("acme", "acme 1", mtev_log_line)
    logs.stream("x").log("open")
    logs.stream("x").log("secret")
    assert seen[:4] == [("x", "open"), ("via", "open"), ("k", "open"), ("m", "open")]
    assert [name for name, message in seen if message == "secret"] == ["x", "via", "m"]
    assert logs.backend("k").messages == ["open"]
    assert logs.backend("m").messages == ["open", "secret"]
    attachment.detach()
    logs.stream("x").log("secret again")
    assert len(seen) == 7
    assert logs.backend("k").messages == ["open", "secret again"]


def test_hooks_get_the_line_as_the_formats_have_it_and_can_stop_it(service):
    logs = service.start('<log name="k" type="kept" facility="on"/><log name="x"><outlet name="k"/></log>')
    seen = []

    @hookimpl
    def mtev_log_plain(stream, record, text):
        seen.append((stream.name, text))
        return ABORT if b"plainly not" in text else None

    @hookimpl
    def mtev_log_flatbuffer(stream, record, buffer):
        assert buffer == encode_flatbuffer(record)
        seen.append((stream.name, "buffer"))
        return ABORT if stream.name == "k" and b"buffer not" in buffer else None

    attached = [service.registry.attach("acme", "acme 1", each) for each in (mtev_log_plain, mtev_log_flatbuffer)]
    for text in ("open", "plainly not", "buffer not"):
        logs.stream("x").log(text)
    assert seen == [
        ("x", b"open\n"),
        ("x", "buffer"),
        ("k", b"[x] open\n"),
        ("k", "buffer"),
        ("x", b"plainly not\n"),
        ("x", b"buffer not\n"),
        ("x", "buffer"),
        ("k", b"[x] buffer not\n"),
        ("k", "buffer"),
    ]
    assert logs.backend("k").messages == ["open"]
    for each in attached:
        each.detach()
    logs.stream("x").log("unseen")
    assert len(seen) == 9
    assert service.failures == []


def test_a_failing_hook_costs_no_line(service):
    logs = service.start('<log name="k" type="kept"/>')

    @hookimpl
    def mtev_log_line():
        raise RuntimeError("rude")

    service.registry.attach("acme", "acme 1", mtev_log_line)
    logs.stream("k").log("kept")
    assert logs.backend("k").messages == ["kept"]
    assert [failure.plugin for failure in service.failures] == ["acme"]


def test_what_a_backend_logs_while_it_writes_is_dropped_and_counted(service):
    class Chatty(Kept):
        def write(self, records):
            super().write(records)
            service.logs.stream("c").log("again")

    service.logs.register_backend("chatty", Chatty, synchronous=True)
    logs = service.start('<log name="c" type="chatty"/>')
    logs.stream("c").log("once")
    assert logs.backend("c").messages == ["once"]
    assert logs.nested == 1


def test_a_log_call_never_raises(service):
    class Rude:
        def __str__(self):
            raise RuntimeError("no")

    logs = service.start('<log name="k" type="kept"/>')
    logs.stream("k").log(Rude(), exception=RuntimeError(Rude()))
    assert logs.backend("k").messages == ["<unprintable Rude>"]


def test_a_failing_backend_hurts_nobody_else(service):
    class Broken(Kept):
        works = False

        def write(self, records):
            if not self.works:
                raise OSError(28, "No space left on device")
            super().write(records)

    service.logs.register_backend("broken", Broken, synchronous=True)
    logs = service.start(
        '<log name="b" type="broken"/><log name="k" type="kept"/>'
        '<log name="x"><outlet name="k"/><outlet name="b"/></log>'
    )
    for _ in range(3):
        logs.stream("x").log("line")
    assert logs.backend("k").messages == ["line"] * 3
    assert service.stderr().count("No space left") == 1
    assert service.states == ["log 'b': [Errno 28] No space left on device"]
    assert logs.describe("b")["failing"] == "[Errno 28] No space left on device"
    assert logs.describe("b")["lost"] == 1
    assert logs.describe("b")["queued"] == 2
    logs.backend("b").works = True
    logs._sinks["b"]._retry_at = 0.0  # the sink's own tests cover the clock
    logs.stream("x").log("line")
    assert "works again; lost lines: 1" in service.stderr()
    assert [text for text in logs.backend("b").messages if text == "line"] == ["line"] * 3
    assert service.states[-1] == "healthy"


def test_a_backend_that_cannot_be_opened_stops_the_start_with_its_place(service):
    class Shut(Kept):
        def open(self):
            raise PermissionError(13, "Permission denied", "/root/x")

    service.logs.register_backend("shut", Shut)
    with pytest.raises(ConfigurationError, match=r"app.conf:3: <log>: 's': it cannot be opened: .*'/root/x'"):
        service.start('<log name="s" type="shut"/>')
    service.logs.close()


def test_an_unknown_type_is_refused_with_what_to_install(service):
    with pytest.raises(ConfigurationError) as caught:
        service.configure('<log name="a" type="kafka"/>\n<log name="b" type="kept"/>\n<log name="c" type="fq"/>')
    text = str(caught.value)
    assert "app.conf:3: <log>: the log 'a' has type='kafka', which no enabled plugin offers (there are: 'kept')" in text
    assert "pip install acme-kafka" in text
    assert "app.conf:5:" in text


def test_a_type_is_offered_once(service):
    with pytest.raises(LogError, match="'kept' is registered already"):
        service.logs.register_backend("kept", Kept)
    assert service.logs.backend_types == ["kept"]


@pytest.mark.parametrize("factory", [lambda settings: object(), lambda settings: 1 / 0])
def test_a_factory_that_makes_no_backend_is_named(service, factory):
    service.logs.register_backend("odd", factory)
    with pytest.raises(LogError, match="odd"):
        service.configure('<log name="x" type="odd"/>')


def test_a_reload_keeps_what_did_not_change_and_loses_nothing(service):
    logs = service.start(
        '<log name="same" type="kept"/><log name="other" type="kept" path="1"/><log name="gone" type="kept"/>'
        '<log name="x"><outlet name="same"/><outlet name="other"/><outlet name="gone"/></log>'
    )
    stream = logs.stream("x")
    stream.log("before")
    same, other, gone = (logs.backend(name) for name in ("same", "other", "gone"))
    service.configure(
        '\n\n<log name="same" type="kept"/><log name="other" type="kept" path="2"/>'
        '<log name="x" facility="on"><outlet name="same"/><outlet name="other"/></log>'
    )
    stream.log("after")
    assert logs.backend("same") is same
    assert same.calls == ["open", "reopen"]
    assert same.messages == ["before", "after"]
    assert other.calls == gone.calls == ["open", "flush", "close"]
    assert other.messages == gone.messages == ["before"]
    assert logs.backend("other").messages == ["after"]
    assert logs.backend("gone") is None
    assert same.records[-1].flags == Flags(facility=True)


def test_a_reload_that_is_refused_changes_nothing(service):
    logs = service.start('<log name="k" type="kept"/>')
    for wrong in ('<log name="k" type="unknown"/>', '<log name="k"><outlet name="k/a"/></log>'):
        with pytest.raises(ConfigurationError):
            service.configure(wrong)
        logs.stream("k").log("line")
    assert logs.backend("k").messages == ["line", "line"]
    assert logs.backend("k").calls == ["open"]


def test_threads_that_log_during_reloads_lose_nothing(service):
    made = []

    class Tracked(Kept):
        def __init__(self, settings):
            super().__init__(settings)
            made.append(self)

    service.logs.register_backend("tracked", Tracked)
    logs = service.start('<log name="t" type="tracked" path="0"/>')
    stream = logs.stream("t")
    threads = [
        threading.Thread(target=lambda: [stream.log("line") for _ in range(500)], name=f"t{number}")
        for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for number in range(1, 20):
        service.configure(f'<log name="t" type="tracked" path="{number}"/>')
    for thread in threads:
        thread.join()
    assert sum(len(backend.messages) for backend in made) == 1500


def test_connect_and_disconnect_at_run_time(service):
    logs = service.start('<log name="k" type="kept"/>')
    stream = logs.stream("x/y")
    assert logs.connect("x", "k")
    assert not logs.connect("x", "k")
    stream.log("connected")
    with pytest.raises(OutletCycle):
        logs.connect("k", "x/y")
    assert logs.disconnect("x", "k")
    assert not logs.disconnect("x", "k")
    assert not stream.material
    assert logs.backend("k").messages == ["connected"]


def test_flags_of_an_unknown_stream(service):
    with pytest.raises(LookupError, match="no such log"):
        service.logs.set_flags("unknown", enabled=True)
    assert "unknown" not in service.logs.streams


def test_a_stream_is_described_in_libmtevs_shape(service):
    logs = service.start(
        '<log name="k" type="kept" path="p" timestamps="on"><outlet name="error"/><config><a>1</a></config></log>'
    )
    assert logs.describe("k") == {
        "name": "k",
        "type": "kept",
        "path": "p",
        "format": "plain",
        "enabled": True,
        "enabled_below": True,
        "debugging": False,
        "timestamps": True,
        "facility": False,
        "stats": False,
        "config": {"a": "1"},
        "written": 0,
        "lost": 0,
        "queued": 0,
        "outlets": [{"name": "error", "outlets": [{"name": "stderr"}]}],
    }
    with pytest.raises(LookupError):
        logs.describe("unknown")


def test_after_close_standard_error_still_works_and_open_begins_again(service):
    logs = service.start('<log name="k" type="kept"/><log name="error"><outlet name="k"/><outlet name="stderr"/></log>')
    logs.close()
    logs.stream("error").log("late")
    assert "late" in service.stderr()
    assert not logs.stream("k").material
    logs.open()
    logs.stream("error").log("again")
    assert logs.backend("k").messages == ["again"]


def test_watchers_are_told_of_changes_until_they_forget(service):
    told = []
    forget = service.logs.when_changed(lambda: told.append(1))
    service.logs.set_flags("debug", enabled=True)
    forget()
    forget()
    service.logs.set_flags("debug", enabled=False)
    assert told == [1]


def test_two_services_do_not_know_of_each_other(service):
    registry = HookRegistry(lambda failure: None)
    registry.declare("log", "mtev-log", hookspecs)
    other = Logs(registry.site(hookspecs.mtev_log_line))
    service.logs.stream("mine")
    assert "mine" not in other.streams


class Metrics:
    """Stands for statistics."""

    def __init__(self):
        self.gauges = {}

    def gauge(self, path, observe, *, unit, summary):
        assert summary
        self.gauges[".".join(path)] = observe

    def remove(self, path):
        return self.gauges.pop(".".join(path), None) is not None

    def read(self):
        return {name.removeprefix("mtev.log."): observe() for name, observe in self.gauges.items()}


def test_figures_follow_the_streams(service):
    from mtev_log._metrics import register_metrics

    logs = service.start(
        '<log name="k" type="kept"/><log name="x" stats="on" rate_limit="1/h"><outlet name="k" filter="a = 1"/></log>'
    )
    metrics = Metrics()
    forget = register_metrics(metrics, logs)
    for value in (1, 2, 1):
        logs.stream("x").log("line", a=value)
    figures = metrics.read()
    assert figures["lines.x"] == 1
    assert figures["written.k"] == 1
    assert figures["suppressed.k"] == 2
    assert (figures["lost.k"], figures["queued.k"], figures["failing.k"]) == (0, 0, 0)
    assert "written.stderr" in figures
    service.configure('<log name="other" type="kept"/>')
    assert "written.other" in metrics.read()
    assert not [name for name in metrics.read() if name.endswith((".k", ".x"))]
    forget()


class Later:
    """A line that is put together when it is written."""

    def __init__(self, text, fields):
        self.text, self.told, self.asked = text, fields, 0

    def __str__(self):
        if isinstance(self.text, Exception):
            raise self.text
        return self.text

    def fields(self):
        self.asked += 1
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


def test_a_line_can_put_itself_together_later(service):
    service.start("<log name='x' type='kept'/>")
    line = Later("100 % sure", {"a": 1})
    service.logs.stream("x").log_later(line)
    (record,) = service.logs.backend("x").records
    assert (record.message, record.fields, record.facility) == ("100 % sure", {"a": 1}, "x")
    assert record.file == __file__


def test_a_line_that_cannot_put_itself_together_is_not_lost(service):
    service.start("<log name='x' type='kept'/>")
    stream = service.logs.stream("x")
    stream.log_later(Later(ValueError("no text"), {"a": 1}))
    stream.log_later(Later("text", ValueError("no fields")))
    first, second = service.logs.backend("x").records
    assert "cannot be formatted: no text" in first.message
    assert (second.message, second.fields) == ("text", {"fields_failed": "no fields"})


def test_a_later_line_that_leads_nowhere_is_never_asked(service):
    service.start("<log name='x' type='kept'/>")
    line = Later("text", {})
    service.logs.stream("other").log_later(line)
    assert line.asked == 0


def test_hooks_see_a_later_line_whole(service):
    class Watcher:
        @hookimpl
        def mtev_log_line(self, stream, record):
            seen.append((stream.name, record.message, record.fields))

    seen = []
    service.start("<log name='x' type='kept'/>")
    service.registry.attach("watcher", "watcher 1", Watcher())
    service.logs.stream("x").log_later(Later("text", {"a": 1}))
    assert seen == [("x", "text", {"a": 1})]
