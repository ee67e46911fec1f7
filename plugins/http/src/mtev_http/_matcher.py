r"""Which of the routes below one base answers: in the order of adding, without trying them all. Pure.

The rule is libmtev's: of the routes of a method, the first one added whose expression is found in the rest of the path.
Trying one after the other costs more with each route, so they are compiled:

1. What an expression demands literally at its beginning (`^items/(\d+)$`: `items/`) is taken up to its last `/`: its
   *stem*. An expression that does not begin with `^`, or that is more than text up to there, has the stem `""`.
2. An expression that is nothing but text (`^items\.json$`) is a *word*: found by one look-up.
3. For each stem there is the list of those that a path which begins so may match: those of that stem, of every shorter
   stem that it begins with, and (for a word) the word itself, in the order of adding. Paths are looked up by their own
   words and longest stems; what is left is tried in order.
4. A list that is still long becomes one expression with alternatives, where all begin with `^`: alternatives are tried
   in order at one place, which is the same rule.

`$` also matches before a line end, but no path holds one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ._route import Route

__all__ = ["Attempts", "Found", "Matcher", "literal_prefix", "slashes"]

_ALTERNATIVES = 4  # from so many on, one expression with alternatives is quicker than trying each
_MAX_GROUPS = 5_000
_SPECIAL = frozenset(".^$*+?{}[]\\|()")
_ESCAPED = frozenset(r".^$*+?{}[]\|()/-_~!@#%&=:;,' ")
_QUANTIFIERS = frozenset("*+?{")
_SETS_FLAGS = re.compile(r"\^?\(\?[aiLmsux]")
_SHIFTING = re.compile(r"\\[1-9]|\(\?(?![:=!<])|\(\?<[^=!]|\(\?P")  # what refers to groups by number, or sets flags


class Found(NamedTuple):
    """The route that answers, and what its expression captured."""

    route: Route
    captures: tuple[str, ...]


class Attempts:
    """Some routes, in order; finds the first that matches."""

    __slots__ = ("_groups", "_joined", "routes")

    def __init__(self, routes: Sequence[Route], *, join: bool) -> None:
        self.routes = tuple(routes)
        self._joined: re.Pattern[str] | None = None
        self._groups: dict[int, tuple[Route, int]] = {}
        if join and len(routes) >= _ALTERNATIVES and all(map(_joinable, routes)):
            self._join()

    def find(self, rest: str) -> Found | None:
        """The first route that matches."""
        if self._joined is not None:
            matched = self._joined.match(rest)
            if matched is None:
                return None
            assert matched.lastindex is not None, "every alternative ends in a group of its own"
            route, first = self._groups[matched.lastindex]
            return Found(route, matched.groups("")[first : matched.lastindex - 1])
        for route in self.routes:
            matched = route.pattern.search(rest)
            if matched is not None:
                return Found(route, matched.groups(""))
        return None

    def _join(self) -> None:
        parts, groups = [], 0
        for route in self.routes:
            first = groups
            groups += route.pattern.groups + 1  # the empty group at the end tells which alternative it was
            self._groups[groups] = (route, first)
            parts.append(f"(?:{route.expression})()")
        if groups <= _MAX_GROUPS:
            self._joined = re.compile("|".join(parts))


class Matcher:
    """The compiled routes of one method below one base.

    Args:
        routes: in the order of adding.

    Attributes:
        stems: what may match below each stem; `""` is always among them.
        words: what may match a whole path.
    """

    __slots__ = ("_depth", "stems", "words")

    def __init__(self, routes: Sequence[Route]) -> None:
        by_stem: dict[str, list[tuple[int, Route]]] = {"": []}
        by_word: dict[str, list[tuple[int, Route]]] = {}
        for number, route in enumerate(routes):
            prefix, whole = literal_prefix(route.expression)
            group, key = (by_word, prefix) if whole else (by_stem, prefix[: prefix.rfind("/") + 1])
            group.setdefault(key, []).append((number, route))

        def fitting(path: str, own: Sequence[tuple[int, Route]] = ()) -> list[Route]:
            found = [*by_stem[""], *own]
            for end in slashes(path, path.count("/")):
                found += by_stem.get(path[:end], ())
            return [route for _, route in sorted(found, key=lambda each: each[0])]

        self.stems = {stem: Attempts(fitting(stem), join=True) for stem in by_stem}
        self.words = {word: Attempts(fitting(word, own), join=False) for word, own in by_word.items()}
        self._depth = max(stem.count("/") for stem in by_stem)

    def find(self, rest: str) -> Found | None:
        """The first route whose expression is found in a path.

        Args:
            rest: the path without the base.
        """
        attempts = self.words.get(rest)
        return (attempts or self._longest(rest)).find(rest)

    def _longest(self, rest: str) -> Attempts:
        if self._depth:
            for end in reversed(slashes(rest, self._depth)):
                attempts = self.stems.get(rest[:end])
                if attempts is not None:
                    return attempts
        return self.stems[""]


def slashes(path: str, limit: int) -> list[int]:
    """Where the first slashes of a path end."""
    ends = []
    end = 0
    for _ in range(limit):
        end = path.find("/", end) + 1
        if not end:
            break
        ends.append(end)
    return ends


def literal_prefix(expression: str) -> tuple[str, bool]:
    """What a path must begin with for an expression to be found in it, and whether that is all that it may be.

    Careful rather than clever: what is not plainly text ends the prefix.
    """
    if not expression.startswith("^") or _has_alternatives(expression):
        return "", False
    text: list[str] = []
    position, size = 1, len(expression)
    while position < size:
        character = expression[position]
        if character == "$" and position + 1 == size:
            return "".join(text), True
        if character == "\\" and position + 1 < size and expression[position + 1] in _ESCAPED:
            character, position = expression[position + 1], position + 1
        elif character in _SPECIAL:
            break
        if position + 1 < size and expression[position + 1] in _QUANTIFIERS:
            break
        text.append(character)
        position += 1
    return "".join(text), False


def _has_alternatives(expression: str) -> bool:
    """Whether there is a `|` outside of every group; or a look-alike of one, which errs on the safe side."""
    depth = 0
    in_class = False
    position = 0
    while position < len(expression):
        character = expression[position]
        if character == "\\":
            position += 1
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
            if expression.startswith(("]", "^]"), position + 1):  # a bracket that comes first is a member of the class
                position += 1 + expression.startswith("^", position + 1)
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == "|" and depth == 0:
            return True
        position += 1
    return _SETS_FLAGS.match(expression) is not None


def _joinable(route: Route) -> bool:
    return (
        route.expression.startswith("^")
        and not _has_alternatives(route.expression)
        and _SHIFTING.search(route.expression) is None
        and not route.pattern.groupindex
    )
