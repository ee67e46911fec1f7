"""Sets of changes over REST, with the HTTP service of `test_conf_rest` made by hand again."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf import Configuration
from mtev_conf._operating.rest import register_routes
from mtev_conf._settings import ConfSettings
from mtev_kernel.errors import ConfigurationError

DOCUMENT = """\
<?xml version="1.0"?>
<app mode="fast">
  <listeners address="127.0.0.1">
    <listener type="http" port="8080"/> <!-- keep -->
    <listener type="telnet" port="ENV:23:{PORT}">
      <config>
        <timeout>5</timeout>
        <value name="api_key">hunter2</value>
      </config>
    </listener>
  </listeners>
  <database password="hunter2" url="pg://me:hunter2@db/x"/>
</app>
"""


@dataclass
class Request:
    content: bytes
    headers: dict = field(default_factory=dict)
    query: dict = field(default_factory=dict)
    user: str = ""
    peer_text: str = "127.0.0.1:5012"
    read: bool = False

    async def body(self):
        self.read = True
        return self.content


class Client:
    """Posts to a service."""

    def __init__(self, configuration):
        self.configuration = configuration
        self.settings = ConfSettings(rest_write=True)
        self._routes = {}
        register_routes(self, configuration, lambda: self.settings)

    def resource(self, method, base, expression, function, *, summary, body_limit_bytes=None):
        self._routes[method, base] = re.compile(expression), function

    def send(self, body, query=(), *, media="application/json", **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = Request(content, {"content-type": media, **{k.replace("_", "-"): v for k, v in headers.items()}})
        request.query.update(query)
        expression, function = self._routes["POST", "/mtev/conf/"]
        assert expression.search("")
        assert not expression.search("listeners")
        answer = asyncio.run(function(request))
        assert answer.content_type == "application/json"
        assert request.read == (self.settings.rest_write)
        assert b"hunter2" not in answer.body
        return answer.status, json.loads(answer.body)

    def done(self, *changes, **more):
        status, answer = self.send({"changes": list(changes), **more})
        assert status == 200, answer
        return answer

    def refused(self, *changes, **more):
        before = self.configuration.generation, self.configuration.text()
        status, answer = self.send({"changes": list(changes), **more})
        assert status >= 400, answer
        assert (self.configuration.generation, self.configuration.text()) == before
        return status, answer


def change(kind, path, **rest):
    return {"kind": kind, "path": path, **rest}


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "app.conf"
    file.write_text(DOCUMENT)
    return file


@pytest.fixture
def configuration(path):
    return Configuration.load(str(path), {})


@pytest.fixture
def client(configuration):
    return Client(configuration)


FIRST, SECOND = "/app/listeners[1]/listener[1]", "/app/listeners[1]/listener[2]"


def test_a_set_of_changes_is_one_transaction(client, configuration, path):
    status, answer = client.send(
        {
            "changes": [
                change("set", f"{FIRST}/@port", old="8080", new="9090"),
                change("set", f"{FIRST}/@color", new="red"),
                change("unset", "/app/@mode", old="fast"),
                change("text", f"{SECOND}/config[1]/timeout[1]", old="5", new="7"),
                change("add", "/app/listeners[1]/listener[3]", new="<listener type='x'/>", index=2),
                change("move", "/app/listeners[1]/listener[3]", old="2", new=FIRST, index=0),
                change("set", f"{SECOND}/@color", old="red", new="blue"),  # the first one, one further now
                change("remove", "/app/database[1]", old="<database password='hunter2' url='pg://me:hunter2@db/x'/>"),
            ],
            "why": "as agreed",
            "generation": 1,
        },
        {"write": "1"},
    )
    assert status == 200
    assert (answer["path"], answer["generation"], answer["written"]) == ("/app", 2, [str(path)])
    kinds = ["set", "set", "unset", "text", "add", "move", "set", "remove"]
    assert [each["kind"] for each in answer["changes"]] == kinds
    assert [each["path"] for each in answer["pending"]] == ["/app/@mode"]
    made = configuration.history()[-1]
    assert (made.who, made.why) == ("rest 127.0.0.1:5012", "as agreed")
    assert path.read_text() == (
        DOCUMENT.replace(
            '    <listener type="http" port="8080"/>',
            '    <listener type="x"/>\n    <listener type="http" port="9090" color="blue"/>',
        )
        .replace(' mode="fast"', "")
        .replace(">5<", ">7<")
        .replace('  <database password="hunter2" url="pg://me:hunter2@db/x"/>\n', "")
    )
    configuration.rollback(1)
    assert configuration.text() == DOCUMENT


def test_indices_and_the_name_of_the_root_may_be_left_out_where_it_is_clear(client, configuration):
    answer = client.done(
        change("set", "listeners/@address", old="127.0.0.1", new="::1"),
        change("text", "listeners/listener[2]/config/timeout", old=" 5\n", new="7"),
        change("add", "listeners/listener", new="<listener type='last'/>"),
        change("add", "/listeners/listener[1]", new="<listener type='first'/>"),
        change("move", "database", old="1", new="listeners/database"),
        change("remove", "app/listeners/database", old='<database password="***" url="pg://me:***@db/x"/>'),
    )
    assert [each["path"] for each in answer["changes"]] == [
        "/app/listeners[1]/@address",
        f"{SECOND}/config[1]/timeout[1]",
        "/app/listeners[1]/listener[3]",
        FIRST,
        "/app/database[1]",
        "/app/listeners[1]/database[1]",
    ]
    types = [each.string("type") for each in configuration.sections("//listener")]
    assert types == ["first", "http", "telnet", "last"]
    assert configuration.history()[-1].why == "POST"


def test_the_parent_of_a_move_is_where_it_is_while_the_element_is_away():
    client = Client(Configuration.parse("<app><a x='1'/><a x='2'/></app>", "app.conf", {}))
    client.done(change("move", "a[1]", old="0", new="a/a"))
    assert client.configuration.section("a/a").string("x") == "1"


@pytest.mark.parametrize(
    ("wanted", "where", "expected"),
    [
        (change("set", f"{FIRST}/@port", old="80", new="1"), f"{FIRST}/@port", "80"),
        (change("set", f"{FIRST}/@port", new="1"), f"{FIRST}/@port", None),
        (change("set", "mode/../@mode", old="x", new="1"), None, None),
        (change("set", f"{FIRST}/@fresh", old="80", new="1"), f"{FIRST}/@fresh", "80"),
        (change("unset", f"{FIRST}/@port", old="80"), f"{FIRST}/@port", "80"),
        (change("unset", f"{FIRST}/@fresh", old="80"), f"{FIRST}/@fresh", "80"),
        (change("set", "database/@password", old="swordfish", new="1"), "/app/database[1]/@password", "***"),
        (change("set", "database/@url", old="pg://me:swordfish@db/x", new="1"), None, "pg://me:***@db/x"),
        (
            change("text", "listeners/listener[2]/config/value", old="swordfish", new="1"),
            f"{SECOND}/config[1]/value[1]",
            "***",
        ),
        (change("text", "listeners/listener[2]/config/timeout", old="6", new="1"), None, "6"),
        (change("remove", "database", old="<database/>"), "/app/database[1]", "<database/>"),
        (change("remove", "database", old="<database password='swordfish'/>"), None, '<database password="***"/>'),
        (change("remove", FIRST, old='<listener type="http" port="8080"/>', index=1), FIRST, None),
        (change("move", FIRST, old="1", new=SECOND), FIRST, "1"),
    ],
)
def test_what_is_not_as_expected_is_409_and_shows_no_secret(client, wanted, where, expected):
    first = change("set", "@other", new="1")
    status, answer = client.refused(first, wanted)
    if where is None and expected is None:
        assert status == 404  # a path has no dots
        return
    assert (status, answer["change"]) == (409, 1)
    assert where is None or answer["path"] == where
    assert expected is None or answer["expected"] == expected
    assert answer["path"] in answer["error"]
    assert "swordfish" not in json.dumps(answer)


def test_a_secret_can_be_replaced_by_whoever_may_not_know_it(client, configuration):
    client.done(
        change("set", "database/@password", old="***", new="swordfish"),
        change("set", "database/@url", old="pg://me:***@db/x", new="pg://db/y"),
        change("text", "listeners/listener[2]/config/value", old="***", new="swordfish"),
    )
    assert configuration.section("//value").text == "swordfish"
    assert configuration.section("database").string("password") == "swordfish"
    client.done(change("unset", "database/@password", old="swordfish"))


def test_what_hides_a_secret_is_not_stored(client):
    status, answer = client.refused(
        change("set", "database/@password", old="***", new="***"),
        change("add", "extra", new="<extra><a token='***'/></extra>"),
        change("text", "listeners/listener[2]/config/value", old="***", new="x ***"),
    )
    assert (status, answer["reasons"]) == (
        422,
        ["/app/database/@password", "/app/extra/a[1]/@token", "/app/listeners/listener[2]/config/value"],
    )


@pytest.mark.parametrize(
    ("wanted", "status", "told"),
    [
        (change("set", "nothing/@x", new="1"), 404, "there is no /app/nothing: /app has no <nothing>"),
        (change("remove", "listeners/listener[3]", old="<listener/>"), 404, "has 2 <listener>"),
        (change("add", "nothing/x", new="<x/>"), 404, "there is no /app/nothing"),
        (change("move", "database", old="1", new="nothing/x"), 404, "there is no /app/nothing"),
        (change("set", "listeners/listener/@port", old="1", new="2"), 409, "is 2 elements; write which one is meant"),
        (change("add", "listeners/listener/x", new="<x/>"), 409, "is 2 elements; write which one is meant"),
        (change("set", "listeners", new="1"), 400, "needs the path of an attribute"),
        (change("text", "@mode", old="fast", new="1"), 400, "needs the path of an element"),
        (change("remove", "@mode", old="<a/>"), 400, "needs the path of an element"),
        (change("set", "a b/@x", new="1"), 400, "is not a path"),
        (change("add", "/app", new="<app/>"), 400, "is no place for an element"),
        (change("add", "", new="<app/>"), 400, "is no place for an element"),
        (change("add", "x/@y", new="<x/>"), 400, "is no place for an element"),
        (change("add", "x y", new="<x/>"), 400, "is not a path"),
        (change("move", "database", old="1", new="@x"), 400, "is no place for an element"),
        (change("add", "x[2]", new="<x/>"), 422, "nothing can become x[2] in /app, which has 0 others"),
        (change("add", "x", new="<x/>", index=7), 422, "has no position 7"),
        (change("add", "x", new="<y/>"), 422, "does not fit"),
        (change("add", "x", new="<x backingstore='/tmp/x'/>"), 422, "cannot be changed while the service runs"),
        (change("add", "listeners/listener[1]", new="<listener/>", index=1), 422, "does not fit"),
        (
            change("move", "listeners", old="0", new="listeners/listener[1]/listeners"),
            404,
            "there is no /app/listeners",
        ),
        (change("move", "listeners", old="0", new="database/x"), 422, "does not fit"),
        (change("text", "listeners", old="", new="1"), 422, "has child elements"),
        (change("set", "@m:x", new="1"), 422, "not declared"),
        (change("set", "@x", new="\x01"), 422, "XML"),
        (change("set", "@backingstore", new="/tmp/x"), 422, "cannot be changed while the service runs"),
        (change("set", "\x00/@x", new="1"), 400, "cannot be the name of an element"),
    ],
)
def test_what_cannot_be_carried_out_says_which_change_and_why(client, wanted, status, told):
    found, answer = client.refused(change("set", "@other", new="1"), wanted)
    assert (found, answer["change"]) == (status, 1)
    assert told in answer["error"]
    assert ("reasons" in answer) == (status == 422)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (7, "has to be an object"),
        ({}, "the kind has to be one of set, unset, text, add, remove, move"),
        (change("swap", "x"), "the kind has to be one of"),
        (change(["set"], "x"), "the kind has to be one of"),
        (change("set", 7, new="1"), "the path has to be a text"),
        (change("set", "@x"), "'set' needs 'new'"),
        (change("set", "@x", new=None), "'set' needs 'new'"),
        (change("set", "@x", new=1), "have to be texts"),
        (change("set", "@x", new="1", index=0), "'index' does not belong to 'set'"),
        (change("set", "@x", new="1", odd=0), "there is no 'odd'"),
        (change("unset", "@x"), "'unset' needs 'old'"),
        (change("unset", "@x", old="1", new="1"), "'new' does not belong to 'unset'"),
        (change("text", "x", new="1"), "'text' needs 'old'"),
        (change("remove", "x"), "'remove' needs 'old'"),
        (change("remove", "x", old="<x>"), "not the well-formed XML of one element"),
        (change("add", "x", new="<!DOCTYPE x [<!ENTITY e 'x'>]><x/>"), "DOCTYPE"),
        (change("add", "x", new="<x/><y/>"), "not the well-formed XML of one element"),
        (change("add", "x", new="<x/>", index=-1), "counts from 0"),
        (change("add", "x", new="<x/>", index=True), "counts from 0"),
        (change("add", "x", new="<x/>", index="1"), "counts from 0"),
        (change("move", "x", new="y"), "'move' needs 'old'"),
        (change("move", "x", old="here", new="y"), "'old' of a move is the position"),
        (change("move", "x", old="1"), "'move' needs 'new'"),
        (change("set", "@x", new="\ud800"), "surrogate"),
        (change("set", "\udfff/@x", new="1"), "surrogate"),
    ],
)
def test_what_is_no_change_is_400(client, wanted, told):
    status, answer = client.refused(change("set", "@other", new="1"), wanted)
    assert (status, answer["change"]) == (400, 1)
    assert answer["error"].startswith("change 1: ")
    assert told in answer["error"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ([], "has to be an object"),
        ({}, "has to be an object"),
        ({"changes": {}}, "has to be an object"),
        ({"changes": [], "who": "me"}, "there is no 'who'"),
        ({"changes": [], "why": 7}, "why: the reason has to be one line"),
        ({"changes": [], "why": "a\nb"}, "why: the reason has to be one line"),
        ({"changes": [], "why": "a" * 1001}, "why: the reason has to be one line"),
        ({"changes": [], "generation": "1"}, "the generation has to be a number"),
        ({"changes": [], "generation": True}, "the generation has to be a number"),
        ({"changes": [{}] * 10_001}, "10001 changes are too many"),
    ],
)
def test_what_is_no_set_of_changes_is_400(client, body, told):
    status, answer = client.send(body)
    assert status == 400
    assert told in answer["error"]


def test_only_json_is_understood(client):
    for media in ("", "application/xml", "text/plain"):
        status, answer = client.send({"changes": []}, media=media)
        assert (status, "application/json" in answer["error"]) == (415, True)
    assert client.send({"changes": []}, media="Application/JSON; charset=utf-8")[0] == 200


def test_it_may_depend_on_the_generation_or_on_the_whole_document(client, configuration):
    wanted = change("set", "@x", new="1")
    status, answer = client.refused(wanted, generation=2)
    assert (status, answer["generation"]) == (412, 1)
    assert client.send({"changes": [wanted]}, if_match='"no"')[0] == 412
    assert configuration.generation == 1
    assert client.send({"changes": [wanted], "generation": 1}, if_match="*")[0] == 200


def test_nothing_to_do_is_no_generation(client):
    assert client.done() == {"path": "/app", "generation": 1, "changes": [], "pending": []}
    assert client.done(change("set", "@mode", old="fast", new="fast"))["generation"] == 1


def test_it_needs_to_be_switched_on(client):
    client.settings = ConfSettings()
    status, answer = client.send({"changes": [change("set", "@x", new="1")]})
    assert (status, "rest_write" in answer["error"]) == (403, True)


def test_all_reasons_of_a_refusal_are_told_and_nobody_is_asked_about_a_part(client, configuration):
    asked = []

    def judge(proposal):
        asked.append(len(proposal.changes))
        proposal.refuse("too slow")
        proposal.refuse(ConfigurationError("too loud", "app.conf:3"))

    configuration.judge(judge)
    status, answer = client.refused(change("set", "@x", new="1"), change("set", "@y", new="1"))
    assert (status, answer["reasons"], asked) == (422, ["too slow", "app.conf:3: too loud"], [2])


def test_it_is_written_when_that_is_asked_for(client, path):
    client.done(change("set", "@x", new="1"))
    assert path.read_text() == DOCUMENT
    status, answer = client.send({"changes": [change("set", "@y", new="1")]}, x_mtev_conf_synch="1")
    assert (status, answer["written"]) == (200, [str(path)])
    path.write_text(DOCUMENT)
    status, answer = client.send({"changes": [change("set", "@z", new="1")]}, {"write": "on"})
    assert (status, answer["generation"]) == (409, 4)
    assert answer["error"] == "the change is in force, but the files are not written"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["set", "add", "@x", "0", "<a/>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "path", "old", "new"]), inner),
    max_leaves=8,
)
changes = st.fixed_dictionaries(
    {"kind": st.sampled_from(["set", "unset", "text", "add", "remove", "move"]), "path": st.text(max_size=8)},
    optional={
        "old": st.sampled_from(["", "0", "1", "<a/>"]) | st.text(max_size=4),
        "new": st.sampled_from(["", "a", "a/b[1]", "<a/>"]) | st.text(max_size=4),
        "index": st.integers(-2, 10**30),
    },
)


@given(st.lists(changes | json_values, max_size=3), json_values)
def test_no_body_makes_it_fail(listed, more):
    client = Client(Configuration.parse("<app><a><b/></a><a>x</a></app>", "app.conf", {}))
    before = client.configuration.text()
    status, _ = client.send({"changes": listed, "why": more})
    assert status in (200, 400, 404, 409, 422)
    assert status == 200 or client.configuration.text() == before
