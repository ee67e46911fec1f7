"""Pieces of XML: the texts of an element, an element that stands alone, and whether two mean the same. Pure."""

from __future__ import annotations

import copy
import re

from lxml import etree

from .._parser import strict_parser

__all__ = ["BLANKS", "leaf_text", "own_text", "parse_xml", "same_meaning", "words_of", "xml_of"]

BLANKS = " \t\r\n"
"""What XML calls white space. Other blanks, such as no-break spaces, are text."""

_WORD = re.compile(r"[^ \t\r\n]+")


def leaf_text(element: etree._Element) -> str:
    """What counts of the text of an element without child elements.

    Blanks alone are layout, which does not count, if a line break is among them, or a comment or processing instruction
    in the element.
    """
    has_nodes = len(element) > 0
    text = own_text(element) if has_nodes else element.text or ""
    is_layout = not text.strip(BLANKS) and ("\n" in text or has_nodes)
    return "" if is_layout else text


def own_text(element: etree._Element) -> str:
    """The text inside an element and between its child nodes, not that inside them."""
    return (element.text or "") + "".join(child.tail or "" for child in element)


def xml_of(element: etree._Element) -> str:
    """An element as XML that can stand alone: without what follows it, with the namespaces that it uses declared."""
    alone = copy.deepcopy(element)
    alone.tail = None
    return etree.tostring(alone, encoding="unicode")


def parse_xml(text: str) -> etree._Element:
    """The element that a piece of XML holds. Nothing is loaded from elsewhere, no entity expanded.

    Raises:
        ValueError: it is malformed, holds more or less than one element, or has a DOCTYPE.
    """
    parser = strict_parser("utf-8")
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, UnicodeEncodeError) as error:
        reason = error.msg if isinstance(error, etree.XMLSyntaxError) else "it holds what is not text"
        raise ValueError(f"this is not the well-formed XML of one element: {reason}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise ValueError("it has a DOCTYPE, which is refused because it can declare entities; take it out")
    return root


def same_meaning(one: etree._Element, other: etree._Element) -> bool:
    """Whether two elements mean the same.

    They do when they have the same name, attributes, children in the same order, and words in their texts. Comments,
    processing instructions and blanks do not count.
    """
    pairs = [(one, other)]
    while pairs:
        left, right = pairs.pop()
        if left.tag != right.tag or dict(left.items()) != dict(right.items()):
            return False
        if words_of(own_text(left)) != words_of(own_text(right)):
            return False
        children = list(left.iterchildren(etree.Element)), list(right.iterchildren(etree.Element))
        if len(children[0]) != len(children[1]):
            return False
        pairs.extend(zip(*children, strict=True))
    return True


def words_of(text: str) -> list[str]:
    """What a text has between its blanks."""
    return _WORD.findall(text)
