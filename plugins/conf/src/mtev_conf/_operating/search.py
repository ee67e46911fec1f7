"""Finding elements for people: XPath from outside, which may be anything.

1. An expression that is a plain path (names, positions, `.` and `..`) is followed in the document itself.
2. Any other is evaluated on a copy in which secrets are hidden. So neither what it computes nor which elements it
   selects tells anything about them, and however long it takes, nobody waits for the document meanwhile.
3. A relative expression starts at the root element, and at every `<include>` that stands directly below it.

What XPath can cost is not bounded (`count(//*[count(//*) > 0])` takes the square of the document), so this is for
threads of their own. Paths are those of libmtev, that is of libxml2: an index only where there are several.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from .._editing.paths import path_of, step_name
from .._section import Section
from .._tree import MAX_XPATH_CHARS
from .shown import all_text, masked_element

__all__ = [
    "Match",
    "OutsideTree",
    "Searched",
    "find_matches",
    "find_sections",
    "position_below_root",
    "shown_path",
    "stands_in",
]

_STEP = re.compile(r"([A-Za-z_][\w.-]*)(?:\[([1-9][0-9]{0,8})\])?")
_UP = ".."
_ATTEMPTS = 5


class OutsideTree(ConfigurationError):
    """An expression leads out of the document, above its root element."""


@runtime_checkable
class _KnowsOwner(Protocol):
    """A text that an expression selects, as lxml hands it out."""

    attrname: str | None
    is_attribute: bool
    is_tail: bool

    def getparent(self) -> etree._Element | None: ...


class Searched(Protocol):
    """What is searched: what is used here of a `Configuration`, and of a copy of its document."""

    @property
    def root(self) -> Section: ...
    @property
    def root_name(self) -> str: ...
    @property
    def generation(self) -> int: ...
    def at(self, path: str) -> Section | None: ...


@dataclass(frozen=True, slots=True)
class Match:
    """Something that an expression selects, secrets hidden.

    Args:
        path: of the element, attribute or text; `""` for what is computed.
        text: all text in it.
        xml: the element as XML; of an attribute or text the same as `text`.
    """

    path: str
    text: str
    xml: str


def find_matches(configuration: Searched, xpath: str) -> list[Match | Section]:
    """All that an expression selects, in document order; elements that a plain path leads to as they are.

    Raises:
        ConfigurationError: the expression is malformed.
    """
    _check_length(xpath)
    followed = _follow(configuration, xpath)
    found: list[Match | Section] = list(_Copy(configuration).matches(xpath) if followed is None else followed)
    if not found and not xpath.startswith("/") and xpath.partition("/")[0] == configuration.root_name:
        return find_matches(configuration, f"/{xpath}")
    return found


def find_sections(configuration: Searched, xpath: str) -> list[Section]:
    """The elements that an expression selects, in document order.

    Args:
        configuration: where.
        xpath: the expression.

    Raises:
        ConfigurationError: the expression is malformed, or leads to no elements.
        OutsideTree: it leads above the root.
    """
    _check_length(xpath)
    followed = _follow(configuration, xpath)
    if followed is not None:
        return followed
    for _ in range(_ATTEMPTS):
        generation = configuration.generation
        paths = _Copy(configuration).element_paths(xpath)
        sections = [found for path in paths if (found := configuration.at(path)) is not None]
        if configuration.generation == generation:
            return sections
    raise ConfigurationError("the configuration is changing all the time; try again")


def shown_path(section: Section) -> str:
    """An element's path with an index only where there are several: `/app/listeners/listener[2]`."""
    with section._tree.lock:
        return section._element.getroottree().getpath(section._element)


def position_below_root(section: Section) -> str:
    """The same without the name of the root: `/listeners/listener[2]`; `/` for the root itself."""
    return "/" + shown_path(section)[1:].partition("/")[2]


def stands_in(section: Section, root: Section) -> bool:
    """Whether an element is in the document of a root, and has not been taken out of it."""
    with root._tree.lock:
        top = section._element
        while (above := top.getparent()) is not None:
            top = above
    return top is root._element


