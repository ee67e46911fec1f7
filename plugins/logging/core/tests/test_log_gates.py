"""Rate limits and de-duplication."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_log.gates import Gate, GateSettings, parse_rate
from mtev_log.record import Record

SECOND = 1_000_000_000


def at(seconds, message="text", **fields):
    return Record(int(seconds * SECOND), "f", message, fields=fields)


def through(gate, *records):
    """What comes out, summaries included."""
    out = []
    for record in records:
        if gate.admit(record):
            if (said := gate.summary(record.time_ns, passing=True)) is not None:
                out.append(said.message)
            out.append(record.message)
    return out


def test_a_rate_lets_a_burst_pass_and_then_one_line_at_a_time():
    gate = Gate("noisy", GateSettings(rate_lines=3))
    assert through(gate, *(at(10 + n / 100, str(n)) for n in range(5))) == ["0", "1", "2"]
    assert through(gate, at(10.4, "5"), at(10.41, "6")) == [
        "2 lines were held back by the rate limit of 'noisy'", "5",
    ]  # fmt: skip
    assert gate.suppressed == 3


def test_the_same_line_is_held_back_for_a_window():
    gate = Gate("noisy", GateSettings(dedup_s=5))
    assert through(gate, at(1, "a"), at(2, "a"), at(5.9, "a"), at(6.1, "a")) == ["a", "repeated 2 times: a", "a"]
    assert through(gate, at(6.2, "a"), at(6.3, "b")) == ["repeated 1 times: a", "b"]


def test_lines_that_differ_in_anything_are_different():
    gate = Gate("noisy", GateSettings(dedup_s=5))
    other = at(1, "a")
    other.exception = "Traceback"
    assert len(through(gate, at(1, "a"), at(1, "a", x=1), at(1, "a", x=2), at(1, "a"), other)) == 5


def test_what_was_held_back_is_said_when_the_window_is_over():
    gate = Gate("noisy", GateSettings(dedup_s=5))
    through(gate, at(1, "a"), at(2, "a"))
    assert gate.summary(3 * SECOND) is None
    assert gate.pending
    said = gate.summary(7 * SECOND)
    assert (said.facility, said.message) == ("noisy", "repeated 1 times: a")
    assert not gate.pending
    assert gate.summary(8 * SECOND) is None


def test_a_clock_that_goes_back_does_not_silence_a_stream():
    gate = Gate("noisy", GateSettings(rate_lines=1, rate_period_s=3600, dedup_s=5))
    assert through(gate, at(10_000, "a"), at(1, "b")) == ["a", "b"]


@settings(deadline=None)
@given(st.integers(1, 5), st.sampled_from([1, 60]), st.lists(st.floats(0, 3, allow_nan=False), max_size=60))
def test_no_more_lines_pass_than_the_rate_allows(lines, period_s, pauses):
    gate = Gate("x", GateSettings(rate_lines=lines, rate_period_s=period_s))
    now, times = 100.0, []
    for pause in pauses:
        now += pause
        if gate.admit(at(now)):
            times.append(int(now * SECOND))
    for index, start in enumerate(times):
        for end_index in range(index, len(times)):
            allowed = lines + (times[end_index] - start) * lines // (period_s * SECOND) + 1
            assert end_index - index + 1 <= allowed
    assert len(times) + gate.suppressed == len(pauses)


@pytest.mark.parametrize(("text", "value"), [("100/s", (100, 1)), (" 5 / min ", (5, 60)), ("1000/h", (1000, 3600))])
def test_rates(text, value):
    assert parse_rate(text) == value


@pytest.mark.parametrize("text", ["", "5", "0/s", "-1/s", "1/d", "x/s", "1/s/s", "9999999999/s", "\u0665/s"])
def test_what_is_no_rate(text):
    with pytest.raises(ValueError, match="is not a rate"):
        parse_rate(text)
