"""The short way from lines to bytes: it makes what the long one makes, and leaves to that what it should."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_log._line import NO_FIELDS, Plan, Step, Way, record_of
from mtev_log._quick import QuickEncoder
from mtev_log.backend import BackendSettings
from mtev_log.errors import IncompleteWrite
from mtev_log.formats import PlainEncoder, encode_json
from mtev_log.handover import SinkOptions
from mtev_log.record import Flags, Record
from mtev_log.sink import RETRY_S, Sink

CODE = (lambda: None).__code__
NS = 1_000_000_000


class Nowhere:
    """Stands for a sink as the key of a plan."""


SINK = Nowhere()


def unused(lines, times_ns):
    raise AssertionError("nothing is written here")


def plan(*ways, facility="error/x", sink=SINK):
    return Plan(facility, (sink,), {sink: ways})


def called(to, message="text", *arguments, time_ns=1_700_000_000 * NS, exception=""):
    return (to, time_ns, message, arguments, NO_FIELDS, threading.main_thread(), CODE, 7, exception)


texts = st.one_of(st.text(), st.sampled_from(["%d of %d", "%s", "two\nlines", "\udc80 \ud800", "100 %", ""]))
flags = st.builds(Flags, st.booleans(), st.booleans(), st.just(False))
calls = st.tuples(
    st.integers(0, 2),
    texts,
    st.lists(st.one_of(st.integers(), st.text(), st.none()), max_size=2),
    st.integers(1_700_000_000 * NS, 1_700_000_003 * NS),
    st.sampled_from(["", "", "Traceback\n  of one"]),
)


@given(st.lists(flags, min_size=3, max_size=3), st.lists(calls, max_size=20), st.booleans(), st.booleans())
def test_the_bytes_are_those_of_the_records(three, found, split, utc):
    plans = [plan(Way(each), facility=f"error/{number}") for number, each in enumerate(three)]
    lines = [
        called(plans[which], message, *arguments, time_ns=time_ns, exception=exception)
        for which, message, arguments, time_ns, exception in found
    ]
    expected = [
        PlainEncoder(split=split, utc=utc)(record_of(line, three[one[0]]))
        for line, one in zip(lines, found, strict=True)
    ]
    assert QuickEncoder(PlainEncoder(split=split, utc=utc), unused).lines(lines, SINK) == expected


@pytest.mark.parametrize(
    "line",
    [
        (plan(Way(Flags())), Record(0, "x", "made elsewhere")),
        called(plan(Way(None))),
        called(plan(Way(Flags(debug=True)))),
        called(plan(Way(Flags(), (Step(),)))),
        called(plan(Way(Flags()), Way(Flags()))),
        called(Plan("x")),
    ],
    ids=["record", "flags of its own", "debug", "steps", "two ways", "none"],
)
def test_other_lines_go_the_long_way(line):
    quick = QuickEncoder(PlainEncoder(), unused)
    assert quick.lines([called(plan(Way(Flags()))), line], SINK) is None


def test_only_the_plain_format_has_a_short_way():
    backend = Bytes()
    assert QuickEncoder.of(backend) is not None
    backend.encode = encode_json
    assert QuickEncoder.of(backend) is None
    del backend.encode
    assert QuickEncoder.of(backend) is None


class Counted:
    """Counts nothing."""

    def add(self, n=1): ...


class Bytes:
    """A backend that takes bytes."""

    def __init__(self):
        self.encode = PlainEncoder()
        self.encoded, self.from_records, self.times = [], [], []
        self.room = 1000  # lines; anything else fails

    def write(self, records):
        self.from_records += [record.message for record in records]

    def write_encoded(self, lines, times_ns):
        taken = lines[: self.room]
        self.encoded += taken
        self.times += times_ns[: self.room]
        if len(taken) < len(lines):
            raise IncompleteWrite(len(taken), "disk full")

    def open(self): ...
    def flush(self): ...
    def reopen(self): ...
    def close(self): ...


class Reports:
    def __init__(self):
        self.said = []

    def sink_failed(self, sink, text):
        self.said.append(text)

    sink_recovered = sink_failed


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def opened():
    backend, reports, clock = Bytes(), Reports(), Clock()
    sink = Sink(BackendSettings("x", type="t"), backend, reports, options=SinkOptions(), clock=clock)
    sink.open()
    return sink, backend, reports, clock


def put(sink, *lines):
    sink.queue.extend(lines)
    sink.wake()


def test_a_backend_of_bytes_gets_bytes_with_their_times():
    sink, backend, _, _ = opened()
    to = plan(Way(Flags(facility=True)), sink=sink)
    put(sink, called(to, "%d", 1, time_ns=5), called(to, "b", time_ns=6))
    assert backend.encoded == [b"[error/x] 1\n", b"[error/x] b\n"]
    assert backend.times == [5, 6]
    assert sink.written == 2


def test_a_batch_with_one_line_for_the_long_way_goes_that_way_whole_and_in_order():
    sink, backend, _, _ = opened()
    count = Counted()
    to = plan(Way(Flags()), sink=sink)
    counted = plan(Way(Flags(), (Step(count=count),)), sink=sink)
    put(sink, called(to, "a"), called(counted, "b"), called(to, "c"))
    assert backend.from_records == ["a", "b", "c"]
    assert backend.encoded == []


def test_what_was_not_written_is_written_later_once():
    sink, backend, reports, clock = opened()
    to = plan(Way(Flags()), sink=sink)
    backend.room = 1
    put(sink, called(to, "a"), called(to, "%s", "b"), called(to, "c"))
    assert sink.failing == "disk full"
    backend.room = 1000
    clock.now += RETRY_S
    put(sink, called(to, "d"))
    assert backend.encoded + [f"{text}\n".encode() for text in backend.from_records] == [b"a\n", b"d\n", b"b\n", b"c\n"]
    assert (sink.written, sink.lost) == (4, 0)
    assert len(reports.said) == 2


def test_a_batch_that_fails_as_a_whole_is_counted():
    sink, backend, _, _ = opened()
    backend.room = "none"
    to = plan(Way(Flags()), sink=sink)
    put(sink, called(to, "a"), called(to, "b"))
    assert sink.lost == 2
    assert "TypeError" in sink.failing


def test_what_an_incomplete_batch_left_survives_a_reopen_that_fails():
    sink, backend, _, clock = opened()
    to = plan(Way(Flags()), sink=sink)
    backend.room = 0
    put(sink, called(to, "kept"))
    backend.reopen = lambda: 1 // 0
    clock.now += RETRY_S
    put(sink, called(to, "waits"))
    backend.room = 1000
    del backend.reopen
    clock.now += RETRY_S
    sink.wake()
    assert backend.from_records == ["kept"]
    assert backend.encoded == [b"waits\n"]
    assert sink.lost == 0
