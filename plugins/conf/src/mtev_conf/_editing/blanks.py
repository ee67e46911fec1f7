"""The blanks and texts between the nodes of a document, kept as a person who edits it would keep them. Pure.

Where a node begins its line, its *lead* is what is right before it: the line break and the indentation.

1. An element stands alone on its lines when it begins one, and a line break, or the end of its parent's content, comes
   right after it. Such an element is removed with its lead, any other by itself. Comments on the lines before stay.
   Where no node remains, blanks on one line go too: they could be taken for a text.
2. A new element comes directly before the one whose place it takes, and begins a line with the same lead if that one
   does. At the end it comes after everything, and begins a line if the last element does.
3. The first node of a parent that has only blanks begins a line, one unit deeper than the parent, and the end tag gets
   the next line, if the parent begins a line or is the root.
4. Otherwise no blanks are added. What is all on one line stays so.
5. A new element that has no text between the nodes in it is indented inside as well, if it begins a line.

So an element that is removed takes exactly its lines along, and one that is added and removed again leaves no trace but
for rule 3: that there was no line break cannot be told from what is there afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import NamedTuple

from lxml import etree

from .fragments import BLANKS, parse_xml

__all__ = ["Spacing", "closed_up", "fill", "gap", "indent", "keeper", "last_node", "spacing", "unit_of"]

_LEAD = re.compile(r"\n[ \t]*\Z")
_UNIT = "  "
_LOOKED_AT = 100
_RAW_TEXT = re.compile(r"<[^>]*>((?:[^<]|<!\[CDATA\[.*?\]\]>)*)", re.DOTALL)
_SECTION = "<![CDATA["
_PLUG = "urn:mtev:plug"


class Spacing(NamedTuple):
    """The text around a new node, in the place of the one text that is there without it.

    Args:
        before: what is to stand before it.
        after: what is to stand after it.
        lead: its lead, or None if it does not begin a line.
    """

    before: str
    after: str
    lead: str | None = None


def spacing(parent: etree._Element, following: etree._Element | None) -> Spacing:
    """The text around a node that is new in a parent (rules 2 to 4).

    Args:
        parent: where it goes.
        following: the node before which it goes; None is the end.
    """
    if following is not None:
        text = gap(parent, following.getprevious())
        lead = _lead(text)
        return Spacing(text, lead or "", lead)
    previous = last_node(parent)
    text = gap(parent, previous)
    body = text.rstrip(BLANKS)
    blanks = text[len(body) :]
    lead = None
    if previous is not None:
        element = next(parent.iterchildren(etree.Element, reversed=True), previous)
        lead = _lead_of(element) or _lead_of(previous)
    elif not body:
        outer = _lead(blanks) or _lead_of(parent)
        if outer is not None:
            lead = outer + unit_of(parent)
            if "\n" not in blanks:
                return Spacing(lead, outer, lead)
    if lead is None:
        return Spacing(body, blanks)
    # Blanks up to the line break belong to the line of what is there already.
    cut = max(blanks.find("\n"), 0)
    return Spacing(body + blanks[:cut] + lead, blanks[cut:], lead)


def closed_up(before: str, after: str, *, last: bool, only: bool) -> str:
    """What remains of the text around an element that is taken out (rule 1).

    Args:
        before: the text before it.
        after: the text after it.
        last: whether no node comes after it.
        only: whether there is no other node at all.
    """
    text = before + after
    lead = _lead(before)
    if lead is not None:
        outer, rest = before[: -len(lead)], after.lstrip(" \t")
        if rest.startswith("\n"):
            text = outer + rest
        elif last and not rest:
            text = outer + after
    return "" if only and "\n" not in text and not text.strip(BLANKS) else text


def unit_of(parent: etree._Element) -> str:
    """What a level is indented by: as the parent is, or what is around it, or the first child of the root that is."""
    inner, top = _lead_of(parent), parent
    for top in parent.iterancestors():
        outer = _lead_of(top)
        if inner is not None and outer is not None and len(inner) > len(outer) and inner.startswith(outer):
            return inner[len(outer) :]
        inner = outer
    for child in islice(top.iterchildren(), _LOOKED_AT):
        lead = _lead_of(child)
        if lead is not None and lead != "\n":
            return lead[1:]
    return _UNIT


def indent(element: etree._Element, lead: str, unit: str) -> None:
    """Put the nodes inside an element on lines of their own, unless there is text between any of them (rule 5).

    Args:
        element: begins a line.
        lead: its lead.
        unit: what each level inside has more.
    """
    for parent in element.iter(etree.Element):
        if len(parent) and (parent.text or any(child.tail for child in parent)):
            return
    parents = [(element, lead)]
    while parents:
        parent, outer = parents.pop()
        if children := list(parent):
            inner = outer + unit
            parent.text = inner
            for child in children:
                child.tail = inner
            children[-1].tail = outer
            parents.extend((child, inner) for child in children)


# -- One text: the one after a node; where the node is None, the one before the first node of the parent


def gap(parent: etree._Element, node: etree._Element | None) -> str:
    """What the text is."""
    return (parent.text if node is None else node.tail) or ""


def fill(parent: etree._Element, node: etree._Element | None, text: str) -> None:
    """Replace the text."""
    if node is None:
        parent.text = text or None
    else:
        node.tail = text or None


def keeper(parent: etree._Element, node: etree._Element | None) -> Callable[[], None]:
    """What puts the text back as it is now, with its CDATA sections.

    A section between nodes that holds only blanks comes back as blanks: looking for it would mean to write out
    everything around it.
    """
    text = gap(parent, node)
    if text.strip(BLANKS) or (node is None and last_node(parent) is None):
        raw = _raw(parent, node)
        if _SECTION in raw:
            return partial(_fill_raw, parent, node, raw)
    return partial(fill, parent, node, text)


def last_node(parent: etree._Element) -> etree._Element | None:
    """The last child node, which may be a comment or a processing instruction, or None."""
    return next(parent.iterchildren(reversed=True), None)


def _raw(parent: etree._Element, node: etree._Element | None) -> str:
    """The text as it is written in XML."""
    if node is not None:
        with_text = etree.tostring(node, encoding="unicode", with_tail=True)
        return with_text[len(etree.tostring(node, encoding="unicode", with_tail=False)) :]
    match = _RAW_TEXT.match(etree.tostring(parent, encoding="unicode", with_tail=False))
    return match[1] if match is not None else ""


def _fill_raw(parent: etree._Element, node: etree._Element | None, raw: str) -> None:
    # A text that is set is one string without sections. But one that was parsed goes along with the node before it, and
    # stays when that node is stripped.
    fill(parent, node, "")
    plug = parse_xml(f'<x><plug xmlns="{_PLUG}"/>{raw}</x>')[0]
    following = node.getnext() if node is not None else next(parent.iterchildren(), None)
    if following is None:
        parent.append(plug)
    else:
        following.addprevious(plug)
    etree.strip_elements(parent, plug.tag, with_tail=False)


def _lead(text: str) -> str | None:
    match = _LEAD.search(text)
    return None if match is None else match[0]


def _lead_of(node: etree._Element) -> str | None:
    parent = node.getparent()
    return "\n" if parent is None else _lead(gap(parent, node.getprevious()))
