"""The graph of streams over REST, without HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import re

import pytest

from mtev_conf import Configuration
from mtev_kernel import ConfigurationError, HookSite
from mtev_log import BackendSettings, Logs
from mtev_log.configuration import read_rest_write, read_streams
from mtev_log.rest import LogRoutes, Refusal, edge_of, filter_of, flags_of


class Asked:
    """A request."""

    def __init__(self, body=b"", user=""):
        self.text = body
        self.user = user
        self.peer_text = "192.0.2.1:4711"

    async def body(self):
        return self.text


class Quiet:
    def __init__(self, settings: BackendSettings) -> None: ...
    def open(self): ...
    def write(self, records): ...
    def flush(self): ...
    def reopen(self): ...
    def close(self): ...


class Rest:
    """Stands for HTTP: routes by longest base, then order."""

    def __init__(self):
        self.routes = []

    def resource(self, method, base, expression, function, *, summary, body_limit_bytes=None):
        assert summary
        assert method == "GET" or body_limit_bytes == 64 * 1024
        self.routes.append((method, base, re.compile(expression), function))

    def ask(self, method, path, body=None, user=""):
        text = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        bases = sorted((base for _, base, *_ in self.routes if path.startswith(base)), key=len)
        for of, base, expression, function in self.routes:
            match = expression.search(path.removeprefix(base))
            if (of, base) == (method, bases[-1]) and match:
                result = function(Asked(text, user), *match.groups())
                answer = asyncio.run(result) if asyncio.iscoroutine(result) else result
                return answer.status, json.loads(answer.body) if answer.body else None
        raise AssertionError(f"no route for {method} {path}")


@pytest.fixture
def logs():
    made = Logs(HookSite("mtev_log_line"))
    made.register_backend("quiet", Quiet)
    text = """<app><logs>
      <log name="k" type="quiet" path="p"><config><password>hunter2</password></config></log>
      <log name="error"><outlet name="k" filter="message ~ 'x'"/></log>
      <log name="acme/one"><outlet name="error"/></log>
    </logs></app>"""
    made.configure(read_streams(Configuration.parse(text))[0])
    return made


@pytest.fixture
def rest(logs):
    made = Rest()
    made.writable = True
    LogRoutes(logs, lambda: made.writable, logging.getLogger("mtev.log")).register(made)
    return made


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO)
    return lambda: caplog.messages


def refused(rest, status, *request):
    with pytest.raises(Refusal) as caught:
        rest.ask(*request)
    assert caught.value.status == status
    return str(caught.value)


def test_every_stream_is_listed(rest, logs):
    status, listed = rest.ask("GET", "/mtev/logs.json")
    assert status == 200
    assert [each["name"] for each in listed] == sorted(logs.streams)
    by_name = {each["name"]: each for each in listed}
    assert by_name["acme/one"]["outlets"] == [{"name": "error"}]
    assert by_name["error"]["outlets"] == [{"name": "k", "filter": "message ~ 'x'"}]
    assert by_name["debug"]["enabled"] is False
    assert {"written", "lost", "queued"} <= by_name["k"].keys()


def test_one_stream_is_shown_as_log_details_does(rest, logs):
    status, told = rest.ask("GET", "/mtev/logs/acme/one.json")
    assert (status, told) == (200, logs.describe("acme/one"))
    assert told["outlets"] == [{"name": "error", "outlets": [{"name": "k", "filter": "message ~ 'x'"}]}]


def test_options_of_backends_are_not_shown(rest, logs):
    assert rest.ask("GET", "/mtev/logs/k.json")[1]["config"] == {"password": "***"}
    assert "hunter2" not in json.dumps(rest.ask("GET", "/mtev/logs.json")[1])
    assert logs.describe("k")["config"] == {"password": "hunter2"}


def test_flags_are_set(rest, logs, said):
    flags = {"enabled": False, "debug": True, "facility": True, "timestamps": True}
    status, told = rest.ask("PATCH", "/mtev/logs/error.json", flags)
    assert status == 200
    assert (told["enabled"], told["debugging"], told["facility"], told["timestamps"]) == (False, True, True, True)
    assert logs.describe("error") == told
    assert said() == ["rest 192.0.2.1:4711 sets log 'error': enabled off, debug on, facility on, timestamps on"]
    assert rest.ask("PATCH", "/mtev/logs/error.json", {"debug": False})[1]["debugging"] is False
    assert rest.ask("PATCH", "/mtev/logs/error.json", {}) == (200, logs.describe("error"))
    assert said()[1:] == ["rest 192.0.2.1:4711 sets log 'error': debug off"]


def test_streams_are_connected_and_parted(rest, logs, said):
    status, told = rest.ask("PUT", "/mtev/logs/acme/one/outlets/k", {"filter": "status >= 500\n"}, "ann\n")
    assert status == 201
    assert told["outlets"][0] == {"name": "k", "filter": "status >= 500\n"}
    assert rest.ask("PUT", "/mtev/logs/acme/one/outlets/k", {"filter": "status >= 500\n"}) == (200, told)
    message = "acme/one feeds k already; disconnect it first to change its filter"
    assert refused(rest, 409, "PUT", "/mtev/logs/acme/one/outlets/k", {"filter": "status >= 501"}) == message
    assert refused(rest, 409, "PUT", "/mtev/logs/acme/one/outlets/k") == message
    assert rest.ask("DELETE", "/mtev/logs/acme/one/outlets/k") == (204, None)
    assert refused(rest, 404, "DELETE", "/mtev/logs/acme/one/outlets/k") == "acme/one does not feed k"
    assert rest.ask("PUT", "/mtev/logs/acme/one/outlets/k")[0] == 201
    assert logs.filter_between("acme/one", "k") == ""
    assert said() == [
        r"rest ann\n lets log 'acme/one' feed 'k', filter 'status >= 500\n'",
        "rest 192.0.2.1:4711 parts log 'acme/one' from 'k'",
        "rest 192.0.2.1:4711 lets log 'acme/one' feed 'k'",
    ]


def test_what_silences_is_said_before_it_does(rest, logs, monkeypatch):
    order = []
    monkeypatch.setattr(logging.getLogger("mtev.log"), "info", lambda text, *words: order.append(text.split()[2]))
    for name in ("set_flags", "disconnect"):
        real = getattr(logs, name)
        monkeypatch.setattr(
            logs, name, lambda *words, real=real, name=name, **more: (order.append(name), real(*words, **more))[1]
        )
    rest.ask("PATCH", "/mtev/logs/error.json", {"enabled": False})
    rest.ask("PATCH", "/mtev/logs/error.json", {"enabled": True})
    rest.ask("DELETE", "/mtev/logs/error/outlets/k")
    assert order == ["sets", "set_flags", "set_flags", "sets", "parts", "disconnect"]


def test_a_cycle_is_named(rest, logs):
    before = logs.outlets("error")
    assert refused(rest, 409, "PUT", "/mtev/logs/error/outlets/acme/one") == (
        "the outlets form a cycle: error -> acme/one -> error; remove one of them"
    )
    assert refused(rest, 409, "PUT", "/mtev/logs/k/outlets/k").startswith("the outlets form a cycle: k -> k")
    assert logs.outlets("error") == before


def test_a_malformed_filter_is_shown_with_its_fault(rest):
    assert refused(rest, 400, "PUT", "/mtev/logs/acme/one/outlets/k", {"filter": "status >="}) == (
        "filter: expected a value: a number, or text in quotes\n    status >=\n             ^"
    )
    assert refused(rest, 400, "PUT", "/mtev/logs/acme/one/outlets/k", {"filter": " "}).startswith("filter: ")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/mtev/logs/none.json"),
        ("PATCH", "/mtev/logs/none.json"),
        ("PUT", "/mtev/logs/none/outlets/k"),
        ("PUT", "/mtev/logs/error/outlets/none"),
        ("DELETE", "/mtev/logs/none/outlets/k"),
    ],
)
def test_an_unknown_stream_is_not_made(rest, logs, method, path):
    before = set(logs.streams)
    assert refused(rest, 404, method, path, {}) == "no such log: none"
    assert set(logs.streams) == before


def test_changes_are_off_unless_they_are_on(rest, logs, said):
    rest.writable = False
    before = rest.ask("GET", "/mtev/logs.json")
    message = 'changes over REST are switched off; rest_write="on" in <logs> switches them on'
    for method, path in (
        ("PATCH", "/mtev/logs/error.json"),
        ("PUT", "/mtev/logs/acme/one/outlets/k"),
        ("DELETE", "/mtev/logs/error/outlets/k"),
        ("PATCH", "/mtev/logs/none.json"),
    ):
        assert refused(rest, 403, method, path, {"enabled": False}) == message
    assert rest.ask("GET", "/mtev/logs.json") == before
    assert said() == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is no JSON; expected"),
        (b"{", "the body is no JSON; expected"),
        (b"\xff", "the body is no JSON; expected"),
        (b"[" * 60_000, "the body is no JSON"),
        (b"[]", "the body is no JSON object; expected an object that may have enabled, debug, facility, timestamps"),
        (b'{"debugging": true}', "'debugging' is unknown; expected an object that may have enabled, debug"),
        (b'{"enabled": 1}', "'enabled' is neither true nor false"),
        (b'{"enabled": null}', "'enabled' is neither true nor false"),
    ],
)
def test_flags_are_checked(body, message):
    with pytest.raises(Refusal, match=f"^{re.escape(message)}") as caught:
        flags_of(body)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"status >= 500", "the body is no JSON; expected an object that may have filter"),
        (b'"status >= 500"', "the body is no JSON object"),
        (b'{"filters": ""}', "'filters' is unknown"),
        (b'{"filter": 5}', "'filter' is no text"),
    ],
)
def test_a_filter_is_checked(body, message):
    with pytest.raises(Refusal, match=f"^{re.escape(message)}"):
        filter_of(body)


@pytest.mark.parametrize(("body", "text"), [(b"", ""), (b" \n", ""), (b"{}", ""), (b'{"filter": "a = 1"}', "a = 1")])
def test_a_filter_may_be_left_out(body, text):
    assert filter_of(body) == text


@pytest.mark.parametrize(
    ("path", "edge"),
    [
        ("a/b/outlets/c/d", ("a/b", "c/d")),
        ("a/outlets/b/outlets/c", ("a/outlets/b", "c")),
        ("c/outlets/a/outlets/b", ("c", "a/outlets/b")),
        ("x/outlets/y/outlets/z", ("x", "y/outlets/z")),
    ],
)
def test_names_may_hold_the_word_that_parts_them(path, edge):
    assert edge_of(path, {"a/b", "c/d", "a/outlets/b", "c"}) == edge


@pytest.mark.parametrize(
    ("stanzas", "writable"),
    [
        ("", False),
        ("<logs/>", False),
        ('<logs rest_write="on"/>', True),
        ('<logs rest_write="off"/>', False),
        ('<logs rest_write="on"/><logs/>', True),
        ('<logs rest_write="on"/><logs rest_write="off"/>', False),
        ('<logs rest_write="on" require_env="NO_SUCH_VARIABLE"/>', False),
    ],
)
def test_the_document_says_whether_streams_may_be_changed(stanzas, writable):
    assert read_rest_write(Configuration.parse(f"<app>{stanzas}</app>", "app.conf", {})) is writable


def test_the_switch_stands_on_logs_alone():
    with pytest.raises(ConfigurationError, match="rest_write"):
        read_rest_write(Configuration.parse('<app><logs rest_write="maybe"/></app>', "app.conf", {}))
    for inner in ('<x rest_write="on"><log name="a"/></x>', '<log name="a" rest_write="on"/>'):
        with pytest.raises(ConfigurationError, match="unknown attribute 'rest_write'"):
            read_streams(Configuration.parse(f"<app><logs>{inner}</logs></app>", "app.conf", {}))
