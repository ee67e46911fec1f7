"""Which of several forms of an answer a client would rather have (RFC 9110, section 12.5.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["preferred"]

_MAX_RANGES = 32
_RANGE = re.compile(r"\s*([^\s;,/]+)/([^\s;,]+)\s*(.*)", re.DOTALL)
_QUALITY = re.compile(r";\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)", re.IGNORECASE)


def preferred(accept: str | None, offered: Sequence[str]) -> str:
    """The type to answer with.

    Args:
        accept: the field of the request; None without one. Ranges beyond the 32nd do not count, nor do malformed ones.
        offered: types without parameters, the one that we would rather send first. At least one.

    Returns:
        One of `offered`: the first, too, where the client wants none of them, since an answer of another type serves
        people better than 406.
    """
    if accept is None:
        return offered[0]
    ranges = _ranges(accept)
    return max(offered, key=lambda each: _wanted(each, ranges))


def _ranges(accept: str) -> list[tuple[str, str, float]]:
    found = []
    for text in accept.split(",", _MAX_RANGES)[:_MAX_RANGES]:
        parts = _RANGE.fullmatch(text)
        if parts is not None:
            quality = _QUALITY.search(parts[3])
            found.append((parts[1].lower(), parts[2].lower(), float(quality[1]) if quality else 1.0))
    return found


def _wanted(offered: str, ranges: Sequence[tuple[str, str, float]]) -> float:
    """How much a type is wanted: what the most specific range that covers it says."""
    kind, _, subtype = offered.partition("/")
    for wanted in ((kind, subtype), (kind, "*"), ("*", "*")):
        for first, second, quality in ranges:
            if (first, second) == wanted:
                return quality
    return 0.0
