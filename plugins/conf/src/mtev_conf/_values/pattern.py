"""Whether a regular expression is found in a text, in bounded time. Pure.

Python's matcher tries one way after another of laying an expression over a text. For `(a+)+$` there are twice as many
with every further `a`: one line of a configuration and one variable of forty characters would stop a service for good.

1. An expression means what it means to Python's `re`, and in sets the classes of PCRE (`[[:digit:]]`, of ASCII) are
   known as well. The verbose notation is refused.
2. How many steps that can take at most follows from the expression and the length of the text (`_effort`). While they
   are few, Python's matcher does the work.
3. Else all ways are followed at once, character by character (Thompson's construction). The time that this takes is
   the product of the text's length and the number of states. Only whether something is found is asked for, so the
   answer is the same. What one character or position has to be is left to Python's matcher in both cases.
4. Look-around, references to groups, and what never gives back what it took cannot be followed that way. An expression
   that has them, and one that takes more than `MAX_STEPS` even so, is an error when there can be too many ways.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from .values import quoted

__all__ = ["MAX_STEPS", "BoundedPattern"]

MAX_STEPS = 2_000_000
"""How many steps a search may take when all ways are followed at once."""

_MAX_EFFORT = 20_000_000
_MAX_STATES = 20_000
_MAX_DEPTH = 100
_MAX_CHARS = 10_000
_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": r" \t", "cntrl": r"\x00-\x1f\x7f", "digit": "0-9",
    "graph": r"\x21-\x7e", "lower": "a-z", "print": r"\x20-\x7e", "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r" \t-\r", "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_SET = re.compile(r"\\.|\(\?\#[^)]*\)|(?P<set>\[\^?\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*\])", re.DOTALL)
_IN_SET = re.compile(r"\[:(?P<name>\^?[a-z]+):\]|\\.|(?P<plain>[\[&|~])", re.DOTALL)
_FLAGS = {"a": re.ASCII, "i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
_TOKEN = re.compile(
    r"""
      (?P<nothing>    \(\?\#[^)]*\) | \(\?[a-zA-Z]+\) )
    | (?P<reference>  \(\?P=[^)]*\) | \\(?: [1-7](?![0-7]{2})[0-9]? | [89][0-9]? ) )
    | (?P<opaque>     \(\?(?: <?[=!] | > | \([^)]*\) ) )
    | (?P<flags>      \(\?(?P<on>[a-zA-Z]*)(?:-(?P<off>[a-zA-Z]+))?: )
    | (?P<group>      \(\?P<[^>]*> | \( )
    | (?P<close>      \) )
    | (?P<either>     \| )
    | (?P<times>      (?: (?P<few>[*+?]) | \{ (?: (?P<exactly>[0-9]+) | (?P<least>[0-9]*),(?P<most>[0-9]*) ) \} )
                      (?P<mood>[?+]?) )
    | (?P<position>   [\^$] | \\[AZbB] )
    | (?P<character>  \[\^?\]?(?:\\.|[^\]\\])*\] | \\(?: x.{2} | u.{4} | U.{8} | N\{[^}]*\} | [0-7]{1,3} | . ) | . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _One:
    """One character, or (with a width of 0) a condition on a position: an expression of its own, with its flags."""

    expression: str
    flags: int
    width: int


@dataclass(frozen=True, slots=True)
class _All:
    parts: Sequence[_Node]


@dataclass(frozen=True, slots=True)
class _Either:
    parts: Sequence[_Node]


@dataclass(frozen=True, slots=True)
class _Times:
    part: _Node
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class _Opaque:
    """What only Python's matcher can do; a reference to a group when it has no part."""

    part: _Node | None


_Node = _One | _All | _Either | _Times | _Opaque


class BoundedPattern:
    """A regular expression, to be searched for. Never changes, and may be used from any thread.

    Args:
        expression: see the rules above.

    Raises:
        ValueError: it is no regular expression, its notation is verbose, it is longer than 10,000 characters, or it has
            groups nested deeper than 100.
    """

    __slots__ = ("_compiled", "_node", "expression")

    def __init__(self, expression: str) -> None:
        self.expression = expression
        if len(expression) > _MAX_CHARS:
            raise ValueError(f"{quoted(expression)} has more than {_MAX_CHARS} characters; write a simpler one")
        try:
            plain = _SET.sub(_plain_set, expression)
            self._compiled = re.compile(plain)
            self._node = _Parser(plain, self._compiled.flags).whole()
        except (re.error, RecursionError, OverflowError, FutureWarning) as error:
            # Python warns of '--' in a set, which may mean something else one day; where warnings are errors it raises.
            raise ValueError(f"{quoted(expression)} is not a regular expression: {error}") from None

    def found_in(self, text: str) -> bool:
        """Whether the expression matches anywhere in a text.

        Raises:
            ValueError: finding out could take too long.
        """
        if (len(text) + 1) * _effort(self._node, len(text))[1] <= _MAX_EFFORT:
            return self._compiled.search(text) is not None
        try:
            return _Automaton(self._node).found_in(text)
        except _TooLong as error:
            raise ValueError(
                f"to search for {quoted(self.expression)} in a text of {len(text)} characters could take too long, "
                f"since {error}; write a simpler expression"
            ) from None


def _plain_set(match: re.Match[str]) -> str:
    """A set without classes of PCRE, in which nothing looks like the beginning of one, of which Python would warn."""
    written = match["set"]
    if written is None:
        return match[0]
    opening = 2 if written.startswith("[^") else 1
    return written[:opening] + _IN_SET.sub(_plain_member, written[opening:])


def _plain_member(match: re.Match[str]) -> str:
    name = match["name"]
    if name is None:
        return f"\\{match[0]}" if match["plain"] else match[0]
    if name not in _CLASSES:
        raise re.error(f"{match[0]} is none of the classes {', '.join(_CLASSES)}")
    return _CLASSES[name]


class _TooLong(Exception):
    """Says why an expression cannot be followed in bounded time."""


class _Parser:
    """Takes an expression apart that `re.compile` has accepted, so its syntax is right."""

    def __init__(self, expression: str, flags: int) -> None:
        self._expression = expression
        self._tokens = _TOKEN.finditer(expression)
        self._flags = flags
        self._depth = 0

    def whole(self) -> _Node:
        if self._flags & re.VERBOSE:
            raise self._verbose()
        return self._either(self._flags & int(re.ASCII | re.IGNORECASE | re.MULTILINE | re.DOTALL))

    def _either(self, flags: int) -> _Node:
        """What stands up to the end, or up to the parenthesis that closes the group."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(
                f"{quoted(self._expression)} has groups nested deeper than {_MAX_DEPTH}; write a simpler one"
            )
        branches: list[list[_Node]] = [[]]
        for token in self._tokens:
            kind, parts = token.lastgroup, branches[-1]
            if kind == "close":
                break
            if kind == "either":
                branches.append([])
            elif kind == "times":
                parts.append(_repeated(parts.pop(), token))
            elif kind == "reference":
                parts.append(_Opaque(None))
            elif kind == "opaque":
                parts.append(_Opaque(self._either(flags)))
            elif kind == "flags":
                parts.append(self._either(self._with_flags(flags, token["on"], token["off"] or "")))
            elif kind == "group":
                parts.append(self._either(flags))
            elif kind in ("position", "character"):
                parts.append(_One(token[0], flags, 0 if kind == "position" else 1))
        self._depth -= 1
        return _Either([_All(each) for each in branches]) if len(branches) > 1 else _All(branches[0])

    def _with_flags(self, flags: int, on: str, off: str) -> int:
        if "x" in on:
            raise self._verbose()
        if "u" in on:
            flags &= ~int(re.ASCII)
        for letter in on.replace("u", ""):
            flags |= int(_FLAGS[letter])
        for letter in off.replace("x", ""):
            flags &= ~int(_FLAGS[letter])
        return flags

    def _verbose(self) -> ValueError:
        return ValueError(
            f"{quoted(self._expression)} has the flag x; write it without, and without the blanks it allows"
        )


def _repeated(part: _Node, token: re.Match[str]) -> _Node:
    least, most = 0, None
    if token["few"]:
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[token["few"]]
    elif token["exactly"]:
        least = most = int(token["exactly"])
    else:
        least, most = int(token["least"] or 0), int(token["most"]) if token["most"] else None
    repeated = _Times(part, least, most)
    return _Opaque(repeated) if token["mood"] == "+" else repeated


def _effort(node: _Node, length: int) -> tuple[float, float]:
    """In how many ways, and with how many steps for all of them, a node can be laid over a text from one place on.

    Both are upper bounds, for a text of the length.
    """
    if isinstance(node, _One):
        return 1, 1
    if isinstance(node, _Opaque):
        return (1, length + 1) if node.part is None else _effort(node.part, length)
    if isinstance(node, _Times):
        return _effort_of_times(node, length)
    ways = 1.0
    steps = 1.0
    if isinstance(node, _All):
        for each in node.parts:
            more_ways, more_steps = _effort(each, length)
            steps += ways * more_steps
            ways *= more_ways
        return ways, steps
    efforts = [_effort(each, length) for each in node.parts]
    return sum(each[0] for each in efforts), steps + sum(each[1] for each in efforts)


def _effort_of_times(node: _Times, length: int) -> tuple[float, float]:
    ways, steps = _effort(node.part, length)
    # What may be repeated without end is not when a round took no character.
    most = max(node.least, length + 1) if node.most is None else min(node.most, max(node.least, length + 1))
    if ways <= 1:
        return most - node.least + 1, 1 + most * steps
    if most * math.log2(ways) > 60:
        return math.inf, math.inf
    return sum(ways**rounds for rounds in range(node.least, most + 1)), 1 + steps * sum(
        ways**rounds for rounds in range(most)
    )


@dataclass(slots=True)
class _Step:
    """A state: what has to be there, and the state that follows."""

    matcher: re.Pattern[str]
    width: int
    then: int
    accepts: dict[str, bool] = field(default_factory=dict)

    def accepted(self, character: str) -> bool:
        accepted = self.accepts.get(character)
        if accepted is None:
            accepted = self.accepts[character] = self.matcher.match(character) is not None
        return accepted


class _Automaton:
    """The states of a node, by number; number 0 is the end. A list is a state too: any of those in it may follow."""

    def __init__(self, node: _Node) -> None:
        self._states: list[_Step | list[int]] = [[]]
        self._start = self._made(node, 0)

    def found_in(self, text: str) -> bool:
        if len(self._states) * (len(text) + 1) > MAX_STEPS:
            raise _TooLong("it repeats too much")
        seen = [-1] * len(self._states)
        pending = [self._start]
        for position in range(len(text) + 1):
            following = [self._start]
            while pending:
                number = pending.pop()
                if number == 0:
                    return True
                if seen[number] == position:
                    continue
                seen[number] = position
                state = self._states[number]
                if isinstance(state, list):
                    pending += state
                elif state.width == 0:
                    if state.matcher.match(text, position):
                        pending.append(state.then)
                elif position < len(text) and state.accepted(text[position]):
                    following.append(state.then)
            pending = following
        return False

    def _add(self, state: _Step | list[int]) -> int:
        if len(self._states) == _MAX_STATES:
            raise _TooLong("it repeats too much")
        self._states.append(state)
        return len(self._states) - 1

    def _made(self, node: _Node, then: int) -> int:
        """Make the states of a node that another state follows; returns the one that it begins with."""
        if isinstance(node, _Opaque):
            raise _TooLong("it repeats something and has a look-around, a reference, or what never gives back")
        if isinstance(node, _One):
            return self._add(_Step(re.compile(node.expression, node.flags), node.width, then))
        if isinstance(node, _Either):
            return self._add([self._made(each, then) for each in node.parts])
        if isinstance(node, _Times):
            return self._made_times(node, then)
        for each in reversed(node.parts):
            then = self._made(each, then)
        return then

    def _made_times(self, node: _Times, then: int) -> int:
        if node.most is None:
            again: list[int] = []
            loop = self._add(again)
            again += (self._made(node.part, loop), then)
            then = loop
        else:
            end = then
            for _ in range(node.most - node.least):
                then = self._add([self._made(node.part, then), end])
        for _ in range(node.least):
            size = len(self._states)
            then = self._made(node.part, then)
            if len(self._states) == size:
                break  # nothing is in it, however often
        return then
