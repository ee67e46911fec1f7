"""Cross-origin resource sharing (WHATWG Fetch, section 3.2): which pages of other sites may use a service. Pure.

Rules:

1. An origin is compared as it is, without regard to case; `*` allows every origin, but never with credentials; `null`
   is allowed only by its name.
2. What depends on the origin says so: `Vary: Origin`, also in the answers to those who may not.
3. A preflight (OPTIONS with Origin and Access-Control-Request-Method) is answered before access control, because a
   browser sends no credentials with it; the request that follows is judged like any other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["CorsPolicy"]

Fields = list[tuple[str, str]]

_MAX_REQUESTED = 100
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_SIMPLE = frozenset(("accept", "accept-language", "content-language", "content-type", "range"))


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """What pages of other sites may do.

    Args:
        origins: such as `https://console.example.net`; `*` for every one.
        methods: beside GET, HEAD and POST; empty for those that a route answers.
        headers: which fields their requests may have beside the harmless ones; `*` for any.
        exposed: which fields of our responses they may read.
        credentials: whether they may send cookies and the like.
        max_age_s: how long a browser may remember the answer to a preflight.
        url: for which paths this holds, an expression that is searched; None for all.

    Raises:
        ValueError: `*` together with credentials.
    """

    origins: Sequence[str]
    methods: Sequence[str] = ()
    headers: Sequence[str] = ()
    exposed: Sequence[str] = ()
    credentials: bool = False
    max_age_s: int = 600
    url: re.Pattern[str] | None = None
    _origins: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.credentials and "*" in self.origins:
            raise ValueError("every origin together with credentials would let any page act as the user")
        object.__setattr__(self, "_origins", frozenset(origin.lower() for origin in self.origins))

    def concerns(self, path: str) -> bool:
        """Whether this policy holds for a path."""
        return self.url is None or self.url.search(path) is not None

    def answer(self, origin: str) -> Fields:
        """The fields of a response to a page of an origin."""
        if not self._allows(origin):
            return [("Vary", "Origin")]
        fields = self._allowed(origin)
        if self.exposed:
            fields.append(("Access-Control-Expose-Headers", ", ".join(self.exposed)))
        return fields

    def preflight(self, origin: str, method: str, headers: str, allow: Sequence[str]) -> Fields:
        """The fields of the answer to a preflight. Those of a refusal allow nothing.

        Args:
            origin: of the page.
            method: that it wants to use.
            headers: the value of Access-Control-Request-Headers; `""` without one.
            allow: which methods are answered there at all.
        """
        methods = ("GET", "HEAD", "POST", *self.methods) if self.methods else tuple(allow)
        requested = [name.strip().lower() for name in headers.split(",", _MAX_REQUESTED) if name.strip()]
        known = {name.lower() for name in self.headers} | _SIMPLE
        if (
            not self._allows(origin)
            or method not in methods
            or method not in allow
            or len(requested) > _MAX_REQUESTED
            or not all(map(_TOKEN.fullmatch, requested))
            or not ("*" in self.headers or known.issuperset(requested))
        ):
            return [("Vary", "Origin")]
        fields = [*self._allowed(origin), ("Access-Control-Allow-Methods", method)]
        if requested:
            fields.append(("Access-Control-Allow-Headers", ", ".join(requested)))
        fields.append(("Access-Control-Max-Age", str(self.max_age_s)))
        return fields

    def _allows(self, origin: str) -> bool:
        if "*" in self._origins:
            return origin.lower() != "null" or "null" in self._origins
        return origin.lower() in self._origins

    def _allowed(self, origin: str) -> Fields:
        if "*" in self._origins:
            return [("Access-Control-Allow-Origin", "*")]
        fields = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
        if self.credentials:
            fields.append(("Access-Control-Allow-Credentials", "true"))
        return fields
