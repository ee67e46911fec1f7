"""How a record looks as bytes: `plain` and `json`, both as libmtev writes them. Pure functions.

plain
    Prefixes as the record's flags say, in this order, then the text:

        [2026-11-23 08:15:30.000123] [error/http] [t@4711/e:default/0,mtev_http/rest.py:88] text

    The time is local. The last prefix has at most 63 characters; what is too long is cut from the left of the file.
    `split` gives every line of a text its prefixes; otherwise only the first has them. Fields are not shown.

json
    One object on one line, with these keys in this order: `timestamp` (seconds since the epoch, as text), `facility`,
    `threadid`, `threadname` (left out when unknown), `file`, `line`, `message`, then `level` and `exception` where
    there are such, then the fields in the order in which they were given. A field that is called like one of those
    keys gets a `_` at its end. What JSON cannot express is written as text. It is valid UTF-8 whatever was logged.

Neither raises, whatever a record's texts and fields are.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping

from .record import Record

__all__ = ["FORMATS", "encode_json", "encode_plain", "encoder", "printable"]

_PLACE_LIMIT = 63
_THREAD_LIMIT = 15
_RESERVED = frozenset(
    ("timestamp", "facility", "threadid", "threadname", "file", "line", "message", "level", "exception")
)


def encode_plain(record: Record, *, split: bool = True) -> bytes:
    """A record in the plain format; ends in a newline.

    Args:
        record: the record.
        split: repeat the prefixes on every line of a text.
    """
    prefix = _prefix(record)
    text = record.message
    if record.exception:
        text = f"{text}\n{record.exception}"
    text = text.removesuffix("\n")
    if split and "\n" in text:
        text = text.replace("\n", f"\n{prefix}")
    return _bytes(f"{prefix}{text}\n")


def encode_json(record: Record, *, split: bool = True) -> bytes:
    """A record as a JSON object; ends in a newline, and holds no other.

    Args:
        record: the record.
        split: has no meaning here.
    """
    seconds, rest_ns = divmod(record.time_ns, 1_000_000_000)
    parts = [
        f'{{"timestamp":"{seconds}.{rest_ns // 1000:06d}"',
        f'"facility":{_quoted(record.facility)}',
        f'"threadid":{record.thread_id}',
        f'"file":{_quoted(_short(record.file))}',
        f'"line":{record.line}',
        f'"message":{_quoted(record.message)}',
    ]
    if record.thread_name:
        parts.insert(3, f'"threadname":{_quoted(record.thread_name)}')
    if record.level:
        parts.append(f'"level":{_quoted(logging.getLevelName(record.level))}')
    if record.exception:
        parts.append(f'"exception":{_quoted(record.exception)}')
    for key, value in record.fields.items():
        parts.append(f"{_quoted(f'{key}_' if key in _RESERVED else str(key))}:{_value(value)}")
    return (",".join(parts) + "}\n").encode("utf-8", "backslashreplace")


FORMATS: Mapping[str, Callable[..., bytes]] = {"plain": encode_plain, "json": encode_json}
"""The formats by the name that `<log format=>` gives them."""


def encoder(name: str, *, split: bool = True) -> Callable[[Record], bytes]:
    """A function that turns a record into bytes.

    Args:
        name: one of `FORMATS`.
        split: repeat the plain format's prefixes on every line of a text.

    Raises:
        KeyError: there is no such format.
    """
    function = FORMATS[name]
    return lambda record: function(record, split=split)


def _prefix(record: Record) -> str:
    flags = record.flags
    prefix = ""
    if flags.timestamps:
        seconds, rest_ns = divmod(record.time_ns, 1_000_000_000)
        prefix = f"[{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))}.{rest_ns // 1000:06d}] "
    if flags.facility:
        prefix += f"[{record.facility}] "
    if flags.debug:
        thread = f"/{record.thread_name[:_THREAD_LIMIT]}" if record.thread_name else ""
        file = _short(record.file)
        excess = len(f"[t@{record.thread_id}{thread},{file}:{record.line}] ") - _PLACE_LIMIT
        prefix += f"[t@{record.thread_id}{thread},{file[max(excess, 0):]}:{record.line}] "
    return prefix


def _short(file: str) -> str:
    """The last two components of a path: enough to know the package, short enough to read."""
    rest, slash, name = file.rpartition("/")
    return f"{rest.rpartition('/')[2]}/{name}" if slash else name


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _value(value: object) -> str:
    try:
        if value is None or isinstance(value, bool | str):
            return json.dumps(value, ensure_ascii=False)
        if isinstance(value, int):
            return int.__repr__(value)
        if isinstance(value, float):
            return f"{value:f}" if math.isfinite(value) else _quoted(str(value))
        if isinstance(value, list | tuple | dict):
            return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_text)
        return _quoted(_text(value))
    except Exception:  # whatever a value does when it is asked for its text, the line is written
        return _quoted(printable(value))


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def printable(value: object) -> str:
    """A text for any value, also for one that cannot say what it is. Never raises."""
    try:
        return str(value)
    except Exception:  # as in _value
        return f"<unprintable {type(value).__name__}>"
