r"""Filters: which requests are shown. All must hold; a request that has not the field does not pass (libmtev).

An expression is searched by a machine that tries one way after the other, while nothing else runs; one with too many
ways would stop the service. So it is estimated how many there are, and expressions are refused that

1. have more than 256 characters;
2. repeat what holds a repetition or alternatives: `(a+)+`, `(a|b)*`;
3. refer to groups, or have a group that begins with `(?` other than `(?:`, `(?i)`, `(?P<NAME>` and looking around;
4. have more ways than 512 to the third. Where it does not begin with `^`, it may begin at 512 places; `*`, `+` and
   `{n,}` are 512 ways each, `{n,m}` as many as it says, `?` and `|` two each; and they multiply.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .entry import TEXT_LIMIT, Field

__all__ = ["MAX_FILTERS", "Filter", "FilterError", "filters_of_query", "filters_of_words", "matches"]

MAX_FILTERS = 16

_MAX_EXPRESSION = 256
_MAX_WAYS = TEXT_LIMIT**3
_REPEAT = re.compile(r"[*+?]|\{(\d*)(,?)(\d*)\}")
_REFERENCE = re.compile(r"\\[1-9]")
_GROUP = re.compile(r"\((?:\?(?:i\)|:|=|!|<=|<!|P<\w+>))?")
_WORD = re.compile(r"(?P<field>[A-Za-z_][A-Za-z0-9_.-]{0,63})(?P<sign>[=~])(?P<text>.*)", re.DOTALL)


class FilterError(ValueError):
    """A filter cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition.

    Args:
        field: the field that it is about.
        text: what it must be; of no meaning beside an expression.
        expression: what must be found in it; None for `text`.
    """

    field: str
    text: str = ""
    expression: re.Pattern[str] | None = None

    def holds(self, row: Mapping[str, Field]) -> bool:
        """Whether it holds for a request as it is shown; numbers count as the texts that are shown."""
        value = row.get(self.field)
        if value is None:
            return False
        if self.expression is None:
            return str(value) == self.text
        return self.expression.search(str(value)) is not None


def matches(filters: Sequence[Filter], row: Mapping[str, Field]) -> bool:
    """Whether all hold."""
    return all(each.holds(row) for each in filters)


def filters_of_query(fields: Iterable[tuple[str, str]]) -> list[Filter]:
    """The filters in a query: `eq_FIELD=TEXT`, `re_FIELD=EXPRESSION`; other fields are none.

    Raises:
        FilterError: an expression cannot be used, or there are more than 16.
    """
    found = []
    for name, value in fields:
        if name.startswith("eq_"):
            found.append(Filter(name[3:], value))
        elif name.startswith("re_"):
            found.append(Filter(name[3:], expression=_compiled(value)))
    return _bounded(found)


def filters_of_words(words: Iterable[str]) -> list[Filter]:
    """The filters in a command: `FIELD=TEXT`, `FIELD~EXPRESSION`.

    Raises:
        FilterError: a word is none, an expression cannot be used, or there are more than 16.
    """
    found = []
    for word in words:
        parts = _WORD.fullmatch(word)
        if parts is None:
            raise FilterError(f"{word!r} is no filter; expected FIELD=TEXT or FIELD~EXPRESSION")
        field, text = parts["field"], parts["text"]
        found.append(Filter(field, text) if parts["sign"] == "=" else Filter(field, expression=_compiled(text)))
    return _bounded(found)


def _bounded(filters: list[Filter]) -> list[Filter]:
    if len(filters) > MAX_FILTERS:
        raise FilterError(f"{len(filters)} filters; {MAX_FILTERS} at most")
    return filters


def _compiled(expression: str) -> re.Pattern[str]:
    if len(expression) > _MAX_EXPRESSION:
        raise FilterError(f"an expression has {len(expression)} characters; {_MAX_EXPRESSION} at most")
    try:
        pattern = re.compile(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise FilterError(f"'{expression}' is not a regular expression: {error}") from None
    problem = _objection(expression)
    if problem:
        raise FilterError(f"'{expression}' could take too long: {problem}")
    return pattern


def _objection(expression: str) -> str:
    """What speaks against an expression that compiles; `""` for nothing. See the rules above."""
    anchored = expression.startswith("^") and "|" not in expression
    ways = 1 if anchored else TEXT_LIMIT
    choosing = [False]  # for each group that is open: whether it holds a repetition or alternatives
    chooses = False  # the same of what stands just before the position
    position = 0
    while position < len(expression):
        character = expression[position]
        repeat = _REPEAT.match(expression, position)
        if repeat is not None:
            least, most = _times(repeat)
            if chooses and most > 1:
                return "it repeats what holds a repetition or alternatives"
            ways *= most - least + 1
            choosing[-1] = chooses = True
            position = repeat.end()
            if expression[position : position + 1] in ("?", "+"):  # lazy, or possessive
                position += 1
            continue
        chooses = False
        if character == "\\":
            if _REFERENCE.match(expression, position):
                return "it refers to a group"
            position += 2
        elif character == "[":
            position = _class_end(expression, position)
        elif character == "(":
            group = _GROUP.match(expression, position)
            position = group.end() if group is not None else position
            if expression.startswith("?", position):
                return "it has a group with (? that is not known here"
            if not expression.startswith("i)", position - 2):
                choosing.append(False)
        else:
            if character == ")":
                chooses = choosing.pop()
                choosing[-1] = choosing[-1] or chooses
            elif character == "|":
                choosing[-1] = True
                ways *= 2
            position += 1
    return "it has too many repetitions or alternatives" if ways > _MAX_WAYS else ""


def _times(repeat: re.Match[str]) -> tuple[int, int]:
    """How often something is repeated at least and at most; `{` that is no repetition is once."""
    if repeat[0] == "?":
        return 0, 1
    if repeat[0] in ("*", "+"):
        return 0, TEXT_LIMIT - 1
    least, comma, most = repeat.groups()
    if not comma:
        return (int(least), int(least)) if least else (1, 1)
    low = int(least or 0)
    return low, int(most) if most else low + TEXT_LIMIT - 1


def _class_end(expression: str, position: int) -> int:
    """The place behind the class of characters that begins at a position."""
    position += 1 + expression.startswith("^", position + 1)
    first = position
    while expression[position] != "]" or position == first:
        position += 1 + (expression[position] == "\\")
    return position + 1
