"""Speculation: lines that are written only if it turns out that they matter.

    with logs.speculate() as speculation:
        log = speculation.stream
        log.log("step one", peer=address)
        ...
        if it_failed:
            speculation.commit(logs.stream("error/acme"))
    # left without a commit: rolled back

Rules:

1. Nothing is formatted or written before `commit`; the cost of a line is that of any other.
2. What is kept is bounded in lines and in bytes of text; older lines make room and are counted.
3. A committed line keeps its time, thread, place and fields; its facility is that of the stream it is committed to.
4. After a commit or a rollback the speculation is empty and may go on.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from types import TracebackType
from typing import Self

from ._line import Line, Plan, Way, record_of
from .record import Record
from .stream import Dispatch, LogStream, Route

__all__ = ["Speculation"]


class Speculation:
    """Lines that wait for a decision. Thread-safe. Made by `Logs.speculate`.

    Args:
        dispatch: that of the service.
        lines: how many are kept, at least 1.
        size_bytes: how large their texts may be together, at least 1; counted in characters.

    Attributes:
        stream: log here; it leads nowhere else.
    """

    def __init__(self, dispatch: Dispatch, lines: int, size_bytes: int) -> None:
        if lines < 1 or size_bytes < 1:
            raise ValueError(f"a speculation keeps at least 1 line and 1 byte, not {lines} and {size_bytes}")
        self._kept = _Kept(lines, size_bytes)
        self.stream = LogStream("speculation", dispatch)
        self.stream.rerouted(Route(Plan("speculation", (self._kept,), {self._kept: (Way(None),)})))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.rollback()

    @property
    def dropped(self) -> int:
        """How many lines had to make room."""
        return self._kept.dropped

    def commit(self, target: LogStream) -> int:
        """Log every line to a stream, in order. Waits as `LogStream.log` may.

        Args:
            target: the stream.

        Returns:
            How many lines there were.
        """
        records = self._kept.taken()
        for record in records:
            target.emit(replace(record, facility=target.name))
        return len(records)

    def rollback(self) -> int:
        """Forget every line. Returns how many there were."""
        return len(self._kept.taken())


class _Kept:
    """Stands where a sink does: `queue` has the newest line, `wake` puts it with the others."""

    def __init__(self, lines: int, size_bytes: int) -> None:
        self.queue: deque[Line] = deque()
        self.limit = lines + 1
        self.asleep = True
        self.dropped = 0
        self._lines = lines
        self._size_bytes = size_bytes
        self._records: deque[Record] = deque()
        self._held_bytes = 0
        self._lock = threading.RLock()

    def make_room(self) -> bool:
        """The queue is never full for longer than it takes to empty it."""
        self.wake()
        return True

    def wake(self) -> None:
        """Keep what is in the queue."""
        with self._lock:
            while self.queue:
                record = record_of(self.queue.popleft())
                self._records.append(record)
                self._held_bytes += _size(record)
                while len(self._records) > self._lines or self._held_bytes > self._size_bytes:
                    self._held_bytes -= _size(self._records.popleft())
                    self.dropped += 1

    def taken(self) -> list[Record]:
        """Everything, oldest first; it is empty afterwards."""
        with self._lock:
            self.wake()
            records = list(self._records)
            self._records.clear()
            self._held_bytes = 0
            return records


def _size(record: Record) -> int:
    return len(record.message) + len(record.exception)
