"""The budget for frames that move nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http2._guard import BURST, PRICES, REFILL_PER_S, Guard


@pytest.mark.parametrize("kind", sorted(PRICES))
def test_a_flood_spends_the_budget(kind):
    guard = Guard(0.0)
    allowed = sum(guard.spend(kind, 0.0) for _ in range(2000))
    assert allowed == BURST // PRICES[kind]


def test_time_and_work_refill_it():
    guard = Guard(0.0)
    while guard.spend("ping", 0.0):
        pass
    assert guard.spend("ping", 1.0)
    while guard.spend("ping", 1.0):
        pass
    guard.earn(10)
    assert [guard.spend("ping", 1.0) for _ in range(11)].count(True) >= 9


@given(st.floats(0.001, 10), st.integers(1, 30))
def test_whoever_keeps_to_the_rate_is_never_cut_off(pause_s, frames):
    guard, now = Guard(0.0), 0.0
    each = max(1, min(int(pause_s * REFILL_PER_S), int(BURST)))
    for _ in range(frames):
        now += pause_s + 1 / REFILL_PER_S
        assert all(guard.spend("ping", now) for _ in range(each))
