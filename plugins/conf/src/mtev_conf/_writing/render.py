"""Writing a changed tree back into the text that it was read from, so that untouched characters stay untouched. Pure.

`render` turns the notes of what may differ (`Edits`) into splices of the base text:

1. What may differ is compared with the base text. A note too many costs time, never a difference.
2. A node of the base text is written as it stands there, with the splices inside it, wherever it is now. So is the text
   after it, as long as it is the same text. What the base text does not have is written anew.
3. Of reordered children as many as possible stay where they are, and the others are lifted over them, so that the lines
   of those that stay remain known.
4. What is written in another place than its own, or anew, declares the namespaces that do not hold in that place.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile
from typing import cast

from lxml import etree

from .edits import Edits, Layout, Snapshot
from .markup import (
    XML_NAMESPACE,
    Scope,
    adapted,
    added_attributes,
    attributes,
    declares,
    escaped_content,
    escaped_like,
    escaped_value,
    is_element,
    name_end,
    prevailing_line_break,
    remark,
    start_tag,
    value_of,
)
from .places import Places, called
from .scan import ELEMENT, Spans
from .splices import Composition, Lifted, Part, Splice, longest_increasing, shifts, spliced

__all__ = ["Edits", "Layout", "Rendered", "Snapshot", "render"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What has become of a base text.

    Args:
        text: the new text. It may hold characters that the file's encoding lacks, so encode it with
            `errors="xmlcharrefreplace"`.
        shifts: (line, added), ascending: how many lines everything on *later* lines of the base text moved down by
            this change. Lines count from 1; 0 is before them all. `added` is negative where lines went. What stands on
            the very line of a change, and what was lifted to another place, may have moved otherwise.
    """

    text: str
    shifts: tuple[tuple[int, int], ...]


def render(text: str, spans: Spans, layout: Layout, edits: Edits) -> Rendered:
    """Write a tree back into the text that it was read from.

    Parsing the result gives what is in memory: elements, attributes, texts, comments and processing instructions in
    their order. A changed value replaces only the characters of that value, and edits that cancel each other out leave
    no trace. The time taken grows with the edits, with the number of children of parents in `edits.children`, and, as
    copying does, with the length of the text. The tree must not change meanwhile; otherwise it is thread-safe.

    Args:
        text: the base text. Its prevailing line break is what new lines end with.
        spans: what `scan` found in it.
        layout: how the tree relates to it.
        edits: where the tree may differ from it.

    Raises:
        ValueError: edits, tree and base text contradict each other.
    """
    return _Renderer(text, spans, layout, edits).rendered()


