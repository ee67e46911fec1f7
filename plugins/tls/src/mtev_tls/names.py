"""Names of servers, as clients ask for them (SNI), and the patterns that choose a certificate. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

__all__ = ["check_pattern", "match", "normal"]

T = TypeVar("T")

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST = 253


def normal(name: str) -> str:
    """A name in the form in which names are compared: lower case, no dot at the end."""
    return name.lower().removesuffix(".")


def check_pattern(text: str) -> str:
    """A pattern in normal form: a name, or `*.` before one for all names of one more label.

    Raises:
        ValueError: it is something else. Names with other letters are written as they travel, in `xn--` form.
    """
    name = normal(text.strip())
    labels = name.removeprefix("*.").split(".")
    if len(name) > _LONGEST or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"'{text}' is no name of a server; expected one such as www.example.org or *.example.org")
    return name


def match(name: str, patterns: Mapping[str, T]) -> T | None:
    """What belongs to a name: the pattern that is the name itself, else `*` in the place of its first label.

    Args:
        name: as the client sent it.
        patterns: in normal form.
    """
    wanted = normal(name)
    exact = patterns.get(wanted)
    if exact is not None:
        return exact
    _, dot, rest = wanted.partition(".")
    return patterns.get(f"*.{rest}") if dot else None
