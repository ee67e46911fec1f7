"""Memory logs: the backend, and what REST and the console show of it in a running service."""

from __future__ import annotations

import asyncio
import importlib.resources
import json
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mtev_kernel import ConfigurationError, Plugin, hookspec, hookspecs
from mtev_kernel.testing import PluginConformance, inline
from mtev_log import BackendSettings, Logs
from mtev_log.testing import BackendConformance, line
from mtev_log_memory import MemoryBackend
from mtev_log_memory.backend import MAX_WAITING
from mtev_log_memory.plugin import LogMemoryPlugin


class TestConformance(PluginConformance):
    plugin = "log.memory"
    config = "<app><logs><log name='x' type='memory'/></logs></app>"


class TestMemory(BackendConformance):
    format = "plain"

    def make(self, directory):
        return MemoryBackend(BackendSettings("m", type="memory", format=self.format))

    def read(self, backend, directory):
        texts = [entry.text.decode("utf-8", "replace") for entry in backend.lines_since()]
        return [each for text in texts for each in text.split("\n") if each]


class TestMemoryAsJson(TestMemory):
    format = "json"


@pytest.mark.parametrize(
    ("path", "limits"),
    [("", (10_000, 100_000)), ("5", (5, 100_000)), (",9", (10_000, 9)), ("5,", (5, 100_000)), (" 5 , 9 ", (5, 9))],
)
def test_the_path_says_how_much(path, limits):
    ring = MemoryBackend(BackendSettings("m", path=path))._ring
    assert (ring.lines, ring.size_bytes) == limits


@pytest.mark.parametrize("path", ["0", "5,0", "-1", "x", "5,9,2", "1e3", "\u0663", "9" * 13])
def test_a_path_that_says_something_else_is_refused(path):
    with pytest.raises(ConfigurationError, match=r"app.conf:3: <log>: 'm': path='.*' is not 'lines,bytes'"):
        MemoryBackend(BackendSettings("m", path=path, where="app.conf:3"))


def test_options_are_refused():
    with pytest.raises(ConfigurationError, match="the type 'memory' has no option 'lines' in <config>"):
        MemoryBackend(BackendSettings("m", type="memory", config={"lines": "1"}, own=frozenset(["lines"])))


def test_a_text_of_several_lines_is_one_entry_with_one_prefix():
    backend = MemoryBackend(BackendSettings("m"))
    backend.write([line("one\ntwo")])
    assert [entry.text for entry in backend.lines_since()] == [b"[notice/conformance] one\ntwo\n"]


def test_reading_while_others_write():
    backend = MemoryBackend(BackendSettings("m", path="50"))
    threads = [
        threading.Thread(target=lambda: [backend.write([line("x")]) for _ in range(300)], name=f"t{number}")
        for number in range(2)
    ]
    for thread in threads:
        thread.start()
    for _ in range(200):
        found = [entry.idx for entry in backend.lines_since()]
        assert found == list(range(found[0], found[0] + len(found))) if found else True
    for thread in threads:
        thread.join()
    assert backend.lines_since()[-1].idx == 599


@dataclass
class Asked:
    """A request."""

    query: dict[str, str]


class Faces(Plugin):
    """Stands for REST and the console."""

    manifest = """
        id = "faces"
        summary = "stands for REST and the console"
        api = "1.0"
        requires = ["log"]
        stanzas = ["logs"]
        hooks = ["mtev_rest_routes", "mtev_console_commands"]
    """

    class Hooks:
        @hookspec
        def mtev_rest_routes(rest): ...
        @hookspec
        def mtev_console_commands(console): ...

    def __init__(self, context):
        super().__init__(context)
        self.routes = []
        self.commands = {}
        context.hooks.declare(self.Hooks)
        context.services.publish(Faces, self)

    def post_init(self):
        self.context.hooks.site(self.Hooks.mtev_rest_routes).call(self)
        self.context.hooks.site(self.Hooks.mtev_console_commands).call(self)

    def resource(self, method, base, expression, function, *, summary, **others):
        assert summary
        if method == "GET":
            self.routes.append((base, re.compile(expression), function))

    def command(self, words, function, *, summary, **others):
        assert summary
        self.commands[words] = function

    def mode(self, words, enter, *, summary):
        """Other plugins have some."""

    async def ask(self, path, **query):
        for base, expression, function in self.routes:
            if path.startswith(base) and (match := expression.search(path[len(base) :])):
                return await function(Asked(query), *match.groups())
        raise AssertionError(f"no route for {path}")

    def get(self, path, **query):
        answer = asyncio.run(self.ask(path, **query))
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert answer.body.endswith(b"]\n")
        return json.loads(answer.body)

    def type(self, line):
        return list(self.commands["show log"](line.removeprefix("show log").split()))


