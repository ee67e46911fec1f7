"""Resources: what a plugin answers that knows none of this distribution's types."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from http import HTTPStatus
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http import BodyLimits, HttpError, Request, Response, Rest, RouteError
from mtev_http._acl import AccessList, AccessLists, Conditions
from mtev_http._dispatch import RestDispatcher, Sites
from mtev_http._finishing import Finishing
from mtev_http._router import Router
from mtev_http.testing import LoopbackLink


@dataclass
class Answer:
    """An answer of a plugin's own."""

    status: int = 200
    headers: object = field(default_factory=dict)
    body: bytes = b""
    content_type: str | None = None


class Refused(Exception):
    """An error of a plugin's own."""

    def __init__(self, text, status):
        super().__init__(text)
        self.status = status


class Pieces:
    def __init__(self, *pieces):
        self.pieces = list(pieces)

    async def read(self):
        return self.pieces.pop(0) if self.pieces else b""


class Service:
    def __init__(self, allow=True):
        self.log = logging.getLogger("test.http")
        router = Router()
        self.dispatcher = RestDispatcher(router, Sites.idle(), self.log)
        self.dispatcher.finishing = Finishing(request_ids=False)
        self.dispatcher.access = AccessLists((AccessList(Conditions(), allow, "app.conf:2"),))
        self.rest = Rest(router, self.log)

    def add(self, function, method="GET", **options):
        return self.rest.resource(method, "/conf/", r"^(.*?)(\.xml)?$", function, summary="a resource", **options)

    def ask(self, target="/conf/x", method="GET", *pieces, headers=()):
        source = Pieces(*pieces) if pieces else None
        request = Request(method, target, "1.1", list(headers), LoopbackLink(), source, BodyLimits(10))
        return asyncio.run(self.dispatcher.respond(request))


def answering(function, **options):
    service = Service()
    service.add(function, **options)
    return service


def failures(caplog):
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_resource_gets_the_request_and_what_was_captured():
    async def show(request, *captures):
        text = f"{request.method} {request.peer_text} {request.user!r} {request.query['a']} {captures}"
        return Answer(body=text.encode(), content_type="text/plain")

    response = answering(show).ask("/conf/app/x.xml?a=1")
    assert (response.status, response.content_type) == (200, "text/plain")
    assert response.body == b"GET 127.0.0.1:1 '' 1 ('app/x', '.xml')"


def test_a_plain_function_answers_too():
    assert answering(lambda request, *captures: Answer(204)).ask().status == 204


@pytest.mark.parametrize("headers", [{"ETag": '"7"'}, OrderedDict(ETag='"7"'), [("ETag", '"7"')], (("ETag", '"7"'),)])
def test_headers_are_a_mapping_or_pairs(headers):
    response = answering(lambda request, *captures: Answer(304, headers)).ask()
    assert (response.status, list(response.header_pairs())) == (304, [("ETag", '"7"')])


def test_several_headers_of_a_name():
    pairs = [("Link", "<a>"), ("Link", "<b>")]
    assert list(answering(lambda request, *captures: Answer(200, pairs)).ask().header_pairs()) == pairs


def test_a_body_without_a_type_is_octets_and_no_body_has_none():
    assert answering(lambda request, *captures: Answer(body=b"x")).ask().content_type == "application/octet-stream"
    assert answering(lambda request, *captures: Answer()).ask().content_type == ""


def test_the_status_may_be_an_enumeration():
    response = answering(lambda request, *captures: Answer(HTTPStatus.CREATED)).ask()
    assert type(response.status) is int
    assert response.status == 201


def test_our_own_response_is_an_answer_as_it_stands():
    ours = Response(202, "text", headers=[("Link", "<a>"), ("Link", "<b>")], close=True)
    assert answering(lambda request, *captures: ours).ask() is ours


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "text",
        {"status": 200},
        SimpleNamespace(status=200, headers={}, body=b""),
        Answer("200"),
        Answer(None),
        Answer(True),
        Answer(99),
        Answer(100),
        Answer(600),
        Answer(204, body=b"x"),
        Answer(304, body=b"x"),
        Answer(body="text"),
        Answer(body=None),
        Answer(body=bytearray(b"x")),
        Answer(content_type=7),
        Answer(content_type="text/html\r\nX: y", body=b"x"),
        Answer(headers=None),
        Answer(headers="ETag"),
        Answer(headers=[("ETag",)]),
        Answer(headers=["ab"]),
        Answer(headers={"ETag": 7}),
        Answer(headers={7: "x"}),
        Answer(headers={"ETag": "a\r\nSet-Cookie: b"}),
        Answer(headers={"Content-Length": "0"}),
        Answer(headers={"Content-Type": "text/html"}),
    ],
    ids=repr,
)
def test_what_is_no_answer_is_the_fault_of_the_resource(odd, caplog):
    response = answering(lambda request, *captures: odd).ask()
    assert response.status == 500
    (record,) = failures(caplog)
    assert record.exc_info[0] in (TypeError, ValueError)
    identity = record.getMessage().rpartition(" ")[2]
    assert response.body == b'{"error":"internal error","id":"' + identity.encode() + b'"}\n'


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("it has changed", 412), 412),
        (Refused("it has changed", HTTPStatus.PRECONDITION_FAILED), 412),
        (Refused("not here", 599), 599),
        (HttpError(409, "a conflict"), 409),
        (LookupError("no such element"), 404),
        (ValueError("no such path"), 400),
    ],
    ids=repr,
)
def test_errors_that_are_answers(error, status, caplog):
    async def fail(request, *captures):
        raise error

    response = answering(fail).ask()
    assert (response.status, response.content_type) == (status, "application/json")
    assert response.body == b'{"error":"%s"}\n' % str(error).encode()
    assert not response.close
    assert failures(caplog) == []


