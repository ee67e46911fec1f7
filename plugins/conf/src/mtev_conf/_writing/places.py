"""Which place in a base text a node in memory has: the scanned node that it is, and what holds there. Pure.

A node is found by its place among its siblings: by the one that it has in the snapshot of its parent, or by the one
that it has now if the parent has no snapshot, since then the siblings are as they were. So the parent's place comes
first, and so on up to the top. Where notes, tree and text contradict each other, that is an error: a wrong file is
worse than none.
"""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree

from .edits import Edits, Layout, Snapshot
from .markup import Scope, content_of, declared_in, is_element, name_end, same_remark
from .scan import ELEMENT, Spans

__all__ = ["Places", "called"]

_FEW = 4
"""So many children of one parent are looked for one by one; for more it pays to number all of them."""


class Places:
    """Where nodes in memory stand in a base text. Remembers what it found, so it is for one moment and one thread.

    Args:
        text: the base text.
        spans: its nodes.
        layout: how the tree relates to it.
        edits: where the tree may differ from it.

    Raises:
        ValueError: edits, tree and base text contradict each other. So do all methods.
    """

    def __init__(self, text: str, spans: Spans, layout: Layout, edits: Edits) -> None:
        self._text = text
        self._spans = spans
        self._layout = layout
        self._edits = edits
        self._top = layout.top
        self._numbers: dict[etree._Element, int] = {self._top: layout.anchor}
        self._indices: dict[etree._Element, _Index] = {}
        outer = [*spans.ancestors(layout.anchor), layout.anchor]
        self._parents: dict[int, int] = dict(zip(outer[1:], outer[:-1], strict=True))
        self._scopes: dict[int, Scope] = {0: {}}
        self._snapshots: dict[etree._Element, Snapshot] = {}
        self._homes: dict[etree._Element, etree._Element] = {}
        self._tails: dict[etree._Element, str | None] = {}
        self._trust_snapshots()

    def number(self, node: etree._Element) -> int:
        """The scanned node that a node in memory is, or -1 if the base text does not have it."""
        numbers = self._numbers
        unknown = []
        inner = node
        while inner not in numbers:
            parent = self._base_parent(inner)
            if parent is None:
                numbers[inner] = -1
                break
            unknown.append((inner, parent))
            inner = parent
        for inner, parent in reversed(unknown):
            outer = numbers[parent]
            numbers[inner] = -1 if outer < 0 else self._find(inner, parent, outer)
        return numbers[node]

    def lifted_number(self, node: etree._Element) -> int:
        """As `number`, for a node whose parent is not what it was in the base text."""
        return self.number(node) if node in self._homes else -1

    def snapshot(self, parent: etree._Element) -> Snapshot | None:
        """The snapshot of a parent, if it has one that shows the base text."""
        return self._snapshots.get(parent)

    def children(self, parent: etree._Element) -> dict[etree._Element, int]:
        """The child nodes that a parent of the base text has there, in order, with the scanned node of each."""
        try:
            return self._index(parent, self.number(parent)).numbers()
        except ValueError as error:
            raise ValueError(f"{called(parent)}: {error}") from None

    def same_tail(self, node: etree._Element) -> bool:
        """Whether the text after a node is what it was in the snapshot that the node is in."""
        return (node.tail or "") == (self._tails[node] or "")

    def tail(self, number: int) -> tuple[int, int]:
        """Where the text after a scanned node, which was found before, begins and ends."""
        spans, parent, following = self._spans, self._parents[number], self._spans.after[number]
        end = spans.start[following] if following < spans.after[parent] else spans.close[parent]
        return spans.end[number], end

    def content(self, number: int) -> tuple[int, int]:
        """Where the content of a scanned node begins and ends."""
        return self._spans.tag_end[number] if number else self._spans.prolog, self._spans.close[number]

    def same_content(self, number: int, content: Snapshot) -> bool:
        """Whether text and remarks mean the same as the content of a scanned node."""
        spans = self._spans
        children = spans.children(number)
        if len(children) != len(content.nodes):
            return False
        position, end = self.content(number)
        expected = content.text
        for child, (node, tail) in zip(children, content.nodes, strict=True):
            if content_of(self._text[position : spans.start[child]]) != (expected or ""):
                return False
            if not same_remark(self._text[spans.start[child] : spans.end[child]], node):
                return False
            position, expected = spans.end[child], tail
        return content_of(self._text[position:end]) == (expected or "")

    def scope_around(self, number: int) -> Scope:
        """The namespaces that hold where a scanned node, which was found before, stands."""
        return self.scope(self._parents[number])

    def scope(self, number: int) -> Scope:
        """The namespaces that hold inside a scanned node, which was found before."""
        scope = self._scopes.get(number)
        if scope is None:
            scope = self.scope_around(number)
            start, end = self._spans.start[number], self._spans.tag_end[number]
            if self._text.find("xmlns", start, end) >= 0:
                scope = {**scope, **declared_in(self._text, start)}
            self._scopes[number] = scope
        return scope

    def opaque(self, element: etree._Element) -> bool:
        """Whether the content of an element in memory is not of this file."""
        return element is not self._top and self._layout.opaque(element)

    def nodes(self, element: etree._Element) -> Sequence[etree._Element]:
        """The child nodes of an element, as they are now, that belong to this file."""
        return () if self.opaque(element) else self._layout.nodes(element)

    def _trust_snapshots(self) -> None:
        doubtful = []
        for parent, snapshot in self._edits.children.items():
            if parent in self._edits.contents and not any(is_element(node) for node, _ in snapshot.nodes):
                doubtful.append((parent, snapshot))
            else:
                self._trust(parent, snapshot)
        # Where the text may have changed before the children did, the snapshot may show the changed text. The base text
        # has no elements in such a parent, so no other place depends on it.
        for parent, snapshot in doubtful:
            if (number := self.number(parent)) >= 0 and self.same_content(number, snapshot):
                self._trust(parent, snapshot)

    def _trust(self, parent: etree._Element, snapshot: Snapshot) -> None:
        tails = dict(snapshot.nodes)
        self._snapshots[parent] = snapshot
        self._tails.update(tails)
        self._homes.update(dict.fromkeys(tails, parent))

    def _base_parent(self, node: etree._Element) -> etree._Element | None:
        """The parent that a node has in the base text, if it is there at all."""
        parent = self._homes.get(node)
        if parent is None and node not in self._edits.fresh:
            parent = node.getparent()
            if parent in self._edits.children:
                return None
        return parent

    def _find(self, node: etree._Element, parent: etree._Element, outer: int) -> int:
        try:
            number = self._index(parent, outer).find(node)
        except (ValueError, IndexError, KeyError) as error:
            raise ValueError(f"{called(node)} in {called(parent)} is not found in the base text: {error}") from None
        if is_element(node):
            start = self._spans.start[number]
            written = self._text[start + 1 : name_end(self._text, start)] if self._spans.kind[number] == ELEMENT else ""
            if written.rpartition(":")[2] != etree.QName(node).localname:
                raise ValueError(f"where {called(node)} should be, at offset {start}, the base text has '{written}'")
        self._parents[number] = outer
        return number

    def _index(self, parent: etree._Element, number: int) -> _Index:
        index = self._indices.get(parent)
        if index is None:
            snapshot = self._snapshots.get(parent)
            if snapshot is not None:
                nodes: Sequence[etree._Element] = [node for node, _ in snapshot.nodes]
            elif self.opaque(parent):
                raise ValueError("its content belongs to another file")
            else:
                nodes = self._layout.nodes(parent)
            index = self._indices[parent] = _Index(self._spans, number, nodes)
        return index


class _Index:
    """The child nodes that one parent has in the base text, in order, with the scanned node of each."""

    __slots__ = ("_asked", "_nodes", "_number", "_numbers", "_spans")

    def __init__(self, spans: Spans, number: int, nodes: Sequence[etree._Element]) -> None:
        self._spans = spans
        self._number = number
        self._nodes = nodes
        self._numbers: dict[etree._Element, int] | None = None
        self._asked = 0

    def numbers(self) -> dict[etree._Element, int]:
        if self._numbers is None:
            found = self._spans.children(self._number)
            if len(found) != len(self._nodes):
                raise ValueError(f"it has {len(found)} child nodes in the base text, but {len(self._nodes)} in memory")
            self._numbers = dict(zip(self._nodes, found, strict=True))
        return self._numbers

    def find(self, node: etree._Element) -> int:
        if self._numbers is None and self._asked < _FEW:
            self._asked += 1
            return self._spans.child(self._number, self._nodes.index(node))
        return self.numbers()[node]


def called(node: etree._Element) -> str:
    """What to call a node in a message."""
    return f"<{etree.QName(node).localname}>" if is_element(node) else "a comment or processing instruction"
