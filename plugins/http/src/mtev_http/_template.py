r"""From the expression of a route to path templates, as OpenAPI has them. Pure.

    ^items/(\d+)$                items/{capture1}
    ^show(?:/(?P<name>.+))?$     show, and show/{name}
    ^(livez|readyz)$             {capture1}, which is livez or readyz

Rules:

1. Whatever is put into the parameters of a template, as their patterns and choices say, the expression is found in the
   path that comes out. The converse does not hold: where the expression answers more than its templates say, because
   it is not anchored, they are not *exact*.
2. Text is text, once escapes are undone. A group that captures is a parameter; so is, under a name of its own, what
   varies without being captured. A group that holds groups that capture is none itself, nor is one of text alone.
3. What is optional, and alternatives, make several templates: eight at most. Alternatives of text within a group that
   captures are the choices of its parameter instead.
4. An expression with anything else (looking around, references, flags, odd escapes), or with more than eight templates,
   has one template that is a guess: the text that it begins with, and one parameter. Rule 1 is not promised for that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from ._matcher import literal_prefix

__all__ = ["PathParameter", "Template", "encoded", "templates"]

_MAX_TEMPLATES = 8
_MAX_DEPTH = 20
_SAFE = "/:@!$&'()*+,;=~-._"  # RFC 3986: what a path may hold as it is
_CLASSES = frozenset("dDwWsS")
_TIMES = re.compile(r"\{(\d*)(,?)(\d*)\}")
_NAMED = re.compile(r"\(\?P<(\w+)>")
_PYTHON_ONLY = re.compile(r"\(\?P<|\[\]|\[\^\]|\{,")  # what JavaScript, and so JSON Schema, reads otherwise
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_WITH_SLASHES = ("/", "a/a", "1/1", "/a", "a/")


@dataclass(frozen=True, slots=True)
class PathParameter:
    """What varies in a path.

    Args:
        name: unique within its template.
        pattern: regular expression for the whole of it, in what Python and JavaScript agree on; `""` for none.
        choices: all that it may be; empty when that is not known.
        slashes: whether it may hold slashes.
    """

    name: str
    pattern: str = ""
    choices: tuple[str, ...] = ()
    slashes: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """One form of the paths that a route answers.

    Args:
        path: what follows the base, with parameters in braces; the rest is percent-encoded where it has to be.
        parameters: in the order of the path.
        exact: whether this and the other templates of the expression say all of it.
        guess: see rule 4.
    """

    path: str
    parameters: tuple[PathParameter, ...] = ()
    exact: bool = True
    guess: bool = False


def templates(expression: str, captures: Sequence[str] = ()) -> list[Template]:
    """The templates of an expression; at least one.

    Args:
        expression: a regular expression that compiles.
        captures: names for its groups, in order; those that have a name in the expression keep it.
    """
    try:
        reader = _Reader(expression)
        forms = [form for sequence in reader.whole() for form in _forms(sequence)]
        if len(forms) > _MAX_TEMPLATES:
            raise _Unknown
    except _Unknown:
        text, _ = literal_prefix(expression)
        return [Template(f"{encoded(text)}{{rest}}", (PathParameter("rest", slashes=True),), False, True)]
    made = dict.fromkeys(_template(form, captures, reader.anchored) for form in forms)
    return list(made)


def encoded(text: str) -> str:
    """A text as it stands in a path: what may not be there as it is, braces among it, percent-encoded."""
    return quote(text, _SAFE)


class _Unknown(Exception):
    """The expression has something that templates cannot express."""


@dataclass(frozen=True, slots=True)
class _Text:
    text: str


@dataclass(frozen=True, slots=True)
class _Slot:
    """What varies: its expression, and the number and name of the group that captures it."""

    source: str
    number: int = 0
    name: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Either:
    alternatives: tuple[_Sequence, ...]


_Node = _Text | _Slot | _Either
_Sequence = tuple[_Node, ...]
_Form = tuple[_Text | _Slot, ...]


class _Reader:
    """Reads an expression.

    Attributes:
        anchored: whether every alternative begins with `^` and ends with `$`.
    """

    def __init__(self, expression: str) -> None:
        self.anchored = True
        self._expression = expression
        self._position = 0
        self._groups = 0

    def whole(self) -> list[_Sequence]:
        """The alternatives of the whole expression."""
        found = self._alternatives(0)
        if self._position < len(self._expression):
            raise _Unknown
        return found

    def _alternatives(self, depth: int) -> list[_Sequence]:
        if depth > _MAX_DEPTH:
            raise _Unknown
        found: list[_Sequence] = []
        while True:
            begins = depth == 0 and self._skip("^", r"\A")
            nodes: list[_Node] = []
            ends = False
            while self._position < len(self._expression) and self._expression[self._position] not in "|)":
                if depth == 0 and self._skip("$", r"\Z"):
                    ends = True
                    break
                nodes.extend(self._item(depth))
            if depth == 0:
                self.anchored = self.anchored and begins and ends
            found.append(tuple(nodes))
            if not self._skip("|"):
                return found

    def _item(self, depth: int) -> _Sequence:
        """An atom with what says how often it comes."""
        first, groups = self._position, self._groups
        nodes = self._atom(depth)
        source = self._expression[first : self._position]
        least, most = self._times()
        if (least, most) == (1, 1):
            return nodes
        if (least, most) == (0, 1):
            return (_Either(((), nodes)),)
        slot = nodes[0] if len(nodes) == 1 and isinstance(nodes[0], _Slot) else _Slot("")
        if self._groups > groups + 1 or (self._groups > groups and not slot.number):
            slot = _Slot("", groups + 1)
        repeat = self._expression[first + len(source) : self._position]
        return (_Slot(f"{source}{repeat}", slot.number, slot.name),)

    def _atom(self, depth: int) -> _Sequence:
        character = self._expression[self._position]
        if character == "(":
            return self._group(depth)
        if character == "[":
            return self._class()
        self._position += 1
        if character == ".":
            return (_Slot("."),)
        if character == "\\":
            escaped = self._expression[self._position]
            self._position += 1
            if escaped in _CLASSES:
                return (_Slot(f"\\{escaped}"),)
            if escaped.isalnum():
                raise _Unknown
            return (_Text(escaped),)
        if character in "^$*+?":
            raise _Unknown
        return (_Text(character),)

    def _group(self, depth: int) -> _Sequence:
        number, name = 0, ""
        if not self._skip("(?:"):
            self._groups = number = self._groups + 1
            if named := _NAMED.match(self._expression, self._position):
                self._position, name = named.end(), named[1]
            elif self._skip("(?"):
                raise _Unknown
            else:
                self._position += 1
        first = self._position
        alternatives = self._alternatives(depth + 1)
        source = self._expression[first : self._position]
        if not self._skip(")"):
            raise _Unknown
        if number and self._groups == number:  # it captures, and holds nothing that does
            texts = [text for each in alternatives if (text := _plain(each)) is not None]
            if len(texts) < len(alternatives):
                return (_Slot(source, number, name),)
            if len(texts) > 1:
                return (_Slot(source, number, name, tuple(dict.fromkeys(texts))),)
        return alternatives[0] if len(alternatives) == 1 else (_Either(tuple(alternatives)),)

    def _class(self) -> _Sequence:
        first = self._position
        self._position += 1
        self._skip("^")
        self._skip("]")
        while self._expression[self._position] != "]":
            self._position += 1 + (self._expression[self._position] == "\\")
        self._position += 1
        source = self._expression[first : self._position]
        if len(source) == 3 and source[1] not in "^\\":
            return (_Text(source[1]),)
        return (_Slot(source),)

    def _times(self) -> tuple[int, int | None]:
        """How often the atom before comes, at least and at most."""
        if self._skip("?"):
            times: tuple[int, int | None] = (0, 1)
        elif self._skip("*"):
            times = (0, None)
        elif self._skip("+"):
            times = (1, None)
        elif (counted := _TIMES.match(self._expression, self._position)) and (counted[1] or counted[3] or counted[2]):
            self._position = counted.end()
            least = int(counted[1] or 0)
            times = (least, int(counted[3]) if counted[3] else None if counted[2] else least)
        else:
            return 1, 1
        if self._skip("+"):
            raise _Unknown
        self._skip("?")
        return times

    def _skip(self, *texts: str) -> bool:
        for text in texts:
            if self._expression.startswith(text, self._position):
                self._position += len(text)
                return True
        return False


def _plain(sequence: _Sequence) -> str | None:
    """The text that a sequence is; None when it is more."""
    if all(isinstance(node, _Text) for node in sequence):
        return "".join(node.text for node in sequence if isinstance(node, _Text))
    return None


def _forms(sequence: _Sequence) -> list[_Form]:
    """Every way through the alternatives of a sequence."""
    forms: list[_Form] = [()]
    for node in sequence:
        if isinstance(node, _Either):
            ways = [way for alternative in node.alternatives for way in _forms(alternative)]
        else:
            ways = [(node,)]
        if len(forms) * len(ways) > _MAX_TEMPLATES:
            raise _Unknown
        forms = [(*form, *way) for form in forms for way in ways]
    return forms


def _template(form: _Form, captures: Sequence[str], anchored: bool) -> Template:
    path: list[str] = []
    parameters: list[PathParameter] = []
    taken: set[str] = set()
    parts = 0
    for node in _merged(form):
        if isinstance(node, _Text):
            path.append(encoded(node.text))
            continue
        if node.number:
            given = captures[node.number - 1] if node.number <= len(captures) else ""
            name = _NOT_IN_NAMES.sub("_", node.name or given) or f"capture{node.number}"
        else:
            parts += 1
            name = f"part{parts}"
        while name in taken:
            name += "_"
        taken.add(name)
        pattern = "" if _PYTHON_ONLY.search(node.source) else f"^(?:{node.source})$"
        slashes = any(re.fullmatch(node.source, text) for text in _WITH_SLASHES)
        parameters.append(PathParameter(name, pattern, node.choices, slashes))
        path.append(f"{{{name}}}")
    return Template("".join(path), tuple(parameters), anchored)


def _merged(form: _Form) -> list[_Text | _Slot]:
    """A form in which no two parameters that nothing captures follow each other."""
    merged: list[_Text | _Slot] = []
    for node in form:
        last = merged[-1] if merged else None
        if isinstance(node, _Slot) and isinstance(last, _Slot) and not node.number and not last.number:
            merged[-1] = _Slot(last.source + node.source)
        else:
            merged.append(node)
    return merged
