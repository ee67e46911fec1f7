"""Changes of a document, one by one: what they are, how they are written down, undone, applied and shown. Pure.

A list of changes is a *script*:

1. Each change speaks of the document as the changes before it have left it. So a script runs from its first change to
   its last, and is undone by the inverse of its last, and so on to the first.
2. What is added or removed is told as XML. It declares the namespaces that it uses, so that it can be put anywhere.
3. In a move, the parent that `new` names is at that place both while the element is out of the document and afterwards,
   since no ancestor's path depends on what stands below it. So a move has two like ends, (`path`, `old`) and (`new`,
   `index`), and its inverse is the same move with the ends exchanged.
4. What a change says was there before must be there, or it does not fit: XML in meaning only, texts but for how many
   blanks are in one place. So a script made from one document fits another that means the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, cast, get_args

from lxml import etree

from .._values.secret import MASK
from .fragments import own_text, parse_xml, same_meaning, words_of, xml_of
from .paths import attribute_key, follow, parse_path, path_of, position_of, resolve, written_name

if TYPE_CHECKING:
    from .edit import Editor

__all__ = [
    "Change",
    "Kind",
    "apply",
    "describe",
    "from_json",
    "inverse",
    "labelled",
    "labels_of",
    "masked",
    "own_text",
    "parse_xml",
    "path_of",
    "resolve",
    "same_meaning",
    "to_json",
    "xml_of",
]

Kind = Literal["set", "unset", "text", "add", "remove", "move"]

_KINDS = frozenset(get_args(Kind))
_SHOWN = 60
_BETWEEN_TAGS = re.compile(r">[ \t\r\n]+<")
_DECLARATION = re.compile(r' xmlns(?::[^\s=]+)?="[^"]*"')


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a document.

    Args:
        kind: an attribute is set or unset, the text of an element without child elements is replaced, an element is
            added, removed or moved.
        path: set, unset: of the attribute; text, remove, move: of the element before; add: of the element afterwards.
        old: set, unset: the value before, None if there was none; text: the text before; remove: the XML of the
            element; move: the position before, in decimal.
        new: set: the value; text: the text; add: the XML of the element; move: the path of the element afterwards.
        index: add, remove: position of the element among the child elements of its parent, from 0; move: the position
            afterwards. Otherwise -1.
        labels: what the element of a set, unset or text is called by its attributes `name` and `id`. They tell people
            what a path means, and whether a value is a secret. Not compared.
        keys: its attribute `key`, which may tell that a value is a secret, or be one. Not compared.
    """

    kind: Kind
    path: str
    old: str | None = None
    new: str | None = None
    index: int = -1
    labels: tuple[str, ...] = field(default=(), compare=False)
    keys: tuple[str, ...] = field(default=(), compare=False)


# -- Written down


def to_json(change: Change) -> dict[str, str | int | list[str]]:
    """A change as builtins that JSON can hold; what it does not use is left out."""
    data: dict[str, str | int | list[str]] = {"kind": change.kind, "path": change.path}
    if change.old is not None:
        data["old"] = change.old
    if change.new is not None:
        data["new"] = change.new
    if change.index >= 0:
        data["index"] = change.index
    if change.labels:
        data["labels"] = list(change.labels)
    if change.keys:
        data["keys"] = list(change.keys)
    return data


def from_json(data: Mapping[str, object]) -> Change:
    """The change that `to_json` has written down.

    Raises:
        ValueError: this is none.
    """
    kind, path, old, new = (data.get(name) for name in ("kind", "path", "old", "new"))
    index, labels, keys = data.get("index", -1), data.get("labels", []), data.get("keys", [])
    if (
        not isinstance(kind, str)
        or kind not in _KINDS
        or not isinstance(path, str)
        or not isinstance(old, str | None)
        or not isinstance(new, str | None)
        or not isinstance(index, int)
        or isinstance(index, bool)
        or not isinstance(labels, list)
        or not isinstance(keys, list)
        or not all(isinstance(each, str) for each in [*labels, *keys])
        or not data.keys() <= {"kind", "path", "old", "new", "index", "labels", "keys"}
    ):
        raise ValueError(
            f"this is no change of a document: kind {kind!r}, path {path!r}, with {', '.join(sorted(data))}"
        )
    change = Change(cast("Kind", kind), path, old, new, index, tuple(labels), tuple(keys))
    _check(change)
    return change


