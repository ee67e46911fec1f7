"""Names and paths of elements and attributes, as people write them. Pure.

1. A path is that of an element, `/app/listeners[1]/listener[2]`, or of an attribute, `…/@port`. An index counts the
   siblings with the same written name, from 1; the root has none.
2. A name is written with its prefix. Of two prefixes for one namespace each makes a name of its own, and so does one
   prefix that stands for another namespace elsewhere: a path needs no declarations to be understood.
3. An element in a default namespace has no name that a path could say: its step is `*[n]`, the n-th of all elements
   there. An attribute whose namespace has no prefix where it stands is `@{namespace}local`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from lxml import etree

__all__ = [
    "attribute_key",
    "attribute_name",
    "follow",
    "parse_path",
    "path_of",
    "position_of",
    "resolve",
    "step_name",
    "written_name",
]

_STEP = re.compile(r"([^\s/\[\]@]+)(?:\[([1-9][0-9]{0,8})\])?")
_XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
_LONG = 90
"""libxml2 cuts a prefixed name in a path off after about 100 bytes; paths with longer ones are counted here."""
_SHOWN = 100


def written_name(element: etree._Element) -> str:
    """An element's name as it is written: with its prefix, if it has one."""
    local = element.tag.rpartition("}")[2]
    return f"{element.prefix}:{local}" if element.prefix else local


def step_name(element: etree._Element) -> str:
    """What a step of a path calls an element: its written name, or `*` in a default namespace (rule 3)."""
    return "*" if element.tag.startswith("{") and not element.prefix else written_name(element)


def attribute_key(element: etree._Element, name: str) -> str:
    """What lxml calls an attribute.

    Args:
        element: where the attribute is, or is going to be: its prefixes count.
        name: as it is written (`port`, `xml:lang`, `m:key`), or `{namespace}local`.

    Raises:
        ValueError: the prefix is not declared there.
    """
    if name.startswith("{"):
        return name
    prefix, colon, local = name.partition(":")
    if not colon:
        return name
    namespace = _XML_NAMESPACE if prefix == "xml" else element.nsmap.get(prefix)
    if namespace is None:
        raise ValueError(
            f"{name}: the prefix '{prefix}' is not declared at <{written_name(element)}>; use one that is, or declare "
            f"this one (xmlns:{prefix}=…) in the file, on the element or around it"
        )
    return f"{{{namespace}}}{local}"


def attribute_name(element: etree._Element, key: str) -> str:
    """How an attribute would be written at an element; the inverse of `attribute_key`."""
    if not key.startswith("{"):
        return key
    namespace, _, local = key[1:].rpartition("}")
    if namespace == _XML_NAMESPACE:
        return f"xml:{local}"
    prefix = next((prefix for prefix, uri in element.nsmap.items() if prefix and uri == namespace), None)
    return f"{prefix}:{local}" if prefix else key


def path_of(element: etree._Element) -> str:
    """The path of an element. The time taken grows with the number of siblings before it and before its ancestors."""
    first, *steps = element.getroottree().getpath(element)[1:].split("/")
    if any(":" in step and len(step.encode()) > _LONG for step in (first, *steps)):
        return _counted_path(element)
    return "/".join(["", first, *(step if step.endswith("]") else f"{step}[1]" for step in steps)])


def position_of(element: etree._Element) -> int:
    """How many elements stand before an element below the same parent."""
    return sum(1 for _ in element.itersiblings(etree.Element, preceding=True))


def resolve(root: etree._Element, path: str) -> etree._Element | tuple[etree._Element, str]:
    """What a path leads to.

    Args:
        root: the root element of the document.
        path: an index may be left out where an element is the only one of its name.

    Returns:
        The element; or, for the path of an attribute, the element and the attribute's name as it is written, whether
        it has such an attribute or not.

    Raises:
        LookupError: there is no such element; the message names the nearest ancestor that there is.
        ValueError: this is not a path.
    """
    steps, attribute = parse_path(path)
    element = follow(root, steps)
    return element if attribute is None else (element, attribute)


def parse_path(path: str) -> tuple[list[tuple[str, int]], str | None]:
    """Take a path apart: into the name and the index of each step, 0 where there is none, and the attribute.

    Raises:
        ValueError: this is not a path.
    """
    elements, at, attribute = path.partition("/@")
    matches = [_STEP.fullmatch(step) for step in elements.split("/")[1:]]
    steps = [(match[1], int(match[2] or 0)) for match in matches if match is not None]
    if not steps or len(steps) < len(matches) or not elements.startswith("/") or (at and not attribute):
        shown = path if len(path) <= _SHOWN else f"{path[:_SHOWN]}…"
        raise ValueError(f"{shown!r} is not a path; write one such as /app/listeners[1]/listener[2] or …/@port")
    return steps, attribute if at else None


def follow(
    root: etree._Element, steps: Sequence[tuple[str, int]], without: etree._Element | None = None
) -> etree._Element:
    """Walk down the steps of a path.

    Args:
        root: the root element.
        steps: what `parse_path` made of the path.
        without: an element to be taken as absent.

    Raises:
        LookupError: see `resolve`.
    """
    name, index = steps[0]
    if name != step_name(root) or index > 1:
        raise LookupError(f"there is no {_written(steps)}: the root of the document is {path_of(root)}")
    element = root
    for name, index in steps[1:]:
        matching = _children(element, name)
        if without is not None:  # without one, the search is lxml's alone
            matching = (each for each in matching if each is not without)
        found = next(islice(matching, max(index - 1, 0), None), None)
        if found is None:
            there = sum(each is not without for each in _children(element, name))
            raise LookupError(f"there is no {_written(steps)}: {path_of(element)} has {there or 'no'} <{name}>")
        if not index and next(matching, None) is not None:
            raise LookupError(
                f"{_written(steps)} is more than one element: {path_of(element)} has several <{name}>; write "
                f"{name}[1], {name}[2] …"
            )
        element = found
    return element


def _children(parent: etree._Element, name: str) -> Iterator[etree._Element]:
    if name == "*":
        return parent.iterchildren(etree.Element)
    prefix, colon, local = name.rpartition(":")
    if not colon:
        return parent.iterchildren(name)
    return (each for each in parent.iterchildren(f"{{*}}{local}") if each.prefix == prefix)


def _written(steps: Sequence[tuple[str, int]]) -> str:
    return "/" + "/".join(f"{name}[{index}]" if index else name for name, index in steps)


def _counted_path(element: etree._Element) -> str:
    steps: list[str] = []
    while (parent := element.getparent()) is not None:
        name = step_name(element)
        position = 1 + sum(
            name in ("*", step_name(each)) for each in element.itersiblings(etree.Element, preceding=True)
        )
        steps.append(f"{name}[{position}]")
        element = parent
    return "/".join(["", step_name(element), *reversed(steps)])
