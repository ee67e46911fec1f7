"""Bins: every value lies in its bin, by every way to find it."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_stats import _bins

numbers = st.floats(min_value=1e-128, max_value=9.9e127) | st.floats(min_value=1e-12, max_value=1e6)
keys = st.builds(_bins.from_parts, st.integers(10, 99), st.integers(-128, 127))


def slot_of(ns):
    limit, low, low_base, high, high_base = _bins.NS_TABLE[ns.bit_length()]
    return ns // low + low_base if ns < limit else ns // high + high_base


@given(numbers, st.sampled_from([1, -1]))
def test_a_value_lies_in_its_bin(value, sign):
    key = _bins.bin_of(sign * value)
    assert _bins.inner_edge(key) != 0
    assert abs(_bins.inner_edge(key)) <= value < abs(_bins.outer_edge(key))
    assert math.copysign(1, _bins.inner_edge(key)) == sign
    assert _bins.lower_edge(key) <= sign * value <= _bins.upper_edge(key)


@given(keys)
def test_an_edge_lies_in_its_bin_and_what_is_below_it_does_not(key):
    assert _bins.bin_of(_bins.inner_edge(key)) == key
    assert _bins.bin_of(-_bins.inner_edge(key)) == -key
    below = math.nextafter(_bins.inner_edge(key), 0)
    assert _bins.bin_of(below) < key


@given(numbers, numbers)
def test_bins_sort_as_values_do(one, other):
    low, high = sorted((one, other))
    assert _bins.bin_of(low) <= _bins.bin_of(high)
    assert _bins.bin_of(-high) <= _bins.bin_of(-low) < _bins.ZERO < _bins.bin_of(low)


@given(keys, st.sampled_from([1, -1]))
def test_parts_and_back(key, sign):
    assert _bins.from_parts(*_bins.parts(sign * key)) == sign * key


@given(keys)
def test_a_midpoint_has_the_same_error_at_both_edges(key):
    middle, low, high = _bins.midpoint(key), _bins.inner_edge(key), _bins.outer_edge(key)
    assert low < middle < high
    assert (middle - low) / low == pytest.approx((high - middle) / high, rel=1e-6)


@pytest.mark.parametrize(("digits", "exponent"), [(9, 0), (100, 0), (-9, 0), (10, 128), (10, -129)])
def test_there_are_no_other_bins(digits, exponent):
    with pytest.raises(ValueError, match="there is no bin"):
        _bins.from_parts(digits, exponent)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (0.0, _bins.ZERO),
        (-0.0, _bins.ZERO),
        (1e-129, _bins.ZERO),
        (9.99e-129, _bins.ZERO),
        (5e-324, _bins.ZERO),
        (1e128, _bins.NAN),
        (1.7e308, _bins.NAN),
        (-1e128, _bins.NAN),
        (math.inf, _bins.NAN),
        (math.nan, _bins.NAN),
        (9.99e127, _bins.from_parts(99, 127)),
        (1e-128, _bins.from_parts(10, -128)),
    ],
)
def test_the_ends_of_the_range(value, key):
    assert _bins.bin_of(value) == key


@given(st.integers(-(10**25), 10**25), st.integers(-40, 40))
def test_scaled_integers_need_no_rounding(value, scale):
    key = _bins.bin_of_scaled(value, scale)
    if value == 0:
        assert key == _bins.ZERO
        return
    digits, exponent = _bins.parts(key)
    inner = Decimal(digits).scaleb(exponent - 1)
    exact = Decimal(value).scaleb(scale)
    assert abs(inner) <= abs(exact) < abs(inner) + Decimal(1).scaleb(exponent - 1)
    assert (inner < 0) == (value < 0)


def test_scaled_integers_at_the_ends_of_the_range():
    assert _bins.bin_of_scaled(1, -129) == _bins.ZERO
    assert _bins.bin_of_scaled(-1, 128) == _bins.NAN
    assert _bins.bin_of_scaled(1, -128) == _bins.bin_of(1e-128)


@given(st.integers(0, 2**63 - 1) | st.integers(0, 200) | st.builds(lambda power: 10**power, st.integers(0, 18)))
def test_the_table_of_nanoseconds_finds_the_same_bin(ns):
    slot = slot_of(ns)
    assert 0 <= slot < _bins.NS_SLOTS
    assert _bins.key_of_slot(slot) == _bins.bin_of_scaled(ns, -9)


@given(st.integers(0, 18), st.integers(-2, 2))
def test_the_table_of_nanoseconds_at_powers_of_ten(power, step):
    ns = max(10**power + step, 0)
    assert _bins.key_of_slot(slot_of(ns)) == _bins.bin_of_scaled(ns, -9)


# What the C library said of these values (double_to_hist_bucket): digits and exponent.
@pytest.mark.parametrize(
    ("value", "digits", "exponent"),
    [(0.1, 10, -1), (0.2, 20, -1), (0.3, 30, -1), (0.7, 70, -1), (1.1, 11, 0), (1.9, 19, 0), (2.3, 23, 0), (29, 29, 1),
     (57, 57, 1), (99.99, 99, 1), (1e-09, 10, -9), (1.05e-07, 10, -7), (0.07, 70, -2), (0.29, 29, -1)],
)  # fmt: skip
def test_libcircllhist_agrees(value, digits, exponent):
    assert _bins.parts(_bins.bin_of(value)) == (digits, exponent)
