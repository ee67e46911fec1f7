"""When a log file is rotated, what it is called then, and which old ones go. Pure: no files, no clock.

Rules, libmtev's unless marked:

1. `rotate_bytes` (at least 102400, 0 for never): libmtev looks every five seconds whether the file has grown beyond
   that. Ours: a line that would make it exceed it goes to a new file, so only one larger line does.
2. `rotate_seconds` (at least 600, 0 for never): it is rotated at every multiple of that since the epoch. Both may be
   given. Ours: a line goes to the file of the period in which it was logged. A late one, of an earlier period than the
   line before it, goes to the file of that line.
3. A rotated file is called `<file>.<seconds since the epoch>`. Ours: the number is greater than those of all others,
   so that their order is that of the lines, however fast they come and whatever the clock does.
4. Only names `<file>.<at least two digits>`, or that with `.gz` after it, count as rotated files.
5. From the newest to the oldest, a rotated file goes when it is older than `retain_seconds`, or when the newer ones
   together exceed `retain_bytes` already. Ours: both hold, whatever made the rotation. The live file never counts.
6. A negative `retain_...` keeps everything, as none does. Ours: 0, which makes libmtev remove all but the newest, is
   refused, and so is a negative `rotate_...`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mtev_log import BackendSettings

__all__ = [
    "AHEAD_S",
    "ATTRIBUTES",
    "MIN_BYTES",
    "MIN_SECONDS",
    "Live",
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

AHEAD_S = 86_400
"""How far a stamp may be ahead of the clock, in seconds, to be a rotation's; others are somebody's dates."""

_LARGEST = 2**63 - 1
_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
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


@dataclass(slots=True)
class Live:
    """What is known of the live file.

    Args:
        size_bytes: how large it is.
        since_s: when its latest line was logged, in seconds since the epoch.
    """

    size_bytes: int = 0
    since_s: float = 0.0


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
        """Whether the live file is to be rotated although no line comes.

        Args:
            size_bytes: how large it is; an empty one is never rotated.
            since_s: when its latest line was logged, in seconds since the epoch.
            now_s: what time it is.
        """
        if size_bytes == 0:
            return False
        return bool(self.rotate_bytes and size_bytes > self.rotate_bytes) or self.later(since_s, now_s)

    def later(self, since_s: float, time_s: float) -> bool:
        """Whether the second of two times, in seconds since the epoch, is in a later period than the first."""
        period = self.rotate_seconds
        return bool(period) and int(time_s) // period > int(since_s) // period

    def fitting(self, live: Live, lengths: Sequence[int], times_s: Sequence[int], start: int = 0) -> int:
        """How many lines belong into the live file before it is rotated. An empty file takes one at least.

        Args:
            live: the live file.
            lengths: how long the lines are, in bytes.
            times_s: when they were logged, in seconds since the epoch.
            start: the first line that counts.
        """
        limit = self.rotate_bytes
        seen = Live(live.size_bytes, live.since_s)
        for number in range(start, len(lengths)):
            length, time_s = lengths[number], times_s[number]
            if seen.size_bytes and ((limit and seen.size_bytes + length > limit) or self.later(seen.since_s, time_s)):
                return number - start
            seen.size_bytes += length
            seen.since_s = max(seen.since_s, time_s)
        return len(lengths) - start

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
    """The stamp of a file that is rotated now: the present second, or what comes after the newest rotated file.

    Args:
        now_s: what time it is, in seconds since the epoch.
        taken: the stamps of the rotated files that there are.
    """
    used = frozenset(taken)
    newest = max((stamp for stamp in used if stamp <= now_s + AHEAD_S), default=0)
    stamp = max(int(now_s), newest + 1, 10)
    while stamp in used:
        stamp += 1
    return stamp


def read_policy(settings: BackendSettings) -> RotationPolicy:
    """What a `<log>` says about rotation.

    Raises:
        ConfigurationError: a value is no number, or not allowed; with the attribute, and what is allowed.
    """
    least = {"rotate_seconds": MIN_SECONDS, "rotate_bytes": MIN_BYTES, "retain_seconds": 1, "retain_bytes": 1}
    values: dict[str, int] = {}
    for name in ATTRIBUTES:
        text = settings.options.get(name, "").strip()
        if not text:
            continue
        unit = name.partition("_")[2]
        if _NUMBER.fullmatch(text) is None or abs(int(text)) > _LARGEST:
            raise settings.error(f"{name}='{text}' is not a whole number of {unit}")
        value = int(text)
        retains = name.startswith("retain")
        if (value < 0) if retains else (value == 0):
            continue
        if value == 0:
            raise settings.error(f"{name}='{text}' would remove every rotated file; leave it out to keep them all")
        if value < least[name]:
            never = "" if retains else "; or 0 for never"
            raise settings.error(f"{name}='{text}' is too small; at least {least[name]} {unit}{never}")
        values[name] = value
    return RotationPolicy(**values)