class _Copy:
    """The document with secrets hidden, for one expression."""

    def __init__(self, configuration: Searched) -> None:
        self._root = masked_element(configuration.root)
        self._document = self._root.getroottree()
        self._namespaces = {prefix: uri for prefix, uri in self._root.nsmap.items() if prefix is not None}

    def matches(self, xpath: str) -> Iterator[Match]:
        found = self._evaluate(xpath)
        if not isinstance(found, list):
            shown = _written(found)
            yield Match("", shown, shown)
            return
        for node in found:
            if isinstance(node, etree._Element):
                xml = etree.tostring(node, encoding="unicode", with_tail=False)
                yield Match(self._document.getpath(node), all_text(node), xml)
            elif isinstance(node, str):
                yield Match(self._path_of_text(node), str(node), str(node))

    def element_paths(self, xpath: str) -> list[str]:
        found = self._evaluate(xpath)
        if not isinstance(found, list):
            raise ConfigurationError(f"'{xpath}' selects no elements but yields a {type(found).__name__}")
        if not found and self._evaluate(f"count({xpath})"):
            raise OutsideTree(f"'{xpath}' leads out of the document")
        return [path_of(node) for node in found if isinstance(node, etree._Element)]

    def _evaluate(self, xpath: str) -> object:
        try:
            # Texts have to know where they come from, for their path.
            compiled = etree.XPath(xpath, namespaces=self._namespaces, smart_strings=True)
            starts = [self._root] if xpath.lstrip().startswith("/") else _starts(self._root)
            results = [cast("object", compiled(start)) for start in starts]
        except (etree.XPathError, ValueError) as error:
            raise ConfigurationError(f"'{xpath}' is not a valid XPath expression: {error}") from None
        if len(results) == 1 or not all(isinstance(each, list) for each in results):
            return results[0]
        return [node for each in results for node in cast("list[object]", each)]

    def _path_of_text(self, text: str) -> str:
        owner: object = text.getparent() if isinstance(text, _KnowsOwner) else None
        if not isinstance(text, _KnowsOwner) or not isinstance(owner, etree._Element):
            return ""
        holder = owner.getparent() if text.is_tail else owner
        path = "" if holder is None else self._document.getpath(holder)
        return f"{path}/@{text.attrname}" if text.is_attribute else f"{path}/text()"


def _check_length(xpath: str) -> None:
    if len(xpath) > MAX_XPATH_CHARS:
        raise ConfigurationError(f"an XPath expression of {len(xpath)} characters; {MAX_XPATH_CHARS} are allowed")


def _plain(xpath: str) -> Sequence[tuple[str, int]] | None:
    """The steps of a plain path, 0 for no position; with `("", 0)` first when it is absolute. None for any other."""
    words = xpath.split("/")
    steps = [(words.pop(0), 0)] if xpath.startswith("/") else []
    for word in words:
        if word in (".", _UP) and steps != [("", 0)]:
            steps.append((word, 0))
        elif (match := _STEP.fullmatch(word)) is not None:
            steps.append((match[1], int(match[2] or 0)))
        else:
            return None
    return steps


def _follow(configuration: Searched, xpath: str) -> list[Section] | None:
    """What a plain path leads to; None for any other expression, and for one that leads above the root meanwhile."""
    steps = _plain(xpath)
    if steps is None:
        return None
    root = configuration.root
    with root._tree.lock:
        nodes = _starts(root._element)
        if steps[0][0] == "":
            name, position = steps[1]
            nodes, steps = [root._element], steps[2:]
            if name != step_name(root._element) or position > 1:
                return []
        for name, position in steps:
            if name == _UP:
                above = [each.getparent() for each in nodes]
                if None in above:
                    return None
                nodes = list(dict.fromkeys(each for each in above if each is not None))
            elif name != ".":
                nodes = [child for node in nodes for child in _children(node, name, position)]
        return [Section(root._tree, each) for each in nodes]


def _children(node: etree._Element, name: str, position: int) -> Iterator[etree._Element]:
    for number, child in enumerate(node.iterchildren(name), start=1):
        if position in (0, number):
            yield child


def _starts(root: etree._Element) -> list[etree._Element]:
    found = [root]
    for each in found:  # grows meanwhile
        found += [child for child in each.iterchildren("include") if "file" in child.attrib]
    return found


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.15g}" if isinstance(value, float) else str(value)
