r"""The filter language of outlets, libmtev's `mtev_logic`: which lines pass. Pure; compiled once, then a closure.

    <outlet name="errors" filter="and(status >= 500, not(uri ~ '^/health'))"/>

Grammar, with white space anywhere between tokens:

    expression := predicate | not( expression ) | and( expression {, expression} ) | or( expression {, expression} )
    predicate  := field operator value | exists( field )
    field      := [A-Za-z_][A-Za-z0-9_.]* | quoted
    operator   := = != ~ !~ <= >= < >
    value      := quoted | [+-]digits[.digits][e[+-]digits]
    quoted     := '...' or "...", with C's escapes (\n, \t, \\, \', \", \ooo, \xhh, ...)

Rules:

1. Fields are `timestamp` (seconds), `facility`, `threadid`, `threadname`, `file`, `line`, `message`, `level`,
   `exception`, and whatever was given to the log call. A line's own fields do not hide the first ones.
2. A field that is missing or None: `!=` and `!~` hold, everything else does not. `exists` holds for None.
3. A quoted value compares as text. Ordering is by code point (libmtev compares lengths first).
4. A number compares as a number: a field that is text must be a number altogether, and empty text is 0; one that is
   not compares false in every way, `!=` included.
5. `~` and `!~` search with Python's `re`, anywhere in the text, and take quoted values only.
6. `and` and `or` go from left to right and stop when they can.
7. What is malformed is refused, with its position: unlike libmtev's parser, this one knows no half filters.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .errors import FilterError
from .record import Record

__all__ = ["MAX_FILTER", "MAX_NESTING", "Filter", "Predicate"]

MAX_FILTER = 4096
"""Longest filter, in characters."""

MAX_NESTING = 50
"""How deep expressions may stand in each other."""

Predicate: TypeAlias = Callable[[Record], bool]
"""Whether a line passes. Never raises."""

_Getter: TypeAlias = Callable[[Record], object]
_MISSING = object()

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<operator> != | !~ | <= | >= | = | ~ | < | > )
      | (?P<number> [+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)? ) (?![A-Za-z0-9_.])
      | (?P<word> [A-Za-z_][A-Za-z0-9_.]* )
      | (?P<quoted> '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" )
      | (?P<mark> [(),] )
      | (?P<end> \Z )
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_SPACE = re.compile(r"\s*", re.ASCII)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_LONGEST_NUMBER = 400
_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {  # two texts or two numbers, always
    "=": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_BUILT_IN: dict[str, _Getter] = {
    "timestamp": lambda record: record.time_ns // 1000 / 1e6,
    "facility": lambda record: record.facility,
    "threadid": lambda record: record.thread_id,
    "threadname": lambda record: record.thread_name or _MISSING,
    "file": lambda record: record.file,
    "line": lambda record: record.line,
    "message": lambda record: record.message,
    "level": lambda record: record.level or _MISSING,
    "exception": lambda record: record.exception or _MISSING,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was understood. Compare filters by their text.

    Args:
        text: what stands in the document.

    Attributes:
        passes: whether a line passes.

    Raises:
        FilterError: it is malformed; the message shows where, with a caret under the fault.
    """

    text: str
    passes: Predicate = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "passes", _Parser(self.text).parse())


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


