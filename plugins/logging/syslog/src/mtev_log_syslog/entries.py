"""Entries of the journal of systemd, in its native protocol. Pure.

Rules:

1. An entry is a list of `NAME=value` lines. A value that holds a newline is written as the name on a line, the length
   in 8 bytes, little-endian, the value, and a newline.
2. A name has capital letters, digits and `_`, begins with a letter, and has 64 characters at most. What it may not
   hold becomes `_`; where it would not begin with a letter it gets an `F` before it. A field that is called like one of
   our own gets a `_` at its end.
3. Values are bytes: bytes stay as they are, all else is text in UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mtev_log import Record

from .levels import severity
from .messages import timestamp
from .text import shown

__all__ = ["EntryHeader", "encode_entry", "encode_pair", "entry_pairs", "field_name"]

_LONGEST_NAME = 64
_NOT_IN_A_NAME = re.compile(r"[^A-Z0-9_]")
_OURS = frozenset(
    (
        "MESSAGE",
        "PRIORITY",
        "SYSLOG_FACILITY",
        "SYSLOG_IDENTIFIER",
        "SYSLOG_PID",
        "SYSLOG_TIMESTAMP",
        "MTEV_STREAM",
        "CODE_FILE",
        "CODE_LINE",
        "TID",
        "THREAD_NAME",
    )
)


@dataclass(frozen=True, slots=True)
class EntryHeader:
    """What the entries of a `<log>` have in common.

    Args:
        facility: 0 to 23.
        severity: 0 to 7, of all of them; -1 to take that of each record.
        identifier: of this service.
        process_id: of this process.
        with_fields: whether the fields of a record are fields of the entry.
    """

    facility: int
    severity: int
    identifier: str
    process_id: int
    with_fields: bool = True


def field_name(name: str) -> str:
    """A name of a record's field as the journal takes it."""
    made = _NOT_IN_A_NAME.sub("_", name.upper())
    if not made[:1].isalpha():
        made = f"F{made}"
    if made in _OURS:
        made = f"{made}_"
    return made[:_LONGEST_NAME]


def encode_pair(name: str, value: bytes) -> bytes:
    """A field as it stands in an entry."""
    if b"\n" in value:
        return b"%b\n%b%b\n" % (name.encode(), len(value).to_bytes(8, "little"), value)
    return b"%b=%b\n" % (name.encode(), value)


def entry_pairs(header: EntryHeader, record: Record, body: Callable[[Record], str]) -> Iterator[tuple[str, bytes]]:
    """The fields of an entry: ours, then the record's.

    Args:
        header: what entries have in common.
        record: the line.
        body: gives its text.
    """
    yield "MESSAGE", _utf8(body(record))
    yield "PRIORITY", b"%d" % (severity(record) if header.severity < 0 else header.severity)
    yield "SYSLOG_FACILITY", b"%d" % header.facility
    yield "SYSLOG_IDENTIFIER", _utf8(header.identifier)
    yield "SYSLOG_PID", b"%d" % header.process_id
    yield "SYSLOG_TIMESTAMP", timestamp(record.time_ns, utc=True).encode()
    yield "MTEV_STREAM", _utf8(record.facility)
    if record.file:
        yield "CODE_FILE", _utf8(record.file)
        yield "CODE_LINE", b"%d" % record.line
    if record.thread_id:
        yield "TID", b"%d" % record.thread_id
    if record.thread_name:
        yield "THREAD_NAME", _utf8(record.thread_name)
    if header.with_fields:
        for name, value in record.fields.items():
            yield field_name(shown(name)), bytes(value) if isinstance(value, bytes | bytearray) else _utf8(shown(value))


def encode_entry(header: EntryHeader, record: Record, body: Callable[[Record], str]) -> bytes:
    """An entry; never raises, whatever the record holds. The arguments are those of `entry_pairs`."""
    return b"".join(encode_pair(name, value) for name, value in entry_pairs(header, record, body))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
