"""Routing: which route answers a method and a path. Pure; the table of routes is the only state.

Rules:

1. A route has a method, a base that begins and ends in `/`, and an expression that is searched in what follows the
   base. Expressions that mean the whole remainder anchor themselves.
2. The longest base that is a prefix of the path decides. Shorter bases are not tried after it (libmtev).
3. Below a base, routes are tried in the order in which they were added. There is no priority.
4. HEAD is answered by a route for HEAD, else by one for GET. A route for `*` answers every method but `WS`.
5. A path that only other methods match is a miss that names them (405, and what OPTIONS answers).
6. Captures are texts; a group that took no part in the match is `""`.
7. Changes take effect with the next lookup: they raise a generation number, and the lookup that sees it rebuilds the
   compiled table. A lookup under way goes on with the table that it began with.
8. Paths that capture nothing are remembered with their route, up to `_KNOWN_PATHS` of them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

from ._matcher import Found, Matcher, slashes
from ._route import ANY, WEBSOCKET, Route
from .errors import RouteError

__all__ = ["Found", "Miss", "Router"]


class Miss(NamedTuple):
    """No route answers.

    Attributes:
        allow: the methods that would be answered, OPTIONS first; empty when nothing is there at all.
        websocket: whether a websocket is there.
    """

    allow: tuple[str, ...]
    websocket: bool = False


_NOTHING = Miss(())

_KNOWN_PATHS = 1024


class _Below:
    """The routes below one base."""

    __slots__ = ("by_method", "routes")

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        methods = {route.method for route in routes}
        self.by_method = {method: Matcher(self._answering(method)) for method in methods}
        if methods & {"GET", ANY}:
            self.by_method["HEAD"] = Matcher([*self._answering("HEAD", others=False), *self._answering("GET")])

    def matcher(self, method: str) -> Matcher | None:
        """What finds the route for a method; None when none of them answers it."""
        return self.by_method.get(method) or self.by_method.get(ANY)

    def _answering(self, method: str, *, others: bool = True) -> list[Route]:
        methods = (method, ANY) if others and method != WEBSOCKET else (method,)
        return [route for route in self.routes if route.method in methods]


class _Table:
    """A compiled table: bases in a dictionary, searched from the deepest prefix up."""

    __slots__ = ("below", "depth", "generation", "known")

    def __init__(self, routes: Sequence[Route], generation: int) -> None:
        grouped: dict[str, list[Route]] = {}
        for route in routes:
            grouped.setdefault(route.base, []).append(route)
        self.below = {base: _Below(members) for base, members in grouped.items()}
        self.depth = max((base.count("/") for base in grouped), default=0)
        self.generation = generation
        self.known: dict[tuple[str, str], Found] = {}

    def longest(self, path: str) -> tuple[_Below, str] | None:
        """The routes below the longest base of a path, and the rest of the path."""
        for end in reversed(slashes(path, self.depth)):
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
                raise RouteError(f"route {route.method} {route.place} exists already; a second one could never answer")
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
                raise RouteError(f"route {route.method} {route.place} is not there")
            del self._routes[key]
            self._generation += 1

    def routes(self) -> tuple[Route, ...]:
        """Every route in the order of adding."""
        with self._lock:
            return tuple(self._routes.values())

    def find(self, method: str, path: str) -> Found | Miss:
        """The route that answers a request.

        Args:
            method: as it stands in the request, or `WS`.
            path: decoded, without the query.
        """
        table = self._table
        if table.generation != self._generation:
            table = self._rebuild()
        known = table.known.get((method, path))
        if known is not None:
            return known
        found = table.longest(path)
        if found is None:
            return _NOTHING
        below, rest = found
        matcher = below.matcher(method)
        if matcher is not None and (answer := matcher.find(rest)) is not None:
            if not answer.captures and len(table.known) < _KNOWN_PATHS:
                table.known[method, path] = answer
            return answer
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
    if not matching:
        return _NOTHING
    return Miss(_allow(matching), any(route.method == WEBSOCKET for route in matching))


def _allow(routes: Sequence[Route]) -> tuple[str, ...]:
    methods = ["OPTIONS"]
    for route in routes:
        if route.method == ANY:
            continue  # it answers for itself
        methods.append("GET" if route.method == WEBSOCKET else route.method)
        if route.method == "GET":
            methods.append("HEAD")
    return tuple(dict.fromkeys(methods))
