"""Prometheus' protobuf exposition, the only one that carries native histograms. Pure: families in, bytes out.

A native histogram has exponential buckets: 2**schema of them for each power of two. Ours are decimal, so the count of a
bin goes to the bucket that its midpoint lies in. That displaces a value by less than a bin and a bucket: below 10 % at
schema 3, which is as fine as two decimal digits are worth.

The messages are `io.prometheus.client.MetricFamily`, each behind its length. Their few fields are written by hand:
a library for that would be a dependency many times larger than this module.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence

from . import _bins
from ._families import Family, Labels, Sample
from .snapshot import Snapshot

__all__ = ["DEFAULT_SCHEMA", "PROTOBUF", "exposition", "native_buckets"]

PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

DEFAULT_SCHEMA = 3
_TYPES = {"counter": 0, "gauge": 1, "info": 1, "histogram": 4}
_WIDEST_GAP = 2
"""Empty buckets between two others are written out up to that many; beyond, a new span is shorter."""


def exposition(families: Sequence[Family], *, schema: int = DEFAULT_SCHEMA) -> bytes:
    """Every family as a message, one after the other.

    Args:
        families: what to show.
        schema: -4 to 8: 2**schema buckets for each power of two.
    """
    return b"".join(_length(message) + message for message in (_family(each, schema) for each in families))


def native_buckets(snapshot: Snapshot, schema: int) -> tuple[dict[int, int], dict[int, int], int]:
    """Counts of the buckets above zero, of those below, and the count of zero.

    Bucket `i` holds values above 2**((i-1)/2**schema), up to 2**(i/2**schema).
    """
    above: dict[int, int] = {}
    below: dict[int, int] = {}
    zero = 0
    for key, count in snapshot.bins.items():
        if key == _bins.NAN:
            continue
        if key == _bins.ZERO:
            zero += count
            continue
        index = math.ceil(math.log2(abs(_bins.midpoint(key))) * 2.0**schema)
        side = above if key > 0 else below
        side[index] = side.get(index, 0) + count
    return above, below, zero


def _family(family: Family, schema: int) -> bytes:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    name = f"{name}_info" if family.type == "info" else name
    return b"".join(
        (
            _text(1, name),
            _text(2, family.help),
            _varint_field(3, _TYPES[family.type]),
            *(_message(4, _metric(family, sample, schema)) for sample in family.samples),
        )
    )


def _metric(family: Family, sample: Sample, schema: int) -> bytes:
    match sample.value:
        case Snapshot() as snapshot:
            return _labels(sample.labels) + _message(7, _histogram(snapshot, schema))
        case str() as text:
            return _labels((*sample.labels, ("value", text))) + _message(2, _double(1, 1.0))
        case value:
            return _labels(sample.labels) + _message(3 if family.type == "counter" else 2, _double(1, float(value)))


def _histogram(snapshot: Snapshot, schema: int) -> bytes:
    above, below, zero = native_buckets(snapshot, schema)
    pieces = [
        _varint_field(1, snapshot.count),
        _double(2, snapshot.sum),
        _varint_field(5, _zigzag(schema)),
        _double(6, 1e-128),
        _varint_field(7, zero),
        *_side(below, spans=9, deltas=10),
        *_side(above, spans=12, deltas=13),
    ]
    if not above and not below:  # an empty span tells it from a classic histogram
        pieces.append(_message(12, _varint_field(1, 0) + _varint_field(2, 0)))
    return b"".join(pieces)


def _side(buckets: Mapping[int, int], *, spans: int, deltas: int) -> Iterator[bytes]:
    """Spans of buckets that follow each other, and the counts as differences from one to the next."""
    filled: list[int] = []
    last_end: int | None = None
    runs: list[list[int]] = []
    for index in sorted(buckets):
        if last_end is not None and index - last_end <= _WIDEST_GAP:
            runs[-1].extend(range(last_end, index + 1))
        else:
            runs.append([index])
        last_end = index + 1
    end = 0
    for run in runs:
        yield _message(spans, _varint_field(1, _zigzag(run[0] - end)) + _varint_field(2, len(run)))
        end = run[-1] + 1
        filled += run
    before = 0
    for index in filled:
        count = buckets.get(index, 0)
        yield _varint_field(deltas, _zigzag(count - before))
        before = count


def _labels(labels: Labels) -> bytes:
    return b"".join(_message(1, _text(1, name) + _text(2, value)) for name, value in labels)


def _zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -value * 2 - 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _length(data: bytes) -> bytes:
    return _varint(len(data))


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _message(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _length(data) + data


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode()) if text else b""
