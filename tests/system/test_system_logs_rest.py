"""The log over real HTTP: tails by long poll, the graph as a resource, and the access log."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from contextlib import closing, contextmanager

import pytest
from echo_service import until

from mtev_listener import Listeners
from mtev_log import Logs

CONFIG = """<app>
  <logs{switch}>
    <log name="internal" type="memory" path="1000"/>
    <log name="requests" type="memory" path="1000"/>
    <log name="requests.json" type="memory" path="1000" format="json"/>
    <log name="error"><outlet name="internal"/></log>
    <log name="http/access"><outlet name="requests"/><outlet name="requests.json" filter="status >= 400"/></log>
  </logs>
  <listeners address="127.0.0.1">
    <listener type="http_rest_api" port="0"/>
    <listener type="http_rest_api" port="0"><config><acl>readers</acl></config></listener>
  </listeners>
  <rest linger_timeout_ms="50">
    <acl listener_acl="readers"><rule type="allow" url="^/eventer/"/></acl>
    <acl type="allow" ip="127.0.0.0/8"/>
  </rest>
</app>""".replace(">=", "&gt;=")


@pytest.fixture
def service(mtev_kernel):
    return mtev_kernel(CONFIG.replace("{switch}", ' rest_write="on"'))


def connect(running, listener=0):
    bound = running.service(Listeners).bound[listener]
    return http.client.HTTPConnection(bound.address, bound.port, timeout=30)


def ask(running, path, method="GET", body=None, listener=0, headers=None):
    with closing(connect(running, listener)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if text else None


def free(running):
    return running.service(Logs).backend("internal")._waiting.free


@contextmanager
def asked(running, path, waiting=1):
    """A request that waits."""
    with closing(connect(running)) as connection:
        connection.request("GET", path)
        until(lambda: free(running) == 64 - waiting, "it waits")
        yield connection


def lines(connection):
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    return json.loads(answer.read())


def newest(running):
    logs = running.service(Logs)
    logs.flush("internal")
    return max((entry.idx for entry in logs.backend("internal").lines_since()), default=-1)


def test_a_log_is_followed_line_by_line(service):
    stream = service.service(Logs).stream("error")
    since = newest(service)
    for number in range(3):
        with asked(service, f"/eventer/logs/internal.json?since={since}&wait=60") as connection:
            stream.log(f"line {number}")
            found = lines(connection)
        assert [each["line"].partition("line ")[2] for each in found] == [f"{number}\n"]
        assert list(found[0]) == ["idx", "whence", "line"]
        since = found[-1]["idx"]


def test_what_is_there_is_answered_at_once_and_what_is_not_at_last(service):
    service.service(Logs).stream("error").log("there")
    since = newest(service)
    assert [each["idx"] for each in ask(service, f"/eventer/logs/internal.json?since={since - 1}&wait=60")[1]] == [
        since
    ]
    assert ask(service, f"/eventer/logs/internal.json?since={since + 100}&wait=60")[1][-1]["idx"] == since
    assert ask(service, f"/eventer/logs/internal.json?since={since}&wait=0.01") == (200, [])
    assert ask(service, "/eventer/logs/internal.json?wait=61")[0] == 400
    assert ask(service, "/eventer/logs/none.json?wait=1") == (404, {"error": "log 'none' not found"})


def test_waiting_takes_no_thread_and_ends_with_its_client(service):
    since = newest(service)
    ask(service, "/eventer/logs/internal.json")  # the threads of the loop are there
    before = threading.active_count()
    path = f"/eventer/logs/internal.json?since={since}&wait=60"
    bound = service.service(Listeners).bound[0]
    clients = [socket.create_connection((bound.address, bound.port), timeout=30) for _ in range(64)]
    for client in clients:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    until(lambda: free(service) == 0, "all wait")
    assert threading.active_count() <= before
    with closing(connect(service)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        answer.read()
    for client in clients:
        client.close()
    until(lambda: free(service) == 64, "their places are free")


def test_the_end_of_the_service_answers_those_who_wait(service):
    since = newest(service)
    with asked(service, f"/eventer/logs/internal.json?since={since}&wait=60") as connection:
        service.kernel.request_stop("the test says so")
        assert isinstance(lines(connection), list)
    assert service.wait() == 0


def test_the_graph_is_changed_and_says_so(service):
    logs = service.service(Logs)
    path = "/mtev/logs/requests/outlets/internal"
    status, told = ask(service, path, "PUT", '{"filter": "status = 404"}')
    assert (status, told["outlets"]) == (201, [{"name": "internal", "filter": "status = 404"}])
    assert ask(service, path, "PUT")[0] == 409
    assert ask(service, "/mtev/logs/internal/outlets/http/access", "PUT")[1] == {
        "error": "the outlets form a cycle: internal -> http/access -> requests -> internal; remove one of them"
    }
    status, told = ask(service, "/mtev/logs/requests/outlets/error", "PUT", '{"filter": "a b"}')
    assert (status, told["error"]) == (400, "filter: expected one of = != ~ !~ <= >= < >\n    a b\n      ^")
    assert ask(service, "/mtev/logs/requests/outlets/error", "PUT", b"x" * 65537)[0] == 413
    assert ask(service, path, "DELETE") == (204, None)
    assert ask(service, path, "DELETE")[0] == 404
    assert ask(service, "/mtev/logs/http/access.json", "PATCH", '{"facility": true}')[1]["facility"] is True
    assert ask(service, "/mtev/logs/http/access.json") == (200, logs.describe("http/access"))
    assert {"name": "debug", "enabled": False}.items() <= {
        each["name"]: each for each in ask(service, "/mtev/logs.json")[1]
    }["debug"].items()
    logs.flush()
    said = [
        each["line"] for each in ask(service, "/eventer/logs/internal.json")[1] if "rest 127.0.0.1:" in each["line"]
    ]
    assert len(said) == 3
    assert re.search(r"rest 127\.0\.0\.1:\d+ lets log 'requests' feed 'internal', filter 'status = 404'\n$", said[0])


def test_access_lists_and_the_switch_guard_the_graph(service, mtev_kernel):
    assert ask(service, "/eventer/logs/internal.json", listener=1)[0] == 200
    for method, path in (
        ("GET", "/mtev/logs.json"),
        ("GET", "/mtev/logs/error.json"),
        ("PATCH", "/mtev/logs/error.json"),
        ("PUT", "/mtev/logs/requests/outlets/internal"),
        ("DELETE", "/mtev/logs/error/outlets/internal"),
    ):
        assert ask(service, path, method, listener=1) == (403, {"error": "denied"})
    assert service.stop() == 0
    running = mtev_kernel(CONFIG.replace("{switch}", ""))
    assert ask(running, "/mtev/logs.json")[0] == 200
    status, told = ask(running, "/mtev/logs/error.json", "PATCH", '{"enabled": false}')
    assert (status, 'rest_write="on" in <logs>' in told["error"]) == (403, True)


def test_every_request_is_in_the_access_log(service):
    headers = {"Authorization": "Basic c2VjcmV0", "User-Agent": 'me "too"'}
    assert ask(service, "/none?x=%221", headers=headers)[0] == 404
    logs = service.service(Logs)
    for name in ("requests", "requests.json"):
        until(lambda name=name: logs.flush(name) and logs.backend(name).lines_since(), f"it is in {name}")
    (text,) = (entry.text.decode() for entry in logs.backend("requests").lines_since())
    assert re.search(
        r'127\.0\.0\.1 - - \[.* \+0000\] "GET /none\?x=%221 HTTP/1\.1" 404 22 "-" "me \\x22too\\x22"\n$', text
    )
    (entry,) = logs.backend("requests.json").lines_since()
    told = json.loads(entry.text)
    assert told["facility"] == "http/access"
    assert told["message"] == text.removesuffix("\n")
    assert told["bytes_written"] > 22
    assert {
        "ip": "127.0.0.1",
        "user": "",
        "method": "GET",
        "protocol": "HTTP/1.1",
        "uri": "/none",
        "querystring": "x=%221",
        "status": 404,
        "bytes_read": 0,
    }.items() <= told.items()
    assert "c2VjcmV0" not in entry.text.decode()
    ask(service, "/capa.json")
    until(lambda: logs.flush("requests") and len(logs.backend("requests").lines_since()) == 2, "it is logged")
    logs.flush("requests.json")
    assert len(logs.backend("requests.json").lines_since()) == 1
