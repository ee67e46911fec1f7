"""A document as the kernel sees it: its stanzas, the modules that it asks for, and its text with secrets masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from lxml import etree

from mtev_kernel.document import ModuleRequest, OnError, Stanza
from mtev_kernel.errors import ConfigurationError

from ._names import element_name, own_attributes
from ._section import Section
from ._tree import Tree

__all__ = ["TreeDocument", "top_level"]

_POLICIES = ("fail", "ignore", "retry")
_CONSUMED = ("image", "name", "loader", "on-error", "require_env", "directory", "backingstore")
_OF_INCLUDE = ("file", "snippet", "readonly")


class TreeDocument:
    """One parsed document, in the kernel's terms. Never changes, and may be read from any thread."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._root = Section(tree, tree.root)

    @property
    def path(self) -> str:
        """Absolute path of the file, or a name in angle brackets."""
        return self._tree.path

    def stanzas(self) -> Sequence[Stanza]:
        """The top-level elements, in document order; those that `require_env` switches off are left out.

        Instead of an `<include>` among them there is what it brings in.
        """
        tree = self._tree
        with tree.lock:
            return [
                Stanza(element_name(each), tree.where(each))
                for each in top_level(tree)
                if each.tag != "include" and tree.applies(each)
            ]

    def find(self, claim: str) -> str | None:
        """Where the first element selected by a claim stands that `require_env` does not switch off, or None.

        Args:
            claim: name of a top-level element, or XPath below the root. What includes bring in directly below the root
                counts as if it stood there.

        Raises:
            ConfigurationError: the claim is not well formed.
        """
        selected = self._tree.select_below_root(claim, {})
        return next((self._tree.where(each) for each in selected if self._tree.applies(each)), None)

    def modules(self) -> Sequence[ModuleRequest]:
        """What every `<generic>` and `<loader>` under a `<modules>` asks for, in document order.

        Those that `require_env` switches off are left out, unread.

        Raises:
            ConfigurationError: some are malformed; the message has a line for each.
        """
        tree = self._tree
        requests: list[ModuleRequest] = []
        problems: list[ConfigurationError] = []
        with tree.lock:
            elements = [
                each
                for each in tree.root.iter("modules", "module", "generic", "loader")
                if each.tag == "modules" or next(each.iterancestors("modules"), None) is not None
            ]
        for element in elements:
            where = tree.where(element)
            if element.tag == "module":
                tree.notice(where, "<module> asks for nothing; write <generic image=… name=…> to load a plugin")
            elif element.tag != "modules" and tree.applies(element):
                request = _request(Section(tree, element), problems)
                if request is not None:
                    requests.append(request)
            elif element.tag == "modules" and "directory" in element.attrib:
                advice = "plugins are installed distributions, found without a search path"
                tree.notice(where, f"<modules directory=…> is not used: {advice}")
        if problems:
            raise ConfigurationError.combined(problems)
        return requests

    def dump(self) -> str:
        """The document with everything substituted, secrets masked, comments left out, and the origin of each value.

        See `_dump`.
        """
        from ._dump import dump

        return dump(self._tree)


def top_level(tree: Tree) -> list[etree._Element]:
    """The elements directly below the root, in document order; what an include brings in stands in its place.

    An `<include>` that names no file brings nothing in, and is among them. The caller holds the tree's lock.
    """
    found: list[etree._Element] = []
    # The last one first, so that what an include brings in comes next.
    waiting = list(tree.root.iterchildren(etree.Element, reversed=True))
    while waiting:
        element = waiting.pop()
        if element in tree.containers:
            waiting += element.iterchildren(etree.Element, reversed=True)
        elif not _is_include(element):
            found.append(element)
    return found


def _request(section: Section, problems: list[ConfigurationError]) -> ModuleRequest | None:
    found = len(problems)
    kind = cast("Literal['generic', 'loader']", section.name)
    example = f"write <{kind} image=… name=…>"

    def read(name: str) -> str | None:
        try:
            return section.optional(name)
        except ConfigurationError as error:
            problems.append(error)
            return None

    image, name = read("image") or "", read("name") or ""
    if not image:
        problems.append(section.error(f"image is missing: which plugin to load; {example}"))
    if not name:
        problems.append(section.error(f"name is missing: what the instance is called; {example}"))
    elif name.endswith(":"):
        problems.append(section.error(f"name='{name}' has no symbol after its colon; write name=\"prefix:symbol\""))
    loader = read("loader") or ""
    if kind == "loader":
        if "loader" in own_attributes(section._element):
            problems.append(section.error("a <loader> is loaded by the kernel itself; take its attribute 'loader' out"))
        loader = ""
    on_error: OnError | None = None
    config: dict[str, str] = {}
    attributes: dict[str, str] = {}
    includes = section.sections("include")
    try:
        on_error = cast("OnError | None", section.choice("on-error", _POLICIES, None))
    except ConfigurationError as error:
        problems.append(error)
    try:
        config = (includes[0] if len(includes) == 1 else section).hash()
    except ConfigurationError as error:
        problems.append(error)
    try:
        attributes = _in_force(section._tree, section._element)
    except ConfigurationError as error:
        problems.append(error)
    if len(problems) > found:
        return None
    return ModuleRequest(kind, image, name, section.where, loader, on_error, config, attributes)


def _in_force(tree: Tree, element: etree._Element) -> dict[str, str]:
    """All attributes in force at an element, those of the outermost first, but for those that are read elsewhere."""
    holders: list[tuple[etree._Element, Mapping[str, str]]] = []
    node: etree._Element | None = element
    while node is not None:
        holders.append((node, own_attributes(node)))
        parent = node.getparent()
        if parent in tree.containers and (source := tree.home.get(node)) is not None:
            holders.append((node, source.attributes))
        node = parent
    return {
        name: tree.value(holder, raw, name)
        for holder, attributes in reversed(holders)
        for name, raw in attributes.items()
        if name not in _CONSUMED and not (_is_include(holder) and name in _OF_INCLUDE)
    }


def _is_include(element: etree._Element) -> bool:
    return element.tag == "include" and "file" in element.attrib
