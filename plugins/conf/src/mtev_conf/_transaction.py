"""A set of changes that come into force together or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from ._editing.edit import Editor
from ._editing.machinery import check_added, check_attribute, check_moved, check_taken
from ._history import Generation
from ._load import parse_document
from ._names import is_element
from ._parser import declarations
from ._section import Section

if TYPE_CHECKING:
    from ._configuration import Configuration

__all__ = ["Transaction"]


class Transaction:
    """Changes that are collected, and carried out when the `with` block ends without an exception.

        with configuration.transaction("acme: tuning") as change:
            change.set(listener, "port", "8080")
            extra = change.add(listeners, "listener", {"type": "http_rest_api"})
            change.set(extra, "port", "8081")

    Until then nothing of it is in force, and sections show what is. A transaction belongs to one thread.

    Attributes:
        generation: what it made; None before its end, and when it changed nothing.

    Args:
        configuration: what is to be changed.
        who: who asks, for the history and for those who may refuse.
        why: a word of theirs.
    """

    def __init__(self, configuration: Configuration, who: str = "", why: str = "") -> None:
        self._configuration = configuration
        self._who = who
        self._why = why
        self._tree = configuration._tree
        self._steps: list[Callable[[Editor], None]] = []
        self.generation: Generation | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.generation = self._configuration._carry_out(self._tree, self._perform, "change", self._who, self._why)

    def set(self, section: Section, name: str, value: str) -> None:
        """Set an attribute, as it is to be written: `ENV:8080:{PORT}` is kept as such.

        Args:
            section: the element, of the document in force or added by this transaction.
            name: the attribute, with its prefix if it has one.
            value: its new value.

        Raises:
            ConfigurationError: the section is of another document. What else is wrong shows at the end of the block.
        """
        element = self._own(section)
        self._steps.append(lambda editor: self._attribute(editor, element, name, value))

    def unset(self, section: Section, name: str) -> None:
        """Take an attribute out; harmless when it is not there. As `set`."""
        element = self._own(section)
        self._steps.append(lambda editor: self._attribute(editor, element, name, None))

    def text(self, section: Section, value: str) -> None:
        """Replace the text of an element that holds no elements. As `set`."""
        element = self._own(section)

        def act(editor: Editor) -> None:
            editor.text(element, value)

        self._steps.append(act)

    def add(
        self,
        parent: Section,
        name: str,
        attributes: Mapping[str, str] | None = None,
        text: str = "",
        *,
        index: int = -1,
    ) -> Section:
        """Add an element.

        Args:
            parent: where.
            name: its name, with a prefix that is declared there if it has one.
            attributes: its attributes.
            text: its text.
            index: its position among the elements of the parent, 0 for the first; -1 for behind the last. In a
                backing store everything new comes last.

        Returns:
            The new element, for further changes of this transaction.

        Raises:
            ConfigurationError: as `set`; or the name or a value is not allowed in XML.
        """
        element = self._made(self._own(parent), name, attributes or {}, text)
        return self._added(parent, element, index)

    def add_xml(self, parent: Section, xml: str, *, index: int = -1) -> Section:
        """Add an element that is given as XML, with all that is in it. As `add`.

        Raises:
            ConfigurationError: as `add`; or it is not one well-formed element.
        """
        return self._added(parent, _parsed(xml, self._own(parent).nsmap), index)

    def remove(self, section: Section) -> None:
        """Take an element out, with all that is in it. As `set`."""
        element = self._own(section)

        def act(editor: Editor) -> None:
            check_taken(self._tree, element)
            editor.remove(element)

        self._steps.append(act)

    def move(self, section: Section, parent: Section, *, index: int = -1) -> None:
        """Move an element to another place, or to another position where it is.

        Args:
            section: what.
            parent: where to.
            index: its position among the elements there once it stands there; -1 for the last.

        Raises:
            ConfigurationError: as `set`.
        """
        element, target = self._own(section), self._own(parent)

        def act(editor: Editor) -> None:
            check_moved(self._tree, element, target, index)
            editor.move(element, target, index)

        self._steps.append(act)

    def _perform(self, editor: Editor) -> None:
        for step in self._steps:
            step(editor)

    def _own(self, section: Section) -> etree._Element:
        if section._tree is not self._tree:
            raise section.error(
                "this section is of a document that is no longer in force; look it up again in the transaction"
            )
        return section._element

    def _attribute(self, editor: Editor, element: etree._Element, name: str, value: str | None) -> None:
        check_attribute(self._tree, element, name)
        editor.set(element, name, value)

    def _added(self, parent: Section, element: etree._Element, index: int) -> Section:
        target = self._own(parent)

        def act(editor: Editor) -> None:
            check_added(self._tree, target, element, index)
            editor.add(target, index, element)

        self._steps.append(act)
        return Section(self._tree, element)

    def _made(self, parent: etree._Element, name: str, attributes: Mapping[str, str], text: str) -> etree._Element:
        prefix, colon, local = name.rpartition(":")
        try:
            uri = parent.nsmap[prefix] if colon else None
            element = etree.Element(f"{{{uri}}}{local}" if uri else local, nsmap={prefix: uri} if uri else None)
            if text:
                element.text = text
            for key, value in attributes.items():
                before, found, rest = key.rpartition(":")
                element.set(f"{{{parent.nsmap[before]}}}{rest}" if found else key, value)
        except KeyError as error:
            raise Section(self._tree, parent).error(f"the prefix {error} is not declared here") from None
        except ValueError as error:
            raise Section(self._tree, parent).error(f"<{name}> cannot be added: {error}") from None
        return element


def _parsed(xml: str, namespaces: Mapping[str | None, str]) -> etree._Element:
    try:
        data = f"<new{declarations(namespaces)}>{xml.strip()}</new>".encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"the new element holds what is not text: {error}") from None
    wrapped, _ = parse_document(data, "<new element>")
    nodes = list(wrapped)
    if len(nodes) != 1 or not is_element(nodes[0]) or wrapped.text or nodes[0].tail:
        raise ConfigurationError("expected exactly one element, such as <listener type='http_rest_api'/>")
    element = nodes[0]
    wrapped.remove(element)
    return element
