"""Request targets: from what stands in the request line to a path that rules may be matched against, and a query.

Rules:

1. A path is decoded exactly once, before routing and before access control, so that both judge the same text.
2. What could be read in two ways is refused, never repaired: a `%` without two hex digits, bytes that are not UTF-8,
   control characters (NUL truncates in other people's code, a newline slips past `.` in expressions), a fragment.
3. `+` is a plus sign in a path and a space in a query. Dot segments and doubled slashes stay as they are.
4. The query keeps every value of a name, in order; the first one counts where one is asked for (libmtev).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from .errors import BadRequest

__all__ = ["MAX_QUERY_FIELDS", "Query", "authority_of", "decode_path", "fit_host", "parse_query", "split_target"]

MAX_QUERY_FIELDS = 1000
"""More fields than that in one query are refused."""

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ABSOLUTE = re.compile(r"https?://([^/?#@\s]+)", re.IGNORECASE)
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.%A-Za-z]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")


class Query(Mapping[str, str]):
    """The fields of a query. As a mapping it shows the first value of each name.

    Args:
        pairs: names and values, decoded, in the order of the request.
    """

    __slots__ = ("_first", "pairs")

    def __init__(self, pairs: tuple[tuple[str, str], ...] = ()) -> None:
        self.pairs = pairs
        self._first: dict[str, str] = {}
        for name, value in pairs:
            self._first.setdefault(name, value)

    def __getitem__(self, name: str) -> str:
        return self._first[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self._first)

    def all(self, name: str) -> list[str]:
        """Every value of a name, in order."""
        return [value for each, value in self.pairs if each == name]

    def __repr__(self) -> str:
        return f"Query({self.pairs!r})"


def split_target(target: str) -> tuple[str, str]:
    """Split a request target into its path and query, both still encoded.

    Args:
        target: origin form (`/path?query`), absolute form (`http://host/path?query`), or `*`.

    Raises:
        BadRequest: it is none of these, or holds a fragment.
    """
    if "#" in target:
        raise BadRequest("the request target holds a fragment", close=True)
    if not target.startswith("/") and target != "*":
        authority = _ABSOLUTE.match(target)
        if authority is None:
            raise BadRequest("the request target is neither a path nor an http URL", close=True)
        target = target[authority.end() :]
        if target and target[0] not in "/?":
            raise BadRequest("the request target names a user", close=True)
        if not target.startswith("/"):
            target = "/" + target
    path, _, query = target.partition("?")
    return path, query


def authority_of(target: str) -> str:
    """The host and port of a target in absolute form, which count instead of `Host` (RFC 9112, section 3.2.2)."""
    found = _ABSOLUTE.match(target)
    return found[1] if found is not None else ""


@lru_cache(maxsize=1024)
def fit_host(value: bytes) -> bool:
    """Whether the value of `Host` can be one: a name or an address, and a port. It may be empty."""
    return _HOST.fullmatch(value.strip()) is not None


def decode_path(raw: str) -> str:
    """Decode an encoded path; see rules 1 to 3.

    Args:
        raw: bytes that are not ASCII may be in it as themselves or as surrogate escapes.

    Raises:
        BadRequest: it breaks rule 2.
    """
    if "%" not in raw and raw.isascii() and raw.isprintable():
        return raw
    return _decode(raw, "path")


def parse_query(text: str) -> Query:
    """Parse an encoded query: fields between `&`, the value after the first `=`, empty pieces left out.

    Raises:
        BadRequest: it breaks rule 2, or has more than `MAX_QUERY_FIELDS` fields.
    """
    if not text:
        return Query()
    pieces = text.split("&", MAX_QUERY_FIELDS)
    if len(pieces) > MAX_QUERY_FIELDS:
        raise BadRequest(f"the query has more than {MAX_QUERY_FIELDS} fields")
    pairs = []
    for piece in pieces:
        if piece:
            name, _, value = piece.replace("+", " ").partition("=")
            pairs.append((_decode(name, "query"), _decode(value, "query", allowed="\t\n\r")))
    return Query(tuple(pairs))


def _decode(raw: str, part: str, allowed: str = "") -> str:
    try:
        encoded = raw.encode("utf-8", "surrogateescape")
        if _BAD_ESCAPE.search(encoded):
            raise BadRequest(f"the {part} holds a '%' without two hexadecimal digits", close=part == "path")
        text = unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeError:
        raise BadRequest(f"the {part} is not valid UTF-8", close=part == "path") from None
    for control in _CONTROL.finditer(text):
        if control[0] not in allowed:
            raise BadRequest(f"the {part} holds a control character", close=part == "path")
    return text
