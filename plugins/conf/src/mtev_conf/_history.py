"""What has been in force: the last generations of a configuration, with who made them, when, and what changed. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from ._editing.changes import Change

__all__ = ["Generation", "History", "Origin"]

Origin = Literal["load", "change", "reload", "rollback", "replay"]
"""What made a generation: the first reading, a transaction, a reading again, a way back, a journal."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One document that has been in force.

    Args:
        number: 1 for the first.
        time_s: when it came into force, in seconds since the epoch.
        kind: what made it.
        who: who asked for it, or `""`: `console 127.0.0.1:5012`, `rest alice`.
        why: a word of theirs, or `""`.
        changes: the script that made it from the one before, in order.
    """

    number: int
    time_s: float
    kind: Origin
    who: str = ""
    why: str = ""
    changes: tuple[Change, ...] = ()


class History:
    """The last generations. Not thread-safe: its owner keeps it under a lock.

    Args:
        limit: how many are kept, at least 1.
    """

    def __init__(self, limit: int = 20) -> None:
        self._kept: deque[Generation] = deque(maxlen=limit)

    def resize(self, limit: int) -> None:
        """Keep another number of generations from now on."""
        self._kept = deque(self._kept, maxlen=limit)

    def add(self, generation: Generation) -> None:
        """Add the newest."""
        self._kept.append(generation)

    def kept(self) -> list[Generation]:
        """What is kept, oldest first."""
        return list(self._kept)

    def since(self, number: int) -> list[Change]:
        """The script from a generation to the newest one.

        Raises:
            LookupError: it was never there, or what came after it is no longer kept.
        """
        script: list[Change] = []
        newest = self._kept[-1].number if self._kept else 0
        oldest = self._kept[0].number if self._kept else 0
        if not oldest <= number <= newest:
            raise LookupError(f"generation {number} is not kept; there are {oldest} to {newest}")
        for each in self._kept:
            if each.number > number:
                script += each.changes
        return script
