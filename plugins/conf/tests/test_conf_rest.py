"""The REST routes, with an HTTP service made by hand."""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from mtev_conf import Configuration
from mtev_conf._apply import Policies, Rule
from mtev_conf._editing.changes import same_meaning
from mtev_conf._operating.rest import register_routes
from mtev_conf._operating.rest_document import content_tag
from mtev_conf._settings import ConfSettings
from mtev_kernel.errors import ConfigurationError

DOCUMENT = """\
<?xml version="1.0"?>
<app mode="fast">
  <!-- the old password was swordfish -->
  <conf rest_write="on"/>
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
LISTENER = "/mtev/conf/listeners/listener[1]"


@dataclass
class Request:
    headers: dict = field(default_factory=dict)
    query: dict = field(default_factory=dict)
    content: bytes = b""
    user: str = ""
    peer_text: str = "127.0.0.1:5012"
    read: bool = False

    async def body(self):
        self.read = True
        return self.content


class Service:
    """HTTP: keeps the routes, and answers as a router does."""

    def __init__(self):
        self.routes = []

    def resource(self, method, base, expression, function, *, summary, body_limit_bytes=None):
        assert summary
        assert (method == "GET") == (body_limit_bytes is None)
        self.routes.append((method, base, re.compile(expression), function))

    def answer(self, method, target, request):
        path, _, query = target.partition("?")
        request.query = dict(each.partition("=")[::2] for each in query.split("&") if each)
        base = max((base for _, base, _, _ in self.routes if path.startswith(base)), key=len)
        for each, at, expression, function in self.routes:
            if (each, at) == (method, base) and (found := expression.search(path[len(base) :])):
                return asyncio.run(function(request, *found.groups()))
        raise AssertionError(f"no route for {method} {target}")


class Client:
    """Asks a service."""

    def __init__(self, configuration):
        self.configuration = configuration
        self.settings = ConfSettings(rest_write=True)
        self.service = Service()
        register_routes(self.service, configuration, lambda: self.settings)

    def ask(self, method, target, content="", *, user="", **headers):
        request = Request({name.replace("_", "-"): value for name, value in headers.items()}, user=user)
        request.content = content.encode() if isinstance(content, str) else content
        answer = self.service.answer(method, target, request)
        assert request.read in (False, method == "PUT")
        assert isinstance(answer.body, bytes)
        assert answer.body == b"" if answer.status == 304 else answer.content_type
        return answer

    def get(self, target, **headers):
        answer = self.ask("GET", target, **headers)
        assert answer.status == 200, answer.body
        return answer.body.decode()

    def tag(self, target, **headers):
        return self.ask("GET", target, **headers).headers["ETag"]

    def refused(self, method, target, content="", **headers):
        """The status, and what the answer says."""
        answer = self.ask(method, target, content, **headers)
        assert answer.status >= 400, answer.body
        assert answer.content_type == "application/json"
        assert "ETag" not in answer.headers
        return answer.status, json.loads(answer.body)

    def put(self, target, content, kind="application/xml", **headers):
        headers = {name: value for name, value in {"if_match": "*", **headers}.items() if value is not None}
        answer = self.ask("PUT", target, content, content_type=kind, **headers)
        assert answer.status in (200, 201), answer.body
        return json.loads(answer.body)


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "app.conf"
    file.write_text(DOCUMENT)
    return file


@pytest.fixture
def configuration(path):
    made = Configuration.load(str(path), {"PORT": "2323"})
    made.set_policies(Policies([Rule("listener", "listeners"), Rule("db", "database", "live")]))
    return made


@pytest.fixture
def client(configuration):
    return Client(configuration)


def parsed(xml):
    return Client(Configuration.parse(xml, "app.conf", {}))


# -- The document


def test_the_document_is_shown_as_the_command_line_dumps_it(client, configuration):
    answer = client.ask("GET", "/mtev/conf.xml")
    assert answer.content_type == "application/xml"
    assert answer.body.decode() == configuration.document().dump()
    assert etree.fromstring(answer.body).find("listeners/listener[2]").get("port") == "2323"


def test_the_document_as_json(client, path):
    data = json.loads(client.get("/mtev/conf.json"))
    assert data["generation"] == 1
    assert {key: data[key] for key in ("name", "path", "where", "attributes", "text")} == {
        "name": "app",
        "path": "/app",
        "where": f"{path}:2",
        "attributes": {"mode": "fast"},
        "text": "",
    }
    listener = data["children"][1]["children"][1]
    assert listener["path"] == "/app/listeners[1]/listener[2]"
    assert listener["attributes"] == {"type": "telnet", "port": "2323"}
    assert listener["origins"] == {"port": "ENV PORT"}
    assert listener["children"][0]["children"][0] == {
        "name": "timeout",
        "path": "/app/listeners[1]/listener[2]/config[1]/timeout[1]",
        "where": f"{path}:9",
        "attributes": {},
        "text": "5",
        "children": [],
    }


def test_secrets_from_elsewhere_are_hidden_in_json_too(tmp_path):
    (tmp_path / "secret").write_text("hunter2")
    file = tmp_path / "app.conf"
    file.write_text(
        "<app>"
        "<a x='{{FILE::{secret}}}' y='ENV:hunter2:{DB_PASSWORD}' z='is {{ENV::{API_TOKEN}}}'>{{FILE::{secret}}}</a>"
        "<value name='{{ENV::{WHAT}}}'>hunter2</value><b>one {{ENV::{WHAT}}}<c/> two</b></app>"
    )
    client = Client(Configuration.load(str(file), {"API_TOKEN": "hunter2", "WHAT": "api_key"}))
    body = client.get("/mtev/conf.json")
    assert "hunter2" not in body
    a, value, b = json.loads(body)["children"]
    assert a["attributes"] == {"x": "***", "y": "***", "z": "is ***"}
    assert a["origins"]["z"] == "ENV API_TOKEN"
    assert (value["text"], b["text"]) == ("***", "one api_key two")
    assert "hunter2" not in client.get("/mtev/conf/a?format=json")


@pytest.mark.parametrize(
    "target",
    [
        "/mtev/conf.xml",
        "/mtev/conf.json",
        "/mtev/conf/",
        "/mtev/conf/app?format=json",
        "/mtev/conf/database",
        "/mtev/conf/database?format=json",
        "/mtev/conf/database/@password",
        "/mtev/conf/database/@password?format=json",
        "/mtev/conf/database/@url",
        "/mtev/conf/listeners/listener[2]/config/value",
        "/mtev/conf/listeners/listener[2]/config/value?format=text",
    ],
)
def test_no_answer_shows_a_secret(client, target):
    body = client.get(target)
    assert "hunter2" not in body
    assert "swordfish" not in body


def test_neither_do_the_history_and_the_answers_to_changes(client):
    shown = [client.put("/mtev/conf/database/@password", "swordfish", "text/plain")]
    shown.append(client.put("/mtev/conf/listeners/listener[2]/config/value", "swordfish", "text/plain"))
    shown.append(client.put("/mtev/conf/database", '<database url="pg://me:swordfish@db/y"/>'))
    shown.append(client.put("/mtev/conf/extra", "<extra><secrets>swordfish</secrets></extra>", if_match=None))
    shown.append(json.loads(client.ask("DELETE", "/mtev/conf/database", if_match="*").body))
    shown.append(json.loads(client.get("/mtev/conf/history")))
    shown.append(json.loads(client.get("/mtev/conf/pending")))
    assert "swordfish" not in json.dumps(shown)
    assert "hunter2" not in json.dumps(shown)
    assert client.configuration.section("//value").text == "swordfish"


# -- Reading elements


@pytest.mark.parametrize("steps", ["", "app", "app/", "app[1]"])
def test_the_root_is_where_paths_begin(client, steps):
    assert etree.fromstring(client.get(f"/mtev/conf/{steps}").encode()).get("mode") == "fast"


@pytest.mark.parametrize(
    "steps",
    [
        "listeners/listener[2]/config/timeout",
        "listeners[1]/listener[2]/config[1]/timeout[1]",
        "app/listeners/listener[2]/config/timeout",
        "app/listeners[1]/listener[2]/config/timeout/",
    ],
)
def test_an_element_is_shown_as_it_is_written(client, steps):
    answer = client.ask("GET", f"/mtev/conf/{steps}")
    assert answer.content_type == "application/xml"
    assert answer.body == b'<?xml version="1.0" encoding="utf-8"?>\n<timeout>5</timeout>\n'
    assert client.get(f"/mtev/conf/{steps}?format=text") == "5"
    assert "ENV:23:{PORT}" in client.get("/mtev/conf/listeners/listener[2]")


def test_an_attribute_is_plain_text_or_json(client, path):
    answer = client.ask("GET", f"{LISTENER}/@port")
    assert (answer.body, answer.content_type) == (b"8080", "text/plain; charset=utf-8")
    assert json.loads(client.get(f"{LISTENER}/@port?format=json")) == {
        "path": "/app/listeners[1]/listener[1]/@port",
        "where": f"{path}:6",
        "value": "8080",
        "generation": 1,
    }


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/xml"),
        ("*/*", "application/xml"),
        ("application/json", "application/json"),
        ("application/json;q=0.5, */*;q=0.1", "application/json"),
        ("text/html, application/xml;q=0.9, */*;q=0.8", "application/xml"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("image/png", "application/xml"),
        ("application/json;q=x", "application/xml"),
        ("application/*;q=0.2, text/xml", "application/xml"),
        (",;,", "application/xml"),
    ],
)
def test_the_client_says_what_it_likes(client, accept, kind):
    answer = client.ask("GET", "/mtev/conf/listeners/listener[2]/config/timeout", accept=accept)
    assert answer.content_type == kind
    assert answer.headers["Vary"] == "Accept"


def test_an_element_with_elements_has_no_plain_text(client):
    status, body = client.refused("GET", "/mtev/conf/listeners?format=text")
    assert status == 400
    assert "xml, json" in body["error"]
    assert client.refused("GET", f"{LISTENER}/@port?format=xml")[0] == 400
    assert client.ask("GET", "/mtev/conf/listeners", accept="text/plain").content_type == "application/xml"


def test_what_is_not_there_is_404_with_the_nearest_that_is(client):
    assert client.refused("GET", "/mtev/conf/listeners/listener[2]/confg/timeout") == (
        404,
        {
            "error": "there is no /app/listeners/listener[2]/confg/timeout: "
            "/app/listeners[1]/listener[2] has no <confg>",
            "nearest": "/app/listeners[1]/listener[2]",
        },
    )
    assert client.refused("GET", "/mtev/conf/listeners/listener[9]")[1]["nearest"] == "/app/listeners[1]"
    assert client.refused("GET", f"{LISTENER}/@nothing")[1] == {
        "error": "/app/listeners[1]/listener[1] has no attribute 'nothing'",
        "nearest": "/app/listeners[1]/listener[1]",
    }
    assert client.refused("DELETE", "/mtev/conf/nothing")[0] == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_is_ambiguous_is_409_with_the_candidates(client, method):
    status, body = client.refused(
        method, "/mtev/conf/listeners/listener/@port", content_type="text/plain", if_match="*"
    )
    assert status == 409
    assert body["candidates"] == ["/app/listeners[1]/listener[1]", "/app/listeners[1]/listener[2]"]


@pytest.mark.parametrize(
    "steps", ["a b", "listeners//listener", "listener[0]", "listener[x]", "x/@", "a[1][2]", "a[]", "{"]
)
def test_what_is_no_path_is_400(client, steps):
    assert client.refused("GET", f"/mtev/conf/{steps}")[0] == 400
    assert client.refused("PUT", f"/mtev/conf/{steps}", content_type="text/plain")[0] == 400


def test_names_with_prefixes_are_written_with_them():
    client = parsed("<app xmlns:m='app://m'><m:key m:level='1'/><key/></app>")
    assert client.get("/mtev/conf/m:key/@m:level") == "1"
    assert json.loads(client.get("/mtev/conf/app?format=json"))["children"][0] == {
        "name": "m:key",
        "path": "/app/m:key[1]",
        "where": "app.conf:1",
        "attributes": {"m:level": "1"},
        "text": "",
        "children": [],
    }
    assert client.put("/mtev/conf/m:key/@m:level", "2", "text/plain")["changes"][0]["new"] == "2"
    body = client.get("/mtev/conf/m:key").replace('"2"', '"3"')
    assert [each["summary"] for each in client.put("/mtev/conf/m:key", body)["changes"]] == [
        '/app/m:key[1]/@m:level: "2" -> "3"'
    ]


def test_an_element_named_like_the_root_or_a_list_is_reached_through_the_root():
    client = parsed("<app><app>x</app><history>y</history></app>")
    assert client.get("/mtev/conf/app/app?format=text") == "x"
    assert client.get("/mtev/conf/app/history?format=text") == "y"
    assert json.loads(client.get("/mtev/conf/history"))[0]["kind"] == "load"
    for method in ("PUT", "DELETE"):
        status, body = client.refused(method, "/mtev/conf/history", content_type="text/plain", if_match="*")
        assert (status, body["error"]) == (405, "this is a list, no element; an element of that name is 'app/history'")


def test_too_many_elements_for_json_are_refused():
    client = parsed(f"<app>{'<x/>' * 100_001}</app>")
    for target in ("/mtev/conf.json", "/mtev/conf/?format=json"):
        status, body = client.refused("GET", target)
        assert status == 400
        assert "100002 elements" in body["error"]
    assert client.get("/mtev/conf/x[100001]?format=json")


def test_too_many_levels_for_json_are_refused(tmp_path):
    for number in range(6):
        inner = f"<include file='{number + 1}.conf'/>" if number < 5 else ""
        (tmp_path / f"{number}.conf").write_text(f"{'<a>' * 250}{inner}{'</a>' * 250}")
    client = Client(Configuration.load(str(tmp_path / "0.conf"), {}))
    for target in ("/mtev/conf.json", "/mtev/conf/?format=json"):
        assert client.refused("GET", target)[0] == 400
    assert client.get("/mtev/conf.xml")
    assert client.get("/mtev/conf/")


# -- Entity tags


def test_a_copy_that_is_still_good_is_not_sent_again(client):
    for accept in ("application/xml", "application/json"):
        tag = client.tag(LISTENER, accept=accept)
        for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            assert client.ask("GET", LISTENER, accept=accept, if_none_match=known).status == 304
        assert client.ask("GET", LISTENER, accept=accept, if_none_match='"x"').status == 200
    assert client.tag(LISTENER) != client.tag(LISTENER, accept="application/json")


def test_a_tag_follows_the_element_and_nothing_else(client):
    listener, database = client.tag(LISTENER), client.tag("/mtev/conf/database")
    client.put("/mtev/conf/database/@url", "x", "text/plain")
    assert client.tag(LISTENER) == listener
    assert client.tag("/mtev/conf/database") != database
    client.put(f"{LISTENER}/@port", "1", "text/plain")
    assert client.tag(LISTENER) != listener
    client.put(f"{LISTENER}/@port", "8080", "text/plain")
    assert client.tag(LISTENER) == listener


def test_a_changed_secret_changes_the_tag_but_tells_nothing_about_itself(client, path):
    before = client.tag("/mtev/conf/database")
    client.put("/mtev/conf/database/@password", "other", "text/plain")
    assert client.tag("/mtev/conf/database") != before
    client.put("/mtev/conf/database/@password", "hunter2", "text/plain")
    assert client.tag("/mtev/conf/database") == before
    elsewhere = Client(Configuration.load(str(path), {}))
    assert elsewhere.tag("/mtev/conf/database") != before, "the key is not a secret of each service"


def test_a_tag_in_any_form_lets_one_change(client):
    xml, as_json = client.tag(LISTENER), client.tag(LISTENER, accept="application/json")
    client.put(LISTENER, '<listener type="http" port="1"/>', if_match=as_json)
    assert client.refused(
        "PUT", LISTENER, '<listener type="http" port="2"/>', if_match=xml, content_type="text/xml"
    ) == (412, {"error": "it has been changed since you looked; look again, and decide again"})
    assert client.configuration.section("//listener[1]").string("port") == "1"


def test_the_answer_to_a_change_has_the_new_tag(client):
    answer = client.ask(
        "PUT", LISTENER, '<listener type="http" port="1"/>', if_match="*", content_type="application/xml"
    )
    assert answer.headers["ETag"] == client.tag(LISTENER)
    answer = client.ask("PUT", f"{LISTENER}/@port", "2", if_match="*", content_type="text/plain")
    assert answer.headers["ETag"] == client.tag(f"{LISTENER}/@port")


@pytest.mark.parametrize(
    ("method", "target", "headers", "status"),
    [
        ("PUT", LISTENER, {}, 428),
        ("DELETE", LISTENER, {}, 428),
        ("PUT", f"{LISTENER}/@port", {}, 428),
        ("PUT", LISTENER, {"if_match": '"no"'}, 412),
        ("PUT", LISTENER, {"if_match": 'W/"{tag}"'}, 412),
        ("PUT", LISTENER, {"if_match": ""}, 412),
        ("DELETE", LISTENER, {"if_match": '"no", "nor"'}, 412),
        ("PUT", LISTENER, {"if_none_match": "*"}, 412),
        ("PUT", LISTENER, {"if_none_match": "{quoted}"}, 412),
        ("PUT", "/mtev/conf/fresh", {"if_match": "*"}, 412),
        ("PUT", f"{LISTENER}/@fresh", {"if_match": '"no"'}, 412),
        ("DELETE", "/mtev/conf/fresh", {"if_match": "*"}, 412),
    ],
)
def test_whoever_changes_something_has_to_know_it(client, method, target, headers, status):
    quoted = client.tag(LISTENER)
    headers = {name: value.format(tag=quoted.strip('"'), quoted=quoted) for name, value in headers.items()}
    assert client.refused(method, target, "<listener/>", content_type="application/xml", **headers)[0] == status
    assert client.configuration.generation == 1


# -- Changing


def test_what_is_the_same_but_for_one_attribute_changes_one_line(client, path):
    answer = client.put(f"{LISTENER}?write=1", '<listener port="9090"   type="http"></listener>')
    assert answer == {
        "path": "/app/listeners[1]/listener[1]",
        "generation": 2,
        "changes": [
            {
                "kind": "set",
                "path": "/app/listeners[1]/listener[1]/@port",
                "old": "8080",
                "new": "9090",
                "summary": '/app/listeners[1]/listener[1]/@port: "8080" -> "9090"',
            }
        ],
        "pending": [
            {
                "kind": "set",
                "path": "/app/listeners[1]/listener[1]/@port",
                "old": "8080",
                "new": "9090",
                "summary": '/app/listeners[1]/listener[1]/@port: "8080" -> "9090"',
                "plugin": "listener",
                "policy": "restart-process",
                "generation": 2,
            }
        ],
        "written": [str(path)],
    }
    assert path.read_text() == DOCUMENT.replace("8080", "9090")


def test_the_whole_document_can_be_replaced_by_what_was_read(client, configuration):
    body = client.get("/mtev/conf/listeners").replace('value name="api_key">***<', 'value name="api_key">hunter2<')
    answer = client.put("/mtev/conf/listeners", body)
    assert (answer["changes"], answer["generation"], configuration.generation) == ([], 1, 1)
    body = body.replace("<timeout>5</timeout>", "<timeout>7</timeout><new/>").replace('type="http"', 'type="tls"')
    assert len(client.put("/mtev/conf/listeners", body)["changes"]) == 3
    assert "<!-- keep -->" in configuration.text()
    whole = (
        client.get("/mtev/conf/")
        .replace(">***<", ">hunter2<")
        .replace('"***"', '"hunter2"')
        .replace("***@", "hunter2@")
    )
    assert client.put("/mtev/conf/app", whole.replace('"fast"', '"slow"'))["changes"][0]["path"] == "/app/@mode"


def test_text_beside_elements_is_replaced_as_a_whole():
    client = parsed("<app><p>hello <b>you</b> there</p></app>")
    answer = client.put("/mtev/conf/p", "<p>hello <b>me</b> here</p>")
    assert [each["kind"] for each in answer["changes"]] == ["remove", "add"]
    assert client.get("/mtev/conf/p").endswith("\n<p>hello <b>me</b> here</p>\n")
    assert client.put("/mtev/conf/p", "<p>hello <b>me</b> here</p>")["changes"] == []
    assert client.refused("PUT", "/mtev/conf/", "<app>x<p/></app>", if_match="*", content_type="text/xml")[0] == 422


def test_an_element_is_made_where_there_is_none(client, configuration):
    answer = client.ask("PUT", "/mtev/conf/listeners/listener[3]", "<listener type='x'/>", content_type="text/xml")
    assert answer.status == 201
    assert json.loads(answer.body)["path"] == "/app/listeners[1]/listener[3]"
    assert configuration.sections("//listener")[2].string("type") == "x"
    answer = client.ask("PUT", "/mtev/conf/stats", "<stats/>", content_type="application/xml", if_none_match="*")
    assert answer.status == 201
    assert configuration.text() == DOCUMENT.replace(
        "  </listeners>\n", '    <listener type="x"/>\n  </listeners>\n'
    ).replace("</app>", "  <stats/>\n</app>")
    answer = client.ask("PUT", "/mtev/conf/stats/interval", "5s", content_type="text/plain")
    assert answer.status == 201
    assert client.get("/mtev/conf/stats/interval?format=text") == "5s"
    answer = client.ask("PUT", "/mtev/conf/stats/@level", "2", content_type="text/plain")
    assert answer.status == 201
    assert configuration.section("stats").string("level") == "2"


@pytest.mark.parametrize(
    "target", ["/mtev/conf/a/b", "/mtev/conf/listeners/listener[4]", "/mtev/conf/a/@b", "/mtev/conf/listeners/*[9]"]
)
def test_nothing_is_made_in_what_is_not_there(client, target):
    for kind in ("text/plain", "application/xml"):
        assert client.refused("PUT", target, "<b/>", content_type=kind)[0] == 404


def test_values_are_set_by_plain_text(client, configuration):
    client.put(f"{LISTENER}/@port", "9\n", "text/plain; charset=UTF-8")
    assert configuration.section("//listener[1]").string("port") == "9"
    client.put("/mtev/conf/listeners/listener[2]/config/timeout", "größer <b>\r\n", "text/plain")
    assert configuration.section("//timeout").text == "größer <b>"
    client.put("/mtev/conf/listeners/listener[2]/config/timeout", "two\nlines\n\n", "Text/Plain")
    assert configuration.section("//timeout").text == "two\nlines\n"
    status, body = client.refused("PUT", "/mtev/conf/listeners", "x", if_match="*", content_type="text/plain")
    assert status == 422
    assert "has child elements" in body["reasons"][0]


@pytest.mark.parametrize(
    ("target", "content", "kind", "status", "told"),
    [
        (LISTENER, "<listener>", "application/xml", 400, "<body>:1"),
        (LISTENER, "", "application/xml", 400, "<body>:1"),
        (
            LISTENER,
            "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><listener>&e;</listener>",
            "text/xml",
            400,
            "",
        ),
        (
            LISTENER,
            "<other/>",
            "application/xml",
            400,
            "the body is <other>, but /app/listeners/listener[1] is <listener>",
        ),
        ("/mtev/conf/fresh", "<other/>", "application/xml", 400, "the body is <other>, but /app/fresh is <fresh>"),
        (LISTENER, "<listener/>", "application/xml; charset=nonsense", 415, "nonsense"),
        (LISTENER, "<listener/>", "", 415, "of no type"),
        (LISTENER, "a=b", "application/x-www-form-urlencoded", 415, "application/xml"),
        (LISTENER, "{}", "application/json", 415, "application/json"),
        (f"{LISTENER}/@port", "<a/>", "application/xml", 415, "text/plain"),
        (f"{LISTENER}/@port", b"\xff", "text/plain", 400, "UTF-8"),
        (f"{LISTENER}/@port", "x", "text/plain; charset=latin-1", 415, "latin-1"),
        (f"{LISTENER}/@port", "\x01", "text/plain", 422, "XML"),
        (f"{LISTENER}/@m:x", "1", "text/plain", 422, "not declared"),
        ("/mtev/conf/1a", "1", "text/plain", 422, "1a"),
    ],
)
def test_what_cannot_be_stored_is_refused(client, target, content, kind, status, told):
    known = {} if target in ("/mtev/conf/fresh", "/mtev/conf/1a", f"{LISTENER}/@m:x") else {"if_match": "*"}
    found, body = client.refused("PUT", target, content, content_type=kind, **known)
    assert found == status
    assert told in body["error"]
    assert client.configuration.generation == 1


def test_xml_says_its_own_encoding_unless_the_header_does(client, configuration):
    body = "<?xml version='1.0' encoding='iso-8859-1'?><database url='é'/>".encode("latin-1")
    client.put("/mtev/conf/database", body)
    assert configuration.section("database").string("url") == "é"
    client.put("/mtev/conf/database", "<database url='è'/>".encode("latin-1"), "text/xml; charset=iso-8859-1")
    assert configuration.section("database").string("url") == "è"


@pytest.mark.parametrize(
    ("target", "content", "kind", "places"),
    [
        ("/mtev/conf/database", '<database password="***"/>', "text/xml", ["/app/database[1]/@password"]),
        ("/mtev/conf/database/@password", "***", "text/plain", ["/app/database[1]/@password"]),
        ("/mtev/conf/database/@url", "pg://me:***@db/x", "text/plain", ["/app/database[1]/@url"]),
        ("/mtev/conf/n", "<n><a k='***'/><a>***</a></n>", "text/xml", ["/app/n/a[1]/@k", "/app/n/a[2]"]),
        (
            "/mtev/conf/listeners/listener[2]/config",
            "<config><timeout>5</timeout><value name='api_key'>***</value></config>",
            "text/xml",
            ["/app/listeners[1]/listener[2]/config[1]/value[1]"],
        ),
    ],
)
def test_what_hides_a_secret_is_not_stored_in_its_place(client, target, content, kind, places):
    known = {} if target == "/mtev/conf/n" else {"if_match": "*"}
    status, body = client.refused("PUT", target, content, content_type=kind, **known)
    assert (status, body["reasons"]) == (422, places)
    assert client.configuration.generation == 1


def test_stars_that_are_there_already_are_no_secret():
    client = parsed("<app><glob pattern='***' mode='a'/></app>")
    assert len(client.put("/mtev/conf/glob", "<glob pattern='***' mode='b'/>")["changes"]) == 1


def test_things_are_removed(client, configuration):
    answer = json.loads(client.ask("DELETE", LISTENER, if_match=client.tag(LISTENER)).body)
    assert answer["path"] == "/app/listeners[1]/listener[1]"
    assert [each["kind"] for each in answer["changes"]] == ["remove"]
    answer = json.loads(client.ask("DELETE", "/mtev/conf/app/@mode", if_match="*").body)
    assert (answer["path"], answer["generation"]) == ("/app/@mode", 3)
    assert configuration.root.optional("mode") is None
    status, body = client.refused("DELETE", "/mtev/conf/", if_match="*")
    assert status == 422
    assert "root" in body["reasons"][0]


def test_all_reasons_of_a_refusal_are_in_the_answer(client, configuration):
    def judge(proposal):
        proposal.refuse("too slow")
        proposal.refuse(ConfigurationError("too loud", "app.conf:3"))

    configuration.judge(judge)
    for method, target, content, kind in (
        ("PUT", LISTENER, "<listener/>", "text/xml"),
        ("PUT", f"{LISTENER}/@port", "1", "text/plain"),
        ("DELETE", LISTENER, "", ""),
    ):
        status, body = client.refused(method, target, content, content_type=kind, if_match="*")
        assert (status, body["reasons"]) == (422, ["too slow", "app.conf:3: too loud"])
    assert configuration.text() == DOCUMENT


def test_changes_are_switched_off_by_default(configuration):
    client = Client(configuration)
    client.settings = ConfSettings()
    for method in ("PUT", "DELETE"):
        status, body = client.refused(method, LISTENER, "<listener/>", content_type="text/xml")
        assert status == 403
        assert body["error"] == (
            'changes over REST are switched off; rest_write="on" in <conf>, directly below the root, switches them on'
        )
    client.settings = replace(client.settings, where="app.conf:4")
    assert "in <conf> at app.conf:4 switches" in client.refused("PUT", LISTENER)[1]["error"]
    assert client.get(LISTENER)


def test_the_body_is_not_even_read_when_changes_are_switched_off(configuration):
    client = Client(configuration)
    client.settings = ConfSettings()
    request = Request({"content-type": "text/plain"})
    assert client.service.answer("PUT", LISTENER, request).status == 403
    assert not request.read


def test_parts_that_name_files_cannot_be_changed(tmp_path):
    (tmp_path / "more.conf").write_text("<x>\n  <acl name='a'/>\n</x>\n")
    (tmp_path / "fixed.conf").write_text("<x><frozen a='1'/></x>")
    file = tmp_path / "app.conf"
    text = (
        "<app>\n  <a>\n    <include file='more.conf'/>\n    <b/>\n  </a>\n"
        "  <include file='fixed.conf' readonly='true'/>\n</app>\n"
    )
    file.write_text(text)
    client = Client(Configuration.load(str(file), {}))
    for target, content, kind in (
        ("/mtev/conf/a/include/@file", "/etc/passwd", "text/plain"),
        ("/mtev/conf/a/b/@backingstore", "/tmp/x", "text/plain"),
        ("/mtev/conf/a/b", "<b><include file='/etc/passwd'/></b>", "text/xml"),
        ("/mtev/conf/a/b", "<b backingstore='/tmp/x'/>", "text/xml"),
        ("/mtev/conf/a", "<a><b/></a>", "text/xml"),
        ("/mtev/conf/a", "<a><include file='other.conf'><acl name='a'/></include><b/></a>", "text/xml"),
        ("/mtev/conf/c", "<c><include file='/etc/passwd'/></c>", "text/xml"),
        ("/mtev/conf/include/frozen/@a", "2", "text/plain"),
    ):
        known = {} if target.endswith(("@backingstore", "/c")) else {"if_match": "*"}
        assert client.refused("PUT", target, content, content_type=kind, **known)[0] == 422, content
    assert client.refused("DELETE", "/mtev/conf/a", if_match="*")[0] == 422
    assert client.configuration.generation == 1
    body = client.get("/mtev/conf/a").replace('name="a"', 'name="z"')
    assert client.put("/mtev/conf/a?write=1", body)["written"] == [str(tmp_path / "more.conf")]
    assert (tmp_path / "more.conf").read_text() == "<x>\n  <acl name='z'/>\n</x>\n"
    assert file.read_text() == text


def test_of_many_who_change_the_same_nobody_is_overwritten(client, configuration):
    target, each = f"{LISTENER}/@count", 8
    client.put(target, "0", "text/plain", if_match=None)

    def count():
        done = 0
        while done < each:
            answer = client.ask("GET", target)
            more = str(int(answer.body) + 1)
            changed = client.ask("PUT", target, more, content_type="text/plain", if_match=answer.headers["ETag"])
            assert changed.status in (200, 412)
            done += changed.status == 200

    with ThreadPoolExecutor(4) as pool:
        for ended in [pool.submit(count) for _ in range(4)]:
            ended.result()
    assert configuration.section("//listener[1]").integer("count") == 4 * each


# -- Writing


def test_libmtevs_header_has_it_written_too(client, path):
    answer = client.ask("PUT", f"{LISTENER}/@port", "1", content_type="text/plain", if_match="*", x_mtev_conf_synch="1")
    assert json.loads(answer.body)["written"] == [str(path)]
    assert path.read_text() == DOCUMENT.replace("8080", "1")
    answer = json.loads(client.ask("DELETE", f"{LISTENER}?write=on", if_match="*").body)
    assert answer["written"] == [str(path)]


def test_it_is_not_written_unless_that_is_asked_for(client, path):
    for target in (f"{LISTENER}/@port", f"{LISTENER}/@port?write=0", f"{LISTENER}/@port?write=off"):
        assert "written" not in client.put(target, "1", "text/plain")
    assert path.read_text() == DOCUMENT


def test_a_file_that_somebody_has_edited_is_409_and_the_change_stays(client, configuration, path):
    path.write_text(DOCUMENT + "\n")
    status, body = client.refused("PUT", f"{LISTENER}/@port?write=1", "1", content_type="text/plain", if_match="*")
    assert status == 409
    assert body["error"] == "the change is in force, but the files are not written"
    assert str(path) in body["reasons"][0]
    assert (body["generation"], len(body["changes"])) == (2, 1)
    assert configuration.section("//listener[1]").string("port") == "1"
    assert path.read_text() == DOCUMENT + "\n"


def test_files_that_cannot_be_written_are_500_and_the_change_stays(client, configuration):
    configuration.disable_writes("<conf write='off'>")
    status, body = client.refused("DELETE", f"{LISTENER}?write=1", if_match="*")
    assert (status, body["reasons"]) == (500, ["nothing is written: <conf write='off'>"])
    assert len(configuration.sections("//listener")) == 1


# -- History


def test_the_history_says_who_what_and_why(client, configuration):
    client.put(f"{LISTENER}/@port", "1", "text/plain", user="alice")
    client.ask("DELETE", LISTENER, if_match="*")
    configuration.rollback(2, "acme")
    first, second, third, fourth = json.loads(client.get("/mtev/conf/history"))
    assert (first["number"], first["kind"], first["changes"]) == (1, "load", [])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", first["time"])
    assert (second["who"], second["why"]) == ("rest alice", "PUT /app/listeners[1]/listener[1]/@port")
    assert second["changes"][0]["summary"] == '/app/listeners[1]/listener[1]/@port: "8080" -> "1"'
    assert (third["who"], third["why"]) == ("rest 127.0.0.1:5012", "DELETE /app/listeners[1]/listener[1]")
    assert (fourth["kind"], fourth["who"], fourth["number"]) == ("rollback", "acme", 4)


def test_long_values_and_many_changes_are_cut(client, configuration):
    client.put(f"{LISTENER}/@port", "x" * 10_000, "text/plain")
    with configuration.transaction() as change:
        for number in range(1500):
            change.set(configuration.root, f"a{number}", "x")
    _, long, many = json.loads(client.get("/mtev/conf/history"))
    assert long["changes"][0]["new"] == f"{'x' * 4096}… (10000 characters)"
    assert (len(many["changes"]), many["left_out"]) == (1000, 500)


def test_what_waits_for_a_restart_is_listed(client):
    assert json.loads(client.get("/mtev/conf/pending")) == []
    client.put(f"{LISTENER}/@port", "1", "text/plain")
    client.put("/mtev/conf/database/@url", "x", "text/plain")
    (pending,) = json.loads(client.get("/mtev/conf/pending"))
    assert pending["path"] == "/app/listeners[1]/listener[1]/@port"
    assert (pending["policy"], pending["plugin"], pending["generation"]) == ("restart-process", "listener", 2)


# -- Properties

names = st.sampled_from(["a", "b", "c"])
values = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=4)
trees = st.recursive(
    st.tuples(
        names, st.dictionaries(st.sampled_from(["id", "name", "x", "y"]), values, max_size=3), values, st.just([])
    ),
    lambda inner: st.tuples(
        names,
        st.dictionaries(st.sampled_from(["id", "name", "x"]), values, max_size=2),
        values,
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)


def built(tree, tag=None):
    name, attributes, text, children = tree
    element = etree.Element(tag or name, attributes)
    element.text = text or None
    element.extend([built(child) for child in children])
    return element


@settings(deadline=None)
@given(trees, trees)
def test_a_put_makes_the_element_mean_what_was_sent(before, after):
    root = etree.Element("app")
    root.extend([etree.Element("e"), built(before, "e"), etree.Element("e")])
    configuration = Configuration.parse(etree.tostring(root), "app.conf", {})
    client = Client(configuration)
    wanted = built(after, "e")
    if b"***" in etree.tostring(wanted, encoding="utf-8"):
        return
    answer = client.ask("PUT", "/mtev/conf/e[2]", etree.tostring(wanted), content_type="text/xml", if_match="*")
    assert answer.status == 200, answer.body
    elements = configuration.root._element
    assert [len(each) for each in (elements[0], elements[2])] == [0, 0]
    assert same_meaning(elements[1], wanted)
    assert same_meaning(etree.fromstring(configuration.text().encode())[1], wanted)


@given(trees, trees)
def test_what_means_something_else_has_another_tag(one, other):
    key = bytes(16)
    first, second = built(one, "e"), built(other, "e")
    if not same_meaning(first, second):
        assert content_tag(first, key) != content_tag(second, key)
    decorated = etree.fromstring(etree.tostring(first))
    for each in list(decorated.iter()):
        if len(each):
            each.insert(0, etree.Comment("x"))
            each[0].tail = "\n  "
    assert content_tag(decorated, key) == content_tag(first, key)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc"]), max_size=20), st.text(max_size=40), st.binary(max_size=20))
def test_no_path_header_or_body_makes_it_fail(path, header, body):
    client = parsed("<app><a><b/></a></app>")
    for method in ("GET", "PUT", "DELETE"):
        for kind in ("text/plain", "text/xml", header):
            headers = {"if_match": header, "if_none_match": header, "accept": header, "content_type": kind}
            request = Request({name.replace("_", "-"): value for name, value in headers.items()}, content=body)
            answer = client.service.answer(method, f"/mtev/conf/{path.replace('?', '')}", request)
            assert 200 <= answer.status < 500