def rewrite(running, old, new):
    document = Path(running.kernel.document.path)
    document.write_text(document.read_text().replace(old, new))


@pytest.fixture
def running(mtev_kernel):
    return mtev_kernel(
        """<app><logs>
             <log name="m" type="memory" path="100"/>
             <log name="x"><outlet name="m"/></log>
           </logs></app>""",
        plugins=[inline(Faces)],
    )


@pytest.fixture
def faces(running):
    stream = running.service(Logs).stream("x")
    for number in range(30):
        stream.log(f"line {number}")
    made = running.service(Faces)
    made.logs = running.service(Logs)
    made.logs.flush("m")
    return made


def test_rest_shows_lines_in_libmtevs_shape(faces):
    lines = faces.get("/eventer/logs/m.json")
    assert len(lines) == 30
    assert list(lines[0]) == ["idx", "whence", "line"]
    assert lines[0]["idx"] == 0
    assert lines[0]["line"] == "line 0\n"
    recorded = faces.logs.backend("m").lines_since()[0].time_ns
    assert lines[0]["whence"] == recorded // 1_000_000


def test_rest_shows_those_since_or_the_last(faces):
    assert [each["idx"] for each in faces.get("/eventer/logs/m.json", since="27")] == [28, 29]
    assert faces.get("/eventer/logs/m.json", since="29") == []
    assert [each["idx"] for each in faces.get("/eventer/logs/m.json", last="2")] == [28, 29]
    assert len(faces.get("/eventer/logs/m.json", last="0", since="")) == 30


@pytest.mark.parametrize("query", [{"since": "x"}, {"last": "1.5"}, {"last": "--1"}, {"since": "9" * 21}])
def test_rest_refuses_what_is_no_number(faces, query):
    with pytest.raises(ValueError, match=f"{next(iter(query))}: '.*' is not a number"):
        faces.get("/eventer/logs/m.json", **query)


@pytest.mark.parametrize("wait", ["0", "-1", "61", "60.1", "x", "nan", "inf", "1e1", "1_0", "\u0663", "9" * 400])
def test_rest_refuses_to_wait_otherwise(faces, wait):
    with pytest.raises(ValueError, match="wait: '.*' is not a number of seconds above 0, 60 at most"):
        faces.get("/eventer/logs/m.json", wait=wait)


def test_lines_that_are_there_are_not_waited_for(faces):
    faces.logs.flush("m")
    assert [each["idx"] for each in faces.get("/eventer/logs/m.json", since="27", wait="60")] == [28, 29]
    assert [each["idx"] for each in faces.get("/eventer/logs/m.json", last="2", wait="60")] == [28, 29]
    assert len(faces.get("/eventer/logs/m.json", since="1000", wait="60")) == 30


def test_lines_to_come_are_waited_for(faces, until_armed):
    async def scenario():
        waiting = asyncio.create_task(faces.ask("/eventer/logs/m.json", since="29", wait="60"))
        await until_armed(faces.logs.backend("m"))
        faces.logs.stream("x").log("the next one")
        return json.loads((await waiting).body)

    assert [(each["idx"], each["line"]) for each in asyncio.run(scenario())] == [(30, "the next one\n")]


def test_where_none_comes_the_answer_is_empty(faces):
    faces.logs.flush("m")
    assert faces.get("/eventer/logs/m.json", since="29", wait="0.01") == []
    assert faces.get("/eventer/logs/m.json", since="29", wait=".01") == []
    assert faces.logs.backend("m")._waiting.free == MAX_WAITING


def test_the_end_of_the_service_is_not_waited_for(faces, until_armed):
    async def scenario():
        waiting = asyncio.create_task(faces.ask("/eventer/logs/m.json", since="29", wait="60"))
        await until_armed(faces.logs.backend("m"))
        faces.context.hooks.site(hookspecs.mtev_stopping).call("the test says so")
        return (await waiting).body, (await faces.ask("/eventer/logs/m.json", since="29", wait="60")).body

    assert asyncio.run(scenario()) == (b"[]\n", b"[]\n")


