"""Handlers on the loops of a pool and in job queues: bodies, streams, failures, and that they run where they should."""

import asyncio
import http.client
import threading
from importlib import resources

import pytest

from mtev_conf.plugin import ConfPlugin
from mtev_eventer.plugin import EventerPlugin
from mtev_http import HttpError, Request, Response, Rest, RouteError, Stream, WebSocketOptions
from mtev_http.plugin import HttpPlugin
from mtev_kernel import Plugin
from mtev_kernel.testing import inline
from mtev_listener import Listeners
from mtev_listener.plugin import ListenerPlugin

CONFIG = """<example>
  <eventer><config><loop_work>2</loop_work><jobq_slow>2</jobq_slow></config></eventer>
  <modules><generic image="worker" name="worker"/></modules>
  <listeners address="127.0.0.1"><listener type="http_rest_api" port="0"/></listeners>
  <rest><acl type="allow"/></rest>
</example>"""


class Worker(Plugin):
    manifest = """
        id = "worker"
        summary = "works elsewhere"
        api = "1.0"
        requires = ["http"]
    """

    def start(self):
        self.rest = rest = self.context.services.require(Rest)
        rest.add("POST", "/", "^pool$", self.pool, summary="on a pool", pool="work")
        rest.add("GET", "/", "^stream$", self.stream, summary="a stream made on a pool", pool="work")
        rest.add("GET", "/", "^refuse$", self.refuse, summary="refuses on a pool", pool="work")
        rest.add("POST", "/", "^job$", self.job, summary="in a job queue", jobq="slow")
        rest.add("GET", "/", "^wrong$", self.pool, summary="async in a job queue", jobq="slow")

    async def pool(self, request: Request) -> Response:
        body = b"".join([piece async for piece in request.stream()])
        return Response(200, f"{threading.current_thread().name} {len(body)}")

    async def stream(self, request: Request) -> Response:
        async def pieces():
            for _ in range(3):
                await asyncio.sleep(0)
                yield f"{threading.current_thread().name}\n".encode()

        return Response(200, Stream(pieces()))

    async def refuse(self, request: Request) -> Response:
        raise HttpError(409, "not now")

    def job(self, request: Request) -> Response:
        return Response(200, f"{threading.current_thread().name} {request.content.decode()}")


@pytest.fixture
def service(mtev_kernel):
    def manifest(package):
        return (resources.files(package) / "plugin.toml").read_text()

    kinds = {
        "mtev_conf": ConfPlugin,
        "mtev_eventer": EventerPlugin,
        "mtev_listener": ListenerPlugin,
        "mtev_http": HttpPlugin,
    }
    return mtev_kernel(CONFIG, plugins=[*(inline(kind, manifest(name)) for name, kind in kinds.items()), Worker])


@pytest.fixture
def ask(service):
    bound = service.service(Listeners).bound[0]

    def ask(path, method="GET", body=None):
        connection = http.client.HTTPConnection(bound.address, bound.port, timeout=30)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    return ask


def test_a_handler_runs_on_its_pool_and_reads_its_body_there(ask):
    status, text = ask("/pool", "POST", b"x" * 500_000)
    assert status == 200
    assert text.startswith("e:work/")
    assert text.endswith(" 500000")


def test_a_stream_is_made_where_its_handler_ran(ask):
    status, text = ask("/stream")
    assert status == 200
    (name,) = set(text.splitlines())
    assert name.startswith("e:work/")


def test_what_a_handler_raises_elsewhere_is_its_answer(ask):
    assert ask("/refuse") == (409, '{"error":"not now"}\n')


def test_a_plain_handler_runs_in_a_job_queue_with_its_body_read(ask):
    status, text = ask("/job", "POST", b"body")
    assert (status, text.split(" ")[1]) == (200, "body")
    assert "slow" in text


def test_an_async_handler_has_no_place_in_a_job_queue(ask):
    assert ask("/wrong")[0] == 500


def test_places_that_do_not_exist_are_refused(service):
    rest = service.service(Rest)
    with pytest.raises(RouteError, match="no pool named 'none'|no pool 'none'"):
        rest.add("GET", "/", "^x$", lambda request: Response(), summary="x", pool="none")
    with pytest.raises(RouteError, match="no job queue named 'none'|no job queue 'none'"):
        rest.add("GET", "/", "^x$", lambda request: Response(), summary="x", jobq="none")
    with pytest.raises(RouteError, match="either on a pool of loops or in a job queue"):
        rest.add("GET", "/", "^x$", lambda request: Response(), summary="x", pool="work", jobq="slow")
    with pytest.raises(RouteError, match=r"add it with rest\.websocket"):
        rest.add("WS", "/", "^x$", lambda request: Response(), summary="x")
    assert WebSocketOptions().message_limit_bytes == 1024 * 1024
