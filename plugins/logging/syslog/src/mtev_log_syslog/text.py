"""Texts that a syslog message may hold: valid UTF-8 on one line, cut without breaking a character. Pure.

Control characters are written as `#` and three octal digits, as syslog daemons show them: a newline is `#012`. So no
text can look like a message of its own, whatever the receiver does with it. The tabulator stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mtev_log import BackendSettings, Record
from mtev_log.formats import printable, text_of

__all__ = ["body_encoder", "cut", "one_line", "shown", "visible_ascii"]

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_NOT_VISIBLE = re.compile(r"[^!-~]")


def one_line(text: str) -> str:
    """A text without control characters."""
    return _CONTROL.sub(lambda found: f"#{ord(found[0]):03o}", text)


def visible_ascii(text: str, most: int) -> str:
    """A text as a field of a header: what is not visible ASCII becomes `_`; `-` when nothing is left.

    Args:
        text: any text.
        most: how many characters it may have.
    """
    return _NOT_VISIBLE.sub("_", text[:most]) or "-"


def cut(data: bytes, most: int) -> bytes:
    """UTF-8 without its end, so that it has no more than so many bytes and ends in a whole character."""
    if len(data) <= most:
        return data
    end = max(0, most)
    while end and data[end] & 0xC0 == 0x80:
        end -= 1
    return data[:end]


def shown(value: object) -> str:
    """A field's value as text. Never raises."""
    try:
        return text_of(value)
    except Exception:  # whatever a value does when it is asked for its text, the line is written
        return printable(value)


def body_encoder(settings: BackendSettings) -> Callable[[Record], str]:
    """A function that gives the text of a record in the format of its `<log>`, without a newline at its end.

    Raises:
        ConfigurationError: the format is not text.
    """
    if settings.format == "flatbuffer":
        raise settings.error(f"the type '{settings.type}' takes text; format='flatbuffer' is none")
    encode = settings.encoder(split=False)

    def body(record: Record) -> str:
        return encode(record).removesuffix(b"\n").decode("utf-8", "backslashreplace")

    return body