class _Renderer:
    """One rendering."""

    def __init__(self, text: str, spans: Spans, layout: Layout, edits: Edits) -> None:
        self._text = text
        self._spans = spans
        self._edits = edits
        self._top = layout.top
        self._places = Places(text, spans, layout, edits)
        self._line_break = prevailing_line_break(text)
        self._splices: list[Splice] = []
        self._lifted: list[Lifted] = []

    def rendered(self) -> Rendered:
        for element in filter(self._stands, self._edits.tags):
            if (number := self._places.number(element)) >= 0:
                self._compare_tag(element, number)
        for element in filter(self._stands, {*self._edits.contents, *self._edits.children}):
            if (number := self._places.number(element)) < 0 or self._places.opaque(element):
                continue
            if snapshot := self._places.snapshot(element):
                self._compare_children(element, number, snapshot)
            else:
                self._compare_text(element, number)
        self._leave_out_what_changes_nothing()
        if not self._splices:
            return Rendered(self._text, ())
        text, changes = spliced(self._text, self._splices, self._lifted)
        return Rendered(text, tuple(shifts(self._text, changes)))

    def _compare_tag(self, element: etree._Element, number: int) -> None:
        if self._spans.kind[number] != ELEMENT:
            raise ValueError(f"{called(element)} has no tag in the base text")
        text = self._text
        wanted = dict(cast("Mapping[str, str]", element.attrib))
        last = name_end(text, self._spans.start[number])
        for each in attributes(text, last):
            last = each.end
            if declares(each.name):
                continue
            value = wanted.pop(self._key(each.name, element, number), None)
            if value is None:
                self._splice(each.start, each.end, "")
            elif value != value_of(text[each.value_start : each.value_end]):
                self._splice(each.value_start, each.value_end, escaped_value(value, text[each.value_end]))
        if wanted:
            self._splice(last, last, added_attributes(wanted, element, self._places.scope(number)))

    def _key(self, name: str, element: etree._Element, number: int) -> str:
        """What lxml calls an attribute of the base text."""
        prefix, colon, local = name.partition(":")
        if not colon:
            return name
        # The prefixes of a file without a root are declared where it is included, which only the tree knows.
        uri = XML_NAMESPACE if prefix == "xml" else self._places.scope(number).get(prefix) or element.nsmap.get(prefix)
        if uri is None:
            raise ValueError(f"the prefix of the attribute '{name}' of {called(element)} is not declared")
        return f"{{{uri}}}{local}"

    def _compare_text(self, element: etree._Element, number: int) -> None:
        """Compare what has only text and remarks in the base text."""
        if any(self._spans.kind[child] == ELEMENT for child in self._spans.children(number)):
            raise ValueError(f"only the text of {called(element)} is said to differ, but its base text has elements")
        nodes = self._places.nodes(element)
        if self._places.same_content(number, Snapshot(element.text, tuple((node, node.tail) for node in nodes))):
            return
        text = element.text or ""
        start, end = self._places.content(number)
        parts: list[Part] = [self._escaped(text)]
        if not len(nodes):
            parts = [escaped_like(self._text[start:end], text, self._line_break)]
        for node in nodes:
            self._write(node, self._places.scope(number), parts)
        self._fill(number, parts)

    def _compare_children(self, element: etree._Element, number: int, snapshot: Snapshot) -> None:
        spans, places = self._spans, self._places
        nodes = list(places.nodes(element))
        before, behind = _same_ends(snapshot.nodes, nodes)
        # If another file's node comes first, the text before our own first node is not in memory.
        foreign = len(element) > 0 and (not nodes or nodes[0] is not element[0])
        same_text = foreign or (element.text or "") == (snapshot.text or "")
        if same_text and before == len(nodes) == len(snapshot.nodes):
            return
        numbers = places.children(element)
        scanned = list(numbers.values())
        start, end = places.content(number)
        content = Composition(start)
        if same_text:
            content.keep(start, spans.start[scanned[0]] if scanned else end)
        else:
            content.pending.append(self._escaped(element.text or ""))
        if before:
            content.keep(spans.start[scanned[0]], spans.start[scanned[before]] if before < len(scanned) else end)
        middle = nodes[before : len(nodes) - behind]
        staying = longest_increasing([numbers[node] for node in middle if node in numbers])
        for node in middle:
            if (here := places.number(node)) not in staying:
                self._write(node, places.scope(number), content.pending)
                continue
            content.keep(spans.start[here], spans.end[here])
            if places.same_tail(node):
                content.keep(*places.tail(here))
            else:
                content.pending.append(self._escaped(node.tail or ""))
        if behind:
            content.keep(spans.start[scanned[-behind]], end)
        content.keep(end, end)
        if start == end:
            self._fill(number, [part for splice in content.splices for part in splice.parts])
        else:
            for splice in content.splices:
                self._splice(splice.start, splice.end, *splice.parts)

    def _fill(self, number: int, parts: Sequence[Part]) -> None:
        """Replace the content of a scanned node."""
        text, name_start, (start, end) = self._text, self._spans.start[number] + 1, self._places.content(number)
        if self._spans.kind[number] != ELEMENT or end != self._spans.end[number]:
            self._splice(start, end, *parts)
        elif any(parts):
            # <name a="b" /> becomes <name a="b">...</name>
            after_name = name_end(text, name_start - 1)
            after_tag = max([after_name, *(each.end for each in attributes(text, after_name))])
            self._splice(after_tag, end, ">", *parts, f"</{text[name_start:after_name]}>")

    def _stands(self, element: etree._Element) -> bool:
        """Whether an element is in the document; what has been taken out of it has nothing to say."""
        top = self._top
        return element is top or any(each is top for each in element.iterancestors())

    def _splice(self, start: int, end: int, *parts: Part) -> None:
        self._splices.append(Splice(start, end, parts))

    def _leave_out_what_changes_nothing(self) -> None:
        """Drop splices that put in what is there, unless they keep others inside them from counting."""
        idle: list[Splice] = []
        busy: list[Splice] = []
        for splice in self._splices:
            same = not any(isinstance(part, Lifted) for part in splice.parts) and (
                "".join(cast("tuple[str]", splice.parts)) == self._text[splice.start : splice.end]
            )
            (idle if same else busy).append(splice)
        starts = sorted((each.start, each.end) for each in busy)
        for splice in idle:
            inside = starts[bisect_left(starts, (splice.start, 0)) : bisect_left(starts, (splice.end, 0))]
            if any(end <= splice.end for _, end in inside):
                busy.append(splice)
        self._splices = busy

    def _write(self, root: etree._Element, scope: Scope, parts: list[Part]) -> None:
        """Write a node and the text after it: lifted, if the base text has the node, else anew."""
        places = self._places
        parent = root.getparent()
        todo: list[str | tuple[etree._Element, Scope, Scope]] = [(root, scope, {} if parent is None else parent.nsmap)]
        while todo:
            item = todo.pop()
            if isinstance(item, str):
                parts.append(item)
                continue
            node, scope, inherited = item
            number = places.lifted_number(node)
            if number >= 0:
                parts.append(self._lift(node, number, scope))
                start, end = places.tail(number)
                parts.append(self._text[start:end] if places.same_tail(node) else self._escaped(node.tail or ""))
                continue
            todo.append(self._escaped(node.tail or ""))
            if not is_element(node):
                parts.append(remark(node, self._line_break))
                continue
            tag, scope = start_tag(node, scope, inherited)
            nodes = places.nodes(node)
            text = "" if places.opaque(node) else node.text or ""
            if not text and not len(nodes):
                parts.append(f"{tag}/>")
                continue
            parts.append(f"{tag}>{self._escaped(text)}")
            todo.append(f"</{tag[1 : name_end(tag, 0)]}>")
            inherited = node.nsmap
            todo.extend((child, scope, inherited) for child in reversed(nodes))

    def _lift(self, node: etree._Element, number: int, scope: Scope) -> Lifted:
        finish: Callable[[str], str] = str
        if self._spans.kind[number] == ELEMENT:
            finish = partial(adapted, old=self._places.scope_around(number), new=scope)
        depth = sum(1 for _ in node.iterancestors())
        self._lifted.append(Lifted(self._spans.start[number], self._spans.end[number], depth, finish))
        return self._lifted[-1]

    def _escaped(self, text: str) -> str:
        return escaped_content(text, self._line_break)


def _same_ends(before: Sequence[tuple[etree._Element, str | None]], now: Sequence[etree._Element]) -> tuple[int, int]:
    """How many nodes at the beginning, and how many others at the end, are the same with the same text after them."""

    def same(pair: tuple[tuple[etree._Element, str | None], etree._Element]) -> bool:
        (node, tail), present = pair
        return node is present and (tail or "") == (node.tail or "")

    first = sum(1 for _ in takewhile(same, zip(before, now, strict=False)))
    rest = min(len(before), len(now)) - first
    return first, sum(1 for _ in takewhile(same, islice(zip(reversed(before), reversed(now), strict=False), rest)))
