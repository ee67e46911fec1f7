"""What Prometheus reads, as its own client library's parsers and an independent decoder of protobuf see it."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from mtev_stats import Snapshot, Stats, _exposition, _native
from mtev_stats._families import families

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


def some_stats():
    stats = Stats()
    stats.tag(("mtev",), {"app": "mtev"})
    for name in ("acme.serve", 'say "hi"\\n'):
        path = ("mtev", "eventer", "callbacks", name.replace('"', "'"), "latency")
        stats.histogram(path, tags={"mtev-callback": name.replace('"', "'")}, summary="How long it took.").record(
            0.0015
        )
    stats.counter(("acme", "requests"), unit="requests", summary='They "come"\nand go.').add(7)
    stats.gauge(("acme", "load"), lambda: 1.5)
    stats.gauge(("acme", "depth"), lambda: -3)
    stats.gauge(("acme", "version"), lambda: "1.2")
    stats.gauge(("acme", "silent"), lambda: None)
    return stats


def samples(parsed):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parsed
        for sample in family.samples
    }


@pytest.mark.parametrize("openmetrics", [False, True])
def test_its_own_parsers_read_the_text(openmetrics):
    text = _exposition.exposition(
        families(some_stats().entries()), openmetrics=openmetrics, buckets=(0.001, 0.002, 1.0)
    )
    parsed = list((parse_openmetrics if openmetrics else parse_plain)(text))
    found = samples(parsed)
    assert found["acme_requests_total", ()] == 7
    assert found["acme_load", ()] == 1.5
    assert found["acme_depth", ()] == -3
    assert found["acme_version_info", (("value", "1.2"),)] == 1
    for name in ("acme.serve", "say 'hi'\\n"):
        labels = (("app", "mtev"), ("mtev_callback", name))
        counts = [
            found["mtev_eventer_callbacks_latency_seconds_bucket", tuple(sorted((*labels, ("le", edge))))]
            for edge in ("0.001", "0.002", "1.0", "+Inf")
        ]
        assert counts == [0, 1, 1, 1]
        assert found["mtev_eventer_callbacks_latency_seconds_count", labels] == 1
        assert found["mtev_eventer_callbacks_latency_seconds_sum", labels] == pytest.approx(0.0015, rel=0.05)
    kinds = {family.name: (family.type, family.documentation) for family in parsed}
    assert kinds["mtev_eventer_callbacks_latency_seconds"] == ("histogram", "How long it took.")
    assert kinds["acme_requests"] == ("counter", 'They "come"\nand go.')
    if openmetrics:
        units = {family.name: family.unit for family in parsed}
        assert units["mtev_eventer_callbacks_latency_seconds"] == "seconds"
        assert units["acme_requests"] == "requests"


paths = st.lists(texts.filter(bool), min_size=1, max_size=3)
tag_sets = st.dictionaries(texts.filter(bool), texts, max_size=3)


@given(st.lists(st.tuples(paths, tag_sets), max_size=6))
def test_whatever_is_registered_can_be_parsed(metrics):
    stats = Stats()
    for path, tags in metrics:
        path = [part.replace('"', "") or "x" for part in path]
        tags = {category.replace(":", "") or "x": value for category, value in tags.items()}
        stats.counter(path, tags=tags).add(1)
    found = families(stats.entries())
    shown = sum(len(family.samples) for family in found)
    assert shown + sum(len(family.left_out) for family in found) == len(stats)
    for parse, openmetrics in ((parse_plain, False), (parse_openmetrics, True)):
        text = _exposition.exposition(found, openmetrics=openmetrics)
        assert len(samples(parse(text))) == shown


def test_members_that_contradict_each_other_are_left_out_and_named():
    stats = Stats()
    stats.counter(("a", "b"))
    stats.counter(("a_b",))
    stats.gauge(("a", "b", "total"), lambda: 1)
    (family, gauge) = families(stats.entries())
    assert (family.name, family.left_out) == ("a_b", ["a_b"])
    assert gauge.name == "a_b_total"


@pytest.mark.parametrize(
    ("tags", "labels"),
    [
        ({"mtev-callback": "x"}, (("mtev_callback", "x"),)),
        ({"le": "1", "9": "2", "__name__": "3"}, (("_9", "2"), ("le_", "1"), ("tag__name__", "3"))),
        ({"a-b": "1", "a_b": "2"}, (("a_b", "1"), ("a_b2", "2"))),
    ],
)
def test_labels(tags, labels):
    stats = Stats()
    stats.counter(("metric",), tags=tags)
    assert families(stats.entries())[0].samples[0].labels == labels


def test_edges_with_two_digits_count_exactly():
    values = [n / 1000 for n in range(1, 200)]
    stats = Stats()
    for value in values:
        stats.histogram(("h",)).record(value)
    text = _exposition.exposition(families(stats.entries()), openmetrics=False)
    found = samples(parse_plain(text))
    for edge in _exposition.DEFAULT_BUCKETS:
        expected = sum(1 for value in values if value < edge)
        assert found["h_seconds_bucket", (("le", _exposition.number(edge)),)] == expected


@pytest.mark.parametrize(
    ("value", "shown"), [(math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (3, "3"), (0.1, "0.1")]
)
def test_numbers(value, shown):
    assert _exposition.number(value) == shown


# A decoder of protobuf that knows nothing of the encoder: numbers of fields to lists of values.


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at


def decode(data):
    fields, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        match tag & 7:
            case 0:
                value, at = varint(data, at)
            case 1:
                (value,), at = struct.unpack_from("<d", data, at), at + 8
            case 2:
                size, at = varint(data, at)
                assert at + size <= len(data)
                value, at = data[at : at + size], at + size
            case other:
                raise AssertionError(other)
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def unzigzag(value):
    return value >> 1 ^ -(value & 1)


def decode_all(data):
    found, at = {}, 0
    while at < len(data):
        size, at = varint(data, at)
        family = decode(data[at : at + size])
        found[family[1][0].decode()] = family
        at += size
    return found


def buckets(histogram, spans, deltas):
    counts, index, count = {}, 0, 0
    steps = iter(map(unzigzag, histogram.get(deltas, [])))
    for span in map(decode, histogram.get(spans, [])):
        index += unzigzag(span[1][0])
        for _ in range(span[2][0]):
            count += next(steps)
            counts[index] = count
            index += 1
    assert next(steps, None) is None
    return {index: count for index, count in counts.items() if count}


def test_an_independent_decoder_reads_the_messages():
    found = decode_all(_native.exposition(families(some_stats().entries()), schema=3))
    assert found["acme_requests_total"][3] == [0]
    assert decode(decode(found["acme_requests_total"][4][0])[3][0]) == {1: [7.0]}
    assert decode(decode(found["acme_load"][4][0])[2][0]) == {1: [1.5]}
    family = found["mtev_eventer_callbacks_latency_seconds"]
    assert family[2] == [b"How long it took."]
    assert family[3] == [4]
    assert len(family[4]) == 2
    metric = decode(family[4][0])
    assert [(decode(label)[1][0], decode(label)[2][0]) for label in metric[1]] == [
        (b"app", b"mtev"),
        (b"mtev_callback", b"acme.serve"),
    ]
    histogram = decode(metric[7][0])
    assert (histogram[1], unzigzag(histogram[5][0]), histogram[7]) == ([1], 3, [0])
    assert buckets(histogram, 12, 13) == {math.ceil(math.log2(0.00155) * 8): 1}  # the middle of the bin


@given(st.lists(st.floats(-1e9, 1e9), max_size=60), st.integers(-4, 8))
def test_native_buckets_survive_the_wire_and_are_near_the_truth(values, schema):
    snapshot = Snapshot.of(values)
    above, below, zero = _native.native_buckets(snapshot, schema)
    assert sum(above.values()) + sum(below.values()) + zero == len(values)
    histogram = decode(_native._histogram(snapshot, schema))
    assert buckets(histogram, 12, 13) == above
    assert buckets(histogram, 9, 10) == below
    assert histogram[7] == [zero]
    if not above and not below:
        assert decode(histogram[12][0]) == {1: [0], 2: [0]}
    edges = [2.0 ** (index / 2.0**schema) for index in above]
    positive = sorted(value for value in values if value >= 1e-128)
    if positive:
        assert min(edges) >= positive[0] * 0.95
        assert max(edges) <= positive[-1] * 1.1 * 2.0 ** (1 / 2.0**schema)