def test_an_error_that_ends_the_connection_does():
    def fail(request, *captures):
        raise HttpError(400, "enough", close=True)

    assert answering(fail).ask().close


def test_a_status_of_its_own_makes_an_answer_of_any_exception():
    class Missing(KeyError):
        status = 404

    def fail(request, *captures):
        raise Missing("no such element")

    assert answering(fail).ask().body == b'{"error":"no such element"}\n'


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("broken"),
        KeyError("x"),
        IndexError("list index out of range"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        LookupError(),
        ValueError(),
        ValueError(7),
        Refused("no error", 200),
        Refused("no error", 399),
        Refused("beyond", 600),
        Refused("a text", "404"),
        Refused("a flag", True),
        SystemExit(3),
        asyncio.CancelledError(),
    ],
    ids=repr,
)
def test_errors_that_are_faults(error, caplog):
    async def fail(request, *captures):
        raise error

    assert answering(fail).ask().status == 500
    (record,) = failures(caplog)
    assert record.exc_info[1] is error


def test_cancellation_from_outside_passes_through():
    async def stay(request, *captures):
        await asyncio.Event().wait()

    service = answering(stay)

    async def main():
        request = Request("GET", "/conf/x", "1.1", [], LoopbackLink())
        task = asyncio.ensure_future(service.dispatcher.respond(request))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


async def echo(request, *captures):
    return Answer(body=await request.body())


def test_bodies_are_bounded_as_for_handlers():
    service = answering(echo, method="PUT")
    assert service.ask("/conf/x", "PUT", b"x" * 10).body == b"x" * 10
    response = service.ask("/conf/x", "PUT", b"x" * 11)
    assert (response.status, response.close) == (413, True)
    assert response.body == b'{"error":"the body is larger than 10 bytes"}\n'


@pytest.mark.parametrize("limit", [0, 3, 100])
def test_a_resource_may_have_a_bound_of_its_own(limit):
    service = answering(echo, method="PUT", body_limit_bytes=limit)
    assert service.ask("/conf/x", "PUT", b"x" * limit).body == b"x" * limit
    assert service.ask("/conf/x", "PUT", b"x", b"x" * limit).status == 413
    headers = [(b"Content-Length", b"%d" % (limit + 1))]
    assert service.ask("/conf/x", "PUT", b"x", headers=headers).status == 413


def test_a_bound_is_one():
    with pytest.raises(RouteError, match=r"route /conf/.* -1 bytes is below 0"):
        Service().add(echo, body_limit_bytes=-1)


def test_head_is_answered_by_a_resource_for_get():
    seen = []
    service = answering(lambda request, *captures: seen.append(request.method) or Answer(200, {"ETag": '"1"'}))
    response = service.ask(method="HEAD")
    assert (response.status, response.headers["etag"], seen) == (200, '"1"', ["HEAD"])
    assert service.ask(method="PUT").status == 405


def test_access_control_applies():
    service = Service(allow=False)
    service.add(lambda request, *captures: pytest.fail("it was asked"))
    assert service.ask().status == 403


def test_listings_name_the_function_and_a_resource_can_be_removed():
    service = Service()
    route = service.add(echo)
    assert (route.handler.__module__, route.handler.__qualname__) == (__name__, "echo")
    assert service.rest.routes == (route,)
    service.rest.remove(route)
    assert service.ask().status == 404
    with pytest.raises(RouteError, match="summary"):
        service.rest.resource("GET", "/", "^x$", echo, summary="")


@pytest.mark.parametrize(
    ("peer", "text"),
    [
        (("10.0.0.1", 80), "10.0.0.1:80"),
        (("::1", 80), "[::1]:80"),
        ("/run/x.sock", "/run/x.sock"),
        ("\0abs\n", r"\x00abs\n"),
        ("", "unnamed"),
        (None, "unnamed"),
    ],
)
def test_the_peer_in_one_word(peer, text):
    link = LoopbackLink()
    link.peer = peer
    assert Request("GET", "/", "1.1", [], link).peer_text == text


@given(
    st.builds(
        Answer,
        st.integers(-1, 700) | st.none() | st.text(max_size=3),
        st.dictionaries(st.text(max_size=5), st.text(max_size=5))
        | st.lists(st.tuples(st.text(), st.text()))
        | st.none(),
        st.binary(max_size=5) | st.text(max_size=5),
        st.text(max_size=5) | st.none(),
    )
)
def test_whatever_is_answered_the_client_gets_a_response(answer):
    response = answering(lambda request, *captures: answer).ask()
    assert isinstance(response, Response)
    assert 200 <= response.status <= 599
