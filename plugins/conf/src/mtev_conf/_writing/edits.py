"""What is known of the changes to a tree in memory that a file has not seen yet, and how the two relate. Pure.

Whoever changes the tree keeps one `Edits` per file. It names places and not changes: what stands there *may* differ
from the text that the file had when it was read, its *base text*. What really differs is found out when it is rendered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lxml import etree

__all__ = ["Edits", "Layout", "Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The child nodes of an element as they were in the base text.

    Args:
        text: the text before the first node.
        nodes: each node (element, comment, processing instruction) with the text after it.
    """

    text: str | None
    nodes: tuple[tuple[etree._Element, str | None], ...]


@dataclass(slots=True)
class Edits:
    """Where a tree in memory may differ from a base text. Mutable; not thread-safe.

    Args:
        tags: elements of the base text whose attributes may differ. The layout's `top` may be among them only if the
            file holds that element itself and not just its content.
        contents: elements of the base text, without child elements there, whose text and remarks may differ.
        children: elements whose child nodes or the text between them may differ, each with a snapshot that was taken
            before the first such change.
        fresh: roots of subtrees that the base text does not have. What stands in the snapshot of an element of the
            base text is not fresh, even if it is listed here because it left and came back.
    """

    tags: set[etree._Element] = field(default_factory=set)
    contents: set[etree._Element] = field(default_factory=set)
    children: dict[etree._Element, Snapshot] = field(default_factory=dict)
    fresh: set[etree._Element] = field(default_factory=set)


class Layout(Protocol):
    """How the tree in memory relates to one file."""

    @property
    def top(self) -> etree._Element:
        """The element whose content is in the file; of a document, the element itself."""
        ...

    @property
    def anchor(self) -> int:
        """The scanned node that `top` corresponds to: `Spans.root`, or 0 for a file without a root."""
        ...

    def opaque(self, element: etree._Element) -> bool:
        """Whether an element's content in memory is not this file's, so that its raw content is kept.

        It is not asked about `top`.
        """
        ...

    def nodes(self, element: etree._Element) -> Sequence[etree._Element]:
        """The child nodes of an element that belong to this file, in order.

        Where that is all of them, the element itself is the quickest answer: it is a sequence of its child nodes.
        """
        ...