def test_a_log_that_is_replaced_is_not_waited_for(faces, running, until_armed):
    async def scenario():
        waiting = asyncio.create_task(faces.ask("/eventer/logs/m.json", since="29", wait="60"))
        await until_armed(faces.logs.backend("m"))
        rewrite(running, 'path="100"', 'path="101"')
        await asyncio.wrap_future(running.kernel.reload())
        return (await waiting).body

    assert asyncio.run(scenario()) == b"[]\n"
    assert faces.get("/eventer/logs/m.json", since="29") == []


def test_a_log_that_a_reload_keeps_is_still_waited_for(faces, running, until_armed):
    async def scenario():
        waiting = asyncio.create_task(faces.ask("/eventer/logs/m.json", since="29", wait="60"))
        await until_armed(faces.logs.backend("m"))
        await asyncio.wrap_future(running.kernel.reload())
        faces.logs.stream("x").log("after it")
        return json.loads((await waiting).body)

    assert [each["line"] for each in asyncio.run(scenario())] == ["after it\n"]


def test_only_so_many_wait(faces, until_armed):
    async def scenario():
        backend = faces.logs.backend("m")
        waiting = [
            asyncio.create_task(faces.ask("/eventer/logs/m.json", since="29", wait="60")) for _ in range(MAX_WAITING)
        ]
        await until_armed(backend, MAX_WAITING)
        refused = await faces.ask("/eventer/logs/m.json", since="29", wait="60")
        at_once = await faces.ask("/eventer/logs/m.json", since="28", wait="60")
        waiting.pop().cancel()
        await until_armed(backend, MAX_WAITING - 1)
        waiting.append(asyncio.create_task(faces.ask("/eventer/logs/m.json", since="29", wait="60")))
        await until_armed(backend, MAX_WAITING)
        faces.logs.stream("x").log("for all")
        answers = await asyncio.gather(*waiting)
        return refused, at_once, answers, backend._waiting.free

    refused, at_once, answers, free = asyncio.run(scenario())
    assert (refused.status, refused.headers) == (503, {"Retry-After": "5"})
    assert json.loads(refused.body) == {"error": "64 wait for lines of this log already"}
    assert [each["idx"] for each in json.loads(at_once.body)] == [29]
    assert {each.body for each in answers} == {answers[0].body}
    assert free == MAX_WAITING


@pytest.mark.parametrize("name", ["unknown", "error", "x", "deep/unknown"])
def test_rest_finds_no_other_logs_and_makes_none(faces, name):
    before = set(faces.logs.streams)
    with pytest.raises(LookupError, match=f"^log '{name}' not found$"):
        faces.get(f"/eventer/logs/{name}.json")
    assert set(faces.logs.streams) == before


def test_the_console_shows_the_last_23_lines_or_as_many_as_asked_for(faces):
    shown = faces.type("show log m")
    assert len(shown) == 23
    assert shown[0] == "[7] line 7"
    assert shown[-1] == "[29] line 29"
    assert faces.type("show log m 2") == ["[28] line 28", "[29] line 29"]
    assert len(faces.type("show log m 0")) == 30


def test_the_console_says_what_is_wrong(faces):
    for command, error, text in (
        ("show log", ValueError, "show log <log> [lines]"),
        ("show log m 1 2", ValueError, "show log <log> [lines]"),
        ("show log m some", ValueError, "lines: 'some' is not a number"),
        ("show log unknown", LookupError, "No such log."),
        ("show log x", LookupError, "No memory log 'x'"),
    ):
        with pytest.raises(error, match=re.escape(text)):
            faces.type(command)


def test_options_in_a_generic_are_refused(make_context):
    context = make_context("log.memory", config={"a": "1"}, services={Logs: object.__new__(Logs)})
    with pytest.raises(ConfigurationError, match="'log.memory' has no options"):
        LogMemoryPlugin(context).configure()


def test_the_sample_is_well_formed():
    ElementTree.fromstring(importlib.resources.files("mtev_log_memory").joinpath("sample.xml").read_text())
