"""What of a document cannot be changed while it is in use: the elements that say where parts of it are kept.

1. An `<include>` with its attributes, an attribute `backingstore`, and whatever holds one of them, change with the
   files only.
2. The elements of a backing store stand in the order of their creation, which their files tell; so nothing is put
   between them.
"""

from __future__ import annotations

from typing import cast

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from .._tree import Tree
from .changes import Change, parse_xml
from .paths import follow, parse_path, written_name

__all__ = ["check_added", "check_attribute", "check_machinery", "check_moved", "check_taken"]

_INCLUDE_ATTRIBUTES = ("file", "snippet", "readonly")
_MACHINERY = etree.XPath("descendant-or-self::*[@backingstore or self::include]")


def check_machinery(tree: Tree, change: Change) -> None:
    """Refuse a change of a script that would touch such an element. The caller holds the tree's lock.

    Args:
        tree: as the changes before this one have left it.
        change: what comes next.

    Raises:
        ConfigurationError: it touches one.
        LookupError: its path leads nowhere.
        ValueError: it has no path.
    """
    steps, attribute = parse_path(change.path)
    if change.kind == "add":
        check_added(tree, follow(tree.root, steps[:-1]), parse_xml(change.new or ""), change.index)
        return
    element = follow(tree.root, steps)
    if attribute is not None:
        check_attribute(tree, element, attribute)
    elif change.kind == "remove":
        check_taken(tree, element)
    elif change.kind == "move":
        parent = follow(tree.root, parse_path(change.new or "")[0][:-1], without=element)
        check_moved(tree, element, parent, change.index)


def check_attribute(tree: Tree, element: etree._Element, name: str) -> None:
    """Refuse to change an attribute that says where a part of the document is kept.

    Raises:
        ConfigurationError: it is one.
    """
    if name == "backingstore" or (element.tag == "include" and name in _INCLUDE_ATTRIBUTES):
        raise _refusal(tree, element, f"'{name}' says where a part of the document is kept")


def check_added(tree: Tree, parent: etree._Element, element: etree._Element, index: int) -> None:
    """Refuse to add an element that brings in files, or one that would stand between those of a backing store.

    Args:
        tree: the document.
        parent: where the element is to stand.
        element: the new element.
        index: its position among the elements there; -1 for the last.

    Raises:
        ConfigurationError: it does.
    """
    found = cast("list[etree._Element]", _MACHINERY(element))
    if found:
        raise _refusal(tree, parent, f"<{written_name(found[0])}> says where a part of the document is kept")
    _check_place(tree, parent, index)


def check_taken(tree: Tree, element: etree._Element) -> None:
    """Refuse to take an element out that holds what is kept in other files.

    Raises:
        ConfigurationError: it does.
    """
    for holder in (*tree.containers, *tree.stores):
        if holder is element or any(each is element for each in holder.iterancestors()):
            raise _refusal(tree, element, f"it holds what is kept in the files of {tree.where(holder)}")


def check_moved(tree: Tree, element: etree._Element, parent: etree._Element, index: int) -> None:
    """Refuse to move an element as `check_taken` and `check_added` would.

    Raises:
        ConfigurationError: they would.
    """
    check_taken(tree, element)
    _check_place(tree, parent, index, without=element)


def _check_place(tree: Tree, parent: etree._Element, index: int, without: etree._Element | None = None) -> None:
    stored = tree.stored.get(parent)
    if index == -1 or not (parent in tree.stores or (stored is not None and not stored.leaf)):
        return
    if index != sum(1 for each in parent.iterchildren(etree.Element) if each is not without):
        raise ConfigurationError(
            f"<{written_name(parent)}>: its elements are kept in a backing store, in the order of their creation; add "
            "it at the end",
            tree.where(parent),
        )


def _refusal(tree: Tree, element: etree._Element, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"<{written_name(element)}>: {reason}, which cannot be changed while the service runs; edit the file and "
        "reload",
        tree.where(element),
    )
