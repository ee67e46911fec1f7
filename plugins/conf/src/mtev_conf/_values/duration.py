"""How long something takes: `500ms`, `30s`, `1min30sec`, `4 weeks 2 days`. Pure.

1. A duration is a sum of whole numbers, each with its unit. Blanks between a number and its unit, between items and
   around it all are allowed, and needed nowhere.
2. The units are those of libmtev, in its spellings, lower case only. Here each of them may be used everywhere; in
   libmtev some are unknown to some settings.
3. A number without a unit is an error, whatever the setting counts in: nobody can see whether `30` means seconds.
4. No sign, no decimals: `1s 500ms`, not `1.5s` (which libmtev reads as 1 s).
5. A duration that is not a whole number of what the setting counts in is an error, never rounded.
"""

from __future__ import annotations

import re
from typing import Literal

from .values import nearest, quoted

__all__ = ["MAX_DURATION_NS", "Unit", "format_duration", "parse_duration", "parse_duration_s"]

MAX_DURATION_NS = 2**63 - 1
"""The longest duration, in nanoseconds: about 292 years."""

Unit = Literal["ns", "us", "ms", "s"]
"""What a setting counts in."""

_SPELLINGS = {
    1: ("ns",),
    1_000: ("us",),
    1_000_000: ("ms",),
    1_000_000_000: ("s", "sec", "second", "seconds"),
    60_000_000_000: ("m", "min", "minute", "minutes"),
    3_600_000_000_000: ("h", "hr", "hour", "hours"),
    86_400_000_000_000: ("d", "day", "days"),
    604_800_000_000_000: ("w", "wk", "week", "weeks"),
}
_NS = {spelling: ns for ns, spellings in _SPELLINGS.items() for spelling in spellings}
_NAMES: dict[Unit, str] = {"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds"}
_PRINTED = ("d", "h", "min", "s", "ms", "us", "ns")

# Possessive throughout: what one part has taken it never gives back, so that no text takes more than one pass.
_ITEM = re.compile(r"[ \t\r\n]*+([0-9]++)[ \t\r\n]*+([^\W\d_]*+)")
_END = re.compile(r"[ \t\r\n]*+\Z")
_DECIMALS = re.compile(r"[0-9]*+[.,][0-9]")
_ADVICE = "write whole numbers with units (ns, us, ms, s, m, h, d, w), such as 500ms, 30s or 1h 30min"


def parse_duration(text: str, unit: Unit = "s") -> int:
    """Read a duration.

    Args:
        text: the duration; see the rules above.
        unit: what the result counts in.

    Returns:
        Whole nanoseconds, microseconds, milliseconds or seconds; 0 or more.

    Raises:
        ValueError: it is no duration, longer than `MAX_DURATION_NS`, or not a whole number of the unit.
    """
    total_ns = _nanoseconds(text, unit)
    count, rest = divmod(total_ns, _NS[unit])
    if rest:
        instead = [f"{each}{unit}" for each in (count, count + 1) if each]
        raise ValueError(
            f"{quoted(text)} is not a whole number of {_NAMES[unit]}, which this setting counts in; "
            f"write {' or '.join(instead)}"
        )
    return count


def parse_duration_s(text: str) -> float:
    """Read a duration of any fineness, as seconds: `"1s 500ms"` is 1.5.

    Raises:
        ValueError: it is no duration, or longer than `MAX_DURATION_NS`.
    """
    return _nanoseconds(text, "s") / 1_000_000_000


def format_duration(ns: int) -> str:
    """Write a duration so that `parse_duration` reads it back: `1h 30min`; `0s` for none.

    Args:
        ns: nanoseconds, 0 to `MAX_DURATION_NS`.

    Raises:
        ValueError: it is out of range.
    """
    if not 0 <= ns <= MAX_DURATION_NS:
        raise ValueError(f"{ns} ns cannot be written as a duration; 0 to {MAX_DURATION_NS} can")
    items = []
    for name in _PRINTED:
        count, ns = divmod(ns, _NS[name])
        if count:
            items.append(f"{count}{name}")
    return " ".join(items) or "0s"


def _nanoseconds(text: str, unit: Unit) -> int:
    total = position = 0
    while _END.match(text, position) is None:
        item = _ITEM.match(text, position)
        if item is None:
            raise ValueError(f"{quoted(text)} is not a duration: {_fault(text[position:])}; {_ADVICE}")
        digits, spelling = item[1].lstrip("0"), item[2]
        factor = _NS.get(spelling)
        if factor is None:
            raise ValueError(_no_unit(text, item, unit))
        # Twenty digits are too many in any unit; converting a million of them would take long.
        if len(digits) > 19 or (total := total + int(digits or "0") * factor) > MAX_DURATION_NS:
            longest = MAX_DURATION_NS // _NS["d"]
            raise ValueError(f"{quoted(text)} is longer than a duration can be; write at most {longest}d")
        position = item.end()
    if position == 0:
        raise ValueError(f"the duration is empty; {_ADVICE}")
    return total


def _fault(rest: str) -> str:
    rest = rest.strip(" \t\r\n")
    if rest[0] in "+-":
        return f"'{rest[0]}' is not allowed, a duration has no sign"
    if _DECIMALS.match(rest):
        return "it has decimals"
    return f"a number was expected at {quoted(rest)}"


def _no_unit(text: str, item: re.Match[str], unit: Unit) -> str:
    spelling, rest = item[2], text[item.start(1) :]
    if _DECIMALS.match(rest):
        return f"{quoted(text)} is not a duration: it has decimals; {_ADVICE}"
    if not spelling:
        number = quoted(item[1])[1:-1]
        return f"{quoted(text)}: {number} has no unit; write {number}{unit} if {_NAMES[unit]} are meant"
    near = "us" if spelling in ("µs", "μs") else nearest(spelling, _NS)  # micro sign, Greek mu
    return f"{quoted(text)}: {quoted(spelling)} is not a unit of time; " + (
        f"did you mean '{near}'?" if near is not None else _ADVICE
    )
