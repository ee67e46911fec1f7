"""What the service says of itself, through the dispatcher."""

import asyncio
import json
import logging

import pytest
from openapi_spec_validator import validate

from mtev_http import Request, Response, Rest
from mtev_http._acl import AccessList, AccessLists, Conditions
from mtev_http._dispatch import RestDispatcher, Sites
from mtev_http._openapi import Information
from mtev_http._pages import Pages
from mtev_http._router import Router
from mtev_http.testing import LoopbackLink
from mtev_kernel import PluginRecord

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
DENIED = AccessLists((AccessList(Conditions(), False, "app.conf:2"),))
OPEN = AccessLists((AccessList(Conditions(), True, "app.conf:2"),))


class Service:
    def __init__(self, access=OPEN):
        router = Router()
        self.state, self.draining = "running", False
        self.dispatcher = RestDispatcher(router, Sites.idle(), logging.getLogger("test.pages"))
        self.dispatcher.access = access
        self.rest = Rest(router, logging.getLogger("test.pages"))
        Pages(
            self.rest,
            information=lambda: Information("app", "1.0"),
            plugins=lambda: [PluginRecord("disk", "disk", "1", "d", "", "", self.state, "1.0", "full", "app:1", {})],
            draining=lambda: self.draining,
            allowed=lambda request: self.dispatcher.access.decide(request).allowed,
        ).add()

    def ask(self, target, accept=None):
        headers = [(b"Accept", accept.encode())] if accept else []
        return asyncio.run(self.dispatcher.respond(Request("GET", target, "1.1", headers, LoopbackLink())))


def test_the_index_is_text_for_curl_and_a_page_for_browsers():
    service = Service()
    text = service.ask("/mtev/", "*/*")
    assert text.content_type == "text/plain; charset=utf-8"
    assert "whether the service is ready for work" in text.body.decode()
    page = service.ask("/mtev/", BROWSER)
    assert page.content_type == "text/html; charset=utf-8"
    assert '<a href="/openapi.json">' in page.body.decode()
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_the_document_follows_the_routes():
    service = Service()
    first = service.ask("/openapi.json")
    assert service.ask("/openapi.json").body is first.body
    added = service.rest.add("GET", "/acme/", "^x$", lambda request: Response(204), summary="x")
    document = json.loads(service.ask("/openapi.json").body)
    validate(document)
    assert {"/acme/x", "/openapi.json", "/livez", "/readyz", "/mtev/", "/mtev/rest.json"} == set(document["paths"])
    assert document["info"] == {"title": "app", "version": "1.0"}
    service.rest.remove(added)
    assert service.ask("/openapi.json").body == first.body


def test_libmtevs_scripts_find_the_routes():
    assert {"method": "GET", "expression": "^livez$"} in json.loads(Service().ask("/mtev/rest.json").body)["/"]


def test_how_the_service_is():
    service = Service()
    assert (service.ask("/livez").status, service.ask("/readyz").body) == (200, b"ok\n")
    service.state = "degraded"
    assert (service.ask("/livez").status, service.ask("/readyz").status) == (200, 503)
    assert service.ask("/readyz?verbose").body == b"[-]disk degraded: full\nreadyz check failed\n"
    assert json.loads(service.ask("/readyz?verbose", "application/json").body)["plugins"][0]["cause"] == "full"
    assert service.ask("/readyz?exclude=other&exclude=disk").status == 200
    service.draining = True
    answer = service.ask("/readyz?exclude=disk")
    assert (answer.status, answer.body, answer.headers["Cache-Control"]) == (503, b"draining\n", "no-store")


@pytest.mark.parametrize(
    "path", ["/mtev/", "/mtev/rest.json", "/openapi.json", "/readyz?verbose", "/readyz?a&verbose=1"]
)
def test_strangers_learn_nothing_of_what_is_inside(path):
    assert Service(DENIED).ask(path).status == 403


def test_strangers_learn_whether_it_is_alive_and_ready():
    service = Service(DENIED)
    service.state = "failed"
    assert (service.ask("/livez").body, service.ask("/readyz").body) == (b"ok\n", b"not ready\n")
