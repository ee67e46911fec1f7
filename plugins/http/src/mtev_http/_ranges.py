"""Ranges of bytes (RFC 9110, section 14). Pure.

Rules:

1. A `Range` that is malformed, of another unit, or of more than `MAX_RANGES` is ignored: the answer is the whole.
2. Ranges that lie beyond the end are left out; when none is left, the answer is 416.
3. Ranges that overlap, or lie side by side, become one; so nobody gets more bytes than there are. One range is answered
   as such, several as `multipart/byteranges`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["MAX_RANGES", "Multipart", "Span", "content_range", "resolve"]

MAX_RANGES = 16
_RANGE = re.compile(r"(\d*)[ \t]*-[ \t]*(\d*)", re.ASCII)
_MAX_DIGITS = 18


class Span(NamedTuple):
    """A part of something: `size` bytes from `offset` on."""

    offset: int
    size: int


def resolve(header: str, size_bytes: int) -> list[Span] | None:
    """What a `Range` asks for of something.

    Args:
        header: its value.
        size_bytes: of the whole.

    Returns:
        The parts, in order of their offsets; empty when none of it can be satisfied (416). None to answer the whole.
    """
    unit, equals, text = header.partition("=")
    if unit.strip().lower() != "bytes" or not equals:
        return None
    asked = text.split(",", MAX_RANGES)
    if len(asked) > MAX_RANGES:
        return None
    spans: list[Span] = []
    for each in asked:
        found = _RANGE.fullmatch(each.strip())
        if found is None or max(map(len, found.groups())) > _MAX_DIGITS:
            return None
        first, last = found.groups()
        if not first:
            if not last:
                return None
            count = min(int(last), size_bytes)
            spans.append(Span(size_bytes - count, count))
        else:
            begin, end = int(first), int(last) if last else size_bytes - 1
            if last and end < begin:
                return None
            spans.append(Span(begin, min(end + 1, size_bytes) - begin))
    return _joined([span for span in spans if span.size > 0 and span.offset < size_bytes])


def _joined(spans: Sequence[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.offset <= joined[-1].offset + joined[-1].size:
            begin, count = joined[-1]
            joined[-1] = Span(begin, max(count, span.offset + span.size - begin))
        else:
            joined.append(span)
    return joined


def content_range(span: Span | None, size_bytes: int) -> str:
    """The value of `Content-Range` for a part; for None, what a 416 says."""
    if span is None:
        return f"bytes */{size_bytes}"
    return f"bytes {span.offset}-{span.offset + span.size - 1}/{size_bytes}"


class Multipart:
    """Several parts as one body of `multipart/byteranges`.

    Args:
        spans: the parts.
        size_bytes: of the whole.
        content_type: of the whole.
        boundary: what stands between the parts; None for a random one.
    """

    def __init__(self, spans: Sequence[Span], size_bytes: int, content_type: str, boundary: str | None = None) -> None:
        self._boundary = boundary or secrets.token_hex(16)
        self.content_type = f"multipart/byteranges; boundary={self._boundary}"
        kind = f"Content-Type: {content_type}\r\n" if content_type else ""
        self.parts = [
            (f"\r\n--{self._boundary}\r\n{kind}Content-Range: {content_range(span, size_bytes)}\r\n\r\n".encode(), span)
            for span in spans
        ]
        self.end = f"\r\n--{self._boundary}--\r\n".encode()

    @property
    def length(self) -> int:
        """Bytes of the whole body."""
        return sum(len(head) + span.size for head, span in self.parts) + len(self.end)
