"""Finding the records in a piece of a segment. Pure: no files, no clock.

There are no checksums: that a record is whole is known from the magic that follows it, or from the end of the file.

Rules:

1. A record counts when its header has the journal's magic, its body ends within the data, and either another header or
   the end of the data follows, or no record of that kind begins inside it. (libjlog's repair drops the last record
   before damage; this keeps it.)
2. Bytes that belong to no such record are damage; reading goes on with the next record after them.
3. A record that would end behind the data is incomplete: the start of one that is being written, or damage.
4. A record whose body cannot be restored has its number, as libjlog counts; a repair drops it.

`take` is for what nearly all of a journal is, whole records one after the other; `scan` is for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import repeat

from .codec import MAX_BODY, Buffer, Entry, Layout, Position
from .errors import DamagedJournal

__all__ = ["Scan", "damage", "scan", "take"]

_ANY = 2**32
_position = partial(tuple.__new__, Position)  # the constructors of named tuples take three times as long
_entry = partial(tuple.__new__, Entry)


def take(layout: Layout, data: bytes, after: Position, *, ends: bool) -> tuple[list[Entry], int]:
    """The whole records with which a piece of a segment begins, up to the first of which there is any doubt.

    Args:
        layout: that of the journal.
        data: the piece, from the beginning of a record; at most `MAX_BODY` bytes.
        after: the position of the record before it.
        ends: whether the segment ends with the piece, for now.

    Returns:
        The records, and how many bytes they are.
    """
    plain = layout.compression is None
    magic, unpack, header_size = layout.magic, layout.header.unpack_from, layout.header_size
    length = len(data)
    times: list[int] = []
    bodies: list[bytes] = []
    add_time, add_body = times.append, bodies.append
    sizes: list[int] = []
    at, start = 0, header_size  # of the header, and of the body
    if plain:
        while start <= length:
            kind, seconds, micros, size = unpack(data, at)
            stop = start + size
            if kind != magic or stop > length:
                break
            add_time(seconds * 1_000_000 + micros)
            add_body(data[start:stop])
            at = stop
            start = stop + header_size
    else:
        while start <= length:
            kind, seconds, micros, size, stored = unpack(data, at)
            stop = start + stored
            if kind != magic or stop > length or size > MAX_BODY:
                break
            add_time(seconds * 1_000_000 + micros)
            add_body(data[start:stop])
            sizes.append(size)
            at = stop
            start = stop + header_size
    if bodies and not (ends if at == length else layout.magic_bytes.startswith(data[at : at + 4])):
        at -= header_size + len(bodies.pop())
    if not plain:
        restored = []
        end = 0
        try:
            for body, size in zip(bodies, sizes, strict=False):
                restored.append(layout.restore(body, size))
                end += header_size + len(body)
        except DamagedJournal:
            at = end
        bodies = restored
    log, marker = after
    positions: Iterable[Position] = map(
        _position, zip(repeat(log), range(marker + 1, marker + 1 + len(bodies)), strict=False)
    )
    return list(map(_entry, zip(positions, times, bodies, strict=False))), at


@dataclass(frozen=True, slots=True)
class Scan:
    """What stands in a piece of a segment.

    Args:
        offsets: where each record begins.
        end: where the last of them ends, or damage after it that others follow.
        damaged: ranges that belong to no record and have records, or nothing, after them.
        incomplete: whether what stands at `end` may become a record yet.
    """

    offsets: list[int]
    end: int
    damaged: list[tuple[int, int]]
    incomplete: bool


def scan(layout: Layout, data: Buffer, start: int = 0, *, closed: bool = False, limit: int = _ANY) -> Scan:
    """Find the records in a piece of a segment.

    Args:
        layout: that of the journal.
        data: the segment.
        start: where to begin: at a record, or at damage.
        closed: nothing will be written after the data, so what is incomplete is damage.
        limit: how many records to find at most.
    """
    offsets: list[int] = []
    damaged: list[tuple[int, int]] = []
    length = len(data)
    magic, magic_bytes = layout.magic, layout.magic_bytes
    header_size, unpack = layout.header_size, layout.header.unpack_from
    at = start
    sure = start  # where the next record begins of which there is no doubt; -1 for none; looked up when it is needed
    while at < length and len(offsets) < limit:
        after = length + 1
        if length - at >= header_size:
            fields = unpack(data, at)
            if fields[0] == magic and fields[3] <= MAX_BODY:
                after = at + header_size + fields[-1]
                if after == length or (
                    after < length and data[after : after + 4] == magic_bytes[: min(4, length - after)]
                ):
                    offsets.append(at)
                    at = after
                    continue
        if 0 <= sure <= at:
            sure = _next_record(layout, data, at + 1)
        if after <= length and not 0 <= sure < after:
            offsets.append(at)
            at = after
        elif sure >= 0:
            damaged.append((at, sure))
            at = sure
        elif closed:
            damaged.append((at, length))
            at = length
        else:
            return Scan(offsets, at, damaged, incomplete=True)
    return Scan(offsets, at, damaged, incomplete=False)


def damage(layout: Layout, data: Buffer) -> tuple[list[tuple[int, int]], list[int]]:
    """What a repair squeezes out of a whole segment.

    Returns:
        The ranges that belong to no record that can be read, in order; and the numbers of the records among them whose
        bodies cannot be restored, which readers count.
    """
    found = scan(layout, data, closed=True)
    ranges = found.damaged
    numbers = []
    if layout.compression is not None:
        for number, offset in enumerate(found.offsets, 1):
            try:
                layout.decode(data, offset, Position(0, number))
            except DamagedJournal:
                numbers.append(number)
                ranges.append((offset, offset + layout.stored_size(data, offset)))
        ranges.sort()
    return ranges, numbers


def _next_record(layout: Layout, data: Buffer, start: int) -> int:
    """Where the next record that counts begins, or -1. One record alone is believed only when the data ends with it."""
    at = start
    length = len(data)
    while True:
        at = data.find(layout.magic_bytes, at)
        if at < 0:
            return -1
        size = layout.stored_size(data, at)
        after = at + size
        if size and (after == length or (after + 4 <= length and data[after : after + 4] == layout.magic_bytes)):
            return at
        at += 1
