"""The shapes of `/mtev/stats.json`."""

from __future__ import annotations

import json
import math

import pytest

from mtev_stats import Histogram, Stats, _json


@pytest.fixture
def stats():
    stats = Stats()
    stats.tag(("mtev",), {"app": "mtev", "framework": "libmtev"})
    stats.tag(("mtev", "eventer"), {"mtev": "eventer"})
    stats.gauge(("mtev", "eventer", "events_total"), lambda: 12, kind="l")
    jobq = ("mtev", "eventer", "jobq", "default_queue")
    stats.histogram((*jobq, "wait"), tags={"mtev-jobq": "default_queue"}).record(0.0000123, count=3)
    stats.gauge((*jobq, "mem_safety"), lambda: "gc", tags={"mtev-jobq": "default_queue"})
    stats.counter(("acme",)).add(5)
    stats.gauge(("acme", "load"), lambda: math.inf)
    stats.gauge(("acme", "never"))
    return stats


view = _json.histogram_view(Histogram.snapshot, "H")


def test_nested(stats):
    assert _json.nested(stats.entries(), view) == {
        "mtev": {
            "eventer": {
                "events_total": {"_type": "l", "_value": 12},
                "jobq": {
                    "default_queue": {
                        "wait": {"_type": "H", "_value": ["H[1.2e-05]=3"]},
                        "mem_safety": {"_type": "s", "_value": "gc"},
                    }
                },
            }
        },
        "acme": {
            "_type": "L",
            "_value": 5,
            "load": {"_type": "n", "_value": None},
            "never": {"_type": "s", "_value": None},
        },
    }


def test_simple(stats):
    assert _json.simple(stats.entries()) == {
        "mtev": {"eventer": {"events_total": 12, "jobq": {"default_queue": {"mem_safety": "gc"}}}},
        "acme": {"load": None, "never": None},
    }


def test_tagged(stats):
    tags = "app:mtev,framework:libmtev"
    assert _json.tagged(stats.entries(), view) == {
        f"events_total|ST[{tags},mtev:eventer]": {"_type": "l", "_value": 12},
        f"wait|ST[{tags},mtev-jobq:default_queue,mtev:eventer]": {"_type": "H", "_value": ["H[1.2e-05]=3"]},
        f"mem_safety|ST[{tags},mtev-jobq:default_queue,mtev:eventer]": {"_type": "s", "_value": "gc"},
        "acme": {"_type": "L", "_value": 5},
        "load": {"_type": "n", "_value": None},
        "never": {"_type": "s", "_value": None},
    }


def test_metrics_of_one_tagged_name_are_told_apart():
    stats = Stats()
    stats.counter(("a", "requests")).add(1)
    stats.counter(("b", "requests")).add(2)
    assert {name: leaf["_value"] for name, leaf in _json.tagged(stats.entries(), view).items()} == {
        "requests": 1,
        "requests|ST[path:b.requests]": 2,
    }


@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        ({}, "n"),
        ({"b": "2", "a": "1"}, "n|ST[a:1,b:2]"),
        ({"a": "x:y=z"}, "n|ST[a:x:y=z]"),
        ({"a": "x(y)"}, 'n|ST[a:b"eCh5KQ=="]'),
        ({"a b": "1"}, 'n|ST[b"YSBi":1]'),
        ({"a": "ü"}, 'n|ST[a:b"w7w="]'),
        ({"a": ""}, "n|ST[a:]"),
        ({"a+": "+"}, 'n|ST[a+:b"Kw=="]'),
    ],
)
def test_tags_as_libmtev_writes_them(tags, shown):
    assert _json.tagged_name("n", tags) == shown


def test_percentiles_on_request():
    histogram = Histogram()
    for ms in range(1, 101):
        histogram.record(ms / 1000)
    leaf = _json.histogram_view(Histogram.snapshot, "H", (50, 99.9))(histogram)
    assert leaf["_count"] == 100
    assert leaf["_mean"] == pytest.approx(0.0505, rel=0.02)
    assert leaf["_percentiles"] == {"50": pytest.approx(0.05, rel=0.03), "99.9": pytest.approx(0.1, rel=0.06)}
    empty = _json.histogram_view(Histogram.snapshot, "H", (50,))(Histogram())
    assert (empty["_count"], empty["_mean"], empty["_percentiles"]) == (0, None, {"50": None})
    json.dumps(empty, allow_nan=False)


def test_long_texts_are_cut():
    stats = Stats()
    stats.gauge(("text",), lambda: "x" * 5000)
    assert len(_json.nested(stats.entries(), view)["text"]["_value"]) == 4095
