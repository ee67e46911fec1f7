"""The ring, against a plain list."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_log_memory import Ring
from mtev_log_memory.ring import OVERHEAD_BYTES


def ids(entries):
    return [entry.idx for entry in entries]


def filled(count, lines=10, size_bytes=10_000):
    ring = Ring(lines, size_bytes)
    for number in range(count):
        ring.append(number, b"%d\n" % number)
    return ring


def test_it_holds_as_many_lines_as_it_says():
    ring = filled(25)
    assert ids(ring.lines_since()) == list(range(15, 25))
    assert [entry.text for entry in ring.lines_since(last=1)] == [b"24\n"]


@pytest.mark.parametrize(("last", "expected"), [(None, 10), (0, 10), (-3, 10), (1, 1), (3, 3), (10, 10), (99, 10)])
def test_last_gives_that_many(last, expected):
    assert len(filled(25).lines_since(last=last)) == expected


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (24, []),
        (23, [24]),
        (15, list(range(16, 25))),
        (14, list(range(15, 25))),
        (3, list(range(15, 25))),
        (-1, list(range(15, 25))),
        (25, list(range(15, 25))),
        (10**20, list(range(15, 25))),
    ],
)
def test_since_is_exclusive_and_out_of_range_means_everything(since, expected):
    assert ids(filled(25).lines_since(since)) == expected


def test_since_and_last_together_give_the_latest_of_the_newer():
    assert ids(filled(25).lines_since(18, 2)) == [23, 24]


def test_an_empty_ring():
    for since in (None, -1, 0, 7):
        assert Ring(3, 100).lines_since(since) == []


def test_large_lines_make_room_and_too_large_ones_are_dropped():
    ring = Ring(100, 2 * (OVERHEAD_BYTES + 10))
    for text in (b"a" * 10, b"b" * 10, b"c" * 10, b"d" * (OVERHEAD_BYTES + 21), b"e" * (OVERHEAD_BYTES + 20)):
        ring.append(0, text)
    assert ids(ring.lines_since()) == [3]
    assert ring.dropped == 1


@settings(deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 80),
    st.lists(st.binary(max_size=30), max_size=30),
    st.none() | st.integers(-3, 35),
    st.none() | st.integers(-3, 10),
)
def test_it_is_what_a_list_would_be(lines, size_bytes, texts, since, last):
    ring = Ring(lines, size_bytes)
    accepted = [text for text in texts if len(text) + OVERHEAD_BYTES <= size_bytes]
    for text in texts:
        ring.append(0, text)
    held = list(enumerate(accepted))[-lines:]
    while sum(len(text) + OVERHEAD_BYTES for _, text in held) > size_bytes:
        held.pop(0)
    assert len(ring) == len(held)
    newest = len(accepted) - 1
    if since is not None and (held and held[0][0] <= since <= newest):
        held = [(idx, text) for idx, text in held if idx > since]
    if last is not None and last > 0:
        held = held[-last:]
    assert [(entry.idx, entry.text) for entry in ring.lines_since(since, last)] == held
    assert ring.dropped == len(texts) - len(accepted)
