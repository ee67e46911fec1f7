"""What elements and attributes are called in a document: as they are written, with their prefixes. Pure."""

from __future__ import annotations

from typing import cast

from lxml import etree

__all__ = ["element_name", "is_element", "own_attributes"]


def is_element(node: object) -> bool:
    """Whether a node is an element: not a comment, a processing instruction, an attribute or a text."""
    return isinstance(node, etree._Element) and isinstance(node.tag, str)


def element_name(element: etree._Element) -> str:
    """An element's name as it is written: with its prefix, if it has one."""
    local = etree.QName(element).localname
    return f"{element.prefix}:{local}" if element.prefix else local


def own_attributes(element: etree._Element) -> dict[str, str]:
    """The element's own attributes by the name under which they are written, not expanded, in document order."""
    named: dict[str, str] = {}
    for key, value in cast("dict[str, str]", element.attrib).items():
        name = etree.QName(key)
        prefix = name.namespace and _prefix(element, name.namespace)
        named[f"{prefix}:{name.localname}" if prefix else name.localname] = value
    return named


def _prefix(element: etree._Element, namespace: str) -> str:
    if namespace == "http://www.w3.org/XML/1998/namespace":
        return "xml"
    return next((prefix for prefix, uri in element.nsmap.items() if uri == namespace and prefix), "")