class _Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, text: str) -> None:
        self._text = text
        if len(text) > MAX_FILTER:
            raise self._fault(MAX_FILTER, f"a filter has at most {MAX_FILTER} characters, this one has {len(text)}")
        self._next = self._token(0)

    def parse(self) -> Predicate:
        """The whole text as a predicate."""
        predicate = self._expression(0)
        if self._next.kind != "end":
            raise self._fault(self._next.at, "the filter ends before this; join expressions as in and(a = 1, b = 2)")
        return predicate

    def _expression(self, depth: int) -> Predicate:
        token = self._take()
        if depth > MAX_NESTING:
            raise self._fault(token.at, f"expressions stand in each other more than {MAX_NESTING} deep")
        if token.kind == "word" and self._next.text == "(" and self._next.kind == "mark":
            return self._call(token, depth)
        if token.kind not in ("word", "quoted"):
            raise self._fault(token.at, "expected a field, or one of not(, and(, or(, exists(")
        name = token.text if token.kind == "word" else self._unquoted(token)
        return self._comparison(_getter(name))

    def _call(self, function: _Token, depth: int) -> Predicate:
        self._expect("(")
        match function.text:
            case "exists":
                token = self._take()
                if token.kind not in ("word", "quoted"):
                    raise self._fault(token.at, "expected the name of a field")
                get = _getter(token.text if token.kind == "word" else self._unquoted(token))
                self._expect(")")
                return lambda record: get(record) is not _MISSING
            case "not":
                inner = self._expression(depth + 1)
                self._expect(")")
                return lambda record: not inner(record)
            case "and" | "or":
                parts = [self._expression(depth + 1)]
                while self._next.text == "," and self._next.kind == "mark":
                    self._take()
                    parts.append(self._expression(depth + 1))
                self._expect(")")
                return _all_of(tuple(parts)) if function.text == "and" else _any_of(tuple(parts))
        raise self._fault(function.at, f"there is no '{function.text}('; there are not(, and(, or( and exists(")

    def _comparison(self, get: _Getter) -> Predicate:
        relation = self._take()
        if relation.kind != "operator":
            raise self._fault(relation.at, "expected one of = != ~ !~ <= >= < >")
        value = self._take()
        if value.kind == "quoted":
            text = self._unquoted(value)
            if relation.text in ("~", "!~"):
                return self._search(get, relation.text == "~", value, text)
            return _compare_text(get, relation.text, text)
        if value.kind != "number":
            raise self._fault(value.at, "expected a value: a number, or text in quotes")
        if relation.text in ("~", "!~"):
            raise self._fault(value.at, f"{relation.text} needs a regular expression in quotes, such as '^5'")
        return _compare_number(get, relation.text, _number(value.text))

    def _search(self, get: _Getter, wanted: bool, token: _Token, pattern: str) -> Predicate:
        try:
            search = re.compile(pattern).search
        except re.error as error:
            # The position counts in the unquoted text; it is the same in the filter where no escape stands before it.
            at = token.at + 1 + (error.pos or 0)
            raise self._fault(min(at, token.at + len(token.text) - 1), f"regular expression: {error.msg}") from None
        except (OverflowError, RecursionError):
            raise self._fault(token.at, "regular expression: it is too large") from None

        def passes(record: Record) -> bool:
            value = get(record)
            if value is _MISSING or value is None:
                return not wanted
            return (search(_text_of(value)) is not None) is wanted

        return passes

    def _token(self, at: int) -> _Token:
        found = _TOKEN.match(self._text, at)
        if found is None:
            blank = _SPACE.match(self._text, at)
            start = blank.end() if blank else at
            what = "the quote is not closed" if self._text[start] in "'\"" else "this is no part of a filter"
            raise self._fault(start, what)
        kind = str(found.lastgroup)
        return _Token(kind, found[kind], found.start(kind))

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._next = self._token(token.at + len(token.text))
        return token

    def _expect(self, mark: str) -> None:
        token = self._take()
        if token.kind != "mark" or token.text != mark:
            raise self._fault(token.at, f"expected '{mark}'")

    def _unquoted(self, token: _Token) -> str:
        try:
            return _ESCAPE.sub(_unescaped, token.text[1:-1])
        except ValueError as error:
            raise self._fault(token.at, str(error)) from None

    def _fault(self, at: int, problem: str) -> FilterError:
        return FilterError(self._text, at, problem)


def _unescaped(found: re.Match[str]) -> str:
    octal, hexadecimal, other = found.groups()
    if octal:
        return chr(int(octal, 8))
    if hexadecimal:
        return chr(int(hexadecimal, 16))
    if other in _ESCAPED:
        return _ESCAPED[other]
    # What C does not know keeps its backslash: '\d' in a regular expression means what it says.
    return other if other in "\\'\"?" else f"\\{other}"


def _number(text: str) -> int | float:
    return float(text) if set(text) & set(".eE") else int(text)


def _getter(name: str) -> _Getter:
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    return lambda record: record.fields.get(name, _MISSING)


def _all_of(parts: tuple[Predicate, ...]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda record: first(record) and second(record)
    return lambda record: all(part(record) for part in parts)


def _any_of(parts: tuple[Predicate, ...]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda record: first(record) or second(record)
    return lambda record: any(part(record) for part in parts)


def _compare_text(get: _Getter, relation: str, text: str) -> Predicate:
    compare = _ORDERINGS[relation]
    if_missing = relation == "!="

    def passes(record: Record) -> bool:
        value = get(record)
        if value is _MISSING or value is None:
            return if_missing
        return compare(value if type(value) is str else _text_of(value), text)

    return passes


def _compare_number(get: _Getter, relation: str, number: float) -> Predicate:
    compare = _ORDERINGS[relation]
    if_missing = relation == "!="

    def passes(record: Record) -> bool:
        value = get(record)
        if value is _MISSING or value is None:
            return if_missing
        if not isinstance(value, int | float):
            text = _text_of(value)
            if text and (len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text)):
                return False
            value = _number(text) if text else 0
        return compare(value, number)

    return passes


def _text_of(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    try:
        return str(value)
    except Exception:  # a value that cannot be shown matches nothing but must not end the line's way
        return ""
