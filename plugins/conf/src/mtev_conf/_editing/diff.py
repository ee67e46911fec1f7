"""What turns one document into another, as a person would tell it. Pure.

What counts, and which elements of the two belong together, is told in `matching`.

1. Elements that belong together but are not the same are compared in turn: an attribute or a text is changed, not
   replaced together with its element.
2. What belongs to nobody has been removed or added. So has an element that went to another parent.
3. All changes among the children of one parent come before those inside them. Removals go from the last to the first,
   then come moves, then additions from the first to the last. So most paths are those of one of the documents.
4. A root cannot be replaced, so text beside its child elements is ignored.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from lxml import etree

from .changes import Change, labelled
from .fragments import BLANKS, leaf_text, own_text, xml_of
from .matching import Matching, Shapes, attributes_of
from .paths import attribute_name, step_name, written_name

__all__ = ["diff"]


def diff(old_root: etree._Element, new_root: etree._Element) -> list[Change]:
    """The script that turns one document into one that means the same as another.

    The time taken grows with the size of the documents; differences add little.

    Args:
        old_root: the root of the old document.
        new_root: the root of the new document. Neither is changed.

    Raises:
        ValueError: the roots have different names.
    """
    if old_root.tag != new_root.tag:
        old, new = written_name(old_root), written_name(new_root)
        raise ValueError(f"the root is <{old}> in one document and <{new}> in the other; no change renames a root")
    script: list[Change] = []
    shapes = Shapes()
    pending = [_Pair(old_root, new_root, f"/{step_name(old_root)}", 0)]
    while pending:
        pair = pending.pop()
        script += _attribute_changes(pair)
        matching = Matching(pair.old, pair.new, pair.depth + 1, shapes)
        old_text = own_text(pair.old).strip(BLANKS) if matching.olds else leaf_text(pair.old)
        new_text = "" if matching.news else leaf_text(pair.new)
        children = _Children(pair, matching)
        if matching.news:
            # Text and child elements exclude each other: the one goes before the others come.
            script += [] if matching.olds else _text_change(pair, old_text, "")
            script += children.changes()
        else:
            script += children.changes()
            script += _text_change(pair, old_text, new_text)
        pending += reversed(children.pairs)
    return script


class _Pair(NamedTuple):
    """Two elements that belong together, with the path of the old one when its turn comes, and how deep it is."""

    old: etree._Element
    new: etree._Element
    path: str
    depth: int


def _attribute_changes(pair: _Pair) -> Iterator[Change]:
    old, new = attributes_of(pair.old), attributes_of(pair.new)
    if old == new:
        return
    for key, value in old.items():
        if key not in new:
            change = Change("unset", f"{pair.path}/@{attribute_name(pair.old, key)}", value)
            yield labelled(change, pair.old, pair.new)
    for key, value in new.items():
        if old.get(key) != value:
            change = Change("set", f"{pair.path}/@{attribute_name(pair.old, key)}", old.get(key), value)
            yield labelled(change, pair.old, pair.new)


def _text_change(pair: _Pair, old: str, new: str) -> Iterator[Change]:
    if old != new:
        yield labelled(Change("text", pair.path, old, new), pair.old, pair.new)


class _Children:
    """What becomes of the children of a pair.

    Attributes:
        pairs: those children that belong together but are not the same; known when `changes` has been run through.
    """

    def __init__(self, pair: _Pair, matching: Matching) -> None:
        self._pair = pair
        self._matching = matching
        self._olds = range(matching.start, matching.old_stop)
        self._news = range(matching.start, matching.new_stop)
        self.pairs: list[_Pair] = []

    def changes(self) -> Iterator[Change]:
        """What makes the new children of the old ones, up to what is inside them."""
        if not self._olds and not self._news:
            return
        # What is before the first difference matters only for counting.
        before = Counter(_quick_name(each) for each in self._matching.olds[: self._matching.start])
        names = {old: _quick_name(self._matching.olds[old]) for old in self._olds}
        yield from self._removals(names, before)
        yield from self._moves(names, before)
        yield from self._additions(names, before)

    def _removals(self, names: Mapping[int, str], before: Counter[str]) -> Iterator[Change]:
        removed = [old for old in self._olds if old not in self._matching.new_of]
        paths = self._paths(names, before, removed)
        for old in reversed(removed):
            yield Change("remove", paths[old], old=xml_of(self._matching.olds[old]), index=old)

    def _moves(self, names: dict[int, str], before: Counter[str]) -> Iterator[Change]:
        staying = {new for _, new in self._matching.staying()}
        if len(staying) == len(self._matching.old_of):
            return
        line = _Line({old: names[old] for old in self._olds if old in self._matching.new_of}, before, self._olds.start)
        for new, old in sorted(self._matching.old_of.items()):
            if new in staying:
                line.pass_by(old)
                continue
            position, step = line.take_out(old)
            names[old] = _settled_name(self._matching.olds[old], self._pair.old)
            new_position, new_step = line.put_in(names[old])
            path = self._pair.path
            yield Change("move", f"{path}/{step}", str(position), f"{path}/{new_step}", new_position)

    def _additions(self, names: Mapping[int, str], before: Counter[str]) -> Iterator[Change]:
        matching = self._matching
        new_names = {
            new: names[matching.old_of[new]]
            if new in matching.old_of
            else _settled_name(matching.news[new], self._pair.old)
            for new in self._news
        }
        differing = [new for new in self._news if new not in matching.same]
        for new, path in self._paths(new_names, before, differing).items():
            if new in matching.old_of:
                old = matching.olds[matching.old_of[new]]
                self.pairs.append(_Pair(old, matching.news[new], path, self._pair.depth + 1))
            else:
                yield Change("add", path, new=xml_of(matching.news[new]), index=new)

    def _paths(self, names: Mapping[int, str], before: Counter[str], wanted: Sequence[int]) -> dict[int, str]:
        """The paths of some children, which have these names in their order, and before them come those before."""
        seen = before.copy()
        paths = {}
        reached = self._matching.start
        for position in wanted:
            seen.update(names[each] for each in range(reached, position + 1))
            reached = position + 1
            paths[position] = f"{self._pair.path}/{_step(names[position], seen[names[position]], position)}"
        return paths


class _Line:
    """Children that stand in a line while some of them are moved: each right behind the one that it is to follow.

    Where what was moved stands is told by the last one before it that stays. That goes up from move to move, so all
    lists here are sorted.
    """

    def __init__(self, names: Mapping[int, str], before: Counter[str], start: int) -> None:
        self._names = names
        self._before = before
        self._start = start
        self._standing: defaultdict[str | None, list[int]] = defaultdict(list)
        self._moved: defaultdict[str | None, list[int]] = defaultdict(list)
        self._latest = -1
        for old, name in names.items():
            self._standing[None].append(old)
            self._standing[name].append(old)

    def pass_by(self, old: int) -> None:
        """From here on, what is put in comes after one that stays."""
        self._latest = old

    def take_out(self, old: int) -> tuple[int, str]:
        """The position and the step of one that is to be moved, and is out of the line then."""
        name = self._names[old]
        counts = []
        for which in (None, name):
            standing = self._standing[which]
            place = bisect_left(standing, old)
            counts.append(place + bisect_left(self._moved[which], old))
            del standing[place]
        return self._told(name, *counts)

    def put_in(self, name: str) -> tuple[int, str]:
        """The position and the step of the one taken out, which is behind the latest then, under this name."""
        counts = []
        for which in (None, name):
            moved = self._moved[which]
            counts.append(bisect_right(self._standing[which], self._latest) + len(moved))
            moved.append(self._latest)
        return self._told(name, *counts)

    def _told(self, name: str, all_before: int, alike_before: int) -> tuple[int, str]:
        position = self._start + all_before
        return position, _step(name, self._before[name] + alike_before + 1, position)


def _step(name: str, ordinal: int, position: int) -> str:
    return f"{name}[{position + 1 if name == '*' else ordinal}]"


def _quick_name(element: etree._Element) -> str:
    tag = element.tag
    return step_name(element) if tag[0] == "{" else tag


def _settled_name(element: etree._Element, parent: etree._Element) -> str:
    """What an element will be called below a parent: lxml takes the first prefix in scope for its namespace."""
    namespace, _, local = element.tag.rpartition("}")
    if not namespace:
        return local
    for prefix, known in parent.nsmap.items():
        if known == namespace[1:]:
            return f"{prefix}:{local}" if prefix else "*"
    return step_name(element)
