"""libjlog's indexes: where the records of a segment begin. Pure.

    index       u64 offset of each record, in order; a last 0 closes it: the segment is complete, and indexed to its end

libjlog's readers make them and append to them; its writers do not. They believe an index that is there: one that is
wrong makes them stop, or pass over records. We need none and make none, for a reader of ours would have to look through
the segment to know whether it is right; what we see to is that none is there that is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import Enum

from .codec import segment_name

__all__ = ["INDEX_SUFFIX", "IndexState", "index_name", "index_state"]

INDEX_SUFFIX = ".idx"
_OFFSET_BYTES = 8


class IndexState(Enum):
    """How an index fits its segment: there is none, it can grow, it is closed, or readers of it would go wrong."""

    NONE = "none"
    OPEN = "open"
    CLOSED = "closed"
    WRONG = "wrong"


def index_name(log: int) -> str:
    """The file of a segment's index."""
    return f"{segment_name(log)}{INDEX_SUFFIX}"


def index_state(index: bytes | None, offsets: Sequence[int], *, closed: bool) -> IndexState:
    """How an index fits.

    Args:
        index: its bytes; None when there is none.
        offsets: where the records of the segment begin.
        closed: whether the segment is complete.
    """
    if index is None:
        return IndexState.NONE
    if len(index) % _OFFSET_BYTES:
        return IndexState.WRONG
    entries = struct.unpack(f"={len(index) // _OFFSET_BYTES}Q", index)
    if len(entries) > 1 and not entries[-1]:
        return IndexState.CLOSED if closed and list(entries[:-1]) == list(offsets) else IndexState.WRONG
    return IndexState.OPEN if list(entries) == list(offsets[: len(entries)]) else IndexState.WRONG