def _check(change: Change) -> None:
    """Refuse a change that lacks what its kind needs."""
    old, new, index = change.old is not None, change.new is not None, change.index >= 0
    complete = {
        "set": new and not index,
        "unset": old and not new and not index,
        "text": old and new and not index,
        "add": new and not old and index,
        "remove": old and not new and index,
        "move": new and index and (change.old or "").isdecimal(),
    }[change.kind]
    _, attribute = parse_path(change.path)
    if not complete or (attribute is not None) != (change.kind in ("set", "unset")):
        raise ValueError(f"{change.path}: the change '{change.kind}' is incomplete, or says what does not belong to it")


# -- Undone and applied


def inverse(script: Iterable[Change]) -> list[Change]:
    """The script that undoes a script."""
    return [_inverse(change) for change in reversed(list(script))]


def _inverse(change: Change) -> Change:
    if change.kind == "move":
        assert change.old is not None
        assert change.new is not None
        return replace(change, path=change.new, old=str(change.index), new=change.path, index=int(change.old))
    kind: Kind = change.kind
    if kind == "set" and change.old is None:
        kind = "unset"
    elif kind == "unset":
        kind = "set"
    elif kind == "add":
        kind = "remove"
    elif kind == "remove":
        kind = "add"
    return replace(change, kind=kind, old=change.new, new=change.old)


def apply(editor: Editor, root: etree._Element, script: Iterable[Change]) -> None:
    """Make the changes of a script.

    Args:
        editor: makes them. On an error those before it are made already: it is for the caller to undo them.
        root: the root element of the document.
        script: the changes.

    Raises:
        LookupError: a path leads nowhere.
        ValueError: what a change says was there before is not there, or the editor refuses it. The message tells no
            values, which may be secrets.
    """
    for change in script:
        _check(change)
        steps, attribute = parse_path(change.path)
        if change.kind == "add":
            _apply_add(editor, root, change, steps)
            continue
        element = follow(root, steps)
        if attribute is not None:
            if element.get(attribute_key(element, attribute)) != change.old:
                raise _unexpected(change, "has another value")
            editor.set(element, attribute, change.new)
        elif change.kind == "move":
            _apply_move(editor, root, change, element)
        elif change.kind == "text":
            if words_of(own_text(element)) != words_of(change.old or ""):
                raise _unexpected(change, "has another text")
            editor.text(element, change.new or "")
        else:
            if not same_meaning(element, parse_xml(change.old or "")):
                raise _unexpected(change, "has other attributes or another content")
            editor.remove(element)


def _apply_add(editor: Editor, root: etree._Element, change: Change, steps: Sequence[tuple[str, int]]) -> None:
    if len(steps) < 2:  # a parent and the element itself
        raise ValueError(f"{change.path} cannot be added: a document has one root")
    parent = follow(root, steps[:-1])
    element = parse_xml(change.new or "")
    editor.add(parent, change.index, element)
    _check_arrival(change.path, element)


def _apply_move(editor: Editor, root: etree._Element, change: Change, element: etree._Element) -> None:
    target = change.new or ""
    steps, attribute = parse_path(target)
    if attribute is not None or len(steps) < 2:
        raise ValueError(f"{change.path} cannot be moved to {target}, which is no place for an element")
    parent = follow(root, steps[:-1], without=element)
    if position_of(element) != int(change.old or ""):
        raise _unexpected(change, "is at another position")
    editor.move(element, parent, change.index)
    _check_arrival(target, element)


def _unexpected(change: Change, what: str) -> ValueError:
    return ValueError(
        f"{change.path} {what} now than this change was made for: somebody has changed it since; look at it again"
    )


def _check_arrival(path: str, element: etree._Element) -> None:
    (name, index), (actual_name, actual_index) = parse_path(path)[0][-1], parse_path(path_of(element))[0][-1]
    # Of a namespace lxml takes the prefix that is in scope already. Then the name is another, and its index too.
    if name.rpartition(":")[2] == actual_name.rpartition(":")[2] and (
        name != actual_name or index in (0, actual_index)
    ):
        return
    raise ValueError(f"{path} does not fit: at the position given the element would be {path_of(element)}")


