"""What a daemon says of itself: the index, the OpenAPI document, which is true, and how it is."""

from __future__ import annotations

import http.client
import json
from contextlib import closing

import pytest
from openapi_spec_validator import validate

ORDINARY = {"capture1": "none", "rest": "none"}


@pytest.fixture
def port(installed, demo):
    with installed.start("-c", demo) as daemon:
        daemon.wait_for("ready: ")
        yield int(daemon.wait_for(r"control_dispatch listens on \S+:(\d+)")[1])
        assert daemon.stop() == 0


def ask(port, path, accept="*/*"):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()


def test_what_the_document_says_of_get_is_so(port):
    document = json.loads(ask(port, "/openapi.json")[2])
    validate(document)
    assert document["info"]["title"] == "demo"
    tried = 0
    for path, item in document["paths"].items():
        if "get" in item and "x-mtev-websocket" not in item["get"]:
            for name, value in ORDINARY.items():
                path = path.replace(f"{{{name}}}", value)
            status, headers, _ = ask(port, path)
            assert str(status) in item["get"]["responses"], path
            if status == 200 and path.endswith(".json"):
                assert headers.get_content_type() in item["get"]["responses"]["200"]["content"], path
            tried += 1
    assert tried > 20
    assert "/hello" in document["paths"]
    assert "/hello/{capture1}" in document["paths"]


def test_the_index_and_the_disclosure(port):
    assert "^plugins\\.json$" in ask(port, "/mtev/")[2]
    status, headers, page = ask(port, "/mtev/", "text/html")
    assert (status, headers.get_content_type()) == (200, "text/html")
    assert '<a href="/mtev/plugins.json">' in page
    assert {"method": "GET", "expression": "^livez$"} in json.loads(ask(port, "/mtev/rest.json")[2])["/"]


def test_how_it_is(port):
    assert ask(port, "/livez")[::2] == (200, "ok\n")
    assert ask(port, "/readyz")[::2] == (200, "ok\n")
    assert "[+]http ok\n" in ask(port, "/readyz?verbose")[2]
