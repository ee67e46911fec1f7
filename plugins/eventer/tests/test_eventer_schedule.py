"""Which waiting job is next, against a naive model: nothing is lost, nothing comes twice, everybody has a turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mtev_eventer._schedule import Schedule


class AgainstModel(RuleBasedStateMachine):
    """A schedule of bound 3, beside lists."""

    def __init__(self):
        super().__init__()
        self.schedule = Schedule(3)
        self.inside, self.outside, self.under_way = [], [], []
        self.next = 0

    def move_up(self):
        while self.outside and len(self.inside) < 3:
            self.inside.append(self.outside.pop(0))

    @rule(subqueue=st.sampled_from([None, "a", "b"]))
    def add(self, subqueue):
        job, self.next = self.next, self.next + 1
        full = bool(self.outside) or len(self.inside) >= 3
        assert self.schedule.full == full
        assert self.schedule.add(job, subqueue) != full
        (self.outside if full else self.inside).append((job, subqueue))

    @rule(workers=st.integers(1, 4))
    def take(self, workers):
        job = self.schedule.take(workers)
        if not self.inside:
            assert job is None
            return
        ((found, subqueue),) = [each for each in self.inside if each[0] == job]
        older = [each for each in self.inside if each[1] == subqueue and each[0] < job]
        assert older == []
        self.inside.remove((found, subqueue))
        self.under_way.append(subqueue)
        self.move_up()

    @precondition(lambda self: self.under_way)
    @rule()
    def finish(self):
        self.schedule.done(self.under_way.pop())

    @rule(data=st.data())
    def remove(self, data):
        job = data.draw(st.integers(0, max(self.next, 1)))
        waiting = [each for each in (*self.inside, *self.outside) if each[0] == job]
        assert self.schedule.remove(job) == bool(waiting)
        for each in waiting:
            (self.inside if each in self.inside else self.outside).remove(each)
        self.move_up()

    @rule()
    def clear(self):
        assert sorted(self.schedule.clear()) == sorted(job for job, _ in (*self.inside, *self.outside))
        self.inside, self.outside = [], []

    @invariant()
    def counts(self):
        assert len(self.schedule) == len(self.inside) + len(self.outside)
        assert self.schedule.inside == len(self.inside)
        assert self.schedule.subqueues == len({subqueue for _, subqueue in self.inside})
        assert sorted(self.schedule) == sorted(job for job, _ in (*self.inside, *self.outside))


TestAgainstModel = AgainstModel.TestCase


@given(st.lists(st.integers(), unique=True, max_size=20))
def test_the_newest_is_next_where_that_is_the_order(jobs):
    schedule = Schedule(0, lifo=True)
    for job in jobs:
        schedule.add(job)
    assert [schedule.take(1) for _ in jobs] == list(reversed(jobs))


@given(st.integers(1, 30), st.integers(2, 5))
def test_subqueues_take_turns_however_long_the_others_are(length, number):
    schedule = Schedule(0)
    for subqueue in range(number):
        for job in range(length if subqueue == 0 else 2):
            schedule.add((subqueue, job), subqueue)
    served = [schedule.take(1)[0] for _ in range(min(2 * number, length + 2 * (number - 1)))]
    assert served[:number] == list(range(number))


def test_a_subqueue_with_its_share_under_way_waits_for_the_others():
    schedule = Schedule(0)
    for job in range(4):
        schedule.add(("a", job), "a")
    assert [schedule.take(4), schedule.take(4), schedule.take(4)] == [("a", 0), ("a", 1), ("a", 2)]
    schedule.add(("b", 0), "b")
    assert schedule.take(4) == ("b", 0)


def test_turning_the_order_round_loses_nothing():
    schedule = Schedule(0)
    for job in range(4):
        schedule.add(job)
    schedule.lifo = True
    assert schedule.take(1) == 3
    schedule.lifo = False
    assert [schedule.take(1) for _ in range(4)] == [0, 1, 2, None]