def labels_of(element: etree._Element) -> tuple[str, ...]:
    """What an element is called by its attributes `name`, `key` and `id`."""
    return tuple(value for label in ("name", "key", "id") if (value := element.get(label)))


def labelled(change: Change, *elements: etree._Element) -> Change:
    """A change with what its element is called, in addition to what it says already.

    Args:
        change: the change.
        elements: its element, as it is before and after the change.
    """
    labels = [element.get(label) for element in elements for label in ("name", "id")]
    keys = [element.get("key") for element in elements]
    return replace(change, labels=_distinct([*change.labels, *labels]), keys=_distinct([*change.keys, *keys]))


def _distinct(texts: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


# -- Shown


def describe(change: Change) -> str:
    """One line for people: `/app/listeners[1]/@port: "80" -> "8080"`. Long texts are cut, odd characters escaped."""
    called = f" ({', '.join(map(_quoted, change.labels))})" if change.labels else ""
    if change.kind == "add":
        what = f"added {_excerpt(change.new or '')}"
    elif change.kind == "remove":
        what = f"removed {_excerpt(change.old or '')}"
    elif change.kind == "move":
        what = f"moved to {_printable(change.new or '')}"
    else:
        what = f"{_value(change.old)} -> {_value(change.new)}"
    return f"{_printable(change.path)}{called}: {what}"


def masked(change: Change, is_secret: Callable[[str], bool], *, hide: Callable[[str], str] = str) -> Change:
    """A change that may be shown: secrets replaced by `***`, also inside XML; comments in XML are left out.

    Secret is an attribute whose name sounds so; and the text and the attribute `value` of an element whose name or
    label (attribute `name`, `key` or `id`) does, or that stands in an element whose name does.

    Args:
        change: the change. What is returned can be shown, but not applied or inverted.
        is_secret: whether a name sounds secret.
        hide: hides what looks like a secret in a value whose name does not sound so, such as a password in a URL.
    """
    if change.kind == "move":
        return change
    steps, attribute = parse_path(change.path)
    names = [name for name, _ in steps]
    if change.kind in ("add", "remove"):
        above = any(map(is_secret, names[:-1]))
        old, new = (xml and _masked_xml(xml, above, is_secret, hide) for xml in (change.old, change.new))
        return replace(change, old=old, new=new)
    content = any(map(is_secret, [*names, *change.labels, *change.keys]))
    secret = content if attribute is None else is_secret(attribute) or (attribute == "value" and content)
    old, new = (value and _masked_text(value, secret, hide) for value in (change.old, change.new))
    return replace(change, old=old, new=new, labels=tuple(map(hide, change.labels)), keys=())


def _masked_xml(xml: str, above: bool, is_secret: Callable[[str], bool], hide: Callable[[str], str]) -> str:
    root = parse_xml(xml)
    etree.strip_elements(root, etree.ProcessingInstruction, etree.Comment, with_tail=False)
    inside: dict[etree._Element | None, bool] = {None: above}
    for element in root.iter(etree.Element):
        inside[element] = within = inside[element.getparent()] or is_secret(written_name(element))
        content = within or any(map(is_secret, labels_of(element)))
        for key, value in cast("list[tuple[str, str]]", element.items()):
            name = etree.QName(key).localname
            secret = is_secret(name) or (name == "value" and content)
            element.set(key, _masked_text(value, secret, hide))
        element.text = element.text and _masked_text(element.text, content, hide)
        for child in element:
            # What follows a child is part of this element's text.
            child.tail = child.tail and _masked_text(child.tail, content, hide)
    return etree.tostring(root, encoding="unicode")


def _masked_text(text: str, secret: bool, hide: Callable[[str], str]) -> str:
    if not words_of(text):
        return text
    return MASK if secret else hide(text)


def _excerpt(xml: str) -> str:
    """XML on one line, without declarations, cut."""
    return _cut(_printable(_BETWEEN_TAGS.sub("><", _DECLARATION.sub("", xml))))


def _value(text: str | None) -> str:
    return "(none)" if text is None else _quoted(text)


def _quoted(text: str) -> str:
    return _printable(json.dumps(_cut(text), ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _printable(text: str) -> str:
    """A text without what would act on a terminal or turn the direction of writing."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)
