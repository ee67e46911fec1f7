"""A ring of the latest lines, bounded in number and in bytes. Plain data; no locks.

Rules:

1. Lines are numbered from 0, without gaps, and a number is never used again.
2. A line counts `OVERHEAD_BYTES` more than it has, as in libmtev. Old lines go as soon as there are too many or they
   are too large together.
3. A line that is too large even for an empty ring is dropped and gets no number.
4. `since` is exclusive. One that was never given, or is too old, means everything: whoever polls a service that has
   been restarted gets its lines.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice

__all__ = ["OVERHEAD_BYTES", "Entry", "Ring"]

OVERHEAD_BYTES = 16
"""What a line counts beside its own bytes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line in the ring.

    Args:
        idx: its number.
        time_ns: when it was logged, in nanoseconds since the epoch.
        text: what a file would hold: prefixes, text and newline.
    """

    idx: int
    time_ns: int
    text: bytes


class Ring:
    """The latest lines.

    Args:
        lines: how many it holds at most; at least 1.
        size_bytes: how large they may be together; at least 1.

    Attributes:
        dropped: how many lines were too large.
    """

    def __init__(self, lines: int, size_bytes: int) -> None:
        self.lines = lines
        self.size_bytes = size_bytes
        self.dropped = 0
        self._entries: deque[Entry] = deque()
        self._held_bytes = 0
        self._next = 0

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, time_ns: int, text: bytes) -> None:
        """Add a line; older ones make room."""
        size = len(text) + OVERHEAD_BYTES
        if size > self.size_bytes:
            self.dropped += 1
            return
        self._entries.append(Entry(self._next, time_ns, text))
        self._next += 1
        self._held_bytes += size
        while len(self._entries) > self.lines or self._held_bytes > self.size_bytes:
            self._held_bytes -= len(self._entries.popleft().text) + OVERHEAD_BYTES

    def lines_since(self, since: int | None = None, last: int | None = None) -> list[Entry]:
        """Lines, oldest first.

        Args:
            since: only those numbered above it; None for all.
            last: only the latest so many of those; None, or anything below 1, for all.
        """
        count = len(self._entries)
        if since is not None and self._next - count <= since < self._next:
            count = self._next - 1 - since
        if last is not None and last > 0:
            count = min(count, last)
        return list(islice(self._entries, len(self._entries) - count, None))
