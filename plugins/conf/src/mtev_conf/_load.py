"""From files to a tree: the main document, what it includes, and its backing stores.

What is refused, so that a document can neither reach outside itself nor exhaust the process: every DOCTYPE (a
configuration needs none, and it is what declares entities), entity references other than XML's own five, files and
documents beyond the limits below, and what libxml2 limits (256 levels of elements, 10 MB in one text).

1. `<include file="pattern">` may stand anywhere, also in included files, and is relative to the folder of the file that
   it stands in. The content of each file that matches stands below the `<include>`, in the order of the names. Braces
   (`{a,b}`) and `*`, `?`, `[...]` are patterns; a path without any of them must exist.
2. `snippet` (anything but `false`): the file holds elements without a root around them.
3. Whatever is written inside an `<include>` is not there while the document is in use, and untouched in its file.
4. An include whose `require_env` does not hold is not read.
5. A file that is missing, broken, or includes itself is an error which names the file and the one that asked for it.
   All such errors of a document are reported together.
6. `backingstore="directory"` may stand on any element, and is relative to the file's folder as well.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from ._disk.commit import digest
from ._disk.shatter import read_store
from ._names import element_name, own_attributes
from ._parser import declarations, strict_parser
from ._source import Source, Text, decode
from ._tree import Store, Tree
from ._values.facilities import Facilities

__all__ = ["MAX_DEPTH", "MAX_FILES", "MAX_NODES", "MAX_SIZE_BYTES", "load_tree", "parse_document", "parse_tree"]

MAX_SIZE_BYTES = 256 * 1024 * 1024
"""How large all files of a document may be together, backing stores apart."""

MAX_NODES = 4_000_000
"""How many tags, comments and processing instructions may be in one file."""

MAX_FILES = 10_000
"""How many files a document may include."""

MAX_DEPTH = 32
"""How deep files may include files."""

_ADVICE_OF_LIBXML2 = re.compile(r",? (?:use|try) XML_PARSE_HUGE(?: option)?")
_XML_DECLARATION = re.compile(r"\s*<\?xml\s[^>]*\?>")
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_MAX_ALTERNATIVES = 1000
_ASKING = etree.XPath("descendant-or-self::*[@backingstore or (self::include and @file)]")
_CONDITIONAL = etree.XPath("descendant-or-self::*[@require_env]")


def load_tree(
    path: str,
    environ: Mapping[str, str] | None = None,
    facilities: Facilities | None = None,
    notice: Callable[[str], None] | None = None,
) -> Tree:
    """Read a document and all that belongs to it. Blocks on the file system.

    Args:
        path: the main file; it is called by this name, made absolute, and symbolic links are kept.
        environ: as for `Tree`; so are the others.
        facilities: likewise.
        notice: likewise.

    Raises:
        ConfigurationError: something is malformed, missing or refused; all such places are in one message.
        OSError: the main file cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(MAX_SIZE_BYTES + 1)
    # Made absolute with its symbolic links, as that is the operator's name for it.
    return parse_tree(data, os.path.abspath(path), environ, facilities, notice)


def parse_tree(
    data: bytes,
    path: str,
    environ: Mapping[str, str] | None = None,
    facilities: Facilities | None = None,
    notice: Callable[[str], None] | None = None,
    *,
    encoding: str | None = None,
) -> Tree:
    """Make a tree of a document that is in memory; files that it names are read.

    Args:
        data: the document.
        path: what it is called; unless it is absolute, paths in it must be.
        environ: as for `Tree`; so are the others.
        facilities: likewise.
        notice: likewise.
        encoding: overrules what the document declares.

    Raises:
        ConfigurationError: as `load_tree`.
    """
    root, text = parse_document(data, path, encoding)
    tree = Tree(Source(path, "document", root, text, digest(data)), environ, facilities, notice)
    _Loading(tree, len(data)).complete()
    return tree


