"""Sets of changes that come over REST as JSON, and are carried out as one transaction.

    {"changes": [{"kind": "set", "path": "listeners/listener[2]/@port", "old": "80", "new": "8080"}, ...],
     "why": "...", "generation": 7}

1. A change has the kinds and keys of `_editing.changes.Change`. Each speaks of the document as those before it have
   left it. Paths may leave out what `rest_document.locate` can do without. `index` may be left out: the path says the
   place, or it is the last.
2. `old` is the condition of a change: what has to be there for it. It may be as GET shows it, `***` for secrets: so
   whoever may not know a secret can replace it.
3. The first change whose condition does not hold ends all of them, and nothing has happened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast, get_args

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from .._configuration import Configuration
from .._editing.changes import Change, Kind, apply, labelled, labels_of, own_text, parse_xml, same_meaning, xml_of
from .._editing.edit import Editor
from .._editing.fragments import words_of
from .._editing.machinery import check_machinery
from .._editing.paths import attribute_key, parse_path, position_of, written_name
from .._masking import secret_content, shown_attribute, shown_text
from .._section import Section
from .._transaction import Transaction
from .console_commands import checked_reason, reasons
from .position import position_of_nth
from .rest_document import Place, Refusal, locate, whole_path
from .shown import masked_changes, masked_element

__all__ = ["Batch", "Batched", "read_batch"]

_MAX_CHANGES = 10_000
_KEYS = {"changes", "why", "generation"}
_CHANGE_KEYS = {"kind", "path", "old", "new", "index"}
_NEEDED: Mapping[Kind, tuple[str, ...]] = {
    "set": ("new",),
    "unset": ("old",),
    "text": ("old", "new"),
    "add": ("new",),
    "remove": ("old",),
    "move": ("old", "new"),
}
_ALLOWED: Mapping[Kind, tuple[str, ...]] = {
    "set": ("old", "new"),
    "unset": ("old",),
    "text": ("old", "new"),
    "add": ("new", "index"),
    "remove": ("old", "index"),
    "move": ("old", "new", "index"),
}


@dataclass(frozen=True, slots=True)
class Batch:
    """What is asked for.

    Args:
        changes: in order; paths as they were sent, -1 for an index that was not.
        why: for the history.
        generation: which the document has to have, or None.
    """

    changes: tuple[Change, ...]
    why: str = ""
    generation: int | None = None


# Reading


def read_batch(body: bytes) -> Batch:
    """Read the body of a request.

    Raises:
        Refusal: 400: it is not such a set.
    """
    try:
        data: object = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is not JSON: {error}") from None
    if not isinstance(data, dict) or not isinstance(listed := data.get("changes"), list):
        raise Refusal(400, 'the body has to be an object such as {"changes": [...], "why": "..."}')
    if unknown := sorted(data.keys() - _KEYS):
        raise Refusal(400, f"there is no '{unknown[0]}' in the body; there is {', '.join(sorted(_KEYS))}")
    if len(listed) > _MAX_CHANGES:
        raise Refusal(400, f"{len(listed)} changes are too many for one request; {_MAX_CHANGES} are allowed")
    why, generation = data.get("why", ""), data.get("generation")
    if generation is not None and (isinstance(generation, bool) or not isinstance(generation, int)):
        raise Refusal(400, "the generation has to be a number")
    try:
        why = checked_reason(why if isinstance(why, str) else "\n")
    except ValueError as error:
        raise Refusal(400, f"why: {error}") from None
    return Batch(tuple(_read(number, each) for number, each in enumerate(listed)), why, generation)


def _read(number: int, data: object) -> Change:
    def wrong(what: str) -> Refusal:
        return Refusal(400, f"change {number}: {what}", change=number)

    if not isinstance(data, dict):
        raise wrong('each change has to be an object such as {"kind": "set", "path": ..., "old": ..., "new": ...}')
    given = {key: value for key, value in cast("dict[str, object]", data).items() if value is not None}
    kind, path = given.get("kind"), given.get("path")
    if not isinstance(kind, str) or kind not in get_args(Kind):
        raise wrong(f"the kind has to be one of {', '.join(get_args(Kind))}")
    if not isinstance(path, str):
        raise wrong("the path has to be a text")
    kind = cast("Kind", kind)
    old, new, index = given.get("old"), given.get("new"), given.get("index", -1)
    if unknown := sorted(given.keys() - _CHANGE_KEYS):
        raise wrong(f"there is no '{unknown[0]}'; there is {', '.join(sorted(_CHANGE_KEYS))}")
    for key in ("old", "new", "index"):
        if key in _NEEDED[kind] and key not in given:
            raise wrong(f"'{kind}' needs '{key}'")
        if key in given and key not in _ALLOWED[kind]:
            raise wrong(f"'{key}' does not belong to '{kind}'")
    if not isinstance(old, str | None) or not isinstance(new, str | None):
        raise wrong("'old' and 'new' have to be texts")
    if isinstance(index, bool) or not isinstance(index, int) or ("index" in given and index < 0):
        raise wrong("the index has to be a number that counts from 0")
    if kind == "move" and not (old or "").isdecimal():
        raise wrong("'old' of a move is the position of the element in its parent before: a number from 0, as a text")
    for text in (path, old, new):
        if text is not None and any("\ud800" <= each <= "\udfff" for each in text):
            raise wrong("this is no text: it has a surrogate without its other half")
    change = Change(kind, path, old, new, index)
    try:
        if kind in ("add", "remove"):
            parse_xml(new or old or "")
    except ValueError as error:
        raise wrong(str(error)) from None
    return change


# Carrying out


class Batched(Transaction):
    """All changes of a set, in a transaction: `with Batched(...): pass`.

    Args:
        configuration: what is changed.
        who: who asks.
        batch: what for.

    Raises:
        Refusal: at the end of the block: 400, 404, 409, 422: a change cannot be carried out.
        ConfigurationError: likewise: as `Transaction`.
    """

    def __init__(self, configuration: Configuration, who: str, batch: Batch) -> None:
        super().__init__(configuration, who, batch.why or "POST")
        self._batch = batch

    def _perform(self, editor: Editor) -> None:
        root = Section(self._tree, self._tree.root)
        for number, wanted in enumerate(self._batch.changes):
            try:
                change = _resolved(root, wanted)
                check_machinery(self._tree, change)
                apply(editor, self._tree.root, [change])
            except Refusal as refusal:
                raise Refusal(refusal.status, str(refusal), **refusal.fields, change=number) from None
            except (ConfigurationError, LookupError, ValueError) as error:
                told = reasons(error) if isinstance(error, ConfigurationError) else [str(error)]
                raise Refusal(422, f"refused: {error}", reasons=told, change=number) from error


def _resolved(root: Section, wanted: Change) -> Change:
    """A change as it fits the document, once it is known that its condition holds there.

    Raises:
        Refusal: 400, 404, 409.
        ValueError: it has no place there.
    """
    if wanted.kind == "add":
        return _arriving(root, wanted, wanted.path)
    place = locate(root, wanted.path.removeprefix("/"))
    if bool(place.attribute) != (wanted.kind in ("set", "unset")):
        what = "an attribute, …/@name" if wanted.kind in ("set", "unset") else "an element"
        raise Refusal(400, f"'{wanted.kind}' needs the path of {what}, and not {wanted.path}")
    if not place.found:
        raise place.missing()
    element = place.nearest._element
    if wanted.kind == "move":
        _expect(
            place, wanted, holds=int(wanted.old or "") == position_of(element), now="stands at another position now"
        )
        path = place.nearest.path
        return replace(_arriving(root, wanted, wanted.new or "", without=element), path=path, old=wanted.old)
    if wanted.kind == "remove":
        return _removal(place, wanted)
    now, shown = _value(place)
    if wanted.kind == "text":
        holds = any(words_of(wanted.old or "") == words_of(each or "") for each in (now, shown))
    else:
        holds = wanted.old in (now, shown)
    _expect(place, wanted, holds=holds, now=_told(now, wanted.old))
    return replace(wanted, path=place.shown, old=now)


def _told(now: str | None, expected: str | None) -> str:
    if now is None:
        return "is not there"
    return "is there already" if expected is None else "is something else now"


def _removal(place: Place, wanted: Change) -> Change:
    element, expected = place.nearest._element, parse_xml(wanted.old or "")
    holds = same_meaning(element, expected) or same_meaning(masked_element(place.nearest), expected)
    _expect(place, wanted, holds=holds, now="has other attributes or another content now")
    position = position_of(element)
    _expect(place, wanted, holds=wanted.index in (-1, position), now="stands at another position now")
    return replace(wanted, path=place.nearest.path, old=xml_of(element), index=position)


def _arriving(root: Section, wanted: Change, target: str, without: etree._Element | None = None) -> Change:
    """An addition, or a move but for where it is from, with the position that its path or index says."""
    try:
        steps, attribute = parse_path(whole_path(root, target.removeprefix("/")))
    except ValueError as error:
        raise Refusal(400, str(error)) from None
    if attribute is not None or len(steps) < 2:
        raise Refusal(400, f"{target} is no place for an element: it needs the path of one below the root")
    above = whole_path(root, target.removeprefix("/")).rpartition("/")[0]
    place = locate(root, above[1:], without=without)
    if not place.found:
        raise place.missing()
    parent, (name, number), index = place.nearest._element, steps[-1], wanted.index
    if index < 0:
        if number:
            index = position_of_nth(parent, name, number, without=without)
        else:
            index = sum(1 for each in parent.iterchildren(etree.Element) if each is not without)
    # The path of the parent is kept as it was sent: it holds while the element is away (`_editing.changes`, rule 3).
    path = f"{above}/{name}[{number}]" if number else f"{above}/{name}"
    if wanted.kind == "move":
        return replace(wanted, new=path, index=index)
    return replace(wanted, path=path, index=index)


def _value(place: Place) -> tuple[str | None, str | None]:
    """An attribute or the text of an element: as it is written, and as GET shows it; None when it is not there."""
    element = place.nearest._element
    names = [written_name(each) for each in (element, *element.iterancestors())]
    secret = secret_content(names, labels_of(element))
    if not place.attribute:
        text = own_text(element)
        return text, shown_text(text, secret=secret)
    value = element.get(attribute_key(element, place.attribute))
    if value is None:
        return None, None
    return value, shown_attribute(names[0], place.attribute, value, secret=secret)


def _expect(place: Place, wanted: Change, *, holds: bool, now: str) -> None:
    """Refuse a change whose condition does not hold; what it is is told, what is there is not.

    Raises:
        Refusal: 409.
    """
    if holds:
        return
    (shown,) = masked_changes([labelled(replace(wanted, path=place.shown), place.nearest._element)])
    hint = "say what it is as 'old'" if wanted.old is None else "look again, and decide again"
    raise Refusal(409, f"{place.shown} {now}; {hint}", path=place.shown, expected=shown.old)
