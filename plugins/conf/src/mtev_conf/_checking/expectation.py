"""What a simple type of a schema takes, in words. Pure; imports xmlschema only to have its types checked.

The type's own documentation is taken, where it has some: its author knows best ("a port from 0 to 65535"). Else the
words are made from enumerations, ranges, patterns and lengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .xsd import xs_name

if TYPE_CHECKING:
    from xmlschema.aliases import BaseXsdType

__all__ = ["choices", "expected"]

_WORDS = {
    "boolean": "true, false, 1 or 0",
    "date": "a date such as 2026-01-31",
    "dateTime": "a time such as 2026-01-31T12:00:00Z",
    "time": "a time such as 12:00:00",
    "duration": "a duration such as PT30S",
    "anyURI": "a URI",
    "double": "a number",
    "float": "a number",
    "decimal": "a number",
}


def expected(kind: BaseXsdType) -> str:
    """What values of a simple type look like; completes "expected ..."."""
    if said := _documentation(kind):
        return said
    if values := next(filter(None, map(_enumeration, _line(kind))), []):
        return values[0] if len(values) == 1 else f"one of {', '.join(values)}"
    if members := _members(kind):
        return " or ".join(dict.fromkeys(map(expected, members)))
    items = (getattr(each, "item_type", None) for each in _line(kind))
    if (item := next((each for each in items if each is not None), None)) is not None:
        return f"items with blanks between them, each {expected(item)}"
    words = _WORDS.get(_primitive(kind), "")
    if words == "a number":
        noun = "a whole number" if "integer" in _ancestry(kind) else words
        return f"{noun}{_range(kind)}"
    return words or _text(kind)


def choices(kind: BaseXsdType) -> list[str]:
    """The words that a simple type enumerates, those of a union's members included."""
    for each in _line(kind):
        if found := _enumeration(each) or [word for member in _members(each) for word in choices(member)]:
            return list(dict.fromkeys(found))
    return []


def _documentation(kind: BaseXsdType) -> str:
    annotation = kind.annotation
    texts = [] if annotation is None else [" ".join((each.text or "").split()) for each in annotation.documentation]
    return next(filter(None, texts), "").rstrip(".")


def _enumeration(kind: BaseXsdType) -> list[str]:
    values: list[object] | None = getattr(kind, "enumeration", None)
    return [str(each) for each in values or ()]


def _members(kind: BaseXsdType) -> list[BaseXsdType]:
    found: list[list[BaseXsdType]] = [getattr(each, "member_types", []) for each in _line(kind)]
    return next(filter(None, found), [])


def _line(kind: BaseXsdType) -> Iterator[BaseXsdType]:
    current: BaseXsdType | None = kind
    while current is not None:
        yield current
        current = current.base_type


def _ancestry(kind: BaseXsdType) -> list[str]:
    return [each.local_name or "" for each in _line(kind)]


def _primitive(kind: BaseXsdType) -> str:
    primitive: BaseXsdType | None = getattr(kind, "primitive_type", None)
    own = next((name for name in _ancestry(kind) if name in _WORDS), "")
    return own or (primitive.local_name or "" if primitive is not None else "")


def _range(kind: BaseXsdType) -> str:
    lowest, highest = _inherited(kind, "min_value"), _inherited(kind, "max_value")
    open_low, open_high = _excludes(kind, "minExclusive"), _excludes(kind, "maxExclusive")
    if lowest is not None and highest is not None and not open_low and not open_high:
        return f" from {_plain(lowest)} to {_plain(highest)}"
    low = "" if lowest is None else f"{'above' if open_low else 'of at least'} {_plain(lowest)}"
    high = "" if highest is None else f"{'below' if open_high else 'of at most'} {_plain(highest)}"
    limits = " and ".join(filter(None, (low, high)))
    return f" {limits}" if limits else ""


def _inherited(kind: BaseXsdType, name: str) -> object:
    """A property of a type, or of the nearest one that it is derived from and that has it."""
    values: Iterator[object] = (getattr(each, name, None) for each in _line(kind))
    return next((value for value in values if value is not None), None)


def _excludes(kind: BaseXsdType, facet: str) -> bool:
    inclusive = xs_name(facet.replace("Exclusive", "Inclusive"))
    for each in _line(kind):
        facets: dict[str | None, object] = getattr(each, "facets", {})
        if xs_name(facet) in facets or inclusive in facets:
            return xs_name(facet) in facets
    return False


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _text(kind: BaseXsdType) -> str:
    patterns, shortest, longest = (_inherited(kind, name) for name in ("patterns", "min_length", "max_length"))
    if patterns is not None and kind.local_name not in _BUILTIN_TEXTS:
        return f"text of the form {' or '.join(getattr(patterns, 'regexps', ()))}"
    if shortest is not None and shortest == longest:
        return f"text of {_characters(shortest)}"
    if shortest is not None and longest is not None:
        return f"text of {shortest} to {_characters(longest)}"
    if shortest is not None:
        return f"text of at least {_characters(shortest)}"
    if longest is not None:
        return f"text of at most {_characters(longest)}"
    return f"a value of the type {kind.local_name or 'that its schema says'}"


_BUILTIN_TEXTS = ("language", "NMTOKEN", "Name", "NCName", "ID", "IDREF", "ENTITY")


def _characters(number: object) -> str:
    return f"{number} character" + ("" if number == 1 else "s")