def parse_document(data: bytes, path: str, encoding: str | None = None) -> tuple[etree._Element, Text]:
    """Parse one file, as a document of its own.

    Raises:
        ConfigurationError: it is malformed, or uses what is refused.
    """
    if len(data) > MAX_SIZE_BYTES:
        raise ConfigurationError(f"the document is larger than {MAX_SIZE_BYTES // 1_048_576} MiB", path)
    if data.count(b"<") > MAX_NODES:
        raise ConfigurationError(f"the document has more than {MAX_NODES} tags", path)
    root = _parse(data, path, encoding)
    try:
        return root, decode(data, encoding)
    except ValueError as error:
        raise ConfigurationError(str(error), path) from None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An element that asks for files, with the files that led to it."""

    element: etree._Element
    chain: tuple[str, ...]


class _Loading:
    """The reading of one document.

    Args:
        tree: has its main source, and nothing else yet.
        size_bytes: of the main file.
    """

    def __init__(self, tree: Tree, size_bytes: int) -> None:
        self._tree = tree
        self._left_bytes = MAX_SIZE_BYTES - size_bytes
        self._files = 0
        self._problems: list[ConfigurationError] = []

    def complete(self) -> None:
        """Bring in all that the document names, then check what can be checked without asking anybody.

        Raises:
            ConfigurationError: see the module's rules.
        """
        tree = self._tree
        self._check_namespace(tree.root, tree.path)
        waiting = self._asking(tree.root, (tree.path,))
        while waiting:
            each = waiting.pop(0)
            try:
                if "backingstore" in each.element.attrib:
                    self._fill_from_store(each.element)
                if self._is_include(each.element) and tree.applies(each.element):
                    waiting[:0] = self._include(each)
            except ConfigurationError as error:
                self._problems.append(error)
        self._check_conditions()
        if self._problems:
            raise ConfigurationError.combined(self._problems)

    def _asking(self, top: etree._Element, chain: tuple[str, ...]) -> list[_Waiting]:
        return [_Waiting(each, chain) for each in cast("list[etree._Element]", _ASKING(top))]

    def _is_include(self, element: etree._Element) -> bool:
        return element.tag == "include" and "file" in element.attrib and element is not self._tree.root

    # Includes

    def _include(self, waiting: _Waiting) -> list[_Waiting]:
        element, tree = waiting.element, self._tree
        where = tree.where(element)
        pattern = tree.value(element, element.get("file", ""), "file")
        tag = f"<include file='{pattern}'>"
        if len(waiting.chain) > MAX_DEPTH:
            raise ConfigurationError(f"{tag}: files include files more than {MAX_DEPTH} deep", where)
        snippet = element.get("snippet", "false") != "false"
        readonly = element.get("readonly") == "true"
        for child in list(element):
            element.remove(child)
        element.text = None
        tree.containers[element] = []
        paths = self._matching(element, pattern, tag, where)
        following: list[_Waiting] = []
        for path in paths:
            try:
                content = self._read(path, snippet, element)
            except OSError as error:
                problem = f"{tag}: {path}: {error.strerror}; make it readable, or take the include out"
                self._problems.append(ConfigurationError(problem, where))
                continue
            except ConfigurationError as error:
                self._problems.append(ConfigurationError(f"{tag}: {error}", where))
                continue
            if os.path.realpath(path) in map(os.path.realpath, waiting.chain):
                steps = " -> ".join([*waiting.chain, path])
                raise ConfigurationError(f"{tag}: files include each other in a circle: {steps}", where)
            source = Source(
                path, "snippet" if snippet else "include", element, content[1], content[2],
                readonly=readonly, included_at=where, attributes={} if snippet else own_attributes(content[0]),
            )  # fmt: skip
            self._attach(source, content[0], only=len(paths) == 1)
            for node in tree.nodes_of(source, element):
                if isinstance(node.tag, str):
                    following += self._asking(node, (*waiting.chain, path))
        return following

    def _matching(self, element: etree._Element, pattern: str, tag: str, where: str) -> list[str]:
        if not pattern:
            raise ConfigurationError("<include>: its file is empty; write the path of a file", where)
        folder = os.path.dirname(self._tree.file(element))
        if not os.path.isabs(pattern) and not os.path.isabs(folder):
            raise ConfigurationError(f"{tag}: a document that is in no file can include only absolute paths", where)
        whole = os.path.join(glob.escape(folder), pattern) if folder else pattern
        if not (glob.has_magic(pattern) or _BRACES.search(pattern)):
            paths = [os.path.join(folder, pattern)]
        else:
            paths = [path for each in _alternatives(whole, tag, where) for path in sorted(glob.glob(each))]
            if not paths:
                self._tree.notice(where, f"{tag}: no file matches")
        self._files += len(paths)
        if self._files > MAX_FILES:
            raise ConfigurationError(f"{tag}: the document includes more than {MAX_FILES} files", where)
        return [os.path.normpath(path) for path in dict.fromkeys(paths)]

    def _read(self, path: str, snippet: bool, container: etree._Element) -> tuple[etree._Element, Text, bytes]:
        with open(path, "rb") as file:
            data = file.read(max(self._left_bytes, 0) + 1)
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise ConfigurationError(
                f"{path}: the document and its included files are larger than {MAX_SIZE_BYTES // 1_048_576} MiB"
            )
        if not snippet:
            root, text = parse_document(data, path)
            self._check_namespace(root, path)
            return root, text, digest(data)
        try:
            text = decode(data)
        except ValueError as error:
            raise ConfigurationError(str(error), path) from None
        return _parse_snippet(text.text, path, container), text, digest(data)

    def _attach(self, source: Source, root: etree._Element, *, only: bool) -> None:
        container, tree = source.top, self._tree
        tree.sources.append(source)
        tree.containers[container].append(source)
        if only:
            container.text = root.text
        for node in list(root):
            container.append(node)
            tree.home[node] = source

    # Backing stores

    def _fill_from_store(self, element: etree._Element) -> None:
        tree = self._tree
        where = tree.where(element)
        directory = tree.value(element, element.get("backingstore", ""), "backingstore")
        tag = f"<{element_name(element)} backingstore='{directory}'>"
        folder = os.path.dirname(tree.file(element))
        directory = os.path.normpath(os.path.join(folder, directory)) if directory else ""
        if not os.path.isabs(directory):
            raise ConfigurationError(f"{tag}: it needs the path of a directory", where)
        if element in tree.stored or any(store.directory == directory for store in tree.stores.values()):
            raise ConfigurationError(f"{tag}: that directory is a backing store already", where)
        inline = list(element)
        for node in inline:
            element.remove(node)
        tree.stores[element] = Store(element, directory)
        try:
            content = read_store(directory, element, lambda data, path: parse_document(data, path)[0])
        except OSError as error:
            raise ConfigurationError(f"{tag}: {error.filename or directory}: {error.strerror}", where) from None
        for node in inline:
            element.append(node)
        tree.stored.update(content.nodes)
        tree.next_number = max(tree.next_number, content.highest + 1)
        for notice in content.notices:
            tree.notice(where, f"{tag}: {notice}")

    # Checks

    def _check_namespace(self, root: etree._Element, path: str) -> None:
        if None in root.nsmap:
            self._problems.append(
                ConfigurationError(
                    f"<{element_name(root)}>: the root declares a default namespace (xmlns=…), in which no plugin "
                    "would find its elements; take it out, or give it a prefix",
                    f"{path}:{root.sourceline}",
                )
            )

    def _check_conditions(self) -> None:
        for element in cast("list[etree._Element]", _CONDITIONAL(self._tree.root)):
            try:
                self._tree.condition_holds(element)
            except ConfigurationError as error:
                self._problems.append(error)


def _alternatives(pattern: str, tag: str, where: str) -> list[str]:
    """What a pattern with braces stands for: `a.{b,c}` for `a.b` and `a.c`."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        each = waiting.pop(0)
        braces = _BRACES.search(each)
        if braces is None:
            done.append(each)
        else:
            waiting[:0] = [each[: braces.start()] + word + each[braces.end() :] for word in braces[1].split(",")]
        if len(done) + len(waiting) > _MAX_ALTERNATIVES:
            raise ConfigurationError(f"{tag}: its braces stand for more than {_MAX_ALTERNATIVES} patterns", where)
    return done


def _parse_snippet(text: str, path: str, container: etree._Element) -> etree._Element:
    declaration = _XML_DECLARATION.match(text)
    if declaration is not None:
        text = re.sub(r"[^\n]", " ", declaration[0]) + text[declaration.end() :]
    data = f"<snippet{declarations(container.nsmap)}>{text}</snippet>".encode()
    return parse_document(data, path, "utf-8")[0]


def _parse(data: bytes, path: str, encoding: str | None) -> etree._Element:
    parser = strict_parser(encoding)
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
