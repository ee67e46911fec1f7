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
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ._matcher import Attempts, Found, Matcher
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


class _Entry(NamedTuple):
    """What a path may match that begins with some base and stem."""

    below: _Below
    base_size: int
    attempts: Attempts | None


class _Flat:
    """The routes that answer one method, by base and stem in one: the deepest that a path begins with decides.

    What stands below a longer base is not there under the shorter one, so that the longest base decides.
    """

    __slots__ = ("depth", "prefixes", "words")

    def __init__(self, below: Mapping[str, _Below], method: str) -> None:
        self.prefixes: dict[str, _Entry] = {}
        self.words: dict[str, _Entry] = {}
        for base, here in below.items():
            matcher = here.matcher(method)
            self.prefixes.setdefault(base, _Entry(here, len(base), None))
            if matcher is None:
                continue
            for texts, found in ((matcher.stems, self.prefixes), (matcher.words, self.words)):
                for text, attempts in texts.items():
                    if _longest_base(below, base + text) == base:
                        found[base + text] = _Entry(here, len(base), attempts)
        self.depth = max((prefix.count("/") for prefix in self.prefixes), default=0)

    def entry(self, path: str) -> _Entry | None:
        """Where to look for a path; None where no base is a prefix of it."""
        found = self.words.get(path)
        if found is None:
            prefixes, end = self.prefixes, 0
            for _ in range(self.depth):
                end = path.find("/", end) + 1
                if not end:
                    break
                found = prefixes.get(path[:end], found)
        return found


def _longest_base(bases: Iterable[str], path: str) -> str:
    return max((base for base in bases if path.startswith(base)), key=len)


class _Table:
    """A compiled table: what is there for each method, made when the method is first asked for."""

    __slots__ = ("_below", "_flat", "generation", "known", "methods")

    def __init__(self, routes: Sequence[Route], generation: int) -> None:
        grouped: dict[str, list[Route]] = {}
        for route in routes:
            grouped.setdefault(route.base, []).append(route)
        self._below = {base: _Below(members) for base, members in grouped.items()}
        self.methods = frozenset(method for below in self._below.values() for method in below.by_method)
        self._flat: dict[str, _Flat] = {}
        self.generation = generation
        self.known: dict[tuple[str, str], Found] = {}

    def flat(self, method: str) -> _Flat:
        """What answers a method."""
        found = self._flat.get(method)
        if found is None:
            if method not in self.methods:
                method = ANY  # one for all that nobody has a route for: peers choose their names
            found = self._flat.get(method)
            if found is None:
                found = self._flat[method] = _Flat(self._below, method)
        return found


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
        entry = table.flat(method).entry(path)
        if entry is None:
            return _NOTHING
        below, size, attempts = entry
        rest = path[size:]
        if attempts is not None and (answer := attempts.find(rest)) is not None:
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
