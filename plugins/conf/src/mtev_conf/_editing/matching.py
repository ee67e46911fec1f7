"""Which elements of two documents mean the same, and which children of two elements belong together. Pure.

What counts of a document are elements, their attributes in any order, and the texts of elements without child elements.
Comments, processing instructions, prefixes, and blanks between nodes do not. The text of an element that has no child
nodes counts even if it is blank, unless there is a line break in it, which is layout.

1. Children that are the same belong together at the beginning and at the end of both parents; also past others from
   the beginning on, as long as these are few at a time.
2. Of the others, those belong together that have one name and the same `id`, or else the same `name`, if no other has
   it; then those that are the same.
3. Between two pairs that keep their order, what remains there without `id` and `name` belongs together by its order,
   tag by tag; and what is the same but for its `id` or `name`, which has been renamed.
4. Mixed elements, which have text beside child elements, belong together only if all in them is the same.
5. As many pairs as possible are taken to have stayed in their places (a longest increasing sequence).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import islice
from operator import lt
from typing import NamedTuple, cast

from lxml import etree

from .fragments import BLANKS, leaf_text

__all__ = ["Matching", "Shape", "Shapes", "attributes_of"]

_IDENTITIES = ("id", "name")
_BYTEWISE_LEVELS = 6
"""So deep, elements are compared as bytes first: that is fast, but at every level done again for all that is inside."""
_STRIDES = ((0, 0), (1, 1), (1, 0), (0, 1), (2, 2), (2, 0), (0, 2), (3, 3), (3, 0), (0, 3))
"""How many old and new children may differ at a time where the same ones are looked for side by side."""


class Shape(NamedTuple):
    """All that counts of an element, with numbers in the place of its children."""

    tag: str
    attributes: tuple[tuple[str, str], ...]
    content: tuple[str | int, ...]
    mixed: bool


class Shapes:
    """Numbers elements, so that two have the same number exactly when they mean the same. They must not change then."""

    def __init__(self) -> None:
        self._numbers: dict[Shape, int] = {}
        self._shapes: list[Shape] = []
        self._of: dict[etree._Element, int] = {}
        self._bytewise = True

    def number(self, element: etree._Element) -> int:
        """The number of an element. The first time, all that is inside it is numbered too."""
        if element not in self._of:
            # Parents come before their children there, so in reverse after them.
            for each in reversed(list(element.iter(etree.Element))):
                if each not in self._of:
                    shape = self._made(each)
                    number = self._of[each] = self._numbers.setdefault(shape, len(self._shapes))
                    if number == len(self._shapes):
                        self._shapes.append(shape)
        return self._of[element]

    def shape(self, element: etree._Element) -> Shape:
        """The shape of an element."""
        return self._shapes[self.number(element)]

    def same(self, old: etree._Element, new: etree._Element, depth: int) -> bool:
        """Whether two elements mean the same.

        Args:
            old: one of them.
            new: the other.
            depth: how deep they are in what is compared; it decides how to find out.
        """
        if old.tag != new.tag:
            return False
        if not len(old) and not len(new):
            if old.text != new.text and leaf_text(old) != leaf_text(new):
                return False
            return old.items() == new.items() or attributes_of(old) == attributes_of(new)
        if self._bytewise and depth <= _BYTEWISE_LEVELS:
            if etree.tostring(old, with_tail=False) == etree.tostring(new, with_tail=False):
                return True
            if self.number(old) == self.number(new):
                # The documents are laid out differently. So are their other elements, probably.
                self._bytewise = False
                return True
            return False
        return self.number(old) == self.number(new)

    def _made(self, element: etree._Element) -> Shape:
        items = cast("list[tuple[str, str]]", element.items())
        attributes = tuple(sorted(items) if len(items) > 1 else items)
        if not len(element):
            return Shape(element.tag, attributes, (leaf_text(element),), mixed=False)
        texts, children = [element.text or ""], []
        for child in element:
            number = self._of.get(child)
            if number is not None:
                children.append(number)
                texts.append(child.tail or "")
            else:  # a comment or processing instruction
                texts[-1] += child.tail or ""
        if not children:
            return Shape(element.tag, attributes, (leaf_text(element),), mixed=False)
        if "".join(texts).strip(BLANKS):
            return Shape(element.tag, attributes, (*texts, *children), mixed=True)
        return Shape(element.tag, attributes, tuple(children), mixed=False)


class Matching:
    """Which children of two elements belong together. All positions are among child elements, from 0.

    Attributes:
        olds, news: the child elements of the old and of the new parent.
        start: so many are the same at the beginning of both.
        old_stop, new_stop: positions from which all are the same up to the end of both.
        old_of: between `start` and the stops, for the position of a new child that of the old one which it belongs to.
        new_of: the same the other way round.
        same: positions of new children, between `start` and `new_stop`, that mean the same as the old one.

    Args:
        old: the old parent.
        new: the new parent.
        depth: how deep the children are in what is compared.
        shapes: tells which mean the same.
    """

    def __init__(self, old: etree._Element, new: etree._Element, depth: int, shapes: Shapes) -> None:
        self.olds = list(old.iterchildren(etree.Element))
        self.news = list(new.iterchildren(etree.Element))
        self.old_of: dict[int, int] = {}
        self.new_of: dict[int, int] = {}
        self.same: set[int] = set()
        self._depth = depth
        self._shapes = shapes
        self._take_ends_off()
        if self.start < self.old_stop and self.start < self.new_stop:
            self._match()

    def staying(self) -> list[tuple[int, int]]:
        """Pairs of old and new positions that keep their order, as many as possible, in that order."""
        pairs = sorted((new, old) for new, old in self.old_of.items())
        return [(pairs[index][1], pairs[index][0]) for index in _longest_increasing([old for _, old in pairs])]

    def _take_ends_off(self) -> None:
        olds, news, same = self.olds, self.news, self._shapes.same
        shorter = min(len(olds), len(news))
        start, end = 0, 0
        while start < shorter and same(olds[start], news[start], self._depth):
            start += 1
        while end < shorter - start and same(olds[-1 - end], news[-1 - end], self._depth):
            end += 1
        self.start, self.old_stop, self.new_stop = start, len(olds) - end, len(news) - end

    def _match_side_by_side(self) -> None:
        """Match what is the same, as long as there are few others between. So a few differences are found fast."""
        old = new = self.start
        while (stride := self._stride(old, new)) is not None:
            old, new = old + stride[0], new + stride[1]
            self._join(old, new)
            self.same.add(new)
            old, new = old + 1, new + 1

    def _stride(self, old: int, new: int) -> tuple[int, int] | None:
        """How far it is from a pair of positions to the next children that are the same, if it is not far."""
        for stride in _STRIDES:
            next_old, next_new = old + stride[0], new + stride[1]
            is_within = next_old < self.old_stop and next_new < self.new_stop
            if is_within and self._shapes.same(self.olds[next_old], self.news[next_new], self._depth):
                return stride
        return None

    def _match(self) -> None:
        olds, news = range(self.start, self.old_stop), range(self.start, self.new_stop)
        self._match_side_by_side()
        for attribute in _IDENTITIES:
            self._match_by_identity(attribute, *self._free(olds, news))
        self._match_by_shape(*self._free(olds, news))
        for old_gap, new_gap in self._gaps():
            self._match_by_order(*self._free(old_gap, new_gap))
            self._match_renamed(*self._free(old_gap, new_gap))
        for new, old in list(self.old_of.items()):
            if new in self.same:
                continue
            if self._shapes.same(self.olds[old], self.news[new], self._depth):
                self.same.add(new)
            elif self._differ_mixed(self.olds[old], self.news[new]):
                del self.new_of[old], self.old_of[new]

    def _join(self, old: int, new: int) -> None:
        self.new_of[old], self.old_of[new] = new, old

    def _free(self, olds: Iterable[int], news: Iterable[int]) -> tuple[list[int], list[int]]:
        return [old for old in olds if old not in self.new_of], [new for new in news if new not in self.old_of]

    def _gaps(self) -> Iterator[tuple[range, range]]:
        """What is between one pair that stays in its place and the next."""
        old_start = new_start = self.start
        for old, new in [*self.staying(), (self.old_stop, self.new_stop)]:
            yield range(old_start, old), range(new_start, new)
            old_start, new_start = old + 1, new + 1

    def _match_by_identity(self, attribute: str, olds: Sequence[int], news: Sequence[int]) -> None:
        candidates = _by_identity(self.olds, olds, attribute)
        for identity, new in _by_identity(self.news, news, attribute).items():
            if identity in candidates:
                self._join(candidates[identity], new)

    def _match_by_shape(self, olds: Sequence[int], news: Sequence[int]) -> None:
        if not olds or not news:
            return
        waiting: defaultdict[int, list[int]] = defaultdict(list)
        for old in olds:
            waiting[self._shapes.number(self.olds[old])].append(old)
        # Of several that are the same, the first that keeps the order, as long as there is one.
        latest = -1
        crossing = []
        for new in news:
            number = self._shapes.number(self.news[new])
            candidates = waiting.get(number, [])
            choice = bisect_right(candidates, latest)
            if choice < len(candidates):
                latest = candidates[choice]
                self._join(latest, new)
            elif candidates:
                crossing.append((number, new))
        skipped = {number: deque(self._free(waiting[number], ())[0]) for number in dict(crossing)}
        for number, new in crossing:
            if skipped[number]:
                self._join(skipped[number].popleft(), new)

    def _match_by_order(self, olds: Sequence[int], news: Sequence[int]) -> None:
        self._match_by_key(olds, news, _tag_and_identity)

    def _match_renamed(self, olds: Sequence[int], news: Sequence[int]) -> None:
        self._match_by_key(olds, news, self._without_identity)

    def _match_by_key(
        self, olds: Sequence[int], news: Sequence[int], key: Callable[[etree._Element], Hashable]
    ) -> None:
        if not olds or not news:
            return
        waiting: defaultdict[Hashable, deque[int]] = defaultdict(deque)
        for old in olds:
            waiting[key(self.olds[old])].append(old)
        for new in news:
            if candidates := waiting.get(key(self.news[new])):
                self._join(candidates.popleft(), new)

    def _without_identity(self, element: etree._Element) -> Hashable:
        shape = self._shapes.shape(element)
        identity = next((name for name in _IDENTITIES if name in element.attrib), None)
        return shape._replace(attributes=tuple(each for each in shape.attributes if each[0] != identity))

    def _differ_mixed(self, old: etree._Element, new: etree._Element) -> bool:
        if not (_has_text_beside(old) or _has_text_beside(new)):
            return False
        before, after = self._shapes.shape(old), self._shapes.shape(new)
        return (before.mixed or after.mixed) and before.content != after.content


def attributes_of(element: etree._Element) -> dict[str, str]:
    """The attributes of an element, by the names that lxml has for them."""
    return dict(cast("Sequence[tuple[str, str]]", element.items()))


def _has_text_beside(element: etree._Element) -> bool:
    texts = [element.text, *(child.tail for child in element)]
    return any(text is not None and text.strip(BLANKS) for text in texts)


def _by_identity(elements: Sequence[etree._Element], positions: Iterable[int], attribute: str) -> dict[object, int]:
    """The positions of those elements of which no other with the same tag has the same value of an attribute."""
    found: dict[object, int] = {}
    repeated = set()
    for position in positions:
        value = elements[position].get(attribute)
        if value is not None:
            identity = elements[position].tag, value
            if identity in found:
                repeated.add(identity)
            found[identity] = position
    for identity in repeated:
        del found[identity]
    return found


def _tag_and_identity(element: etree._Element) -> tuple[str, ...]:
    for attribute in _IDENTITIES:
        value = element.get(attribute)
        if value is not None:
            return element.tag, attribute, value
    return (element.tag,)


def _longest_increasing(numbers: Sequence[int]) -> list[int]:
    """The indices of a longest increasing sequence."""
    if all(map(lt, numbers, islice(numbers, 1, None))):
        return list(range(len(numbers)))
    # For each length, the least number that a sequence so long can end with; and which comes before which.
    ends: list[int] = []
    at_end: list[int] = []
    previous: list[int] = []
    for index, number in enumerate(numbers):
        length = bisect_left(ends, number)
        previous.append(at_end[length - 1] if length else -1)
        ends[length : length + 1] = [number]
        at_end[length : length + 1] = [index]
    chain = []
    index = at_end[-1] if at_end else -1
    while index >= 0:
        chain.append(index)
        index = previous[index]
    return chain[::-1]
