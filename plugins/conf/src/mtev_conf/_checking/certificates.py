"""The files with certificates and keys that a document names: whether this process could read them.

1. In a `<sslconfig>`, and in a `<config>`, the keys `PATHS` name files; in the former also `certificate` and `key`,
   unless they hold a certificate or key in PEM form themselves. So do attributes with the names `PATHS`.
2. A relative path starts from the folder of the file that it stands in.
3. What a listener with `ssl` on uses and cannot be read is an error; of everything else it is a warning.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from .._editing.fragments import own_text
from .._masking import sounds_secret
from .._names import element_name
from .._origins import Substituted, substituted
from .._tree import Tree
from .._values.inheritance import Entry, Table, merge
from .._values.values import check_path, join_path, parse_boolean
from .findings import Report
from .references import TABLES

__all__ = ["PATHS", "inspect_certificates"]

PATHS = ("certificate_file", "key_file", "ca_chain", "ca_file", "crl", "crl_file")
"""What attributes and keys are called that name such a file; libmtev's names, and what was added to them."""

_INLINE = ("certificate", "key")
_LISTENER = "listener"
_SSLCONFIG = "sslconfig"


def inspect_certificates(tree: Tree, report: Report, applies: Callable[[etree._Element], bool]) -> None:
    """Report each file that cannot be read. The caller holds the tree's lock. Blocks on the file system.

    Args:
        tree: the document.
        report: takes the findings.
        applies: whether an element counts.
    """
    used: _Use | None = None
    for element, name, attribute, value in _named(tree):
        if not applies(element):
            continue
        problem = _problem(tree, element, value)
        if not problem or report.names(tree.where(element), name):
            continue
        if used is None:
            used = _Use(tree, applies)
        if sounds_secret(name) or value.secret:
            problem = "the file that it names cannot be read; see whether it is there, and who may read it"
        needed = used.by_a_listener(element, name if attribute else "")
        tag = element_name(element)
        owner = f"<{tag}>" if tag == name else f"<{tag}>: {name}"
        report.add(f"{tree.where(element)}: {owner}: {problem}", "error" if needed else "warning")


def _named(tree: Tree) -> Iterator[tuple[etree._Element, str, bool, Substituted]]:
    """Each value that may name a file: its element, what it is called, whether it is an attribute, and itself."""
    attributes = " or ".join(f"@{name}" for name in PATHS)
    tables = " or ".join(f"parent::{tag}" for tag in TABLES)
    found = tree.root.xpath(f"descendant-or-self::*[{attributes} or {tables}]")
    assert isinstance(found, list)
    for element in found:
        assert isinstance(element, etree._Element)
        for name in PATHS:
            if (raw := element.get(name)) is not None:
                yield element, name, True, substituted(tree, element, raw, name)
        parent = element.getparent()
        if parent is None or parent.tag not in TABLES or len(element):
            continue
        key = element.get("name", "") if element.tag == "value" else element_name(element)
        if key in PATHS or (key in _INLINE and parent.tag == _SSLCONFIG):
            yield element, key, False, substituted(tree, element, own_text(element))


def _problem(tree: Tree, element: etree._Element, text: Substituted) -> str:
    """Why the file that a value names cannot be read, or `""`."""
    value = text.value.strip()
    if text.problem or not value or "\n" in value or value.startswith("-----BEGIN"):
        return ""
    try:
        path = join_path(value, os.path.dirname(tree.file(element)))  # noqa: PTH120  # a name in brackets has no folder
        if os.path.isabs(path):  # noqa: PTH117  # as above
            check_path(path, must_exist="file", readable=True)
    except ValueError as error:
        return str(error)
    return ""


class _Use:
    """What the listeners with `ssl` on use of a document."""

    def __init__(self, tree: Tree, applies: Callable[[etree._Element], bool]) -> None:
        self._tree = tree
        self._listeners = [each for each in tree.root.iter(_LISTENER) if applies(each) and _is_on(tree, each)]
        self._keys = {key for each in self._listeners for tag in TABLES for key in _winning(tree, each, tag)}

    def by_a_listener(self, element: etree._Element, attribute: str) -> bool:
        """Whether one of them uses an attribute of an element, or if that is `""`, the element as a key."""
        if not attribute:
            return element in self._keys
        return any(_holder(self._tree, each, attribute) is element for each in self._listeners)


def _is_on(tree: Tree, listener: etree._Element) -> bool:
    holder = _holder(tree, listener, "ssl")
    if holder is None:
        return False
    try:
        return parse_boolean(substituted(tree, holder, holder.get("ssl", ""), "ssl").value)
    except ValueError:
        return False  # whoever reads it says what is wrong with it


def _holder(tree: Tree, element: etree._Element, name: str) -> etree._Element | None:
    """The element whose attribute is in force at an element; None where it is that of a dropped root, or nobody's."""
    node: etree._Element | None = element
    while node is not None and name not in node.attrib:
        source = tree.home.get(node)
        if source is not None and name in source.attributes:
            return None
        node = node.getparent()
    return node


def _winning(tree: Tree, listener: etree._Element, tag: str) -> list[etree._Element]:
    """The elements whose values a listener gets from the tables with a tag."""
    elements: list[etree._Element] = []

    def table(element: etree._Element) -> Table:
        entries = []
        for child in element.iterchildren(etree.Element):
            if child.tag != tag:
                key = child.get("name", "") if child.tag == "value" else element_name(child)
                entries.append(Entry(key, str(len(elements)), ""))
                elements.append(child)
        inherit = substituted(tree, element, element.get("inherit", ""), "inherit").value
        return Table(element, tree.where(element), inherit, entries)

    around = [*reversed(list(listener.iterancestors())), listener]
    try:
        merged = merge(
            [table(each) for holder in around for each in holder.iterchildren(tag)],
            lambda name: [table(each) for each in tree.select(tree.root, "//*[@id=$id]", {"id": name})],
            lambda where, message: None,
        )
    except ConfigurationError:
        return []  # the references are reported as such
    return [elements[int(entry.value)] for entry in merged.values()]
