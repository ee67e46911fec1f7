"""Durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf._values.duration import MAX_DURATION_NS, format_duration, parse_duration, parse_duration_s

UNITS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1_000_000_000),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60_000_000_000),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3_600_000_000_000),
    **dict.fromkeys(("d", "day", "days"), 86_400_000_000_000),
    **dict.fromkeys(("w", "wk", "week", "weeks"), 604_800_000_000_000),
}
BASES = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("30s", 30),
        ("1min30sec", 90),
        ("1 min 30 sec", 90),
        ("4 weeks 2 days", 30 * 86400),
        (" 1h\t30m\n", 5400),
        ("2s 2s", 4),
        ("30s 1h", 3630),
        ("007s", 7),
        ("500ms 500ms", 1),
        ("1000000000ns", 1),
    ],
)
def test_durations_are_sums_of_numbers_with_units(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("unit", UNITS)
def test_every_spelling_counts_in_every_base(unit, base):
    assert (
        parse_duration(
            f"3000000000{unit}" if UNITS[unit] == 1 else f"3000000{unit}" if UNITS[unit] < 10**9 else f"3{unit}", base
        )
        == (3_000_000_000 if UNITS[unit] == 1 else 3_000_000 if UNITS[unit] < 10**9 else 3) * UNITS[unit] // BASES[base]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the duration is empty; write whole numbers with units"),
        (" \n", "the duration is empty"),
        ("30", "'30': 30 has no unit; write 30s if seconds are meant"),
        ("1h 30", "'1h 30': 30 has no unit; write 30s if seconds"),
        ("30 40s", "30 has no unit"),
        ("5S", "'5S': 'S' is not a unit of time; did you mean 's'?"),
        ("5secs", "'secs' is not a unit of time; did you mean 'sec'?"),
        ("5µs", "did you mean 'us'?"),
        ("5y", "'y' is not a unit of time; write whole numbers with units"),
        ("-5s", "'-' is not allowed, a duration has no sign"),
        ("1h -5s", "has no sign"),
        ("+5s", "has no sign"),
        ("1.5s", "it has decimals"),
        ("1,5s", "it has decimals"),
        (".5s", "it has decimals"),
        ("s", "a number was expected at 's'"),
        ("1m in", "a number was expected at 'in'"),
        ("5s!", "a number was expected at '!'"),
        ("5\u00a0s", "has no unit"),
        ("\u00a0", "a number was expected"),
        ("٣s", "a number was expected"),
        ("1_000s", "has no unit"),
        ("5s\0", r"'5s\\x00' is not a duration"),
        ("106752d", "is longer than a duration can be; write at most 106751d"),
        ("9223372036854775808ns", "longer than"),
        ("9" * 5000 + "ns", "longer than"),
        ("5000000000s 5000000000s", "longer than"),
    ],
)
def test_what_is_no_duration_says_what_to_write(text, message):
    for base in BASES:
        with pytest.raises(ValueError, match="." if base != "s" else message.replace("?", r"\?").replace("!", r"\!")):
            parse_duration(text, base)


def test_the_unit_that_is_missing_is_the_one_that_the_setting_counts_in():
    with pytest.raises(ValueError, match="write 30ms if milliseconds are meant"):
        parse_duration("30", "ms")


def test_what_is_not_a_whole_number_of_the_base_is_never_rounded():
    with pytest.raises(ValueError, match="'500ms' is not a whole number of seconds, .*; write 1s$"):
        parse_duration("500ms")
    with pytest.raises(ValueError, match="; write 1s or 2s$"):
        parse_duration("1500ms")
    with pytest.raises(ValueError, match="whole number of milliseconds, .*; write 1ms$"):
        parse_duration("1us", "ms")
    assert parse_duration("500ms", "ms") == 500
    assert parse_duration_s("500ms") == 0.5
    assert parse_duration_s("1s 1ns") == 1.000000001


def test_the_longest_duration():
    assert parse_duration(f"{MAX_DURATION_NS}ns", "ns") == MAX_DURATION_NS
    assert parse_duration("106751d") == 106751 * 86400


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500_000_000, "1s 500ms"),
        (5_400_000_000_000, "1h 30min"),
        (604_800_000_000_000, "7d"),
        (61_000_001_001, "1min 1s 1us 1ns"),
    ],
)
def test_durations_are_written(ns, text):
    assert format_duration(ns) == text


@pytest.mark.parametrize("ns", [-1, MAX_DURATION_NS + 1])
def test_what_is_no_duration_is_not_written(ns):
    with pytest.raises(ValueError, match="cannot be written as a duration"):
        format_duration(ns)


@given(st.integers(0, MAX_DURATION_NS))
def test_what_is_written_is_read_back(ns):
    assert parse_duration(format_duration(ns), "ns") == ns


BLANKS = st.text(" \t\n", max_size=2)


@given(
    st.lists(st.tuples(BLANKS, st.integers(0, 1000), BLANKS, st.sampled_from(list(UNITS))), min_size=1, max_size=6),
    st.sampled_from(list(BASES)),
)
def test_any_sum_is_what_a_naive_reading_says(items, base):
    text = "".join(f"{before}{number}{between}{unit}" for before, number, between, unit in items)
    total = sum(number * UNITS[unit] for _, number, _, unit in items)
    assert parse_duration_s(text) == total / 10**9
    if total % BASES[base] == 0:
        assert parse_duration(text, base) == total // BASES[base]
    else:
        with pytest.raises(ValueError, match="is not a whole number"):
            parse_duration(text, base)
