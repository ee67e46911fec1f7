"""Severities and facilities of syslog: numbers, names, and the severity of a record. Pure.

Rules:

1. The severity is what the `<log>` says, else that of the record's level, else that of the stream's name: what stands
   before its first `/`. Other streams are informational.
2. A level between two of the standard library's counts as the lower one; from 25 on it is a notice.
"""

from __future__ import annotations

from mtev_log import Record

__all__ = ["FACILITIES", "SEVERITIES", "facility_of", "severity", "severity_of"]

SEVERITIES = {"emerg": 0, "alert": 1, "crit": 2, "err": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}
"""RFC 5424, table 2, under the names of syslog.h."""

_ALIASES = {"panic": 0, "emergency": 0, "critical": 2, "error": 3, "warn": 4, "informational": 6}

FACILITIES = {
    "kern": 0,
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "syslog": 5,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    "ntp": 12,
    "audit": 13,
    "alert": 14,
    "clock": 15,
    **{f"local{number}": 16 + number for number in range(8)},
}
"""RFC 5424, table 1, under the names that are in use."""

_STREAMS = {**SEVERITIES, **_ALIASES}
_LEVELS = ((50, 2), (40, 3), (30, 4), (25, 5), (20, 6))
_INFO, _DEBUG = 6, 7


def severity(record: Record) -> int:
    """The severity of a record by its level and its stream; 0 to 7."""
    if record.level > 0:
        return next((number for least, number in _LEVELS if record.level >= least), _DEBUG)
    return _STREAMS.get(record.facility.partition("/")[0], _INFO)


def severity_of(text: str) -> int:
    """The severity of a name or number.

    Raises:
        ValueError: there is none; with those that there are.
    """
    return _number(text, _STREAMS, SEVERITIES, "severity")


def facility_of(text: str) -> int:
    """The facility of a name or number.

    Raises:
        ValueError: there is none; with those that there are.
    """
    return _number(text, FACILITIES, FACILITIES, "facility")


def _number(text: str, names: dict[str, int], shown: dict[str, int], what: str) -> int:
    name = text.strip().lower()
    if name in names:
        return names[name]
    most = max(shown.values())
    if name.isascii() and name.isdigit() and len(name) <= 2 and int(name) <= most:
        return int(name)
    raise ValueError(f"there is no {what} '{text}'; expected 0 to {most}, or {', '.join(shown)}")
