"""References within a document: who inherits from an `id` that nobody has, from itself, or from several; and from whom
nobody does.

What inherits is known only of the elements that hold tables of keys (`TABLES`). An application may use `id` and
`inherit` for purposes of its own, so nothing is said about other elements unless they are inherited from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches

from lxml import etree

from .._masking import MASK
from .._names import element_name
from .._origins import substituted
from .._tree import Tree
from .findings import Report

__all__ = ["TABLES", "References", "is_top"]

TABLES = ("config", "sslconfig")
"""The elements that hold tables of keys, which inherit from one another."""


class References:
    """The references of one tree, whose lock the caller holds.

    Args:
        tree: the document.
        applies: whether an element counts.
    """

    def __init__(self, tree: Tree, applies: Callable[[etree._Element], bool]) -> None:
        self._tree = tree
        self._applies = applies
        self._carriers: dict[str, list[etree._Element]] = {}
        for element in _with_attribute(tree, "id"):
            self._carriers.setdefault(element.get("id", ""), []).append(element)
        self._inherited: dict[etree._Element, str] = {}
        self._hidden: set[str] = set()
        # Whether who is inherited from depends on where the document is read.
        self._variable = False
        for element in _with_attribute(tree, "inherit"):
            raw = element.get("inherit", "")
            self._variable = self._variable or "{" in raw
            value = substituted(tree, element, raw, "inherit")
            if value.value and not value.problem:
                self._inherited[element] = value.value
                if value.secret:
                    self._hidden.add(value.value)
        self._heirs = [each for each in self._inherited if each.tag in TABLES and applies(each)]

    def inspect(self, report: Report, owned: Collection[str]) -> None:
        """Report what is wrong.

        Args:
            report: takes it.
            owned: names of the top-level elements that plugins own.
        """
        self._missing(report)
        self._circles(report)
        self._repeated(report)
        self._unreachable(report, owned)

    def _missing(self, report: Report) -> None:
        tables = [name for name, carriers in self._carriers.items() if any(each.tag in TABLES for each in carriers)]
        for heir in self._heirs:
            name = self._inherited[heir]
            if name not in self._carriers:
                shown = self._shown(heir)
                text = f"{self._tree.where(heir)}: inherit='{shown}': no element has the id '{shown}'"
                near = get_close_matches(name, tables, n=1)
                advice = f"; did you mean '{near[0]}'?" if near else ""
                report.add(f"{text}{advice}", "error", core=text)

    def _circles(self, report: Report) -> None:
        done: set[etree._Element] = set()
        for heir in self._heirs:
            for circle in self._circles_from(heir, done):
                places = [self._tree.where(each) for each in circle]
                if report.says("inherit in a circle", *(f"({place})" for place in places)):
                    continue
                steps = " -> ".join(
                    f"inherit='{self._shown(each)}' ({place})" for each, place in zip(circle, places, strict=True)
                )
                report.add(
                    f"{places[0]}: elements inherit in a circle: {steps} -> the first again; take one 'inherit' out",
                    "error",
                )

    def _circles_from(self, start: etree._Element, done: set[etree._Element]) -> Iterator[list[etree._Element]]:
        """The circles that a search in depth comes upon; `done` are the elements that need not be searched again."""
        if start in done:
            return
        line = [start]
        waiting = [iter(self._targets(start))]
        while line:
            target = next(waiting[-1], None)
            if target is None:
                waiting.pop()
                done.add(line.pop())
            elif target in line:
                yield line[line.index(target) :]
            elif target not in done and target in self._inherited:
                line.append(target)
                waiting.append(iter(self._targets(target)))

    def _shown(self, heir: etree._Element) -> str:
        return MASK if self._inherited[heir] in self._hidden else self._inherited[heir]

    def _targets(self, element: etree._Element) -> list[etree._Element]:
        return self._carriers.get(self._inherited[element], [])

    def _repeated(self, report: Report) -> None:
        wanted = {self._inherited[heir] for heir in self._heirs}
        for name, carriers in self._carriers.items():
            there = [each for each in carriers if self._applies(each)] if len(carriers) > 1 else []
            tables = [each for each in there if each.tag in TABLES]
            if len(there) > 1 and (name in wanted or len(tables) > 1):
                first, *more = there if name in wanted else tables
                places = ", ".join(map(self._tree.where, more[1:]))
                report.add(
                    f"{self._tree.where(more[0])}: <{element_name(more[0])}>: id='{name}' is carried more than once, "
                    f"first at {self._tree.where(first)}{f', and at {places}' if places else ''}; whoever inherits it "
                    "takes what all of them have; give each an id of its own"
                )

    def _unreachable(self, report: Report, owned: Collection[str]) -> None:
        if self._variable:
            return
        wanted = set(self._inherited.values())
        lost = [each for each in wanted if each not in self._carriers and each not in self._hidden]
        for name, carriers in self._carriers.items():
            for carrier in carriers if name not in wanted else ():
                if carrier.tag in TABLES and self._is_template(carrier, owned) and self._applies(carrier):
                    near = get_close_matches(name, lost, n=1)
                    advice = (
                        f"is inherit='{near[0]}' meant for it?"
                        if near
                        else "take the id out, or write where it is meant"
                    )
                    where, tag = self._tree.where(carrier), element_name(carrier)
                    report.add(f"{where}: <{tag}>: no element inherits id='{name}'; {advice}")

    def _is_template(self, element: etree._Element, owned: Collection[str]) -> bool:
        """Whether an element stands where it is good for little but to be inherited from.

        That is directly below the root, or among nothing but its like in a top-level element that no plugin owns.
        """
        if is_top(self._tree, element):
            return True
        holder = element.getparent()
        return (
            holder is not None
            and is_top(self._tree, holder)
            and element_name(holder) not in owned
            and all(each.tag in TABLES and "id" in each.attrib for each in holder.iterchildren(etree.Element))
        )


def is_top(tree: Tree, element: etree._Element) -> bool:
    """Whether an element stands directly below the root, or behind an include that does."""
    parent = element.getparent()
    while parent is not None and parent in tree.containers:
        parent = parent.getparent()
    return parent is tree.root


def _with_attribute(tree: Tree, name: str) -> list[etree._Element]:
    found = tree.root.xpath("descendant-or-self::*[@*[name() = $name]]", name=name)
    assert isinstance(found, list)
    return [each for each in found if isinstance(each, etree._Element)]
