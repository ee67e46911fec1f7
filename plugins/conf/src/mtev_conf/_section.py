"""A section: one element of the configuration, as a plugin reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TypeVar

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from ._inheritance import Entry, Table, merge
from ._tree import Tree, element_name, own_attributes
from ._values import parse_boolean, parse_integer, parse_number

__all__ = ["Section"]


class _Required(Enum):
    REQUIRED = "required"


REQUIRED = _Required.REQUIRED
T = TypeVar("T")
D = TypeVar("D")


class Section:
    """One element of a configuration document.

    A section belongs to the document that it was obtained from and goes on showing that one after a reload. It never
    changes, and may be read from any thread. Two sections are equal when they are the same element.

    Values come with `{{ENV:fallback:{VARIABLE}}}` and `ENV:default:{VARIABLE}` substituted. Attributes are inherited:
    where an element does not have one, its nearest ancestor's counts.
    """

    __slots__ = ("_element", "_tree")

    def __init__(self, tree: Tree, element: etree._Element) -> None:
        self._tree = tree
        self._element = element

    @property
    def name(self) -> str:
        """The element's name, with its prefix if it has one."""
        return element_name(self._element)

    @property
    def where(self) -> str:
        """`file:line` of the element."""
        return self._tree.where(self._element)

    @property
    def path(self) -> str:
        """The element's own path: `/example1/listeners[1]/listener[2]`."""
        steps = []
        element = self._element
        while (parent := element.getparent()) is not None:
            position = 1 + sum(1 for _ in element.itersiblings(element.tag, preceding=True))
            steps.append(f"{element_name(element)}[{position}]")
            element = parent
        return "/" + "/".join([element_name(element), *reversed(steps)])

    @property
    def enabled(self) -> bool:
        """Whether the `require_env` of this element and of each of its ancestors holds, each judged by itself.

        Raises:
            ConfigurationError: one of them is malformed (which `Configuration.load` refuses already).
        """
        return self._tree.applies(self._element)

    @property
    def attributes(self) -> Mapping[str, str]:
        """The element's own attributes, in document order; nothing inherited."""
        return {name: self._tree.value(self._element, raw) for name, raw in own_attributes(self._element).items()}

    @property
    def text(self) -> str:
        """The text inside the element, verbatim, with the markup in it flattened."""
        return self._tree.value(self._element, self._tree.text(self._element))

    def optional(self, name: str) -> str | None:
        """An attribute in force here, or None. One that is present but empty is `""`."""
        found = self._tree.attribute(self._element, name)
        return None if found is None else found[0]

    def string(self, name: str, default: D | _Required = REQUIRED) -> str | D:
        """An attribute in force here.

        Args:
            name: the attribute.
            default: what to return when neither the element nor an ancestor has it; without one, it is required.

        Raises:
            ConfigurationError: it is required and missing.
        """
        return self._typed(name, default, str)

    def integer(
        self, name: str, default: D | _Required = REQUIRED, *, minimum: int | None = None, maximum: int | None = None
    ) -> int | D:
        """An attribute in force here, as an integer; see `parse_integer`.

        Args:
            name: the attribute.
            default: as in `string`; not checked against the range.
            minimum: the least value allowed.
            maximum: the greatest value allowed.

        Raises:
            ConfigurationError: it is required and missing, no integer, or out of range.
        """
        return self._typed(name, default, lambda text: parse_integer(text, minimum, maximum))

    def number(
        self,
        name: str,
        default: D | _Required = REQUIRED,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
    ) -> float | D:
        """An attribute in force here, as a number; see `parse_number` and `integer`."""
        return self._typed(name, default, lambda text: parse_number(text, minimum, maximum))

    def boolean(self, name: str, default: D | _Required = REQUIRED) -> bool | D:
        """An attribute in force here, as a boolean; see `parse_boolean` and `string`."""
        return self._typed(name, default, parse_boolean)

    def choice(self, name: str, choices: Sequence[str], default: D | _Required = REQUIRED) -> str | D:
        """An attribute in force here that must be one of some words, as they are written.

        Raises:
            ConfigurationError: it is required and missing, or another word.
        """

        def parse(text: str) -> str:
            if text not in choices:
                raise ValueError(f"'{text}' is none of {', '.join(choices)}")
            return text

        return self._typed(name, default, parse)

    def hash(self, tag: str = "config") -> dict[str, str]:
        """The keys and values of all `<config>` elements in force here.

        Outermost ancestor first, this element last, later values win. Of one element all children with the tag count,
        in their order. An element with `inherit="x"` first takes what the element with `id="x"` has (and inherits),
        then its own keys. When this section is itself a `<config>`, what encloses it comes first and its siblings
        do not count; so one that stands inside another begins with the outer one's keys, and adds nothing to the outer.

        Args:
            tag: name of the elements that hold the keys.

        Returns:
            For each child element its text under its name, or under the `name` of `<value name="…">`. Elements with a
            namespace prefix are not part of it.

        Raises:
            ConfigurationError: an `inherit` finds nobody or goes in a circle, or a `<value>` has an empty name.
        """
        line = [*reversed(list(self._element.iterancestors())), self._element]
        tables = []
        for element, following in zip(line, [*line[1:], None], strict=True):
            if element.tag == tag:
                tables.append(self._table(element, tag))
            elif following is None or following.tag != tag:
                tables += [self._table(each, tag) for each in element.iterchildren(tag)]
        merged = merge(tables, lambda name: self._carriers(name, tag), self._tree.notice)
        return {key: entry.value for key, entry in merged.items()}

    def sections(self, xpath: str, **variables: str) -> list[Section]:
        """The elements that an XPath expression selects, in document order.

        Args:
            xpath: relative to this element, or absolute from the document. A shape that only code decides, never a
                place for values from elsewhere: pass those as variables.
            variables: values of `$names` in the expression.

        Raises:
            ConfigurationError: the expression is malformed, or does not select nodes.
        """
        return [Section(self._tree, each) for each in self._tree.select(self._element, xpath, variables)]

    def section(self, xpath: str, **variables: str) -> Section | None:
        """The last of the elements that an XPath expression selects (as in libmtev), or None; see `sections`."""
        found = self.sections(xpath, **variables)
        return found[-1] if found else None

    def error(self, message: str) -> ConfigurationError:
        """An error about this element, to be raised by the caller: `app.conf:12: <listener>: message`."""
        return ConfigurationError(f"<{self.name}>: {message}", self.where)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Section) and other._element is self._element

    def __hash__(self) -> int:
        return hash(self._element)

    def __repr__(self) -> str:
        return f"<Section {self.path} at {self.where}>"

    def _typed(self, name: str, default: D | _Required, parse: Callable[[str], T]) -> T | D:
        found = self._tree.attribute(self._element, name)
        if found is None:
            if isinstance(default, _Required):
                raise self.error(f"the attribute '{name}' is required; write it here or on an enclosing element")
            return default
        text, holder = found
        try:
            return parse(text)
        except ValueError as error:
            raise Section(self._tree, holder).error(f"{name}: {error}") from None

    def _carriers(self, name: str, tag: str) -> list[Table]:
        return [self._table(each, tag) for each in self._tree.select(self._element, "//*[@id=$id]", {"id": name})]

    def _table(self, element: etree._Element, tag: str) -> Table:
        entries = []
        for child in element.iterchildren(etree.Element):
            where = self._tree.where(child)
            if etree.QName(child).namespace is not None:
                continue
            if child.tag == tag:
                outer = element_name(element)
                message = f"<{tag}> directly inside <{outer}> is a table of its own; it adds nothing to the outer one"
                self._tree.notice(where, message)
                continue
            key = element_name(child)
            if key == "value" and "name" in child.attrib:
                key = self._tree.value(child, child.get("name", ""))
                if not key:
                    raise ConfigurationError("<value>: its name is empty; write the key that the value is for", where)
            entries.append(Entry(key, self._tree.value(child, self._tree.text(child)), where))
        inherit = self._tree.value(element, element.get("inherit", ""))
        return Table(element, self._tree.where(element), inherit, entries)
