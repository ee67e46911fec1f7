"""How often a peer may try."""

from hypothesis import given
from hypothesis import strategies as st

from mtev_http_auth.complaints import Complaints
from mtev_http_auth.throttle import Throttle, address_of


def test_so_many_in_a_row_and_then_one_each_period():
    throttle = Throttle(3, 10.0)
    assert [throttle.take("a", 100.0) for _ in range(3)] == [0.0] * 3
    assert throttle.take("a", 100.0) == 10.0
    assert throttle.take("a", 105.0) == 5.0
    assert throttle.take("a", 110.0) == 0.0
    assert throttle.take("a", 110.0) > 0
    assert throttle.take("b", 110.0) == 0.0


def test_a_success_costs_nothing():
    throttle = Throttle(1, 10.0)
    for _ in range(100):
        assert throttle.take("a", 0.0) == 0.0
        throttle.give_back("a")


@given(st.integers(1, 5), st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=60))
def test_whatever_a_peer_does_it_gets_no_more_than_its_share(burst, tries):
    throttle, now, wrong = Throttle(burst, 2.0), 0.0, []
    for pause, right in tries:
        now += pause
        if throttle.take("a", now) == 0:
            if right:
                throttle.give_back("a")
            else:
                wrong.append(now)
    for index, began in enumerate(wrong):
        for many, at in enumerate(wrong[index:], start=1):
            assert many <= burst + (at - began) / 2.0 + 1e-6


@given(st.lists(st.integers(0, 1000)))
def test_the_table_does_not_grow(addresses):
    throttle = Throttle(2, 1.0, addresses=16)
    for address in addresses:
        throttle.take(str(address), 0.0)
    assert len(throttle) <= 16


def test_one_that_goes_on_trying_is_not_forgotten():
    throttle = Throttle(1, 1000.0, addresses=4)
    throttle.take("a", 0.0)
    for index in range(20):
        throttle.take(str(index), 0.0)
        assert throttle.take("a", 0.0) > 0


def test_what_a_peer_counts_under():
    assert address_of(("10.1.2.3", 5)) == "10.1.2.3"
    assert address_of(("::ffff:10.1.2.3", 5)) == "10.1.2.3"
    assert address_of(("2001:db8:1:2:aaaa::1", 5)) == address_of(("2001:db8:1:2:bbbb::2", 6)) == "2001:db8:1:2::"
    assert address_of(("fe80::1%eth0", 5)) == "fe80::"
    assert address_of("/run/x.sock") == address_of(None) == "unix"


def test_complaints_are_as_many_as_somebody_can_read(caplog):
    import logging

    complaints = Complaints(logging.getLogger("complaints"), burst=2, period_s=1.0)
    for _ in range(50):
        complaints.say(10.0, "again")
    assert len(caplog.messages) == 2
    complaints.say(11.0, "again")
    assert caplog.messages[-1] == "again (48 lines like this were left out before)"
