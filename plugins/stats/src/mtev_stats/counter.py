"""Counters: each thread counts for itself and takes no lock; reading adds up."""

from __future__ import annotations

import threading
import weakref

__all__ = ["Counter", "CounterCell"]


class CounterCell:
    """The part of a counter that one thread counts in: `cell.n += 1`. Made by `Counter.local`.

    What it has counted stays in the counter when the cell is gone.

    Attributes:
        n: what was counted here; one thread at a time may change it.
    """

    __slots__ = ("__weakref__", "_counter", "n")

    def __init__(self, counter: Counter) -> None:
        self.n = 0
        self._counter = counter

    def __del__(self) -> None:
        self._counter._fold(self)


class Counter:
    """A number that only grows. Made by `Stats.counter`; thread-safe.

    Attributes:
        unit: what is counted, such as `connections`; `""` for nothing particular.
    """

    def __init__(self, unit: str = "") -> None:
        self.unit = unit
        self._lock = threading.RLock()  # re-entrant, because a cell may be collected in the middle of a change
        self._folded = 0
        self._cells: set[weakref.ref[CounterCell]] = set()
        self._threads = threading.local()

    def add(self, n: int = 1) -> None:
        """Count, from any thread.

        Args:
            n: how much, at least 0.

        Raises:
            ValueError: it is negative.
        """
        if n < 0:
            raise ValueError(f"a counter cannot count {n}: it only grows")
        try:
            cell: CounterCell = self._threads.cell
        except AttributeError:
            cell = self._threads.cell = self.local()
        cell.n += n

    def local(self) -> CounterCell:
        """A cell for one thread: counting in it costs one addition. Make it once and keep it."""
        cell = CounterCell(self)
        with self._lock:
            self._cells.add(weakref.ref(cell))
        return cell

    @property
    def value(self) -> int:
        """What all threads have counted, since the start or since `clear`."""
        with self._lock:
            cells = [cell for reference in self._cells if (cell := reference()) is not None]
            return self._folded + sum(cell.n for cell in cells)

    def clear(self) -> None:
        """Begin again at 0."""
        with self._lock:
            self._folded -= self.value

    def _fold(self, cell: CounterCell) -> None:
        with self._lock:
            self._cells = {each for each in self._cells if each() not in (None, cell)}
            self._folded += cell.n
            cell.n = 0
