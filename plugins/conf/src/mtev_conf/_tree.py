"""The effective document: one lxml tree that all files of a configuration feed, and where each element comes from.

1. The content of an included file stands below the `<include>` that asked for it, that of a backing store below the
   element that names it. `home` and `stored` say where an element's file is; whoever is in neither belongs to the file
   of what encloses it.
2. Values are substituted when they are read. What was read is kept until the document changes, so a second reading
   costs the same whatever the size of the document.
3. lxml lets other threads run while it evaluates XPath, and promises nothing for two that work on one document; so
   whatever walks or changes the tree holds the tree's lock.

How a tree is read from files is in `_load`, how it changes in `_transaction`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import TypeVar, cast

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from ._disk.shatter import ATTRS, Stored
from ._editing.paths import path_of, step_name
from ._names import element_name, is_element, own_attributes
from ._positions import Positions
from ._source import Source
from ._values.condition import Condition, parse_condition
from ._values.expansion import Used, expand, file_facility
from ._values.facilities import Facilities, LookUp

__all__ = ["MAX_XPATH_CHARS", "Held", "Store", "Tree"]

MAX_XPATH_CHARS = 2000
"""How long an XPath expression may be."""

_MAX_NOTICES = 1000
_MAX_CACHED = 100_000
_MAX_CACHED_NODES = 1000

T = TypeVar("T")


class _Unread(Enum):
    UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class Held:
    """An attribute in force somewhere.

    Args:
        value: with everything substituted.
        raw: as written.
        holder: the element that has it, or the `<include>` whose file's root has it.
        source: the included file whose root has it, or None.
    """

    value: str
    raw: str
    holder: etree._Element
    source: Source | None = None


@dataclass(slots=True, eq=False)
class Store:
    """A backing store: a directory that holds the children of an element, one file or directory each.

    Args:
        element: the element with the `backingstore` attribute.
        directory: absolute path.
        touched: elements stored as directories whose attributes may differ from their `.attrs`.
        removed: where elements lay that are no longer there.
    """

    element: etree._Element
    directory: str
    touched: set[etree._Element] = field(default_factory=set)
    removed: list[Stored] = field(default_factory=list)


class Tree:
    """An effective document. May be read from any thread.

    Attributes:
        root: the root element.
        main: the file that it stands in.
        sources: all files but those of backing stores; leaves of these come and go as they are edited.
        containers: each `<include>` that was read, with its files.
        home: the nodes at the top of included files and of edited leaves.
        stores: backing stores by their element.
        stored: every element that has a file or directory of its own in a store.
        fresh: roots of subtrees that are not in the base text of their file, or have no file in their store yet.
        positions: name and position of each child, for elements whose children are in a backing store.
        opened: the memory of its editors, see `_editing.edit.Editor`.
        next_number: what the next element of a backing store is numbered.
        environ: the environment that the document is read in.
        facilities: further places that values come from.
        lock: held while the tree is walked or changed.
        proposed: whether the tree shows what is not in force yet, to whoever holds the lock.

    Args:
        main: its source, with the root as top element.
        environ: see above; copied. The process's when None.
        facilities: see above.
        notice: called with each notice, file:line first; at most once for the same one.
    """

    def __init__(
        self,
        main: Source,
        environ: Mapping[str, str] | None = None,
        facilities: Facilities | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        self.root = main.top
        self.main = main
        self.sources: list[Source] = [main]
        self.containers: dict[etree._Element, list[Source]] = {}
        self.home: dict[etree._Element, Source] = {}
        self.stores: dict[etree._Element, Store] = {}
        self.stored: dict[etree._Element, Stored] = {}
        self.fresh: dict[etree._Element, Source | Store] = {}
        self.positions: dict[etree._Element, Positions] = {}
        self.opened: dict[etree._Element, tuple[str, str, str]] = {}
        self.next_number = 1
        self.environ: Mapping[str, str] = dict(os.environ if environ is None else environ)
        self.facilities = facilities or Facilities()
        self.lock = threading.RLock()
        self._listener = notice
        self._notices: dict[str, None] = {}
        self._tables: dict[str, Mapping[str, LookUp]] = {}
        self._known: Mapping[str, LookUp] = self.facilities.table
        self.proposed = False
        self._held: dict[tuple[etree._Element, str], Held | None] = {}
        self._derived: dict[tuple[object, ...], object] = {}
        self._compiled: dict[tuple[str, bool], etree.XPath] = {}

    @property
    def path(self) -> str:
        """What the document is called in messages: an absolute path, or a name in angle brackets."""
        return self.main.path

    # What is to be known of it

    @property
    def notices(self) -> Sequence[str]:
        """What was taken otherwise than it may have been meant, in the order in which it was met."""
        with self.lock:
            return tuple(self._notices)

    def notice(self, where: str, message: str) -> None:
        """Keep and pass on a notice, unless it is known already or there are too many."""
        text = f"{where}: {message}"
        with self.lock:
            if text in self._notices or len(self._notices) >= _MAX_NOTICES:
                return
            self._notices[text] = None
        if self._listener is not None:
            self._listener(text)

    def origin(self, element: etree._Element) -> Source | Stored:
        """The file that an element stands in; for an element of a backing store, its place there."""
        node: etree._Element | None = element
        while node is not None:
            found = self.home.get(node) or self.stored.get(node)
            if found is not None:
                return found
            node = node.getparent()
        return self.main

    def file(self, element: etree._Element) -> str:
        """Path of the file that an element stands in."""
        origin = self.origin(element)
        return origin.path if isinstance(origin, Source) or origin.leaf else os.path.join(origin.path, ATTRS)

    def where(self, element: etree._Element) -> str:
        """`file:line` of an element; the file alone for one that has not been in a file yet."""
        line = cast("int | None", element.sourceline)  # elements made at run time have none; the stubs know no line
        if line is None:
            return self.file(element)
        origin = self.origin(element)
        return f"{self.file(element)}:{origin.line(line) if isinstance(origin, Source) else line}"

    def nodes_of(self, source: Source, element: etree._Element) -> list[etree._Element]:
        """Those child nodes of an element that stand in one file, in order."""
        if element in self.containers:
            return [each for each in element if self.home.get(each) is source]
        if element in self.stores:
            store = self.stores[element]
            return [each for each in element if each not in self.stored and self.fresh.get(each) is not store]
        return list(element)

    # Values

    def changed(self) -> None:
        """The tree is not what it was: forget what was read. The caller holds the lock."""
        self._held.clear()  # for whoever has it in hand without the lock
        self._held = {}
        self._derived = {}

    def value(
        self,
        element: etree._Element,
        text: str,
        name: str = "",
        *,
        environ: Mapping[str, str] | None = None,
        used: list[Used] | None = None,
    ) -> str:
        """A text of an element with everything substituted.

        Args:
            element: where the text stands.
            text: as written.
            name: of the attribute it comes from, for the hook `value_fixup`; `""` for the element's own text.
            environ: look variables up here instead, ask nobody else, and report nothing.
            used: what was looked up is added here.

        Raises:
            ConfigurationError: the result would be too long, or what a facility found cannot be used.
        """
        fixup = self.facilities.fixup() if environ is None else None
        if "{" not in text:
            if fixup is None:
                return text
            value = text
        else:
            try:
                if environ is not None:
                    return expand(text, {"ENV": environ.get, "FILE": _nothing}, _silent, used=used)
                value = expand(
                    text,
                    self._table(element),
                    lambda message: self.notice(self.where(element), message),
                    used=used,
                    interpolate=self._interpolation(element),
                )
            except ValueError as error:
                raise ConfigurationError(f"<{element_name(element)}>: {error}", self.where(element)) from None
        if fixup is not None:
            fixed = fixup(self.element_path(element), name, value)
            return value if fixed is None else fixed
        return value

    def attribute(self, element: etree._Element, name: str) -> Held | None:
        """An attribute of an element, or of the nearest of what encloses it that has it: expanded.

        What encloses an element of an included file is the root of that file (dropped, but for its attributes), then
        the `<include>`, then what encloses that.
        """
        key = (element, name)
        held = self._held  # before the next line: what a proposal that is refused has put there is cleared by then
        if not self.proposed:
            known = held.get(key, _Unread.UNREAD)
            if (
                not isinstance(known, _Unread)
                and self.facilities.fixup() is None
                and self._known is self.facilities.table
            ):
                return known
        with self.lock:
            self._refresh()
            found = self._find_attribute(element, name)
            if len(self._held) >= _MAX_CACHED:
                self._held = {}
            self._held[key] = found
        return found

    def own(self, element: etree._Element, name: str) -> str | None:
        """An attribute that the element itself has, as written."""
        return own_attributes(element).get(name) if ":" in name else element.get(name)

    def text(self, element: etree._Element) -> str:
        """The whole text of an element, markup inside it flattened, comments left out; not expanded."""
        if len(element) == 0:
            return element.text or ""
        with self.lock:
            return cast("str", element.xpath("string()", smart_strings=False))

    def derived(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """Something worked out from the tree, kept until the tree changes.

        Args:
            key: says what it is; the same key means the same thing.
            make: works it out; called with the lock held.
        """
        with self.lock:
            self._refresh()
            if key in self._derived:
                return cast("T", self._derived[key])
            made = make()
            if len(self._derived) >= _MAX_CACHED:
                self._derived = {}
            self._derived[key] = made
            return made

    # Conditions

    def applies(self, element: etree._Element) -> bool:
        """Whether the `require_env` of an element and of all that encloses it holds, each judged by itself.

        Raises:
            ConfigurationError: one of them is malformed.
        """
        with self.lock:
            node: etree._Element | None = element
            while node is not None:
                if not self.condition_holds(node):
                    return False
                parent = node.getparent()
                if parent in self.containers and not self._dropped_root_holds(node):
                    return False
                node = parent
            return True

    def condition_holds(self, element: etree._Element) -> bool:
        """Whether the element's own `require_env` holds; true when it has none.

        Raises:
            ConfigurationError: it is malformed.
        """
        expression = element.get("require_env")
        return expression is None or self._holds(expression, element, self.where(element))

    # XPath

    def select(self, element: etree._Element, xpath: str, variables: Mapping[str, str]) -> list[etree._Element]:
        """The elements that an XPath expression selects, in document order.

        Args:
            element: what a relative expression starts from.
            xpath: XPath 1.0; prefixes are those declared on the root element.
            variables: values of `$names` in the expression.

        Raises:
            ConfigurationError: the expression is malformed, or does not select nodes.
        """
        key = ("select", element, xpath, *variables.items())
        with self.lock:
            kept = self._derived.get(key)
            if kept is not None:
                return list(cast("tuple[etree._Element, ...]", kept))
            found = self.evaluate(element, xpath, variables)
            if not isinstance(found, list):
                raise ConfigurationError(f"'{xpath}' selects no elements but yields a {type(found).__name__}")
            elements = [each for each in found if is_element(each)]
            if len(elements) <= _MAX_CACHED_NODES and len(self._derived) < _MAX_CACHED:
                self._derived[key] = tuple(elements)
            return elements

    def select_below_root(self, xpath: str, variables: Mapping[str, str]) -> list[etree._Element]:
        """As `select` from the root; a relative expression also looks behind includes that stand directly below it."""
        contexts = [] if xpath.lstrip().startswith("/") else self.derived(("contexts",), self._contexts)
        if not contexts:
            return self.select(self.root, xpath, variables)

        def merged() -> list[etree._Element]:
            found = dict.fromkeys(self.select(self.root, xpath, variables))
            for context in contexts:
                found.update(dict.fromkeys(self.select(context, xpath, variables)))
            return sorted(found, key=_position)

        return list(self.derived(("merged", xpath, *variables.items()), merged))

    def evaluate(
        self, element: etree._Element, xpath: str, variables: Mapping[str, str], *, smart: bool = False
    ) -> object:
        """What an XPath expression yields: a list of nodes and texts, a text, a number or a boolean.

        Args:
            element: what a relative expression starts from.
            xpath: as for `select`.
            variables: as for `select`.
            smart: texts know the element that they come from.

        Raises:
            ConfigurationError: the expression is malformed.
        """
        if len(xpath) > MAX_XPATH_CHARS:
            raise ConfigurationError(f"an XPath expression of {len(xpath)} characters; {MAX_XPATH_CHARS} are allowed")
        try:
            with self.lock:
                compiled = self._compiled.get((xpath, smart))
                if compiled is None:
                    namespaces = {prefix: uri for prefix, uri in self.root.nsmap.items() if prefix is not None}
                    compiled = etree.XPath(xpath, namespaces=namespaces, smart_strings=smart)
                    if len(self._compiled) < _MAX_CACHED_NODES:
                        self._compiled[xpath, smart] = compiled
                return cast("object", compiled(element, **variables))
        except (etree.XPathError, ValueError) as error:
            raise ConfigurationError(f"'{xpath}' is not a valid XPath expression: {error}") from None

    def last(
        self, element: etree._Element, xpath: str, variables: Mapping[str, str]
    ) -> tuple[str, etree._Element] | None:
        """The text of the last thing that an XPath expression selects, with the element that it belongs to.

        Numbers, texts and booleans are what they are as a text, and belong to the element. The text of an element is
        all that is in it.

        Raises:
            ConfigurationError: the expression is malformed.
        """
        found = self.derived(
            ("last", element, xpath, *variables.items()), lambda: self._last(element, xpath, variables)
        )
        if found is None:
            return None
        raw, holder, name = found
        return self.value(holder, raw, name), holder

    def _last(
        self, element: etree._Element, xpath: str, variables: Mapping[str, str]
    ) -> tuple[str, etree._Element, str] | None:
        found = self.evaluate(element, xpath, variables, smart=True)
        if not isinstance(found, list):
            shown = (
                str(found).lower()
                if isinstance(found, bool)
                else f"{found:.15g}"
                if isinstance(found, float)
                else str(found)
            )
            return shown, element, ""
        if not found:
            return None
        node = found[-1]
        if is_element(node):
            return self.text(node), node, ""
        if isinstance(node, etree._Element):
            return node.text or "", element, ""
        owner = node.getparent()
        holder = element if owner is None else owner
        return str(node), holder, node.attrname if node.is_attribute else ""

    def element_path(self, element: etree._Element) -> str:
        """An element's own path: `/example1/listeners[1]/listener[2]`."""
        with self.lock:
            return self.path_of(element)

    def path_of(self, element: etree._Element) -> str:
        """The same; the caller holds the lock.

        Below backing stores, which may be huge, the positions of siblings are remembered. So the time taken does not
        grow with their number, but for the first path after one has come or gone.
        """
        steps: list[str] = []
        while (parent := element.getparent()) is not None and self.stores:
            if parent not in self.stores and parent not in self.stored:
                if not (element in self.stored or any(each in self.stored for each in element.iterancestors())):
                    break
                name = step_name(element)
                position = 1 + sum(name in ("*", step_name(each)) for each in _before(element))
            else:
                if (positions := self.positions.get(parent)) is None:
                    positions = self.positions[parent] = Positions(parent)
                name, position = positions.table[element]
            steps.append(f"/{name}[{position}]")
            element = parent
        return path_of(element) + "".join(reversed(steps))

    def _contexts(self) -> list[etree._Element]:
        found: list[etree._Element] = []
        waiting = [self.root]
        while waiting:
            includes = list(waiting.pop().iterchildren("include"))
            found += includes
            waiting += includes
        return found

    def _find_attribute(self, element: etree._Element, name: str) -> Held | None:
        node: etree._Element | None = element
        while node is not None:
            raw = self.own(node, name)
            if raw is not None:
                return Held(self.value(node, raw, name), raw, node)
            parent = node.getparent()
            if parent is not None and parent in self.containers:
                source = self.home.get(node)
                if source is not None and name in source.attributes:
                    raw = source.attributes[name]
                    return Held(self.value(node, raw, name), raw, parent, source)
            node = parent
        return None

    def _dropped_root_holds(self, node: etree._Element) -> bool:
        source = self.home.get(node)
        expression = source.attributes.get("require_env") if source is not None else None
        return source is None or expression is None or self._holds(expression, node, source.path)

    def _holds(self, expression: str, element: etree._Element, where: str) -> bool:
        try:
            return _condition(self.value(element, expression, "require_env")).holds(self.environ)
        except ValueError as error:
            raise ConfigurationError(f"<{element_name(element)}>: require_env: {error}", where) from None

    def _table(self, element: etree._Element) -> Mapping[str, LookUp]:
        self._refresh()
        folder = os.path.dirname(self.file(element)) if os.path.isabs(self.path) else ""
        table = self._tables.get(folder)
        if table is None:
            table = {"ENV": self.environ.get, "FILE": file_facility(folder), **self.facilities.table}
            self._tables[folder] = table
        return table

    def _interpolation(self, element: etree._Element) -> Callable[[str, str, str], str | None] | None:
        call = self.facilities.interpolate()
        if call is None:
            return None
        return lambda facility, key, raw: call(facility, key, self.element_path(element))

    def _refresh(self) -> None:
        if self._known is not self.facilities.table:
            self._known = self.facilities.table
            self._tables = {}
            self.changed()


@lru_cache(maxsize=1000)
def _condition(expression: str) -> Condition:
    return parse_condition(expression)


def _position(element: etree._Element) -> list[int]:
    steps = []
    while (parent := element.getparent()) is not None:
        steps.append(parent.index(element))
        element = parent
    return steps[::-1]


def _before(element: etree._Element) -> Iterator[etree._Element]:
    return element.itersiblings(etree.Element, preceding=True)


def _silent(message: str) -> None:
    """Nobody wants to know."""


def _nothing(key: str) -> str | None:
    return None
