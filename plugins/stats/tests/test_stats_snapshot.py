"""Snapshots: what they tell of a histogram, and the forms in which libcircllhist reads and writes them.

The vectors come from a build of libcircllhist that was given the same values.
"""

from __future__ import annotations

import base64
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_stats import MalformedHistogram, Snapshot, _bins

FROM_C = "AAz/AAABugABLAHi/QACAAAAAgqAAAFj+QABDPwABQv/AAEPAAACKgECcBEBDAQAATJ/AAE="

bins = st.dictionaries(
    st.builds(_bins.from_parts, st.integers(10, 99) | st.integers(-99, -10), st.integers(-128, 127))
    | st.sampled_from([_bins.ZERO, _bins.NAN]),
    st.integers(0, 2**64 - 1),
)
snapshots = st.builds(Snapshot, bins)


def some_values():
    """Rising and falling values with various counts; the C library was given the same."""
    counts = {}
    for i in range(1, 1001):
        key = _bins.bin_of(i / 10)
        counts[key] = counts.get(key, 0) + i % 7 + 1
    for i in range(1, 50):
        key = _bins.bin_of(-i * 0.37)
        counts[key] = counts.get(key, 0) + 3
    counts[_bins.ZERO] = 11
    return Snapshot(counts)


def test_libcircllhist_writes_the_same_bytes():
    counts = dict.fromkeys(map(_bins.bin_of, (0.11, 12345, 9.95e-7, 1e-128, 5e127)), 1)
    counts |= {_bins.ZERO: 2, _bins.NAN: 1, _bins.bin_of(1.5): 2, _bins.bin_of(-0.003): 2}
    counts |= {_bins.bin_of(42): 70000, _bins.bin_of(-7): 300, _bins.bin_of_scaled(123456, -9): 5}
    assert Snapshot(counts).serialised_text() == FROM_C
    assert Snapshot.read(FROM_C) == Snapshot(counts)


def test_libcircllhist_tells_the_same():
    snapshot = some_values()
    assert snapshot.count == 4161
    assert snapshot.sum == pytest.approx(199447.59238497668, rel=1e-12)
    assert snapshot.mean == pytest.approx(47.932610522705282, rel=1e-12)
    assert snapshot.deviation == pytest.approx(30.514896259824063, rel=1e-12)
    assert snapshot.quantiles([0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1]) == pytest.approx(
        [-18.75, -13.142857142857142, 22.227272727272727, 48.212765957446805, 74.209302325581390, 89.815789473684205,
         99.204545454545453, 103.75, 108.75],
        rel=1e-12,
    )  # fmt: skip
    ratios = [snapshot.below(each) / snapshot.count for each in (-5, 3.3, 50, 99.9)]
    expected = [0.025955299206921412, 0.068252823840422971, 0.5169430425378515, 0.99728430665705359]
    assert ratios == pytest.approx(expected, rel=1e-9)


@given(snapshots)
def test_serialised_and_read_again(snapshot):
    assert Snapshot.read(snapshot.serialised()) == snapshot
    assert Snapshot.read(snapshot.serialised_text()) == snapshot
    assert hash(Snapshot.read(snapshot.serialised())) == hash(snapshot)


@given(st.binary(max_size=60))
def test_other_bytes_are_refused_or_read_but_nothing_else(data):
    try:
        assert Snapshot.read(data).count >= 0
    except MalformedHistogram as error:
        assert str(error)


@given(snapshots, st.data())
def test_cut_off_bytes_are_refused(snapshot, data):
    whole = snapshot.serialised()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(MalformedHistogram):
        Snapshot.read(whole[:cut])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("!", "base64"),
        (base64.b64encode(b"\0\0x").decode(), "followed by 1 byte"),
        (base64.b64encode(b"\0\1\x0a\0\x09").decode(), "too long, or cut off"),
        ("", "cut off"),
    ],
)
def test_what_is_wrong_is_said(text, reason):
    with pytest.raises(MalformedHistogram, match=reason):
        Snapshot.read(text)


def test_bins_of_no_meaning_are_left_out():
    assert Snapshot.read(b"\0\2\x05\0\0\1\x0a\0\0\7") == Snapshot({_bins.bin_of(1.0): 7})


def test_counts_beyond_64_bits_are_cut():
    assert Snapshot.read(Snapshot({_bins.ZERO: 2**70}).serialised()).count == 2**64 - 1


@given(snapshots, snapshots, snapshots)
def test_merging_and_subtracting(one, two, three):
    assert one.merged(two, three) == three.merged(one).merged(two)
    assert one.merged(two).since(one) == two
    assert one.merged(two).count == one.count + two.count


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_quantiles_lie_in_the_bin_of_the_value_that_they_stand_for(values, ratios):
    snapshot, ordered = Snapshot.of(values), sorted(values)
    for ratio, quantile in zip(ratios, snapshot.quantiles(ratios), strict=True):
        exact = ordered[max(math.ceil(len(values) * ratio) - 1, 0)]
        key = _bins.bin_of(exact)
        assert _bins.lower_edge(key) <= quantile <= _bins.upper_edge(key)
    assert snapshot.quantiles(sorted(ratios)) == sorted(snapshot.quantiles(ratios))


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=60))
def test_sum_and_mean_are_close(values):
    snapshot = Snapshot.of(values)
    assert snapshot.sum == pytest.approx(sum(values), rel=0.051)
    assert snapshot.lowest <= min(values)
    assert snapshot.highest >= max(values)


@given(st.lists(st.integers(-1000, 1000), max_size=40), st.floats(-2e3, 2e3))
def test_below_grows_with_the_threshold_and_is_exact_at_edges(values, threshold):
    snapshot = Snapshot.of(values)
    assert 0 <= snapshot.below(threshold) <= snapshot.below(threshold + 1) <= snapshot.count
    edge = _bins.lower_edge(_bins.bin_of(threshold))
    under = [each for each in values if each != 0 and _bins.upper_edge(_bins.bin_of(each)) <= edge]
    assert snapshot.below(edge) == len(under) + (values.count(0) if edge > 0 else 0)


def test_nothing_was_recorded():
    empty = Snapshot()
    assert (empty.count, empty.sum, empty.decimals(), empty.below(1.0)) == (0, 0.0, [], 0.0)
    for value in (empty.mean, empty.deviation, empty.lowest, empty.highest, empty.quantile(0.5)):
        assert math.isnan(value)
    assert math.isnan(Snapshot({_bins.NAN: 3}).quantile(0.5))


@pytest.mark.parametrize("ratio", [-0.1, 1.1, math.nan])
def test_a_quantile_that_is_none(ratio):
    with pytest.raises(ValueError, match="is not a quantile"):
        Snapshot.of([1]).quantiles([ratio])


def test_decimals_are_those_of_libmtev():
    snapshot = Snapshot.of([0.0000123, 0.0000123, 0, -15, 1234, math.nan])
    assert snapshot.decimals() == ["H[nan]=1", "H[-15]=1", "H[0]=1", "H[1.2e-05]=2", "H[1.2e+03]=1"]


def test_bins_cannot_be_changed():
    with pytest.raises(TypeError):
        Snapshot.of([1]).bins[0] = 1
