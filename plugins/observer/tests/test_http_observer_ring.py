"""What is remembered, of which phase, and for how long; against a plain model, and from many threads."""

import gc
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http import Request, Response
from mtev_http.testing import LoopbackLink
from mtev_http_observer import HttpObserver, Settings, note
from mtev_http_observer.entry import OWN_FIELDS, TEXT_LIMIT
from mtev_http_observer.filters import filters_of_query
from mtev_http_observer.notes import MAX_NOTES


class Clock:
    """Time as the test has it."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def requested(clock, target="/x?y=1", method="GET", headers=(), **link):
    request = Request(method, target, "1.1", [*headers], LoopbackLink(**link))
    request.started_s = clock()
    return request


def observing(clock, **settings):
    return HttpObserver(Settings(**settings), clock, lambda: clock() + 1e9)


def served(observer, request, response=None, sent_bytes=10):
    response = response or Response(200, "ok")
    observer.began(request)
    observer.answering(request, response)
    observer.answered(request, response, sent_bytes)


def ids(observer):
    return [row["request_id"] for row in observer.rows()]


def test_libmtevs_fields_in_its_order_and_types(clock):
    observer = observing(clock, headers_in={"user-agent": "agent"}, headers_out={"x-cache": "cache"})
    headers = [(b"Host", b"a.example"), (b"User-Agent", b"curl"), (b"Cookie", b"secret"), (b"X-Request-Id", b"abc-1")]
    request = requested(clock, "/a%20b?c=%20d", "POST", headers, peer=("192.0.2.1", 4711), remote_cn="ann")
    clock.now_s += 0.001
    observer.began(request)
    clock.now_s += 0.001
    request.received_bytes = 5
    observer.read(request, b"12345")
    clock.now_s += 0.001
    observer.read(request, b"")
    response = Response(201, "made", headers={"X-Cache": "hit"})
    clock.now_s += 0.001
    observer.answering(request, response)
    observer.sending(request, b"made")
    clock.now_s += 0.001
    observer.answered(request, response, 120)
    (row,) = observer.rows()
    assert row == {
        "request_id": 0,
        "request_start_ms": 1_000_001_000_000,
        "request_complete_offset_ns": 1_000_000,
        "read_start_offset_ns": 2_000_000,
        "read_complete_offset_ns": 3_000_000,
        "response_start_offset_ns": 4_000_000,
        "response_complete_offset_ns": 5_000_000,
        "received_bytes": 5,
        "sent_bytes": 120,
        "remote_tls_common_name": "ann",
        "remote_address": "192.0.2.1",
        "remote_port": "4711",
        "uri": "/a b",
        "querystring": "c=%20d",
        "method": "POST",
        "protocol": "HTTP/1.1",
        "host": "a.example",
        "status": "201",
        "agent": "curl",
        "cache": "hit",
        "id": "abc-1",
        "state": "done",
    }
    assert [name for name in row if name in OWN_FIELDS] == [name for name in OWN_FIELDS if name in row]
    assert list(row)[-4:] == ["agent", "cache", "id", "state"]
    assert "secret" not in str(row)


def test_what_is_not_known_is_left_out(clock):
    observer = observing(clock)
    request = requested(clock, "/x", peer=None)
    observer.began(request)
    (row,) = observer.rows()
    assert list(row) == [
        *("request_id", "request_start_ms", "request_complete_offset_ns", "received_bytes", "sent_bytes"),
        *("remote_address", "uri", "method", "protocol", "id", "state"),
    ]
    assert (row["state"], row["remote_address"]) == ("live", "")


def test_several_values_are_joined_and_content_type_is_a_header(clock):
    observer = observing(clock, headers_in={"x-a": "a"}, headers_out={"x-b": "b", "content-type": "type"})
    response = Response(200, "ok", headers=[("X-B", "1"), ("x-b", "2")])
    served(observer, requested(clock, headers=[(b"X-A", b"1"), (b"x-a", b"\xe9")]), response)
    (row,) = observer.rows()
    assert (row["a"], row["b"], row["type"]) == ("1, é", "1, 2", "text/plain; charset=utf-8")


def test_live_ones_come_first(clock):
    observer = observing(clock)
    waiting = requested(clock, "/waits")
    served(observer, requested(clock, "/first"))
    observer.began(waiting)
    served(observer, requested(clock, "/third"))
    assert ids(observer) == [1, 0, 2]
    assert [row["uri"] for row in observer.rows(filters_of_query([("eq_state", "live")]))] == ["/waits"]


def test_a_request_whose_client_leaves_is_gone(clock):
    observer = observing(clock)
    request = requested(clock, "/left")
    observer.began(request)
    clock.now_s += 1
    del request
    gc.collect()
    (row,) = observer.rows()
    assert row["state"] == "gone"
    assert "response_complete_offset_ns" not in row
    clock.now_s += 31
    assert ids(observer) == []


def test_what_is_broken_off_counts_what_was_handed_on(clock):
    observer = observing(clock)
    request, response = requested(clock), Response(200, "x" * 100)
    observer.began(request)
    observer.answering(request, response)
    observer.sending(request, response.body)
    observer.answered(request, response, 0)
    assert next(observer.rows())["sent_bytes"] == 100


def test_texts_are_cut_and_made_valid(clock):
    observer = observing(clock, headers_in={"x-a": "a"})
    request = requested(clock, f"/{'p' * 2000}?{'q' * 2000}", headers=[(b"x-a", b"h" * 5000), (b"host", b"o" * 900)])
    observer.began(request)
    note(request, "n", "n" * 900)
    (row,) = observer.rows()
    assert [len(row[name]) for name in ("uri", "querystring", "host", "a", "n")] == [TEXT_LIMIT] * 5
    strange = requested(clock, "/x?\udcff", peer="/run/\udcff")
    observer.began(strange)
    for row in observer.rows():
        str(row).encode()


def test_notes_are_fields(clock):
    observer = observing(clock)
    request = requested(clock)
    note(request, "early", "lost")  # nobody observes it yet
    observer.began(request)
    note(request, "cache", "hit")
    note(request, "tries", 3)
    assert list(next(observer.rows()).items())[-2:] == [("cache", "hit"), ("tries", "3")]
    note(request, "cache", "miss")
    request.notes["http_observer.by_hand"] = True
    request.notes["http_observer.status"] = "forged"
    request.notes["http_observer.odd name"] = "x"
    request.notes["http_observer.object"] = object()
    request.notes["other.note"] = "x"
    observer.answered(request, Response(204), 1)
    (row,) = observer.rows()
    assert (row["cache"], row["by_hand"], row["status"]) == ("miss", "True", "204")
    assert set(row) - set(OWN_FIELDS) == {"cache", "tries", "by_hand"}


@pytest.mark.parametrize("name", ["", "a b", "1a", "x" * 65, *OWN_FIELDS])
def test_a_note_may_not_be_called_just_anything(clock, name):
    with pytest.raises(ValueError, match="is not a name for a note"):
        note(requested(clock), name, "x")


def test_notes_are_bounded(clock):
    observer = observing(clock)
    request = requested(clock)
    observer.began(request)
    for number in range(100):
        note(request, f"n{number}", number)
        request.notes[f"http_observer.m{number}"] = number
    observer.answered(request, Response(204), 1)
    assert len(set(next(observer.rows())) - set(OWN_FIELDS)) == MAX_NOTES


def test_no_more_are_followed_than_the_ring_holds(clock):
    observer = observing(clock, max_count=2)
    requests = [requested(clock, f"/{number}") for number in range(4)]
    for request in requests:
        observer.began(request)
    assert ids(observer) == [0, 1]
    for request in requests:
        observer.answered(request, Response(204), 1)
    assert ids(observer) == [0, 1]
    served(observer, requested(clock))
    assert ids(observer) == [1, 4]


def test_new_settings_keep_the_newest_and_lose_nobody(clock):
    observer = observing(clock, max_count=4)
    for _ in range(4):
        served(observer, requested(clock))
    left = requested(clock)
    observer.began(left)
    observer.settings = Settings(2)
    assert ids(observer) == [4, 2, 3]
    del left
    gc.collect()
    assert ids(observer) == [3, 4]


@given(
    st.integers(1, 6),
    st.lists(st.one_of(st.just("begin"), st.integers(0, 9), st.floats(0.5, 40.0, allow_nan=False)), max_size=60),
)
def test_the_ring_keeps_the_newest_of_the_last_seconds(count, steps):
    """Against a model: begin a request, answer the n-th of those under way, or let time pass."""
    clock = Clock()
    observer = observing(clock, max_count=count)
    live, done, number = [], [], 0
    for step in steps:
        if step == "begin":
            request = requested(clock)
            observer.began(request)
            if len(live) < count:
                live.append((number, request))
            number += 1
        elif isinstance(step, int):
            if live:
                identity, request = live.pop(step % len(live))
                observer.answered(request, Response(204), 1)
                done = [*done, (identity, clock())][-count:]
        else:
            clock.now_s += step
        shown = [identity for identity, ended_s in done if ended_s > clock() - 30]
        assert ids(observer) == [identity for identity, _ in live] + shown


def test_many_threads(clock):
    observer = observing(clock, max_count=100)
    start, failures = threading.Barrier(5), []

    def serve():
        start.wait()
        for _ in range(300):
            served(observer, requested(clock))

    def look():
        start.wait()
        for _ in range(100):
            rows = list(observer.rows())
            if len({row["request_id"] for row in rows}) != len(rows):
                failures.append(rows)

    threads = [threading.Thread(target=target) for target in (serve, serve, serve, serve, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    shown = ids(observer)
    assert len(shown) == 100
    assert observer._live == {}
    served(observer, requested(clock))
    assert ids(observer)[-1] == 1200
