"""Changing a document in memory, so that every change is known and all can be undone exactly. Pure; knows no files.

What a change does to the blanks around it is told in `blanks`. Whoever has to write the document back is told of every
mutation (`Observer`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, takewhile
from typing import Protocol, cast

from lxml import etree

from .._writing.markup import is_element
from .blanks import closed_up, fill, gap, indent, keeper, last_node, spacing, unit_of
from .changes import Change, Kind, labelled
from .fragments import leaf_text, xml_of
from .paths import attribute_key, path_of, position_of, written_name

__all__ = ["MAX_DEPTH", "Editor", "Observer"]

MAX_DEPTH = 256
"""How many levels of elements a document may have; no parser reads back more."""

_FIRST = (
    "A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_PART = rf"[{_FIRST}][{_FIRST}\-.0-9\xb7\u0300-\u036f\u203f\u2040]*"
_NAME = re.compile(rf"(?:\{{[^{{}}\x00-\x20]+\}}|{_PART}:)?{_PART}")
_COUNT = etree.XPath("count(*)")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Observer(Protocol):
    """Is told of mutations, so that it can keep note of what will have to be written back.

    It may refuse one that is about to happen by raising, and then nothing happens. Undoing is told as well, and is not
    to be refused.
    """

    def tag(self, element: etree._Element) -> None:
        """The attributes of an element are about to change."""
        ...

    def content(self, element: etree._Element) -> None:
        """The text of an element without child nodes is about to change."""
        ...

    def children(self, parent: etree._Element) -> None:
        """The child nodes of an element, or the text between them, are about to change."""
        ...

    def departing(self, element: etree._Element) -> None:
        """An element is about to be taken from where it stands; told before `children` of its parent."""
        ...

    def arrived(self, element: etree._Element, parent: etree._Element) -> None:
        """An element stands below a parent now where it was not before."""
        ...


class Editor:
    """Changes a document, step by step, until all of that is undone or the editor is dropped. Not thread-safe.

    Errors are raised before anything happens. A change to what is there already is none: it is neither told nor listed.

    Undone is undone to the byte, but for what lxml has no means for. A declaration that repeats a namespace already in
    scope is dropped when its element comes back, so that elements and attributes may have another prefix then. The
    declaration stays that lxml makes for an attribute `{namespace}local` whose namespace has none. And a CDATA section
    between elements that holds nothing but blanks comes back as blanks.

    Args:
        observer: is told of every mutation.
        firsts: remembers, beyond the life of one editor, the parents whose content was on one line until a first child
            came: that content, and the texts around the child. So when the child goes, the line is as it was.
        path: gives the path of an element, as `path_of` does.
    """

    def __init__(
        self,
        observer: Observer,
        firsts: dict[etree._Element, tuple[str, str, str]] | None = None,
        path: Callable[[etree._Element], str] = path_of,
    ) -> None:
        self._observer = observer
        self._path = path
        self._changes: list[Change] = []
        self._undo: list[Callable[[], None]] = []
        self._firsts = {} if firsts is None else firsts

    @property
    def changes(self) -> list[Change]:
        """What has been changed, in that order: a script (see `changes`)."""
        return list(self._changes)

    def set(self, element: etree._Element, name: str, value: str | None) -> Change | None:
        """Set or remove an attribute.

        Args:
            element: whose attribute it is.
            name: as it is written: `port`, `xml:lang`, `m:key`.
            value: what it is to be; None removes it.

        Returns:
            The change; None if there was nothing to change.

        Raises:
            ValueError: the name is no XML name, its prefix is not declared here, or XML has no such characters.
        """
        _check_name(name)
        key = attribute_key(element, name)
        old = element.get(key)
        if old == value:
            return None
        if value is not None:
            _check_text(value, f"the attribute '{name}'")
        kind: Kind = "unset" if value is None else "set"
        change = labelled(Change(kind, f"{self._path(element)}/@{name}", old, value), element)
        items = cast("list[tuple[str, str]]", element.items())
        self._observer.tag(element)
        if value is None:
            del element.attrib[key]
        else:
            element.set(key, value)
        self._undo.append(partial(self._put_back_attributes, element, items))
        return self._record(labelled(change, element))

    def text(self, element: etree._Element, value: str) -> Change | None:
        """Replace the content of an element that has no child elements; comments in it go.

        Args:
            element: whose text it is.
            value: what it is to be.

        Returns:
            The change; None if there was nothing to change.

        Raises:
            ValueError: the element has child elements, or XML has no such characters.
        """
        if next(element.iterchildren(etree.Element), None) is not None:
            raise ValueError(
                f"{self._path(element)} has child elements, so its text cannot be set; set a child's, or remove them "
                "first"
            )
        old, nodes = leaf_text(element), list(element)
        if value == old or (not nodes and value == (element.text or "")):
            return None
        _check_text(value, f"the text of <{written_name(element)}>")
        tell = self._observer.children if nodes else self._observer.content
        tell(element)
        restore = keeper(element, None)
        for node in nodes:
            element.remove(node)
        element.text = value or None

        def put_back() -> None:
            tell(element)
            element.text = None
            restore()
            for node in nodes:
                element.append(node)

        self._undo.append(put_back)
        return self._record(labelled(Change("text", self._path(element), old, value), element))

    def add(self, parent: etree._Element, index: int, element: etree._Element) -> Change:
        """Add a new element. What happens to the blanks around it is told in `blanks`.

        Args:
            parent: the element below which it goes.
            index: its position among the child elements of the parent, from 0; -1 is the end.
            element: stands nowhere yet. From now on it belongs to the document; text after it is dropped.

        Returns:
            The change.

        Raises:
            ValueError: the index is out of range, or the element stands somewhere.
        """
        if not is_element(element):
            raise ValueError("only an element can be added, no comment and no processing instruction")
        if element.getparent() is not None:
            raise ValueError(f"{self._path(element)} stands somewhere already; move it, or add a copy")
        if _is_within(parent, element):
            raise ValueError(f"<{written_name(element)}> cannot be added to itself")
        _check_depth(element, parent)
        following, position = _place(parent, index)
        xml = xml_of(element)
        self._observer.children(parent)
        self._insert(element, parent, following, fresh=True)
        self._observer.arrived(element, parent)
        return self._record(Change("add", self._path(element), new=xml, index=position))

    def remove(self, element: etree._Element) -> Change:
        """Remove an element with all that is in it. What happens to the blanks around it is told in `blanks`.

        Returns:
            The change.

        Raises:
            ValueError: it is the root, or stands nowhere.
        """
        parent = _parent_of(element, "removed")
        path, position = self._path(element), position_of(element)
        self._observer.departing(element)
        self._observer.children(parent)
        self._take_out(element, parent)
        return self._record(Change("remove", path, old=xml_of(element), index=position))

    def move(self, element: etree._Element, parent: etree._Element, index: int) -> Change | None:
        """Move an element to another place of the same document. Blanks as if it were removed and added.

        Args:
            element: what to move.
            parent: the element below which it goes.
            index: its position among the child elements of the parent when it is there, from 0; -1 is the end.

        Returns:
            The change; None if it is at that place.

        Raises:
            ValueError: it is the root, or would stand inside itself, or the index is out of range, or the parent is in
                another document.
        """
        old_parent = _parent_of(element, "moved")
        if _is_within(parent, element):
            raise ValueError(f"{self._path(element)} cannot be moved into itself, to {self._path(parent)}")
        if _top(parent) is not _top(element):
            raise ValueError(
                f"{self._path(element)} cannot be moved to another document; remove it here and add it there"
            )
        _check_depth(element, parent)
        following, position = _place(parent, index, without=element)
        path, old_position = self._path(element), position_of(element)
        if parent is old_parent and position == old_position:
            return None
        self._observer.departing(element)
        self._observer.children(old_parent)
        if parent is not old_parent:
            self._observer.children(parent)
        self._take_out(element, old_parent)
        self._insert(element, parent, following)
        self._observer.arrived(element, parent)
        return self._record(Change("move", path, str(old_position), self._path(element), position))

    def undo(self) -> None:
        """Undo everything since the editor was made, or since it was last undone."""
        while self._undo:
            self._undo.pop()()
        self._changes.clear()

    def _record(self, change: Change) -> Change:
        self._changes.append(change)
        return change

    def _insert(
        self, element: etree._Element, parent: etree._Element, following: etree._Element | None, *, fresh: bool = False
    ) -> None:
        previous = last_node(parent) if following is None else following.getprevious()
        text, room = gap(parent, previous), spacing(parent, following)
        if previous is None and following is None:
            self._firsts[parent] = text, room.before, room.after
        if fresh and room.lead is not None:
            indent(element, room.lead, unit_of(parent))
        restore = keeper(parent, previous)
        element.tail = None
        if following is None:
            parent.append(element)
        else:
            following.addprevious(element)
        if room.before != text:
            fill(parent, previous, room.before)
        fill(parent, element, room.after)

        def take_back() -> None:
            self._observer.departing(element)
            self._observer.children(parent)
            element.tail = None
            parent.remove(element)
            restore()

        self._undo.append(take_back)

    def _take_out(self, element: etree._Element, parent: etree._Element) -> None:
        previous, following = element.getprevious(), element.getnext()
        before, after = gap(parent, previous), gap(parent, element)
        only = previous is None and following is None
        text = closed_up(before, after, last=following is None, only=only)
        if only and self._firsts.get(parent, ())[1:] == (before, after):
            text = self._firsts[parent][0]
        restore_before, restore_after = keeper(parent, previous), keeper(parent, element)
        element.tail = None
        parent.remove(element)
        if text != before:
            fill(parent, previous, text)

        def put_back() -> None:
            self._observer.children(parent)
            if following is None:
                parent.append(element)
            else:
                following.addprevious(element)
            restore_after()
            restore_before()
            self._observer.arrived(element, parent)

        self._undo.append(put_back)

    def _put_back_attributes(self, element: etree._Element, items: list[tuple[str, str]]) -> None:
        self._observer.tag(element)
        # An attribute that is set anew comes last, so those that come after it are set anew as well.
        kept = len(list(takewhile(lambda pair: pair[0] == pair[1][0], zip(element.attrib, items, strict=False))))
        for key in list(element.attrib)[kept:]:
            del element.attrib[key]
        for key, value in items:
            element.set(key, value)


# -- Places


def _parent_of(element: etree._Element, what: str) -> etree._Element:
    parent = element.getparent()
    if parent is None:
        raise ValueError(f"<{written_name(element)}> is the root of a document, which cannot be {what}")
    return parent


def _place(
    parent: etree._Element, index: int, without: etree._Element | None = None
) -> tuple[etree._Element | None, int]:
    """The element that has a position among the children of a parent, None for the end, and the position."""

    def children() -> Iterator[etree._Element]:
        return (each for each in parent.iterchildren(etree.Element) if each is not without)

    if index == -1 and without is None:
        return None, int(cast("float", _COUNT(parent)))
    if index >= 0 and (following := next(islice(children(), index, None), None)) is not None:
        return following, index
    count = sum(1 for _ in children())
    if index not in (-1, count):
        raise ValueError(
            f"{path_of(parent)} has no position {index} for an element, since it has {count} others; write 0 to "
            f"{count}, or -1 for the end"
        )
    return None, count


def _is_within(element: etree._Element, ancestor: etree._Element) -> bool:
    return element is ancestor or any(each is ancestor for each in element.iterancestors())


def _top(element: etree._Element) -> etree._Element:
    while (parent := element.getparent()) is not None:
        element = parent
    return element


def _check_depth(element: etree._Element, parent: etree._Element) -> None:
    depth = 1 + sum(1 for _ in parent.iterancestors())
    level = [element]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(
                f"with <{written_name(element)}> in {path_of(parent)} the document would have more than {MAX_DEPTH} "
                "levels and could not be read back; put it further out"
            )
        level = [child for each in level for child in each.iterchildren(etree.Element)]


# -- Characters


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no name of an attribute in XML; write letters, digits, '-', '_' and '.'")
    if name == "xmlns" or name.startswith("xmlns:"):
        raise ValueError(f"{name}: a namespace declaration is no attribute; change it in the file")


def _check_text(text: str, what: str) -> None:
    match = _FORBIDDEN.search(text)
    if match is not None:
        raise ValueError(
            f"{what} cannot hold the character U+{ord(match[0]):04X} at position {match.start()}: XML cannot write it"
        )
