"""Where each node of an XML text begins and ends. Pure.

lxml says what a document means but not where in the text a thing stands, and write-back needs the places: it changes
the characters that have to change and copies all others. So this module takes a text that lxml has parsed already and
finds the borders of its nodes. It is no parser: it trusts that the text is well-formed, and checks only what keeps it
from giving a wrong place (every `<` belongs to markup that it knows, every end tag to its start tag).

1. Nodes are elements, comments and processing instructions, numbered from 1 in document order. As in lxml, CDATA
   sections are text and the XML declaration is nothing. Node 0 is the text as a whole.
2. One regular expression finds one piece of markup at a time, and an element that holds only text in one step. No part
   of it can match the same characters in two ways, so the time taken grows with the text alone.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator

__all__ = ["COMMENT", "DOCUMENT", "ELEMENT", "INSTRUCTION", "Spans", "scan"]

DOCUMENT, ELEMENT, COMMENT, INSTRUCTION = range(4)
"""What `Spans.kind` holds."""

_MARKUP = re.compile(
    r"""<(?:
      ([^ \t\r\n<>/=?!"'&]++) [^<>"'/]*+ (?: (?: "[^"<]*+" | '[^'<]*+' ) [^<>"'/]*+ )*+
        (?: /()> | >()[^<]*+()</\1[ \t\r\n]*+> | > )
    | / ([^ \t\r\n<>/=?!"'&]++) [ \t\r\n]*+ >
    | !--() [^-]*+ (?: -(?!-) [^-]*+ )*+ -->
    | \?() [^?]*+ (?: \?(?!>) [^?]*+ )*+ \?>
    | !\[CDATA\[() [^\]]*+ (?: \](?!\]>) [^\]]*+ )*+ \]\]>
    | ()
    )""",
    re.VERBOSE,
)
# The last group that took part in a match says what was found; 2, which no line below asks for, is `<a/>`.
_START, _LEAF, _END, _COMMENT, _INSTRUCTION, _CDATA, _UNKNOWN = 1, 4, 5, 6, 7, 8, 9
_TEXT_BEGINS, _TEXT_ENDS = 3, 4

_PROLOG = re.compile(r"\ufeff?(?:<\?xml[ \t\r\n][^?]*+(?:\?(?!>)[^?]*+)*+\?>)?")
_FARTHEST_INT = 2**31 - 1


class Spans:
    """The nodes of a text, a column for each property. Never changes once it is made, so it is thread-safe.

    For `<a x="1">text</a>`: `start` is at its first `<`, `tag_end` after its first `>`, `close` at `</`, and `end`
    after its last `>`. Of an element written `<a/>`, of a comment and of a processing instruction, `tag_end`, `close`
    and `end` are the same. Of node 0, `start` and `tag_end` are 0, `close` and `end` the length of the text.

    Attributes:
        kind: `DOCUMENT`, `ELEMENT`, `COMMENT` or `INSTRUCTION`.
        start, tag_end, close, end: offsets into the text, in characters.
        after: number of the node that follows the node's subtree; of the last one, how many nodes there are.
        prolog: offset after the byte order mark and the XML declaration; 0 when there is neither.
        root: number of the first element that stands in no other; 0 when there is none.
    """

    __slots__ = ("after", "close", "end", "kind", "prolog", "root", "start", "tag_end")

    def __init__(
        self,
        kind: bytearray,
        start: array[int],
        tag_end: array[int],
        close: array[int],
        end: array[int],
        after: array[int],
        prolog: int,
    ) -> None:
        self.kind = kind
        self.start = start
        self.tag_end = tag_end
        self.close = close
        self.end = end
        self.after = after
        self.prolog = prolog
        self.root = next((node for node in self._walk(0) if kind[node] == ELEMENT), 0)

    def __len__(self) -> int:
        """How many nodes there are, node 0 included."""
        return len(self.kind)

    def child(self, node: int, k: int) -> int:
        """Number of the k-th child node of a node. The time taken grows with k.

        Args:
            node: number of the parent.
            k: from 0; elements, comments and processing instructions all count, as in lxml.

        Raises:
            IndexError: it has no such child.
        """
        after, stop = self.after, self.after[node]
        found = node + 1
        for _ in range(k):
            if found >= stop:
                break
            found = after[found]
        if k < 0 or found >= stop:
            raise IndexError(f"node {node} has no child {k}")
        return found

    def children(self, node: int) -> list[int]:
        """Numbers of all child nodes of a node, in order."""
        return list(self._walk(node))

    def ancestors(self, node: int) -> list[int]:
        """Numbers of the nodes that a node stands in, from node 0 down to its parent; for node 0 there are none."""
        found = []
        outer = 0
        while outer != node:
            found.append(outer)
            outer += 1
            while self.after[outer] <= node:
                outer = self.after[outer]
        return found

    def _walk(self, node: int) -> Iterator[int]:
        after, stop = self.after, self.after[node]
        child = node + 1
        while child < stop:
            yield child
            child = after[child]


def scan(text: str) -> Spans:
    """Find the nodes of a text, in time that grows with its length.

    Args:
        text: a document, or a sequence of nodes without a root; well-formed, without a DOCTYPE. It may open with a
            byte order mark.

    Raises:
        ValueError: it holds markup that is not known, or tags that do not belong together; the offset is named.
    """
    opening = _PROLOG.match(text)
    prolog = opening.end() if opening else 0
    code = "i" if len(text) <= _FARTHEST_INT else "q"
    starts, tag_ends = array(code, [0]), array(code, [0])
    closes, ends = array(code, [len(text)]), array(code, [len(text)])
    add_start, add_tag_end, add_close, add_end = starts.append, tag_ends.append, closes.append, ends.append
    remarks: list[tuple[int, int]] = []
    subtrees: list[tuple[int, int]] = []
    open_nodes: list[int] = []
    open_names: list[str] = []
    count = 1
    for match in _MARKUP.finditer(text, prolog):
        what = match.lastindex
        start, end = match.span()
        if what == _LEAF:
            add_start(start)
            add_tag_end(match.start(_TEXT_BEGINS))
            add_close(match.start(_TEXT_ENDS))
            add_end(end)
            count += 1
        elif what == _END:
            if not open_names or open_names.pop() != match[_END]:
                raise _unscannable("an end tag that does not belong to the element that is open", text, start)
            node = open_nodes.pop()
            closes[node] = start
            ends[node] = end
            subtrees.append((node, count))
        elif what == _UNKNOWN:
            raise _unscannable("a '<' that begins nothing known", text, start)
        elif what != _CDATA:
            add_start(start)
            add_tag_end(end)
            add_close(end)
            add_end(end)
            if what == _START:
                open_nodes.append(count)
                open_names.append(match[_START])
            elif what == _COMMENT:
                remarks.append((count, COMMENT))
            elif what == _INSTRUCTION:
                remarks.append((count, INSTRUCTION))
            count += 1
    if open_nodes:
        raise _unscannable("an element that is never closed", text, starts[open_nodes[-1]])
    kinds = bytearray([ELEMENT]) * count
    kinds[0] = DOCUMENT
    for node, kind in remarks:
        kinds[node] = kind
    after = array(code, range(1, count + 1))
    after[0] = count
    for node, following in subtrees:
        after[node] = following
    return Spans(kinds, starts, tag_ends, closes, ends, after, prolog)


def _unscannable(what: str, text: str, offset: int) -> ValueError:
    return ValueError(f"the text has {what}, at offset {offset}: {text[offset : offset + 40]!r}")
