"""The way from a request to its response: routes, access control, hooks, failures."""

import asyncio
import logging
import re

import pytest

from mtev_http import HttpError, Request, Response, Rest, RouteError
from mtev_http._acl import AccessList, AccessLists, Conditions, Rule
from mtev_http._dispatch import RestDispatcher, Sites
from mtev_http._finishing import Finishing
from mtev_http._router import Router
from mtev_http.testing import LoopbackLink
from mtev_kernel import ABORT, CONTINUE, DONE

OPEN = AccessLists((AccessList(Conditions(), True, "app.conf:2"),))


class Service:
    def __init__(self, access: AccessLists = OPEN) -> None:
        self.log = logging.getLogger("test.http")
        self.log.setLevel(logging.DEBUG)
        router = Router()
        self.sites = Sites.idle()
        self.dispatcher = RestDispatcher(router, self.sites, self.log)
        self.dispatcher.finishing = Finishing(request_ids=False)
        self.dispatcher.access = access
        self.rest = Rest(router, self.log)
        self.seen: list[str] = []

        async def hello(request: Request) -> Response:
            self.seen.append("handler")
            return Response(200, f"hello {request.user}")

        self.rest.add("GET", "/", "^hello$", hello, summary="says hello")

    def ask(self, target: str, method: str = "GET") -> Response:
        return asyncio.run(self.dispatcher.respond(self.request(target, method)))

    def request(self, target: str, method: str = "GET") -> Request:
        return Request(method, target, "1.1", [], LoopbackLink())


def closed(url: str = "^/hello") -> AccessLists:
    rule = Rule(Conditions(url=re.compile(url)), False, "app.conf:7")
    return AccessLists((AccessList(Conditions(), True, "app.conf:2", (rule,)),))


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_async_and_a_plain_handler_answer():
    service = Service()
    service.rest.add("GET", "/", "^plain$", lambda request: Response(200, "plain"), summary="plain")
    assert service.ask("/hello").body == b"hello "
    assert service.ask("/plain").body == b"plain"


def test_a_denied_request_is_403_and_the_log_names_the_rule(caplog):
    service = Service(closed())
    response = service.ask("/hello")
    assert (response.status, response.body) == (403, b'{"error":"denied"}\n')
    assert service.seen == []
    assert warnings(caplog) == ["GET /hello from ('127.0.0.1', 1) denied by <rule> (app.conf:7)"]


def test_without_any_list_everything_is_denied_but_what_asks_no_list(caplog):
    service = Service(AccessLists(absent="app.conf has no <rest>"))
    service.rest.add("GET", "/", "^open$", lambda request: Response(200, "open"), summary="open", auth=False)
    assert service.ask("/hello").status == 403
    assert "denied: app.conf has no <rest>" in warnings(caplog)[0]
    assert service.ask("/open").status == 200


def test_access_control_sees_the_decoded_path():
    assert Service(closed("^/hello$")).ask("/%68ello").status == 403


def test_a_hook_finds_out_who_it_is_and_access_control_judges_that():
    service = Service(AccessLists((AccessList(Conditions(user=re.compile("^ann$")), True, "app.conf:2"),)))
    assert service.ask("/hello").status == 403

    def complete(request: Request) -> None:
        request.user = "ann"

    service.sites.request_complete.call = complete
    assert service.ask("/hello").body == b"hello ann"


def test_a_hook_may_refuse_a_request_before_it_is_routed():
    service = Service()
    service.sites.request_complete.call = lambda request: ABORT
    assert service.ask("/hello").status == 403
    assert service.ask("/no/such").status == 403
    assert service.seen == []


def test_a_hook_may_hide_a_route_or_answer_in_its_place():
    service = Service()

    def get_handler(request: Request, route: object) -> object:
        if request.raw_query == "hide":
            return ABORT
        if request.raw_query == "instead":
            request.fastpath = lambda request: Response(200, "instead")
            return DONE
        return DONE if request.raw_query == "forgot" else CONTINUE

    service.sites.get_handler.call = get_handler
    assert service.ask("/hello?hide").status == 404
    assert service.ask("/hello?instead").body == b"instead"
    assert service.ask("/hello").body == b"hello "
    assert service.ask("/hello?forgot").body == b"hello "


def test_the_handler_of_a_hook_is_under_the_same_access_control():
    service = Service(closed())

    def get_handler(request: Request, route: object) -> object:
        request.fastpath = lambda request: Response(200, "instead")
        return DONE

    service.sites.get_handler.call = get_handler
    assert service.ask("/hello").status == 403


@pytest.mark.parametrize("status", [302, 401, 403, 503])
def test_a_hook_may_word_a_denial(status):
    service = Service(closed())
    service.sites.auth_denied.call = lambda request, verdict: Response(status, verdict.where)
    response = service.ask("/hello")
    assert (response.status, response.body) == (status, b"app.conf:7")
    assert service.seen == []


@pytest.mark.parametrize("answer", [Response(200, "welcome"), Response(204), CONTINUE, "welcome"])
def test_a_hook_cannot_turn_a_denial_into_a_success(answer, caplog):
    service = Service(closed())
    service.sites.auth_denied.call = lambda request, verdict: answer
    assert service.ask("/hello").status == 403
    assert service.seen == []
    assert "rest_auth_denied" in warnings(caplog)[1]


