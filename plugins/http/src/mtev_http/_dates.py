"""Dates as HTTP writes and reads them (RFC 9110, section 5.6.7). Pure."""

from __future__ import annotations

import calendar
import re
import time

__all__ = ["format_date", "parse_date"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = "|".join(_MONTHS)
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DAY_NAME = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_FORMATS = (
    re.compile(rf"{_DAY_NAME}, (?P<day>\d\d) (?P<month>{_MONTH}) (?P<year>\d{{4}}) {_CLOCK} GMT", re.ASCII),
    re.compile(rf"\w{{6,9}}, (?P<day>\d\d)-(?P<month>{_MONTH})-(?P<year>\d\d) {_CLOCK} GMT", re.ASCII),
    re.compile(rf"{_DAY_NAME} (?P<month>{_MONTH}) (?P<day>[ \d]\d) {_CLOCK} (?P<year>\d{{4}})", re.ASCII),
)


def format_date(at_s: float) -> str:
    """A time in seconds since the epoch as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`."""
    at = time.gmtime(at_s)
    return (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04} "
        f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"
    )


def parse_date(text: str) -> int | None:
    """What a date means in seconds since the epoch, in any of the three formats; None when it is none.

    Of a year with two digits, that one counts which is at most 50 years ahead.
    """
    for pattern in _FORMATS:
        found = pattern.fullmatch(text.strip())
        if found is not None:
            break
    else:
        return None
    day, month = int(found["day"]), _MONTHS.index(found["month"]) + 1
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"])
    year = int(found["year"])
    if len(found["year"]) == 2:
        now = time.gmtime().tm_year
        year += now - now % 100
        if year > now + 50:
            year -= 100
    if year < 1 or not 1 <= day <= calendar.monthrange(year, month)[1] or hour > 23 or minute > 59 or second > 60:
        return None
    return calendar.timegm((year, month, day, hour, minute, min(second, 59), 0, 0, 0))
