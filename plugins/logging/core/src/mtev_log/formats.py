"""How a record looks as bytes: `plain`, `json` and `flatbuffer` as libmtev writes them, and `logfmt`. Pure functions.

plain
    Prefixes as the record's flags say, in this order, then the text:

        [2026-11-23 08:15:30.000123] [error/http] [t@4711/e:default/0,mtev_http/rest.py:88] text

    The time is local unless `utc` is asked for. The last prefix has at most 63 characters; what is too long is cut from
    the left of the file. `split` gives every line of a text its prefixes; otherwise only the first has them. Fields are
    not shown.

json
    One object on one line, with these keys in this order: `timestamp` (seconds since the epoch, as text), `facility`,
    `threadid`, `threadname` (left out when unknown), `file`, `line`, `message`, then `level` and `exception` where
    there are such, then the fields in the order in which they were given. A field that is called like one of those
    keys gets a `_` at its end. What JSON cannot express is written as text. It is valid UTF-8 whatever was logged.

logfmt
    Pairs on one line: `time` (RFC 3339), `stream`, `thread`, `source`, `msg`, then as json. What a key may not hold
    becomes `_`; values are quoted where they need to be, with JSON's escapes.

flatbuffer
    libmtev's schema, see `_flatbuffer`. The only one that does not end in a newline.

None of them raises, whatever a record's texts and fields are.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring as _quoted  # in C, and a tenth of what json.dumps takes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .record import Record

__all__ = [
    "FORMATS",
    "Encoder",
    "PlainEncoder",
    "encode_json",
    "encode_logfmt",
    "encode_plain",
    "encoder",
    "printable",
    "short_place",
    "text_of",
]

Encoder = Callable[["Record"], bytes]
"""Turns a record into bytes."""

_NS = 1_000_000_000
_PLACE_LIMIT = 63
_THREAD_LIMIT = 15
_RESERVED = frozenset(
    ("timestamp", "facility", "threadid", "threadname", "file", "line", "message", "level", "exception")
)
_RESERVED_LOGFMT = frozenset(("time", "stream", "thread", "source", "msg", "level", "exception"))
_NOT_IN_A_KEY = re.compile(r"[^!#-<>-~\u00a1-\ud7ff\ue000-\uffef]")
_BARE = re.compile(r"[!#-<>-\[\]-~]+")


class PlainEncoder:
    """Encodes in the plain format; see the module. It remembers the last second: one thread at a time.

    Args:
        split: repeat the prefixes on every line of a text.
        utc: timestamps in UTC.
    """

    __slots__ = ("_convert", "_from_ns", "_split", "_stamp", "_until_ns")

    def __init__(self, *, split: bool = True, utc: bool = False) -> None:
        self._split = split
        self._convert = time.gmtime if utc else time.localtime
        self._stamp = ""
        self._from_ns = self._until_ns = 0

    def second(self, time_ns: int) -> tuple[str, int, int]:
        """How a timestamp begins, and the nanoseconds since the epoch from which, and until which, it does."""
        if not self._from_ns <= time_ns < self._until_ns:
            second = time_ns // _NS
            self._stamp = time.strftime("[%Y-%m-%d %H:%M:%S.", self._convert(second))
            self._from_ns, self._until_ns = second * _NS, (second + 1) * _NS
        return self._stamp, self._from_ns, self._until_ns

    def __call__(self, record: Record) -> bytes:
        flags = record.flags
        prefix = ""
        if flags.timestamps:
            stamp, from_ns, _ = self.second(record.time_ns)
            prefix = f"{stamp}{(record.time_ns - from_ns) // 1000:06d}] "
        if flags.facility:
            prefix += f"[{record.facility}] "
        if flags.debug:
            prefix += _place(record)
        text = record.message
        if record.exception:
            text = f"{text}\n{record.exception}"
        if "\n" in text:
            text = text.removesuffix("\n")
            if self._split:
                text = text.replace("\n", f"\n{prefix}")
        try:
            return f"{prefix}{text}\n".encode()
        except UnicodeEncodeError:
            return _bytes(f"{prefix}{text}\n")


def encode_plain(record: Record, *, split: bool = True, utc: bool = False) -> bytes:
    """A record in the plain format; ends in a newline.

    Args:
        record: the record.
        split: repeat the prefixes on every line of a text.
        utc: timestamps in UTC.
    """
    return PlainEncoder(split=split, utc=utc)(record)


def encode_json(record: Record) -> bytes:
    """A record as a JSON object; ends in a newline, and holds no other."""
    micros = record.time_ns // 1000
    origin = _json_origin(record.facility, record.thread_id, record.thread_name, record.file, record.line)
    line = (
        f'{{"timestamp":"{micros // 1_000_000}.{micros % 1_000_000:06d}",{origin},"message":{_quoted(record.message)}'
    )
    if record.level:
        line += f',"level":{_quoted(logging.getLevelName(record.level))}'
    if record.exception:
        line += f',"exception":{_quoted(record.exception)}'
    for key, value in record.fields.items():
        line += f",{_quoted(f'{key}_' if key in _RESERVED else str(key))}:{_value(value)}"
    line += "}\n"
    try:
        return line.encode()
    except UnicodeEncodeError:
        return line.encode("utf-8", "backslashreplace")


@lru_cache(maxsize=1024)
def _json_origin(facility: str, thread_id: int, thread_name: str, file: str, line: int) -> str:
    """Where a line comes from: the same for every line from one place, so worth remembering."""
    name = f',"threadname":{_quoted(thread_name)}' if thread_name else ""
    return (
        f'"facility":{_quoted(facility)},"threadid":{thread_id}{name},"file":{_quoted(short_place(file))},"line":{line}'
    )


def encode_logfmt(record: Record, *, utc: bool = False) -> bytes:
    """A record as `key=value` pairs; ends in a newline, and holds no other.

    Args:
        record: the record.
        utc: the time in UTC, with a `Z`; otherwise local, with its offset.
    """
    seconds, rest_ns = divmod(record.time_ns, 1_000_000_000)
    if utc:
        zone, moment = "Z", time.gmtime(seconds)
    else:
        moment = time.localtime(seconds)
        offset = time.strftime("%z", moment)
        zone = f"{offset[:3]}:{offset[3:]}"
    parts = [
        f"time={time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{rest_ns // 1000:06d}{zone}",
        f"stream={_logfmt(record.facility)}",
        f"thread={record.thread_id}",
        f"source={_logfmt(f'{short_place(record.file)}:{record.line}')}",
        f"msg={_logfmt(record.message)}",
    ]
    if record.level:
        parts.append(f"level={_logfmt(logging.getLevelName(record.level))}")
    if record.exception:
        parts.append(f"exception={_logfmt(record.exception)}")
    for name, value in record.fields.items():
        key = _NOT_IN_A_KEY.sub("_", printable(name)) or "_"
        key = f"{key}_" if key in _RESERVED_LOGFMT else key
        parts.append(f"{key}={_logfmt(value) if isinstance(value, str) else _logfmt_value(value)}")
    return (" ".join(parts) + "\n").encode("utf-8", "backslashreplace")


def _flatbuffer_encoder() -> Encoder:
    from ._flatbuffer import encode_flatbuffer  # its package is loaded where it is needed only

    return encode_flatbuffer


FORMATS: Mapping[str, Callable[[bool, bool], Encoder]] = {
    "plain": lambda split, utc: PlainEncoder(split=split, utc=utc),
    "json": lambda split, utc: encode_json,
    "logfmt": lambda split, utc: lambda record: encode_logfmt(record, utc=utc),
    "flatbuffer": lambda split, utc: _flatbuffer_encoder(),
}
"""What makes an encoder, by the name that `<log format=>` gives it; called with `split` and `utc`."""


def encoder(name: str, *, split: bool = True, utc: bool = False) -> Encoder:
    """A function that turns a record into bytes, to be used by one thread at a time.

    Args:
        name: one of `FORMATS`.
        split: repeat the plain format's prefixes on every line of a text.
        utc: times in UTC, where the format shows local ones.

    Raises:
        KeyError: there is no such format.
    """
    return FORMATS[name](split, utc)


def _place(record: Record) -> str:
    thread = f"/{record.thread_name[:_THREAD_LIMIT]}" if record.thread_name else ""
    file = short_place(record.file)
    excess = len(f"[t@{record.thread_id}{thread},{file}:{record.line}] ") - _PLACE_LIMIT
    return f"[t@{record.thread_id}{thread},{file[max(excess, 0) :]}:{record.line}] "


def short_place(file: str) -> str:
    """The last two components of a path: enough to know the package, short enough to read."""
    rest, slash, name = file.rpartition("/")
    return f"{rest.rpartition('/')[2]}/{name}" if slash else name


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def _value(value: object) -> str:
    kind = type(value)
    if kind is str:
        return _quoted(value)  # type: ignore[arg-type]  # it is a str; mypy does not narrow by `kind is`
    if kind is int:
        return repr(value)
    try:
        if value is None or isinstance(value, bool):
            return "null" if value is None else "true" if value else "false"
        if isinstance(value, str):
            return _quoted(str(value))
        if isinstance(value, int):
            return int.__repr__(value)
        if isinstance(value, float):
            return f"{value:f}" if math.isfinite(value) else _quoted(str(value))
        if isinstance(value, list | tuple | dict):
            return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=text_of)
        return _quoted(text_of(value))
    except Exception:  # whatever a value does when it is asked for its text, the line is written
        return _quoted(printable(value))


def _logfmt(text: str) -> str:
    return text if _BARE.fullmatch(text) else _quoted(text)


def _logfmt_value(value: object) -> str:
    shown = _value(value)
    if shown.startswith('"'):
        bare = shown[1:-1]
        return bare if _BARE.fullmatch(bare) else shown
    return shown if _BARE.fullmatch(shown) else _quoted(shown)


def text_of(value: object) -> str:
    """A value as text; bytes as UTF-8, with escapes where they are not. Raises what `str` raises."""
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def printable(value: object) -> str:
    """A text for any value, also for one that cannot say what it is. Never raises."""
    try:
        return str(value)
    except Exception:  # as in _value
        return f"<unprintable {type(value).__name__}>"
