"""One parsed document: an lxml tree that never changes, where each element stands, and the values around it.

What the parser refuses, so that a document can neither reach outside itself nor exhaust the process: every DOCTYPE
(a configuration needs none, and it is what declares entities), entity references other than XML's own five, more
than `MAX_SIZE_BYTES`, and what libxml2 limits (256 levels of elements, 10 MB in one text).

lxml lets other threads run while it evaluates XPath, and promises nothing for two that work on one document; so
whatever walks the tree holds the tree's lock.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from ._condition import parse_condition
from ._expansion import Facilities, expand

__all__ = ["MAX_SIZE_BYTES", "MAX_XPATH_CHARS", "Tree", "element_name", "is_element", "own_attributes"]

MAX_SIZE_BYTES = 16 * 1024 * 1024
"""How large a document may be."""

MAX_XPATH_CHARS = 2000
"""How long an XPath expression may be."""

_MAX_NOTICES = 1000
_ADVICE_OF_LIBXML2 = re.compile(r",? (?:use|try) XML_PARSE_HUGE(?: option)?")


class Tree:
    """A parsed document. Never changes, and may be read from any thread.

    Attributes:
        path: what the document is called in messages: an absolute path, or a name in angle brackets.
        root: its root element.
        environ: the environment that it is read in.
        lock: held while XPath is evaluated or the tree is copied.

    Args:
        data: the document's bytes.
        path: see above.
        environ: see above; copied.
        notice: called with each notice, file:line first; at most once for the same one.
        encoding: overrules what the document declares.

    Raises:
        ConfigurationError: the document is malformed, or uses what is refused; all such places are in one message.
    """

    __slots__ = ("_facilities", "_lines", "_listener", "_notices", "environ", "lock", "path", "root")

    def __init__(
        self,
        data: bytes,
        path: str,
        environ: Mapping[str, str] | None = None,
        notice: Callable[[str], None] | None = None,
        *,
        encoding: str | None = None,
    ) -> None:
        self.path = path
        self.environ: Mapping[str, str] = dict(os.environ if environ is None else environ)
        self.lock = threading.RLock()
        self._facilities: Facilities = {"ENV": self.environ.get}
        self._listener = notice
        self._notices: dict[str, None] = {}
        self.root = _parse(data, path, encoding)
        if problems := self._problems():
            raise ConfigurationError.combined(problems)

    @classmethod
    def load(
        cls, path: str, environ: Mapping[str, str] | None = None, notice: Callable[[str], None] | None = None
    ) -> Tree:
        """Read a file. Blocks on the file system.

        Raises:
            ConfigurationError: as the constructor.
            OSError: the file cannot be read.
        """
        with open(path, "rb") as file:
            data = file.read(MAX_SIZE_BYTES + 1)
        return cls(data, os.path.abspath(path), environ, notice)  # noqa: PTH100  # keeps symbolic links: the operator's name

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

    def where(self, element: etree._Element) -> str:
        """`file:line` of an element."""
        return f"{self.path}:{element.sourceline}"

    def value(self, element: etree._Element, text: str, *, environ: Mapping[str, str] | None = None) -> str:
        """A text of an element with everything substituted.

        Args:
            element: where the text stands.
            text: as written.
            environ: look variables up here instead, and report nothing.

        Raises:
            ConfigurationError: the result would be too long.
        """
        if "{" not in text:
            return text
        try:
            if environ is not None:
                return expand(text, {"ENV": environ.get}, lambda message: None)
            return expand(text, self._facilities, lambda message: self.notice(self.where(element), message))
        except ValueError as error:
            raise ConfigurationError(f"<{element_name(element)}>: {error}", self.where(element)) from None

    def attribute(self, element: etree._Element, name: str) -> tuple[str, etree._Element] | None:
        """An attribute of an element or of its nearest ancestor that has it: expanded, with the element that has it."""
        holder: etree._Element | None = element
        while holder is not None:
            raw = own_attributes(holder).get(name) if ":" in name else holder.get(name)
            if raw is not None:
                return self.value(holder, raw), holder
            holder = holder.getparent()
        return None

    def text(self, element: etree._Element) -> str:
        """The whole text of an element, markup inside it flattened, comments left out; not expanded."""
        if len(element) == 0:
            return element.text or ""
        with self.lock:
            return cast("str", element.xpath("string()", smart_strings=False))

    def applies(self, element: etree._Element) -> bool:
        """Whether the `require_env` of an element and of each of its ancestors holds, each judged by itself.

        Raises:
            ConfigurationError: one of them is malformed.
        """
        current: etree._Element | None = element
        while current is not None:
            if not self.condition_holds(current):
                return False
            current = current.getparent()
        return True

    def condition_holds(self, element: etree._Element) -> bool:
        """Whether the element's own `require_env` holds; true when it has none.

        Raises:
            ConfigurationError: it is malformed.
        """
        expression = element.get("require_env")
        if expression is None:
            return True
        try:
            return parse_condition(self.value(element, expression)).holds(self.environ)
        except ValueError as error:
            raise ConfigurationError(f"<{element_name(element)}>: require_env: {error}", self.where(element)) from None

    def select(self, element: etree._Element, xpath: str, variables: Mapping[str, str]) -> list[etree._Element]:
        """The elements that an XPath expression selects, in document order.

        Args:
            element: what a relative expression starts from.
            xpath: XPath 1.0; prefixes are those declared on the root element.
            variables: values of `$names` in the expression.

        Raises:
            ConfigurationError: the expression is malformed, or does not select nodes.
        """
        if len(xpath) > MAX_XPATH_CHARS:
            raise ConfigurationError(f"an XPath expression of {len(xpath)} characters; {MAX_XPATH_CHARS} are allowed")
        namespaces = {prefix: uri for prefix, uri in self.root.nsmap.items() if prefix is not None}
        try:
            with self.lock:
                compiled = etree.XPath(xpath, namespaces=namespaces, smart_strings=False)
                found: object = compiled(element, **variables)
        except (etree.XPathError, ValueError) as error:
            raise ConfigurationError(f"'{xpath}' is not a valid XPath expression: {error}") from None
        if not isinstance(found, list):
            raise ConfigurationError(f"'{xpath}' selects no elements but yields a {type(found).__name__}")
        return [each for each in found if is_element(each)]

    def _problems(self) -> list[ConfigurationError]:
        problems: list[ConfigurationError] = []
        if None in self.root.nsmap:
            problems.append(
                ConfigurationError(
                    f"<{element_name(self.root)}>: the root declares a default namespace (xmlns=…), in which no plugin "
                    "would find its elements; take it out, or give it a prefix",
                    self.where(self.root),
                )
            )
        for element in self.root.iter(etree.Element):
            name, where = element_name(element), self.where(element)
            if name == "include" and "file" in element.attrib:
                problems.append(
                    ConfigurationError(
                        f"<include file='{element.get('file')}'>: this version of mtev-conf does not read included "
                        "files; put the file's content in this place",
                        where,
                    )
                )
            if "backingstore" in element.attrib:
                problems.append(
                    ConfigurationError(
                        f"<{name} backingstore='{element.get('backingstore')}'>: this version of mtev-conf does not "
                        "read backing stores; put the elements in this place",
                        where,
                    )
                )
            try:
                self.condition_holds(element)
            except ConfigurationError as error:
                problems.append(error)
        return problems


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


def _parse(data: bytes, path: str, encoding: str | None) -> etree._Element:
    if len(data) > MAX_SIZE_BYTES:
        raise ConfigurationError(f"the document is larger than {MAX_SIZE_BYTES // 1_048_576} MiB", path)
    parser = etree.XMLParser(
        encoding=encoding,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        strip_cdata=False,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise _malformed(error, parser, path) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise ConfigurationError(
            "the document has a DOCTYPE, which is refused because it can declare entities; take it out "
            "(for values from outside write {{ENV:fallback:{VARIABLE}}})",
            path,
        )
    return root


def _malformed(error: etree.XMLSyntaxError, parser: etree.XMLParser, path: str) -> ConfigurationError:
    line, column = error.position
    message = error.msg or "it is empty"
    for entry in parser.error_log:
        if entry.level >= etree.ErrorLevels.ERROR:
            line, column, message = entry.line, entry.column, entry.message
            break
    message = _ADVICE_OF_LIBXML2.sub("", message.strip())
    return ConfigurationError(f"the document is not well-formed XML: {message}", f"{path}:{line}:{column}")