def test_the_last_hook_sees_every_response_and_may_set_its_headers():
    service = Service()

    def starting(request: Request, response: Response) -> None:
        response.headers.set("X-Seen", request.raw_path)

    service.sites.response_starting.call = starting
    for target, status in (("/hello", 200), ("/no/such", 404), ("/%00", 400)):
        response = service.ask(target)
        assert (response.status, response.headers["x-seen"]) == (status, target)


def test_the_log_hook_is_told_sizes_and_times():
    service = Service()
    told = []
    service.sites.request_log.call = lambda *arguments: told.append(arguments)
    request, response = service.request("/hello"), Response()
    service.dispatcher.completed(request, response, 120)
    ((seen_request, seen_response, sent_bytes, latency_s),) = told
    assert (seen_request, seen_response, sent_bytes) == (request, response, 120)
    assert latency_s >= 0


def test_idle_hooks_are_not_in_the_way():
    service = Service()
    service.dispatcher.completed(service.request("/hello"), Response(), 0)
    assert service.ask("/hello").status == 200


@pytest.mark.parametrize(
    "handler",
    [
        lambda request: 1 / 0,
        lambda request: None,
        lambda request: "text",
        lambda request: Response(200, headers={"X": "a\r\nb"}),
        lambda request: exec("raise SystemExit(3)"),
    ],
)
def test_whatever_a_handler_does_is_a_500_with_an_id_that_is_in_the_log(handler, caplog):
    service = Service()
    service.rest.add("GET", "/", "^odd$", handler, summary="odd")
    response = service.ask("/odd")
    assert response.status == 500
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    identity = record.getMessage().rpartition(" ")[2]
    assert response.body == b'{"error":"internal error","id":"' + identity.encode() + b'"}\n'


def test_a_handler_that_trips_over_a_cancellation_of_its_own_is_a_500():
    async def odd(request: Request) -> Response:
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task
        return Response()

    service = Service()
    service.rest.add("GET", "/", "^odd$", odd, summary="odd")
    assert service.ask("/odd").status == 500


def test_cancellation_from_outside_passes_through():
    async def stay(request: Request) -> Response:
        await asyncio.Event().wait()
        return Response()

    service = Service()
    service.rest.add("GET", "/", "^stay$", stay, summary="stays")

    async def main() -> None:
        task = asyncio.ensure_future(service.dispatcher.respond(service.request("/stay")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_an_error_status_is_an_answer(caplog):
    def busy(request: Request) -> Response:
        raise HttpError(503, "later", close=True)

    service = Service()
    service.rest.add("GET", "/", "^busy$", busy, summary="busy")
    response = service.ask("/busy")
    assert (response.status, response.body, response.close) == (503, b'{"error":"later"}\n', True)
    assert warnings(caplog) == []


def test_a_doubtful_path_is_one_printable_line(caplog):
    response = Service().ask("/%0a" + "x" * 5000)
    assert (response.status, response.close) == (400, True)
    (line,) = warnings(caplog)
    assert line.startswith("malformed request from 127.0.0.1:1: the path holds a control character")
    assert len(line) < 400


def test_views_show_data_and_turn_two_errors_into_statuses():
    def view(query, *captures):
        if "missing" in query:
            raise KeyError("log 'x' not found")
        if "bad" in query:
            raise ValueError("since must be a number")
        return {"query": dict(query), "captures": captures}

    service = Service()
    service.rest.view("/logs/", r"^(\w+)(\.json)?$", view, summary="shows")
    shown = service.ask("/logs/a?x=1&x=2")
    assert (shown.status, shown.body) == (200, b'{"query":{"x":"1"},"captures":["a",""]}\n')
    assert shown.content_type == "application/json"
    missing = service.ask("/logs/a?missing")
    assert (missing.status, missing.body) == (404, b'{"error":"log \'x\' not found"}\n')
    bad = service.ask("/logs/a?bad")
    assert (bad.status, bad.body) == (400, b'{"error":"since must be a number"}\n')
    assert service.ask("/logs/a?%zz").status == 400
    assert service.ask("/logs/a", "HEAD").status == 200


def test_views_are_under_access_control():
    service = Service(closed("^/logs/"))
    service.rest.view("/logs/", "^x$", lambda query: {}, summary="shows")
    assert service.ask("/logs/x").status == 403


def test_routes_come_and_go_at_run_time():
    service = Service()
    route = service.rest.add("PUT", "/", "^later$", lambda request: Response(200, "later"), summary="comes later")
    assert service.ask("/later", "PUT").status == 200
    assert route in service.rest.routes
    service.rest.remove(route)
    assert service.ask("/later", "PUT").status == 404
    with pytest.raises(RouteError):
        service.rest.remove(route)


def test_options_without_and_with_a_route_of_its_own():
    service = Service()
    response = service.ask("/hello", "OPTIONS")
    assert (response.status, dict(response.headers)) == (200, {"allow": "OPTIONS, GET, HEAD"})
    service.rest.add("OPTIONS", "/", "^hello$", lambda request: Response(200, "mine"), summary="options")
    assert service.ask("/hello", "OPTIONS").body == b"mine"
    assert service.ask("*", "OPTIONS").headers["allow"] == "OPTIONS, GET, HEAD"
    assert service.ask("*", "GET").status == 405
