"""Routing: which route answers a method and a path. Pure; the table of routes is the only state.

Rules:

1. A route has a method, a base that begins and ends in `/`, and an expression that is searched in what follows the
   base. Expressions that mean the whole remainder anchor themselves.
2. The longest base that is a prefix of the path decides. Shorter bases are not tried after it (libmtev).
3. Below a base, routes are tried in the order in which they were added. There is no priority.
4. HEAD is answered by a route for HEAD, else by one for GET.
5. A path that only other methods match is a miss that names them (405, and what OPTIONS answers).
6. Captures are texts; a group that took no part in the match is `""`.
7. Changes take effect with the next lookup: they raise a generation number, and the lookup that sees it rebuilds the
   compiled table. A lookup under way goes on with the table that it began with.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .errors import RouteError

if TYPE_CHECKING:
    from ._response import Handler

__all__ = ["Match", "Miss", "Route", "Router"]

_METHOD = re.compile(r"[A-Z][A-Z0-9_-]*")


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One way into the service.

    Attributes:
        method: compared as it is.
        base: the prefix of the path; begins and ends in `/`.
        expression: regular expression, searched in the rest of the path.
        handler: what answers.
        summary: one line for listings.
        auth: whether the access control lists are asked.
        pattern: the compiled expression.
    """

    method: str
    base: str
    expression: str
    handler: Handler
    summary: str
    auth: bool = True
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not _METHOD.fullmatch(self.method):
            raise RouteError(f"route {self.name}: '{self.method}' is not a method; expected one such as GET")
        if not (self.base.startswith("/") and self.base.endswith("/")):
            raise RouteError(f"route {self.name}: the base '{self.base}' must begin and end in '/'")
        if not self.summary.strip():
            raise RouteError(f"route {self.name}: say in a summary what it is for")
        try:
            pattern = re.compile(self.expression)
        except re.error as error:
            raise RouteError(f"route {self.name}: '{self.expression}' is not a regular expression: {error}") from error
        object.__setattr__(self, "pattern", pattern)

    @property
    def name(self) -> str:
        """What the route is called in logs and statistics: `base(expression)`, as in libmtev."""
        return f"{self.base}({self.expression})"


class Match(NamedTuple):
    """The route that answers, and what its expression captured."""

    route: Route
    captures: tuple[str, ...]


class Miss(NamedTuple):
    """No route answers. `allow` names the methods that would, OPTIONS first; empty when nothing is there at all."""

    allow: tuple[str, ...]


_NOTHING = Miss(())


class _Below:
    """The routes below one base."""

    __slots__ = ("by_method", "routes")

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        by_method: dict[str, tuple[Route, ...]] = {}
        for route in routes:
            by_method[route.method] = (*by_method.get(route.method, ()), route)
        if "GET" in by_method:
            by_method["HEAD"] = by_method.get("HEAD", ()) + by_method["GET"]
        self.by_method = by_method


class _Table:
    """A compiled table: bases in a dictionary, searched from the deepest prefix up."""

    __slots__ = ("below", "depth", "generation")

    def __init__(self, routes: Sequence[Route], generation: int) -> None:
        grouped: dict[str, list[Route]] = {}
        for route in routes:
            grouped.setdefault(route.base, []).append(route)
        self.below = {base: _Below(members) for base, members in grouped.items()}
        self.depth = max((base.count("/") for base in grouped), default=0)
        self.generation = generation

    def longest(self, path: str) -> tuple[_Below, str] | None:
        """The routes below the longest base of a path, and the rest of the path."""
        ends = []
        end = 0
        for _ in range(self.depth):
            end = path.find("/", end) + 1
            if not end:
                break
            ends.append(end)
        for end in reversed(ends):
            below = self.below.get(path[:end])
            if below is not None:
                return below, path[end:]
        return None


class Router:
    """The routes of one service. Thread-safe; nothing here blocks for long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._routes: dict[tuple[str, str, str], Route] = {}
        self._generation = 0
        self._table = _Table((), 0)

    @property
    def generation(self) -> int:
        """Raised by every change."""
        return self._generation

    def add(self, route: Route) -> None:
        """Add a route behind those that are there.

        Raises:
            RouteError: the same method, base and expression are there already; the second could never answer.
        """
        key = (route.method, route.base, route.expression)
        with self._lock:
            if key in self._routes:
                raise RouteError(f"route {route.method} {route.name} exists already; a second one could never answer")
            self._routes[key] = route
            self._generation += 1

    def remove(self, route: Route) -> None:
        """Remove a route. Requests that it answers already are not disturbed.

        Raises:
            RouteError: it is not there.
        """
        key = (route.method, route.base, route.expression)
        with self._lock:
            if self._routes.get(key) is not route:
                raise RouteError(f"route {route.method} {route.name} is not there")
            del self._routes[key]
            self._generation += 1

    def routes(self) -> tuple[Route, ...]:
        """Every route in the order of adding."""
        with self._lock:
            return tuple(self._routes.values())

    def find(self, method: str, path: str) -> Match | Miss:
        """The route that answers a request.

        Args:
            method: as it stands in the request.
            path: decoded, without the query.
        """
        table = self._table
        if table.generation != self._generation:
            table = self._rebuild()
        found = table.longest(path)
        if found is None:
            return _NOTHING
        below, rest = found
        for route in below.by_method.get(method, ()):
            matched = route.pattern.search(rest)
            if matched is not None:
                return Match(route, matched.groups(""))
        return _miss(below, rest)

    def methods(self) -> tuple[str, ...]:
        """Every method that any route answers, OPTIONS first; what `OPTIONS *` is told."""
        return _allow(self.routes())

    def _rebuild(self) -> _Table:
        with self._lock:
            if self._table.generation != self._generation:
                self._table = _Table(tuple(self._routes.values()), self._generation)
            return self._table


def _miss(below: _Below, rest: str) -> Miss:
    matching = [route for route in below.routes if route.pattern.search(rest)]
    return Miss(_allow(matching)) if matching else _NOTHING


def _allow(routes: Sequence[Route]) -> tuple[str, ...]:
    methods = ["OPTIONS"]
    for route in routes:
        methods.append(route.method)
        if route.method == "GET":
            methods.append("HEAD")
    return tuple(dict.fromkeys(methods))
