"""What a client accepts (RFC 9110, section 12.5): encodings and media types, with their weights. Pure.

Rules:

1. The highest weight wins; among equals, what is offered first. Weight 0 is a refusal.
2. A weight that is malformed counts as a refusal of its element; more elements than `MAX_ELEMENTS` are not looked at.
3. For encodings, None of those offered is always possible (`identity`), unless refused; what is refused in vain is
   answered plain all the same, since a client that cannot read that can read nothing.
4. For types, the most specific element that fits says the weight.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

__all__ = ["MAX_ELEMENTS", "choose_encoding", "choose_type"]

MAX_ELEMENTS = 64
_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)
_ALIASES = {"x-gzip": "gzip"}


def choose_encoding(header: str, offered: Sequence[str]) -> str | None:
    """The encoding for a response.

    Args:
        header: the value of `Accept-Encoding`; `""` without one.
        offered: what the service can do, what it likes best first.

    Returns:
        One of those offered, or None for none.
    """
    if not header:
        return None
    weights: dict[str, float] = {}
    for name, weight, _ in _elements(header):
        weights.setdefault(_ALIASES.get(name, name), weight)
    anything = weights.get("*", 0.0)
    best, best_weight = None, 0.0
    for encoding in offered:
        weight = weights.get(encoding, anything)
        if weight > best_weight:
            best, best_weight = encoding, weight
    if best is not None and weights.get("identity", 0.0) > best_weight:
        return None
    return best


def choose_type(header: str, offered: Sequence[str]) -> str | None:
    """The media type for a response.

    Args:
        header: the value of `Accept`; `""` without one, which accepts everything.
        offered: such as `text/html`, without parameters; what the service likes best first.

    Returns:
        One of those offered, or None when the client accepts none of them.
    """
    if not header.strip():
        return offered[0] if offered else None
    ranges = [(name, weight) for name, weight, _ in _elements(header)]
    best, best_weight = None, 0.0
    for kind in offered:
        family = kind.partition("/")[0] + "/*"
        for pattern in (kind, family, "*/*"):
            weight = max((weight for name, weight in ranges if name == pattern), default=None)
            if weight is not None:
                if weight > best_weight:
                    best, best_weight = kind, weight
                break
    return best


def _elements(header: str) -> Iterator[tuple[str, float, str]]:
    for element in header.split(",", MAX_ELEMENTS)[:MAX_ELEMENTS]:
        name, _, parameters = element.partition(";")
        name = name.strip().lower()
        if name:
            yield name, _weight(parameters), parameters


def _weight(parameters: str) -> float:
    if not parameters:
        return 1.0
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            value = value.strip()
            return float(value) if _WEIGHT.fullmatch(value) else 0.0
    return 1.0
