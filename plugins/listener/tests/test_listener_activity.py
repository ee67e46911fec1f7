"""Who is idle: marks that stand still, looked at four times per timeout."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_listener._activity import Idleness, Sweep, looking_period_s, tcp_counters, tcp_counters_work


class FakeConnection:
    def __init__(self):
        self.mark = (0,)
        self.touched = False
        self.closed = []

    def activity(self):
        touched, self.touched = self.touched, False
        return self.mark, touched

    def close_idle(self, *, by_force):
        self.closed.append("abort" if by_force else "close")


class FakeClock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans(), st.booleans()), max_size=50))
def test_idle_time_counts_from_the_last_look_that_saw_a_change(steps):
    now, mark = 0.0, 0
    idleness = Idleness(now, (mark,))
    since = now
    for passed, changed, touched in steps:
        now += passed
        mark += changed
        if changed or touched:
            since = now
        assert idleness.look(now, (mark,), touched=touched) == now - since


@given(st.floats(0.04, 20), st.floats(0, 100))
def test_it_is_noticed_between_one_and_one_and_a_half_timeouts(timeout_s, last_activity_s):
    clock = FakeClock()
    connection = FakeConnection()
    sweep = Sweep(timeout_s, clock)
    sweep.add(connection)
    period_s = looking_period_s(timeout_s)
    active_until = clock.now + last_activity_s
    looks = 0
    while not connection.closed and looks < 20_000:
        clock.now += period_s
        looks += 1
        if clock.now <= active_until:
            connection.mark = (looks,)
        sweep.look()
    if connection.closed:
        idle_s = clock.now - max(active_until, 100.0)
        assert timeout_s - period_s <= idle_s <= timeout_s + 2 * period_s + 1e-6


def test_it_is_closed_in_order_first_and_cut_at_the_next_look():
    clock, connection = FakeClock(), FakeConnection()
    sweep = Sweep(10, clock)
    sweep.add(connection)
    clock.now += 11
    sweep.look()
    assert connection.closed == ["close"]
    sweep.look()
    assert connection.closed == ["close", "abort"]
    sweep.discard(connection)
    sweep.look()
    assert connection.closed == ["close", "abort"]
    assert len(sweep) == 0


def test_a_touch_counts_once():
    clock, connection = FakeClock(), FakeConnection()
    sweep = Sweep(10, clock)
    sweep.add(connection)
    clock.now += 11
    connection.touched = True
    sweep.look()
    assert connection.closed == []
    clock.now += 11
    sweep.look()
    assert connection.closed == ["close"]


@pytest.mark.parametrize(("timeout_s", "period_s"), [(0.001, 0.01), (1, 0.25), (3600, 5)])
def test_the_sweep_is_neither_frantic_nor_asleep(timeout_s, period_s):
    assert looking_period_s(timeout_s) == period_s


@pytest.mark.skipif(not tcp_counters_work(), reason="this system does not count bytes of TCP connections")
def test_the_kernel_counts_reads_and_writes_for_us():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        before = tcp_counters(accepted)
        client.sendall(b"12345")
        assert accepted.recv(10)
        after_read = tcp_counters(accepted)
        assert after_read[1] - before[1] == 5
        accepted.sendall(b"123")
        client.recv(3)
        client.sendall(b"!")  # carries the acknowledgement along
        accepted.recv(1)
        assert tcp_counters(accepted)[0] - before[0] == 3


def test_unix_sockets_are_not_counted():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert tcp_counters(ours) is None
