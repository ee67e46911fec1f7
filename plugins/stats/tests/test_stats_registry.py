"""The registry: paths, tags, limits, and what may be registered where."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_stats import Counter, Gauge, Histogram, RegistrationError, Stats, as_part


def names(stats):
    return [".".join(entry.path) for entry in stats.entries()]


def test_a_path_has_one_metric_for_everybody():
    stats = Stats()
    one = stats.counter(("acme", "requests"))
    assert stats.counter(["acme", "requests"]) is one
    assert stats.find(("acme", "requests")) is one
    assert stats.find(("acme",)) is stats.find(("acme", "other")) is None
    assert len(stats) == 1


def test_a_path_has_one_type():
    stats = Stats()
    stats.counter(("acme", "requests"))
    with pytest.raises(RegistrationError, match=r"'acme.requests' is a counter already; it cannot be a histogram too"):
        stats.histogram(("acme", "requests"))


def test_a_name_may_be_a_metric_and_the_beginning_of_others():
    stats = Stats()
    stats.counter(("a",))
    stats.gauge(("a", "b"), lambda: 1)
    assert names(stats) == ["a", "a.b"]


@pytest.mark.parametrize("path", [(), "acme", ("",), ("a", 'b"c'), ("a\n",)])
def test_paths_that_cannot_be(path):
    with pytest.raises(RegistrationError):
        Stats().counter(path)


@pytest.mark.parametrize("tags", [{"": "x"}, {"a:b": "x"}, {"a": "x" * 255}, {f"t{n}": "" for n in range(257)}])
def test_tags_that_cannot_be(tags):
    with pytest.raises(RegistrationError):
        Stats().counter(("a",), tags=tags)


def test_tags_hold_for_everything_below():
    stats = Stats()
    stats.tag(("mtev",), {"app": "mtev"})
    stats.tag(("mtev", "eventer"), {"mtev": "eventer", "app": "nearer"})
    stats.counter(("mtev", "eventer", "events"), tags={"units": "events"})
    stats.counter(("other",))
    assert [dict(entry.tags) for entry in stats.entries()] == [
        {"app": "nearer", "mtev": "eventer", "units": "events"},
        {},
    ]


def test_beyond_the_limit_metrics_are_counted_nowhere_and_that_is_said_once(caplog):
    stats = Stats(limit=2)
    stats.counter(("a",))
    known = stats.counter(("b",))
    with caplog.at_level(logging.WARNING):
        surplus = [stats.counter((f"peer {n}",)) for n in range(100)]
        stats.histogram(("h",)).record(1)
        stats.gauge(("g",)).set(1)
    surplus[0].add()
    assert names(stats) == ["a", "b"]
    assert len(set(map(id, surplus))) == 1
    assert stats.counter(("b",)) is known
    assert [record.message for record in caplog.records] == [
        "there are 2 metrics, the limit (max_metrics); 'peer 0' and further ones are counted nowhere"
    ]
    assert stats.remove(("a",))
    stats.counter(("c",))
    assert names(stats) == ["b", "c"]


def test_removing_takes_everything_below():
    stats = Stats()
    stats.counter(("a", "b", "c"))
    stats.counter(("a", "b"))
    stats.counter(("a", "x"))
    assert stats.remove(("a", "b"))
    assert not stats.remove(("a", "b"))
    assert not stats.remove(("nothing", "there"))
    assert names(stats) == ["a.x"]
    assert len(stats) == 1


def test_what_is_to_be_called_before_reading_is_called_and_contained(caplog):
    stats, calls = Stats(), []
    forget = stats.before_read(("a",), lambda: calls.append("a"))
    stats.before_read(("b",), lambda: 1 / 0)
    stats.gauge(("a", "n"), lambda: len(calls))
    assert [entry.metric.value for entry in stats.entries()] == [1]
    assert "ZeroDivisionError" in caplog.text
    forget()
    forget()
    stats.entries()
    assert calls == ["a"]


def test_gauges_are_asked_or_set():
    stats, values = Stats(), iter([1, 2.5, "x", None])
    gauge = stats.gauge(("g",), lambda: next(values), unit="jobs")
    assert [gauge.value for _ in range(4)] == [1, 2.5, "x", None]
    gauge.set(7)
    assert gauge.value == 7
    assert [gauge.kind_of(value) for value in (1, 1.5, "x", None)] == ["l", "n", "s", "s"]
    assert Gauge(kind="I").kind_of(3) == "I"


def test_a_gauge_that_fails_shows_nothing_and_is_logged_once(caplog):
    broken = [True]

    def observe():
        if broken[0]:
            raise RuntimeError("no figure")
        return 5

    gauge = Stats().gauge(("g",), observe)
    assert [gauge.value, gauge.value] == [None, None]
    assert len(caplog.records) == 1
    broken[0] = False
    assert gauge.value == 5


def test_clearing_says_how_many():
    stats = Stats()
    counters = [stats.counter((name,)) for name in "ab"]
    histogram = stats.histogram(("h",))
    for counter in counters:
        counter.add(3)
    histogram.record(1)
    assert stats.clear(Histogram) == 1
    assert [counter.value for counter in counters] == [3, 3]
    assert stats.clear(Counter) == 2
    assert [counter.value for counter in counters] == [0, 0]
    assert histogram.snapshot().count == 0


@given(st.text(min_size=1))
def test_any_text_can_be_made_a_part_of_a_path(text):
    part = as_part(text)
    assert len(part) == len(text)
    Stats().counter(("acme", part))
    assert as_part(part) == part


def test_what_can_be_a_part_stays_as_it_is():
    assert as_part("[::1]:80 /run/x.sock") == "[::1]:80 /run/x.sock"
    assert as_part('a"b\nc') == "a?b?c"
