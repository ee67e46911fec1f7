"""A source: one file that the document in memory comes from, and what has changed in it since it was read.

1. A source keeps the text of its file as it was read (the *base text*), and edits relative to it. Saving splices the
   edits into the base text, so what nobody touched stays as its author wrote it, to the byte.
2. Its top element is where its content stands in memory: for the main document and a leaf the root itself; for an
   included file the `<include>` element that asked for it. The root of an included file is dropped, but its
   attributes are kept: they are inherited by the file's content.
3. Several files can stand under one `<include>` (a pattern), so the nodes below it belong to the source that
   `Tree.home` names.

Pure, but for `decode`, which asks Python for codecs.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from ._disk.commit import digest
from ._writing.render import Edits, Rendered, render
from ._writing.scan import Spans, scan

if TYPE_CHECKING:
    from ._tree import Tree

__all__ = ["Kind", "Source", "Text", "decode"]

Kind = Literal["document", "include", "snippet", "leaf"]

_DECLARATION = re.compile(rb"\s*<\?xml\s[^>]*?encoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]*)[\"']")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNMARKED = ((b"<\x00?\x00", "utf-16-le"), (b"\x00<\x00?", "utf-16-be"))


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a file.

    Args:
        text: what is in it, line ends as they are.
        codec: Python's name of its encoding.
        mark: the byte order mark that it opens with, or `b""`.
    """

    text: str
    codec: str = "utf-8"
    mark: bytes = b""

    def encoded(self, text: str) -> bytes:
        """Another text in the same encoding; characters that it does not have become character references."""
        return self.mark + text.encode(self.codec, "xmlcharrefreplace")


def decode(data: bytes, encoding: str | None = None) -> Text:
    """Decode a file as an XML parser does: by its mark, else by its declaration, else as UTF-8.

    Args:
        data: the bytes of the file.
        encoding: overrules both.

    Raises:
        ValueError: the encoding is unknown, the bytes are not in it, or they could not be written back as they are.
    """
    mark, codec = b"", encoding or ""
    if not codec:
        mark, codec = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", ""))
    if not codec:
        codec = next((name for opening, name in _UNMARKED if data.startswith(opening)), "")
    if not codec:
        declared = _DECLARATION.match(data)
        codec = declared[1].decode("ascii") if declared else "utf-8"
    try:
        text = data[len(mark) :].decode(codec)
        exact = text.encode(codec) == data[len(mark) :]
    except (LookupError, UnicodeError) as error:
        raise ValueError(f"its encoding '{codec}' cannot be read: {error}") from None
    if not exact:
        raise ValueError(f"its bytes are not the usual ones of the encoding '{codec}', and could not be written back")
    return Text(text, codec, mark)


@dataclass(slots=True, eq=False)
class Source:
    """One file of a document.

    Args:
        path: what the file is called in messages: an absolute path, or a name in angle brackets.
        kind: `document`, `include`, `snippet` or `leaf`.
        top: the element in memory that holds its content.
        text: its base text.
        digest: of the file as it was last read or written.
        readonly: whether it is never written (`<include readonly="true">`).
        included_at: `file:line` of the `<include>`, or `""`.
        attributes: those of the dropped root of an included file, by their written names.
    """

    path: str
    kind: Kind
    top: etree._Element
    text: Text
    digest: bytes
    readonly: bool = False
    included_at: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    edits: Edits = field(default_factory=lambda: Edits(set(), set(), {}, set()))
    base_nodes: set[etree._Element] = field(default_factory=set)
    """Every node that stands in a snapshot of `edits.children`."""
    changed: bool = False
    """Whether it may differ from the file."""
    _spans: Spans | None = None
    _shifts: tuple[tuple[int, int], ...] = ()

    @property
    def spans(self) -> Spans:
        """Where the nodes of the base text stand in it; found out when first asked for."""
        if self._spans is None:
            self._spans = scan(self.text.text)
        return self._spans

    def line(self, line: int) -> int:
        """Where a line of the base text stands in the file as it was last written."""
        if not self._shifts:
            return line
        return line + sum(delta for _, delta in self._shifts[: bisect_left(self._shifts, (line,))])

    def render(self, tree: Tree) -> Rendered:
        """The text that the file should have now.

        Raises:
            ConfigurationError: its base text cannot be followed.
        """
        try:
            anchor = 0 if self.kind == "snippet" else self.spans.root
            return render(self.text.text, self.spans, _Layout(tree, self, self.top, anchor), self.edits)
        except ValueError as error:
            raise ConfigurationError(f"it cannot be rewritten: {error}", self.path) from error

    def written(self, rendered: Rendered, data: bytes) -> None:
        """The file has been written: lines are counted in it from now on."""
        self._shifts = tuple(sorted(rendered.shifts))
        self.digest = digest(data)
        self.changed = False


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a source lies in the tree, for the renderer."""

    tree: Tree
    source: Source
    top: etree._Element
    anchor: int

    def opaque(self, element: etree._Element) -> bool:
        return element is not self.top and element in self.tree.containers

    def nodes(self, element: etree._Element) -> Sequence[etree._Element]:
        return self.tree.nodes_of(self.source, element)
