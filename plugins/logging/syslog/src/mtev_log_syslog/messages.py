"""Syslog messages from records: RFC 5424, and the older form that RFC 3164 describes. Pure.

Rules:

1. RFC 5424: the message id is the stream's name; times have microseconds and an offset, or `Z`.
2. Fields are the parameters of one structured-data element. What a parameter's name may not hold becomes `_`. With the
   formats `json` and `logfmt` the fields are in the text, and there is no such element.
3. RFC 3164: the time has seconds and no zone; a message for the local socket has no host name, as syslog(3) leaves it
   out too. Fields are not shown.
4. A message that would be too long loses the end of its text, between two characters. Structured data gets at most
   half of the length: parameters that do not fit are left out as a whole.
5. Nothing raises, whatever a record holds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from mtev_log import Record

from .levels import severity
from .text import cut, one_line, shown, visible_ascii

__all__ = ["LEAST_BYTES", "Header", "Message", "rfc3164", "rfc5424", "timestamp"]

LEAST_BYTES = 480
"""What every receiver takes (RFC 5424, section 6.1); any header fits in."""

Message = Callable[[Record, int], bytes]
"""Makes a message of at most so many bytes. Remembers the last second: one thread at a time."""

_APP_NAME, _HOSTNAME, _MSGID, _PROCID, _PARAMETER = 48, 255, 32, 10, 32
_TAG = 32
_BOM = b"\xef\xbb\xbf"
_NOT_IN_A_NAME = re.compile(r"[^!#-<>-\\^-~]")
_NOT_IN_A_TAG = re.compile(r"[^A-Za-z0-9._/-]")
_TO_ESCAPE = re.compile(r'(["\\\]])')
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Header:
    """What the messages of a `<log>` have in common.

    Args:
        facility: 0 to 23.
        severity: 0 to 7, of all of them; -1 to take that of each record.
        hostname: of this machine; `""` to leave it out of RFC 3164.
        app_name: of this service.
        process_id: of this process.
        utc: times in UTC.
    """

    facility: int
    severity: int
    hostname: str
    app_name: str
    process_id: int
    utc: bool = False

    def priority(self, record: Record) -> int:
        """Facility and severity in one number (RFC 5424, section 6.2.1)."""
        return self.facility * 8 + (severity(record) if self.severity < 0 else self.severity)


def rfc5424(header: Header, body: Callable[[Record], str], sd_id: str = "", *, bom: bool = False) -> Message:
    """What makes messages of RFC 5424.

    Args:
        header: what they have in common.
        body: gives the text of a record.
        sd_id: the element that fields are put in; `""` to leave them out.
        bom: mark the text as UTF-8 (section 6.4).
    """
    hostname = visible_ascii(header.hostname, _HOSTNAME)
    app_name = visible_ascii(header.app_name, _APP_NAME)
    origin = f"{hostname} {app_name} {str(header.process_id)[:_PROCID]}"
    stamp = _timestamps(header.utc)
    mark = _BOM if bom else b""

    def message(record: Record, limit: int) -> bytes:
        msgid = visible_ascii(record.facility, _MSGID)
        head = f"<{header.priority(record)}>1 {stamp(record.time_ns)} {origin} {msgid} ".encode()
        text = mark + _utf8(one_line(body(record)))
        parameters = [_parameter(name, value) for name, value in record.fields.items()] if sd_id else []
        data = _element(sd_id, parameters)
        if len(head) + len(data) + 1 + len(text) > limit:
            room = limit // 2 - len(head) - len(_element(sd_id, [b""]))
            data = _element(sd_id, _fitting(parameters, room))
        return cut(b"%b%b %b" % (head, data, text), limit)

    return message


def rfc3164(header: Header, body: Callable[[Record], str]) -> Message:
    """What makes messages of RFC 3164.

    Args:
        header: what they have in common.
        body: gives the text of a record.
    """
    tag = _NOT_IN_A_TAG.sub("_", header.app_name)[:_TAG] or "-"
    hostname = f"{visible_ascii(header.hostname, _HOSTNAME)} " if header.hostname else ""
    origin = f"{hostname}{tag}[{header.process_id}]: "
    convert = time.gmtime if header.utc else time.localtime

    def message(record: Record, limit: int) -> bytes:
        moment = _moment(convert, record.time_ns // 1_000_000_000)
        clock = f"{moment.tm_hour:02d}:{moment.tm_min:02d}:{moment.tm_sec:02d}"
        head = f"<{header.priority(record)}>{_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:2d} {clock} {origin}"
        return cut(_utf8(head + one_line(body(record))), limit)

    return message


def timestamp(time_ns: int, *, utc: bool) -> str:
    """A time as RFC 5424 has it, with microseconds; `-` for one that no calendar has.

    Args:
        time_ns: nanoseconds since the epoch.
        utc: with a `Z`; otherwise local, with its offset.
    """
    return _timestamps(utc)(time_ns)


def _timestamps(utc: bool) -> Callable[[int], str]:  # private, and the only parameter
    known: int | None = None
    second_text = zone = ""

    def stamp(time_ns: int) -> str:
        nonlocal known, second_text, zone
        seconds, rest_ns = divmod(time_ns, 1_000_000_000)
        if seconds != known:
            try:
                moment = time.gmtime(seconds) if utc else time.localtime(seconds)
            except (OverflowError, ValueError, OSError):
                return "-"
            if not 0 <= moment.tm_year <= 9999:
                return "-"
            offset = time.strftime("%z", moment)
            zone = "Z" if utc else f"{offset[:3]}:{offset[3:5]}"
            second_text = f"{moment.tm_year:04d}{time.strftime('-%m-%dT%H:%M:%S', moment)}"
            known = seconds
        return f"{second_text}.{rest_ns // 1000:06d}{zone}"

    return stamp


def _moment(convert: Callable[[int], time.struct_time], seconds: int) -> time.struct_time:
    try:
        return convert(seconds)
    except (OverflowError, ValueError, OSError):
        return convert(0)


def _parameter(name: object, value: object) -> bytes:
    key = _NOT_IN_A_NAME.sub("_", shown(name)[:_PARAMETER]) or "_"
    return _utf8(f' {key}="{_TO_ESCAPE.sub(_escaped, one_line(shown(value)))}"')


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _element(sd_id: str, parameters: list[bytes]) -> bytes:
    return b"[%b%b]" % (sd_id.encode(), b"".join(parameters)) if parameters else b"-"


def _fitting(parameters: list[bytes], room: int) -> list[bytes]:
    kept = []
    for each in parameters:
        if len(each) <= room:
            kept.append(each)
            room -= len(each)
    return kept


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
