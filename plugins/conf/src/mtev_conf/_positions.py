"""Where the children of an element stand among their siblings, for elements that have very many. Pure."""

from __future__ import annotations

from lxml import etree

from ._editing.paths import step_name

__all__ = ["Positions"]


class Positions:
    """Which child of its name each child of an element is. To be forgotten when one goes, or comes anywhere but last.

    Attributes:
        table: name and position of each child; positions count from 1.

    Args:
        parent: the element.
    """

    def __init__(self, parent: etree._Element) -> None:
        self.table: dict[etree._Element, tuple[str, int]] = {}
        self._counts: dict[str, int] = {}
        for child in parent.iterchildren(etree.Element):
            self._add(child)

    def append(self, child: etree._Element) -> bool:
        """Add what has come, if it is the last one; else nothing here holds any more."""
        last = next(child.itersiblings(etree.Element), None) is None
        if last:
            self._add(child)
        return last

    def _add(self, child: etree._Element) -> None:
        name = step_name(child)
        self._counts[name] = self._counts.get(name, 0) + 1
        self.table[child] = name, len(self.table) + 1 if name == "*" else self._counts[name]
