"""Booleans, integers and numbers: what is read, and that everything else is an error that says what to write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf import parse_boolean, parse_integer, parse_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("ON", True),
        (" yes ", True),
        ("1", True),
        ("False", False),
        ("off", False),
        ("NO", False),
        ("0", False),
    ],
)
def test_booleans_are_read_in_any_case(text, value):
    assert parse_boolean(text) is value


@pytest.mark.parametrize("text", ["", "2", "tru", "enabled", "y", "on off"])
def test_what_is_no_boolean_is_refused(text):
    with pytest.raises(ValueError, match="is not a boolean; write true, on"):
        parse_boolean(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("10", 10), ("-3", -3), ("+4", 4), ("0x1F", 31), ("-0x10", -16), (" 8 ", 8), ("07", 7)],
)
def test_integers_are_read(text, value):
    assert parse_integer(text) == value


@pytest.mark.parametrize("text", ["", "8o", "1_000", "1.0", "0X10", "٣", "0x", "--1", "9" * 65])
def test_what_is_no_integer_is_refused(text):
    with pytest.raises(ValueError, match="is not an integer"):
        parse_integer(text)


@pytest.mark.parametrize("text", ["010", "0644", "08", "-010"])
def test_a_leading_zero_is_refused_because_libmtev_reads_it_in_two_ways(text):
    with pytest.raises(ValueError, match="octal or decimal"):
        parse_integer(text)


def test_ranges_are_checked_and_named():
    assert parse_integer("65535", 0, 65535) == 65535
    with pytest.raises(ValueError, match="'65536' is too large; at most 65535"):
        parse_integer("65536", 0, 65535)
    with pytest.raises(ValueError, match="'-1' is too small; at least 0"):
        parse_integer("-1", 0, 65535)
    with pytest.raises(ValueError, match="too small"):
        parse_number("0.5", minimum=1.0)


@given(st.integers(-(10**40), 10**40))
def test_every_integer_is_read_back(value):
    assert parse_integer(str(value)) == value
    assert parse_integer(f"{'-' if value < 0 else ''}0x{abs(value):x}") == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_read_back(value):
    assert parse_number(repr(value)) == value


@pytest.mark.parametrize("text", ["", "nan", "inf", "1e999", "1,5", "five", "0x10"])
def test_what_is_no_finite_number_is_refused(text):
    with pytest.raises(ValueError, match="is not a number"):
        parse_number(text)


@given(st.text(max_size=300))
def test_no_text_brings_anything_but_a_value_or_a_value_error(text):
    for parse in (parse_boolean, parse_integer, parse_number):
        try:
            parse(text)
        except ValueError as error:
            assert len(str(error)) < 250  # the error is optional here
