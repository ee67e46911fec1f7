"""From lines to the backend: filters, gates, counts, and records or bytes, as the backend takes them."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ._line import Intake, Line, Step, record_of
from ._quick import QuickEncoder
from .backend import Backend
from .errors import IncompleteWrite
from .gates import Gate
from .record import NO_FLAGS, Record

__all__ = ["Delivery"]


class Delivery:
    """Writes batches of lines to one backend. One thread at a time.

    Args:
        backend: takes them.
        intake: whose lines they are: the key in their plans.

    Attributes:
        kept: records that a batch has left, to be written before any line.
        attempted: how many records, or lines that were no records yet, the last batch had.
        flags: those of a line written before, for what the sink itself has to say.
    """

    __slots__ = ("_backend", "_gates", "_intake", "_quick", "attempted", "flags", "kept")

    def __init__(self, backend: Backend, intake: Intake) -> None:
        self._backend = backend
        self._intake = intake
        self._gates: dict[str, Gate] = {}
        self._quick = QuickEncoder.of(backend)
        self.kept: list[Record] = []
        self.attempted = 0
        self.flags = NO_FLAGS

    @property
    def pending(self) -> bool:
        """Whether a gate has something to say that is due without a line."""
        return any(gate.pending for gate in self._gates.values())

    @property
    def suppressed(self) -> int:
        """How many lines rate limits and de-duplication held back."""
        return sum(gate.suppressed for gate in self._gates.values())

    def summaries(self) -> list[Record]:
        """What gates have to say."""
        now_ns = time.time_ns()
        return [said for gate in self._gates.values() if (said := gate.summary(now_ns)) is not None]

    def forget(self) -> None:
        """Begin anew with rate limits and de-duplication."""
        self._gates.clear()

    def write(self, lines: list[Line]) -> int:
        """Write what is kept or, when nothing is, some lines. May block.

        Args:
            lines: as they came off the queue; not looked at while something is kept.

        Returns:
            How many records were written.

        Raises:
            IncompleteWrite: the backend took some; the rest is kept.
            Exception: it took none; `attempted` of them are lost.
        """
        quick = self._quick
        self.attempted = len(self.kept) or len(lines)
        if not self.kept and quick is not None and (encoded := quick.lines(lines, self._intake)) is not None:
            self.flags = quick.flags
            try:
                quick.write(encoded, [line[1] for line in lines])  # type: ignore[misc]  # on the short way, that is the time
            except IncompleteWrite as error:
                self.kept = self._records(lines[error.written :])
                raise
            return self.attempted
        records, self.kept = self.kept or self._records(lines), []
        self.attempted = len(records)
        if records:
            try:
                self._backend.write(records)
            except IncompleteWrite as error:
                self.kept = records[error.written :]
                raise
        return self.attempted

    def _records(self, lines: Iterable[Line]) -> list[Record]:
        records: list[Record] = []
        for line in lines:
            plan = line[0]
            ways = plan.ways.get(self._intake)
            if not ways:
                continue
            record = record_of(line, ways[0].flags)
            for way in ways:
                carried = record if way.flags is None else record.carrying(way.flags)
                if not way.steps or self._passes(way.steps, carried, records):
                    records.append(carried)
        if records:
            self.flags = records[-1].flags
        return records

    def _passes(self, steps: tuple[Step, ...], record: Record, records: list[Record]) -> bool:
        for step in steps:
            if step.passes is not None and not step.passes(record):
                return False
            if step.gate is not None:
                gate = self._gates.get(step.gate[0])
                if gate is None or gate.settings != step.gate[1]:
                    gate = self._gates[step.gate[0]] = Gate(*step.gate)
                if not gate.admit(record):
                    return False
                if gate.pending and (said := gate.summary(record.time_ns, passing=True)) is not None:
                    records.append(said.carrying(record.flags))
            if step.count is not None:
                step.count.add(1)
        return True
