"""Which waiting job is next: order, fairness between subqueues, and a bound. Pure: no threads, no clock.

Rules:

1. Within a subqueue the oldest job is next, or the newest where the order is `lifo`.
2. Subqueues take turns. One that has few jobs under way for the number of workers and subqueues comes before one that
   has its share, and that before one that has more (libmtev's rule).
3. Beyond the bound jobs stand outside, in the order of their coming, and move in as others leave.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

__all__ = ["Schedule"]

J = TypeVar("J", bound=Hashable)


class Schedule(Generic[J]):
    """Jobs that wait.

    Args:
        bound: how many may wait inside; 0 for any number.
        lifo: the newest job of a subqueue is next, not the oldest.

    Attributes:
        bound: as above; may be changed.
        lifo: as above; may be changed.
    """

    def __init__(self, bound: int, *, lifo: bool = False) -> None:
        self.bound = bound
        self.lifo = lifo
        self._inside: OrderedDict[Hashable, OrderedDict[J, None]] = OrderedDict()  # the next subqueue to serve first
        self._outside: OrderedDict[J, Hashable] = OrderedDict()
        self._place: dict[J, Hashable] = {}
        self._under_way: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._place) + len(self._outside)

    def __iter__(self) -> Iterator[J]:
        for jobs in self._inside.values():
            yield from jobs
        yield from self._outside

    @property
    def inside(self) -> int:
        """How many wait within the bound."""
        return len(self._place)

    @property
    def subqueues(self) -> int:
        """How many subqueues have jobs that wait."""
        return len(self._inside)

    @property
    def full(self) -> bool:
        """Whether one more job would have to stand outside."""
        return bool(self._outside) or (self.bound > 0 and len(self._place) >= self.bound)

    def add(self, job: J, subqueue: Hashable = None) -> bool:
        """Have a job wait.

        Returns:
            Whether it is inside.
        """
        if self.full:
            self._outside[job] = subqueue
            return False
        self._let_in(job, subqueue)
        return True

    def take(self, workers: int) -> J | None:
        """The job that is next; it counts as under way from now on. None when nothing waits inside.

        Args:
            workers: how many there are.
        """
        subqueue = self._choose(workers)
        if subqueue is _NONE:
            return None
        jobs = self._inside[subqueue]
        job, _ = jobs.popitem(last=self.lifo)
        del self._place[job]
        if jobs:
            self._inside.move_to_end(subqueue)
        else:
            del self._inside[subqueue]
        self._under_way[subqueue] = self._under_way.get(subqueue, 0) + 1
        self._move_up()
        return job

    def done(self, subqueue: Hashable = None) -> None:
        """A job of a subqueue is not under way any more."""
        left = self._under_way[subqueue] - 1
        if left:
            self._under_way[subqueue] = left
        else:
            del self._under_way[subqueue]

    def remove(self, job: J) -> bool:
        """Take a job back that waits; whether it did."""
        if job in self._outside:
            del self._outside[job]
            return True
        if job not in self._place:
            return False
        subqueue = self._place.pop(job)
        jobs = self._inside[subqueue]
        del jobs[job]
        if not jobs:
            del self._inside[subqueue]
        self._move_up()
        return True

    def clear(self) -> list[J]:
        """Take everything back that waits."""
        jobs = list(self)
        self._inside.clear()
        self._outside.clear()
        self._place.clear()
        return jobs

    def _let_in(self, job: J, subqueue: Hashable) -> None:
        jobs = self._inside.get(subqueue)
        if jobs is None:
            jobs = self._inside[subqueue] = OrderedDict()
        jobs[job] = None
        self._place[job] = subqueue

    def _move_up(self) -> None:
        while self._outside and (not self.bound or len(self._place) < self.bound):
            job, subqueue = self._outside.popitem(last=False)
            self._let_in(job, subqueue)

    def _choose(self, workers: int) -> Hashable:
        if len(self._inside) <= 1:
            return next(iter(self._inside), _NONE)
        share = workers / len(self._inside)
        second: Hashable = _NONE
        for subqueue in self._inside:
            under_way = self._under_way.get(subqueue, 0)
            if under_way < share - 1:
                return subqueue
            if second is _NONE and under_way < share:
                second = subqueue
        return next(iter(self._inside)) if second is _NONE else second


class _None:
    """No subqueue; None itself is one."""


_NONE = _None()
