"""When a log file is rotated, what it is called then, and which old ones go. Pure: no files, no clock.

Rules, libmtev's unless marked:

1. `rotate_bytes` (at least 102400): the file is rotated when it has grown beyond that. libmtev looks every five
   seconds; here, before a batch is written, so that a file exceeds it by less than one batch.
2. `rotate_seconds` (at least 600): it is rotated at every multiple of that since the epoch. Both may be given.
3. A rotated file is called `<file>.<seconds since the epoch>`. Ours: a name that is taken is never written over; the
   next free second is used.
4. Only names `<file>.<at least two digits>`, or that with `.gz` after it, count as rotated files.
5. From the newest to the oldest, a rotated file goes when it is older than `retain_seconds`, or when the newer ones
   together exceed `retain_bytes` already. Ours: both hold, whatever made the rotation. The live file never counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mtev_log import BackendSettings

__all__ = [
    "ATTRIBUTES",
    "MIN_BYTES",
    "MIN_SECONDS",
    "Rotated",
    "RotationPolicy",
    "free_stamp",
    "read_policy",
    "stamp_of",
]

MIN_BYTES = 102_400
"""Least value of `rotate_bytes`."""

MIN_SECONDS = 600
"""Least value of `rotate_seconds`."""

ATTRIBUTES = ("rotate_seconds", "rotate_bytes", "retain_seconds", "retain_bytes")
"""The attributes of a `<log>` that are read here."""

_LARGEST = 2**63 - 1
_SUFFIX = re.compile(r"\.([0-9]{2,19})(\.gz)?")


@dataclass(frozen=True, slots=True)
class Rotated:
    """A rotated file.

    Args:
        stamp: seconds since the epoch, from its name.
        size_bytes: how large it is.
        name: the file's name, without its directory.
    """

    stamp: int
    size_bytes: int
    name: str


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """When to rotate, and what to keep; 0 for never, and for everything.

    Args:
        rotate_seconds: period, in seconds.
        rotate_bytes: size, in bytes.
        retain_seconds: greatest age of a rotated file, in seconds.
        retain_bytes: size of all rotated files, in bytes.
    """

    rotate_seconds: int = 0
    rotate_bytes: int = 0
    retain_seconds: int = 0
    retain_bytes: int = 0

    def due(self, size_bytes: int, since_s: float, now_s: float) -> bool:
        """Whether the live file is to be rotated.

        Args:
            size_bytes: how large it is; an empty one is never rotated.
            since_s: when it became the live file, in seconds since the epoch.
            now_s: what time it is.
        """
        if size_bytes == 0:
            return False
        if self.rotate_bytes and size_bytes > self.rotate_bytes:
            return True
        period = self.rotate_seconds
        return bool(period) and int(now_s) // period > int(since_s) // period

    def superfluous(self, rotated: Iterable[Rotated], now_s: float) -> list[Rotated]:
        """The rotated files that go, newest first.

        Args:
            rotated: all that there are, in any order.
            now_s: what time it is, in seconds since the epoch.
        """
        gone: list[Rotated] = []
        newer_bytes = 0
        for each in sorted(rotated, key=lambda one: (one.stamp, one.name), reverse=True):
            too_old = bool(self.retain_seconds) and now_s - each.stamp > self.retain_seconds
            too_much = bool(self.retain_bytes) and newer_bytes > self.retain_bytes
            if too_old or too_much:
                gone.append(each)
            newer_bytes += each.size_bytes
        return gone

    @property
    def retains(self) -> bool:
        """Whether old files are to go at all."""
        return bool(self.retain_seconds or self.retain_bytes)


def stamp_of(live: str, name: str) -> int | None:
    """The stamp in a rotated file's name, or None when it is no rotated file of this log.

    Args:
        live: the name of the live file, without its directory.
        name: the name to look at.
    """
    if not name.startswith(live):
        return None
    found = _SUFFIX.fullmatch(name, len(live))
    return None if found is None else int(found[1])


def free_stamp(now_s: float, taken: Iterable[int]) -> int:
    """The stamp of a file that is rotated now: the present second, or the next one that no rotated file has.

    Args:
        now_s: what time it is, in seconds since the epoch.
        taken: the stamps of the rotated files that there are.
    """
    used = frozenset(taken)
    stamp = max(int(now_s), 10)
    while stamp in used:
        stamp += 1
    return stamp


def read_policy(settings: BackendSettings) -> RotationPolicy:
    """What a `<log>` says about rotation.

    Raises:
        ConfigurationError: a value is no number, or too small; with the attribute, and what is allowed.
    """
    least = {"rotate_seconds": MIN_SECONDS, "rotate_bytes": MIN_BYTES, "retain_seconds": 1, "retain_bytes": 1}
    values: dict[str, int] = {}
    for name in ATTRIBUTES:
        text = settings.options.get(name, "").strip()
        if not text:
            continue
        unit = name.partition("_")[2]
        if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= _LARGEST):
            raise settings.error(f"{name}='{text}' is not a whole number of {unit}")
        if int(text) < least[name]:
            raise settings.error(f"{name}='{text}' is too small; at least {least[name]} {unit}")
        values[name] = int(text)
    return RotationPolicy(**values)
