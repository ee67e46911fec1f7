"""A section: one element of the configuration, as a plugin reads it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Literal, TypeVar

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from ._masking import secret_source, sounds_secret
from ._names import element_name, own_attributes
from ._tree import Held, Tree
from ._values.duration import parse_duration_s
from ._values.expansion import Used
from ._values.inheritance import Entry, Table, merge
from ._values.secret import Secret
from ._values.values import parse_boolean, parse_enumeration, parse_integer, parse_number, parse_path, parse_size

__all__ = ["Section"]


class _Required(Enum):
    REQUIRED = "required"


REQUIRED = _Required.REQUIRED
T = TypeVar("T")
D = TypeVar("D")


class Section:
    """One element of a configuration document.

    A section follows every transaction: it shows what is in force now. It belongs to the document that it was obtained
    from, and goes on showing that one after a reload. May be read from any thread. Two sections are equal when they are
    the same element.

    Values come with `{{ENV:fallback:{VARIABLE}}}` and `ENV:default:{VARIABLE}` substituted. Attributes are inherited:
    where an element does not have one, that of the nearest element round it counts. The root of an included file is one
    of those, although it is not in the document.
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
        return self._tree.element_path(self._element)

    @property
    def parent(self) -> Section | None:
        """The element round this one, or None for the root."""
        above = self._element.getparent()
        return None if above is None else Section(self._tree, above)

    @property
    def file(self) -> str:
        """The file that the element stands in: the main one, an included one, or one of a backing store."""
        return self._tree.file(self._element)

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
        with self._tree.lock:
            own = own_attributes(self._element)
            return {name: self._tree.value(self._element, raw, name) for name, raw in own.items()}

    @property
    def text(self) -> str:
        """The text inside the element, verbatim, with the markup in it flattened."""
        with self._tree.lock:
            return self._tree.value(self._element, self._tree.text(self._element))

    def optional(self, name: str) -> str | None:
        """An attribute in force here, or None. One that is present but empty is `""`."""
        found = self._tree.attribute(self._element, name)
        return None if found is None else found.value

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

    def duration(
        self,
        name: str,
        default: D | _Required = REQUIRED,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
    ) -> float | D:
        """An attribute in force here that is a duration such as `500ms` or `1min 30s`, in seconds.

        Args:
            name: the attribute.
            default: as in `string`; not checked against the range.
            minimum: the least value allowed, in seconds.
            maximum: the greatest value allowed, in seconds.

        Raises:
            ConfigurationError: it is required and missing, no duration (a number without a unit is none), or out of
                range.
        """
        return self._typed(name, default, lambda text: _within(parse_duration_s(text), text, minimum, maximum))

    def size(self, name: str, default: D | _Required = REQUIRED) -> int | D:
        """An attribute in force here that is a size such as `64k` or `10MiB`, in bytes; see `parse_size`."""
        return self._typed(name, default, parse_size)

    def choice(self, name: str, choices: Sequence[str], default: D | _Required = REQUIRED) -> str | D:
        """An attribute in force here that must be one of some words, as they are written.

        Raises:
            ConfigurationError: it is required and missing, or another word; the message names the nearest one.
        """
        return self._typed(name, default, lambda text: parse_enumeration(text, choices))

    def filename(
        self,
        name: str,
        default: D | _Required = REQUIRED,
        *,
        must_exist: Literal["", "file", "directory"] = "",
        readable: bool = False,
    ) -> str | D:
        """An attribute in force here that is a path, absolute or relative to the folder of the file where it stands.

        Args:
            name: the attribute.
            default: as in `string`; returned as it is.
            must_exist: what has to be there already. Blocks on the file system when it says something.
            readable: whether this process must be able to read it; as `must_exist`.

        Returns:
            An absolute path.

        Raises:
            ConfigurationError: it is required and missing, no path, or not what it must be.
        """
        found = self._tree.attribute(self._element, name)
        base = os.path.dirname(self._tree.path)
        if found is not None:
            base = os.path.dirname(found.source.path if found.source else self._tree.file(found.holder))
        return self._typed(name, default, lambda text: parse_path(text, base, must_exist=must_exist, readable=readable))

    def secret(self, name: str, default: D | _Required = REQUIRED) -> Secret | D:
        """An attribute in force here that nobody is to see: it shows as `***` wherever it is printed."""
        return self._typed(name, default, Secret)

    def read(self, xpath: str, parse: Callable[[str], T], default: D | _Required = REQUIRED, **variables: str) -> T | D:
        """A value from anywhere: the last attribute, text or element that an XPath expression selects.

            section.read("config/timeout", parse_duration_s, 5.0)
            section.read("ancestor-or-self::*/@port", int)

        Args:
            xpath: relative to this element, or absolute. What yields a number, a text or a boolean counts as found.
            parse: makes a value of the text, everything substituted; raises `ValueError` for what it cannot be.
            default: what to return when nothing is selected; without one, it is required.
            variables: values of `$names` in the expression.

        Raises:
            ConfigurationError: the expression is malformed, nothing is selected, or `parse` refuses it.
        """
        found = self._tree.last(self._element, xpath, variables)
        if found is None:
            if isinstance(default, _Required):
                raise self.error(f"'{xpath}' is required, and there is nothing")
            return default
        text, holder = found
        try:
            return parse(text)
        except ValueError as error:
            raise Section(self._tree, holder).error(f"'{xpath}': {error}") from None

    def value(self, xpath: str, **variables: str) -> str | None:
        """A text from anywhere, or None; see `read`. This is how libmtev reads scalars."""
        return self.read(xpath, str, None, **variables)

    def hash(self, tag: str = "config", *, namespace: str = "") -> dict[str, str]:
        """The keys and values of all `<config>` elements in force here.

        Outermost first, this element last, later values win. Of one element all children with the tag count,
        in their order. An element with `inherit="x"` first takes what the element with `id="x"` has (and inherits),
        then its own keys. When this section is itself a `<config>`, what encloses it comes first and its siblings
        do not count; so one that stands inside another begins with the outer one's keys, and adds nothing to the outer.

        Args:
            tag: name of the elements that hold the keys.
            namespace: take the elements with this prefix instead of those without one, under their local names.

        Returns:
            For each child element its text under its name, or under the `name` of `<value name="…">`.

        Raises:
            ConfigurationError: an `inherit` finds nobody or goes in a circle, or a `<value>` has an empty name.
        """
        made = self._tree.derived(("hash", self._element, tag, namespace), lambda: self._merged(tag, namespace))
        return dict(made)

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
        try:
            return parse(found.value)
        except ValueError as error:
            raise self._at(found, f"{name}: {self._told(found, name, error)}") from None

    def _told(self, found: Held, name: str, error: ValueError) -> str:
        """What is wrong with a value; without the value, should that be a secret."""
        used: list[Used] = []
        self._tree.value(found.holder, found.raw, name, used=used)
        if sounds_secret(name) or any(secret_source(each.facility, each.key) for each in used):
            return "its value is not of the kind that is expected here"
        return str(error)

    def _at(self, found: Held, message: str) -> ConfigurationError:
        if found.source is not None:
            return ConfigurationError(f"the root of the included file: {message}", found.source.path)
        return Section(self._tree, found.holder).error(message)

    def _merged(self, tag: str, namespace: str) -> dict[str, str]:
        line = [*reversed(list(self._element.iterancestors())), self._element]
        tables = []
        for element, following in zip(line, [*line[1:], None], strict=True):
            if element.tag == tag:
                tables.append(self._table(element, tag, namespace))
            elif following is None:
                tables += self._tables(element, tag, namespace)
            elif following.tag != tag:
                # Others inherit from it as well, and it may have very many children to look through.
                key = ("tables", element, tag, namespace)
                tables += self._tree.derived(key, partial(self._tables, element, tag, namespace))
        merged = merge(tables, lambda name: self._carriers(name, tag, namespace), self._tree.notice)
        return {key: entry.value for key, entry in merged.items()}

    def _carriers(self, name: str, tag: str, namespace: str) -> list[Table]:
        carriers = self._tree.select(self._element, "//*[@id=$id]", {"id": name})
        # Of alternatives under one id, those count whose condition holds; where none does there is nothing to inherit.
        return [
            self._table(each, tag, namespace) if self._tree.applies(each) else Table(each, self._tree.where(each))
            for each in carriers
        ]

    def _tables(self, element: etree._Element, tag: str, namespace: str) -> list[Table]:
        return [self._table(each, tag, namespace) for each in element.iterchildren(tag)]

    def _table(self, element: etree._Element, tag: str, namespace: str) -> Table:
        entries = []
        for child in element.iterchildren(etree.Element):
            where = self._tree.where(child)
            name = etree.QName(child)
            if (child.prefix or "") != namespace or (name.namespace is not None) != bool(namespace):
                continue
            if child.tag == tag:
                outer = element_name(element)
                message = f"<{tag}> directly inside <{outer}> is a table of its own; it adds nothing to the outer one"
                self._tree.notice(where, message)
                continue
            key = name.localname
            if key == "value" and "name" in child.attrib:
                key = self._tree.value(child, child.get("name", ""), "name")
                if not key:
                    raise ConfigurationError("<value>: its name is empty; write the key that the value is for", where)
            entries.append(Entry(key, self._tree.value(child, self._tree.text(child)), where))
        inherit = self._tree.value(element, element.get("inherit", ""), "inherit")
        return Table(element, self._tree.where(element), inherit, entries)


def _within(value: float, text: str, minimum: float | None, maximum: float | None) -> float:
    if minimum is not None and value < minimum:
        raise ValueError(f"'{text}' is too short; at least {minimum:g} s are expected")
    if maximum is not None and value > maximum:
        raise ValueError(f"'{text}' is too long; at most {maximum:g} s are expected")
    return value
