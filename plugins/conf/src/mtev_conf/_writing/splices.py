"""Putting other text in the place of ranges of a text: splices, what they make of it, and which lines move. Pure.

1. Two splices lie apart, or one in the other. The outer one wins, and the inner one counts only for what is *lifted*
   out of the outer: a range that is written elsewhere, with the splices inside it.
2. Splices of one range begin after its first character, so that what is put in before the range is not taken for them.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Composition", "Lifted", "Part", "Splice", "longest_increasing", "shifts", "spliced"]

_BLANKS = re.compile(r"[ \t\r\n]*+")


@dataclass(slots=True, eq=False)
class Lifted:
    """A range of a text that is written in another place than its own.

    Args:
        start, end: offsets of the range.
        depth: how many others it stands in, in its new place.
        finish: what makes the written text of the range's text, with its splices applied.
        text: what is written, once that is known.
    """

    start: int
    end: int
    depth: int
    finish: Callable[[str], str]
    text: str = ""


Part = str | Lifted


class Splice(NamedTuple):
    """A range of a text, and what is put in its place."""

    start: int
    end: int
    parts: Sequence[Part]


class Composition:
    """A range of a text, put together anew from left to right. What is neither kept nor written is gone.

    Args:
        start: offset of the range.
    """

    __slots__ = ("_position", "pending", "splices")

    def __init__(self, start: int) -> None:
        self._position = start
        self.splices: list[Splice] = []
        self.pending: list[Part] = []
        """What is written after what was kept last; to be appended to."""

    def keep(self, start: int, end: int) -> None:
        """Keep a range, which lies behind all that was kept before."""
        if self.pending or start != self._position:
            self.splices.append(Splice(self._position, start, self.pending))
            self.pending = []
        self._position = end


def spliced(
    text: str, splices: Iterable[Splice], lifted: Iterable[Lifted] = ()
) -> tuple[str, list[tuple[int, int, str]]]:
    """Apply splices to a text.

    Args:
        text: the text.
        splices: in any order.
        lifted: all that stand among their parts; `Lifted.text` is set.

    Returns:
        The new text, and start, end and replacement of what was replaced, in order.
    """
    ordered = sorted(splices, key=lambda splice: (splice.start, splice.end))
    starts = [splice.start for splice in ordered]
    # Deepest first, so that what stands inside another is known when the other's turn comes.
    for each in sorted(lifted, key=lambda each: each.depth, reverse=True):
        inside = ordered[bisect_right(starts, each.start) : bisect_left(starts, each.end)]
        each.text = each.finish(_replaced(text, each.start, each.end, _outermost(inside)))
    changes = list(_outermost(ordered))
    return _replaced(text, 0, len(text), changes), changes


def shifts(text: str, changes: Iterable[tuple[int, int, str]]) -> Iterator[tuple[int, int]]:
    """The lines of a text after which it got longer or shorter, and by how many lines.

    Args:
        text: the text before.
        changes: what was replaced; see `spliced`.

    Yields:
        (line, added): all that stands on later lines than `line`, which count from 1, moved by `added` lines.
    """
    position, line, line_start = 0, 1, 0
    for start, end, new in changes:
        added = new.count("\n") - text.count("\n", start, end)
        if added:
            line += text.count("\n", position, start)
            line_start = max(line_start, text.rfind("\n", position, start) + 1)
            position = start
            blanks = _BLANKS.match(text, line_start, start)
            # With nothing but blanks before the change, the rest of its own line moves too.
            yield line - 1 if blanks and blanks.end() == start else line, added


def longest_increasing(numbers: Sequence[int]) -> set[int]:
    """The members of a longest increasing subsequence of distinct numbers, in O(n log n)."""
    lowest: list[int] = []  # at k: the lowest number that ends an increasing sequence of k + 1, so far
    previous: dict[int, int | None] = {}
    for number in numbers:
        length = bisect_left(lowest, number)
        previous[number] = lowest[length - 1] if length else None
        lowest[length : length + 1] = [number]
    members = set()
    last = lowest[-1] if lowest else None
    while last is not None:
        members.add(last)
        last = previous[last]
    return members


def _outermost(splices: Iterable[Splice]) -> Iterator[tuple[int, int, str]]:
    """Of splices in order: start, end and replacement of each that lies in no other."""
    position = 0
    for start, end, parts in splices:
        if start >= position:
            position = end
            yield start, end, "".join([part if isinstance(part, str) else part.text for part in parts])


def _replaced(text: str, start: int, end: int, changes: Iterable[tuple[int, int, str]]) -> str:
    pieces = []
    for cut, resume, new in changes:
        pieces += [text[start:cut], new]
        start = resume
    pieces.append(text[start:end])
    return "".join(pieces)
