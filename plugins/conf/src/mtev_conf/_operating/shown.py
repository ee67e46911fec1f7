"""What people are shown of a configuration: elements, the text of a file, and changes. Secrets are hidden in all of it.

What is secret is decided in `_masking`. Comments and processing instructions are left out: they are where old passwords
live.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from lxml import etree

from .._editing.changes import Change, masked
from .._editing.paths import written_name
from .._load import parse_document
from .._masking import hide_secrets, mask_subtree, sounds_secret
from .._section import Section
from .._writing.edits import Edits, Snapshot
from .._writing.render import render
from .._writing.scan import scan

__all__ = ["all_text", "masked_changes", "masked_element", "masked_text"]

_DECLARATION = re.compile(r"\s*<\?xml\s[^>]*\?>")


def masked_element(section: Section) -> etree._Element:
    """A copy of an element with all that is in it, as it is written.

    It stands alone: it has no parent and nothing follows it. Thread-safe; the time taken grows with the element.
    """
    element, tree = section._element, section._tree
    with tree.lock:
        above = [written_name(each) for each in element.iterancestors()]
        copied = copy.deepcopy(element)
    copied.tail = None
    mask_subtree(copied, above=above)
    return copied


def all_text(element: etree._Element) -> str:
    """The text in an element, that of all elements inside it included."""
    return "".join(cast("Iterable[str]", element.itertext()))


def masked_changes(changes: Iterable[Change]) -> list[Change]:
    """Changes as they may be shown; they can no longer be carried out."""
    return [masked(each, sounds_secret, hide=hide_secrets) for each in changes]


def masked_text(text: str, path: str) -> str:
    """The text of a file that holds one document, laid out as it is.

    Args:
        text: the text; well-formed.
        path: what the file is called in messages.

    Raises:
        ConfigurationError: it is malformed after all.
    """
    root, _ = parse_document(text.encode("utf-8", "surrogatepass"), path, "utf-8")
    spans = scan(text)
    edits = _hide(root)
    shown = render(text, spans, _WholeDocument(root, spans.root), edits).text
    # Around the root there is nothing to keep but the declaration.
    before, after = spans.start[spans.root], len(text) - spans.end[spans.root]
    declaration = _DECLARATION.match(text)
    head = f"{declaration[0].strip()}\n" if declaration is not None else ""
    return f"{head}{shown[before : len(shown) - after]}\n"


@dataclass(frozen=True, slots=True)
class _WholeDocument:
    """A document that is in one file, for the renderer."""

    top: etree._Element
    anchor: int

    def opaque(self, element: etree._Element) -> bool:
        return False

    def nodes(self, element: etree._Element) -> Sequence[etree._Element]:
        return cast("Sequence[etree._Element]", element)


def _hide(root: etree._Element) -> Edits:
    """Hide what is not to be seen of a document, in place, and say where that may have changed it."""
    edits = Edits()
    for element in root.iter(etree.Element):
        edits.tags.add(element)
        edits.children[element] = Snapshot(element.text, tuple((node, node.tail) for node in element))
    for node in list(root.iter(etree.Comment, etree.ProcessingInstruction)):
        _take_out(node)
    mask_subtree(root)
    return edits


def _take_out(node: etree._Element) -> None:
    """Take a comment or processing instruction out; with its line, where it has that for itself."""
    parent = node.getparent()
    if parent is None:
        return
    previous = node.getprevious()
    before = (parent.text if previous is None else previous.tail) or ""
    after = node.tail or ""
    if after.lstrip(" \t").startswith("\n"):
        before, after = before.rstrip(" \t"), after.lstrip(" \t")
        before = before.removesuffix("\n")
    if previous is None:
        parent.text = before + after
    else:
        previous.tail = before + after
    node.tail = None
    parent.remove(node)
