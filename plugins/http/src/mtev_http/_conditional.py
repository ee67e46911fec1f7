"""Conditional requests (RFC 9110, section 13): whether a response is what the client has, or asked for. Pure.

Rules:

1. If-Match, else If-Unmodified-Since; then If-None-Match, else If-Modified-Since: in that order.
2. If-Match compares strongly, If-None-Match weakly. `*` matches whatever is there.
3. A list of tags that is malformed matches nothing: If-Match then fails (412), If-None-Match lets the response through.
   A malformed date is ignored.
4. If-Range lets a range through when its tag matches strongly, or its date is exactly that of the last change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ._dates import parse_date

__all__ = ["check_tag", "evaluate", "range_applies"]

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_SEPARATOR = re.compile(r"[ \t]*,[ \t,]*")
_MAX_TAGS = 100


def check_tag(tag: str) -> str:
    """An entity tag as it is sent: `"abc"`, or `W/"abc"` when it is weak.

    Raises:
        ValueError: it is none.
    """
    if not _TAG.fullmatch(tag):
        raise ValueError(f'{tag!r} is no entity tag; expected one such as "abc" or W/"abc", its quotes included')
    return tag


def evaluate(method: str, headers: Mapping[str, str], tag: str | None, modified_s: float | None) -> int:
    """Judge the conditions of a request.

    Args:
        method: of the request.
        headers: of the request.
        tag: of what would be answered; None when it has none.
        modified_s: when that was changed last, in seconds since the epoch; None when that is not known.

    Returns:
        200 to go on, 304 when the client has it already, 412 when a condition does not hold.
    """
    reading = method in ("GET", "HEAD")
    changed = None if modified_s is None else int(modified_s)
    if (wanted := headers.get("if-match")) is not None:
        if not _matches(wanted, tag, strongly=True):
            return 412
    elif (since := _date(headers, "if-unmodified-since")) is not None and changed is not None and changed > since:
        return 412
    if (known := headers.get("if-none-match")) is not None:
        if _matches(known, tag, strongly=False):
            return 304 if reading else 412
    elif reading and (since := _date(headers, "if-modified-since")) is not None and changed is not None:
        return 304 if changed <= since else 200
    return 200


def range_applies(headers: Mapping[str, str], tag: str | None, modified_s: float | None) -> bool:
    """Whether the `Range` of a request counts: there is no If-Range, or it holds."""
    condition = headers.get("if-range")
    if condition is None:
        return True
    condition = condition.strip()
    if condition.startswith(('"', "W/")):
        return tag is not None and not tag.startswith("W/") and condition == tag
    date = parse_date(condition)
    return date is not None and modified_s is not None and date == int(modified_s)


def _date(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    return None if text is None else parse_date(text)


def _matches(wanted: str, tag: str | None, *, strongly: bool) -> bool:
    wanted = wanted.strip()
    if wanted == "*":
        return True
    if tag is None or (strongly and tag.startswith("W/")):
        return False
    tags = _tags(wanted)
    if strongly:
        return tag in tags
    opaque = tag.removeprefix("W/")
    return any(each.removeprefix("W/") == opaque for each in tags)


def _tags(text: str) -> list[str]:
    """The tags of a list; none when it is malformed, or longer than anybody needs."""
    tags: list[str] = []
    position = 0
    while position < len(text):
        found = _TAG.match(text, position)
        if found is None or len(tags) == _MAX_TAGS:
            return []
        tags.append(found[0])
        position = found.end()
        if position < len(text):
            between = _SEPARATOR.match(text, position)
            if between is None:
                return []
            position = between.end()
    return tags
