"""Substitution of values from outside the document. Pure.

1. The embedded form `{{FACILITY:FALLBACK:{KEY}}}` may stand anywhere in a text, any number of times. The facility
   has no colon or brace, the fallback no colon; the key ends at the first `}}}`. What has another shape stays as it is.
2. The whole-value form `ENV:DEFAULT:{KEY}` must be the entire text. Its default ends at the first `:{`, so it may
   hold colons; its key has at most 127 characters.
3. A variable that is set but empty counts as set. An unset one gives the fallback or default, which may be empty.
4. A facility that is not known gives its fallback and a notice.
5. What was put in is never looked at again: a value of the environment cannot ask for another one. (libmtev scans
   most of it once more.) Values are not cut (libmtev: at 1,023 bytes), but the result is limited.

The order is libmtev's: the embedded form first, then the whole-value form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

__all__ = ["MAX_EXPANDED_CHARS", "Facilities", "expand"]

MAX_EXPANDED_CHARS = 1_048_576
"""How long a text may become by substitution."""

Facilities = Mapping[str, Callable[[str], str | None]]
"""For each facility, what looks a key up: its value, or None when it has none."""

_MAX_KEY_CHARS = 127
_OPENING = re.compile(r"\{\{([^:{}]*):([^:]*):\{")
_ENV = "ENV:"


def expand(text: str, facilities: Facilities, notice: Callable[[str], None]) -> str:
    """Put in what a text asks for.

    Args:
        text: an attribute's or element's text.
        facilities: where values come from; `ENV` also serves the whole-value form.
        notice: called with a sentence for each thing that was asked for and cannot be given.

    Raises:
        ValueError: the result would exceed `MAX_EXPANDED_CHARS`.
    """
    if text.startswith(_ENV) and text.endswith("}"):
        return _whole(_embedded(text, facilities, notice), facilities, notice)
    return _embedded(text, facilities, notice)


def _embedded(text: str, facilities: Facilities, notice: Callable[[str], None]) -> str:
    pieces: list[str] = []
    position = 0
    length = len(text)
    while (opening := _OPENING.search(text, position)) is not None:
        end = text.find("}}}", opening.end())
        if end < 0:
            break
        facility, fallback, key = opening[1], opening[2], text[opening.end() : end]
        look_up = facilities.get(facility)
        if look_up is None:
            known = ", ".join(sorted(facilities))
            notice(
                f"'{{{{{facility}:…:{{{key}}}}}}}' asks for the facility '{facility}', which is not known "
                f"(known: {known}); its fallback is used"
            )
        value = None if look_up is None else look_up(key)
        pieces += (text[position : opening.start()], fallback if value is None else value)
        position = end + 3
        length += len(pieces[-1]) - (position - opening.start())
        if length > MAX_EXPANDED_CHARS:
            raise ValueError(f"it expands to more than {MAX_EXPANDED_CHARS} characters")
    pieces.append(text[position:])
    return "".join(pieces)


def _whole(text: str, facilities: Facilities, notice: Callable[[str], None]) -> str:
    default, separator, key = text[len(_ENV) : -1].partition(":{")
    if not separator or len(key) > _MAX_KEY_CHARS:
        notice(
            f"a value opens with 'ENV:' but is not of the form ENV:default:{{VARIABLE}} with at most {_MAX_KEY_CHARS} "
            "characters between the braces; it is taken as it stands"
        )
        return text
    look_up = facilities.get("ENV")
    value = None if look_up is None else look_up(key)
    return default if value is None else value
