"""What REST makes of a document: paths, entity tags, and the script that a replacement is. Pure.

1. A path is that of an element below the root, with or without the root's name before it, as `Section.path` gives it.
   An index may be left out where there is only one. `@name` at its end means an attribute.
2. An entity tag has two parts: `"content-representation"`. The first is of what an element means, secrets and all,
   under a key that nobody knows, so that it tells nothing about them; what means the same has the same. The second is
   of the bytes that are sent. Whoever changes something has to know the first; whoever has a copy compares both.
3. What is sent is masked, and what is masked cannot come back: a `***` that is not in the document already is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import cast

from lxml import etree

from .._editing.changes import Change, own_text, parse_xml, same_meaning, xml_of
from .._editing.diff import diff
from .._editing.paths import parse_path, path_of, position_of, step_name
from .._masking import MASK
from .._names import own_attributes
from .._section import Section

__all__ = [
    "Conditions",
    "Place",
    "Refusal",
    "check_conditions",
    "check_masks",
    "content_tag",
    "etag",
    "locate",
    "replacement",
    "same_representation",
    "whole_path",
]

_MAX_CANDIDATES = 100
_TAGS = re.compile(r'(W/)?"([^"]*)"')
_WORD = re.compile(r"[^ \t\r\n]+")


class Refusal(Exception):
    """A request that is not carried out.

    Args:
        status: what to answer with, 400 or above.
        message: what is wrong and what to do.
        fields: more of the answer, as JSON.
    """

    def __init__(self, status: int, message: str, **fields: object) -> None:
        super().__init__(message)
        self.status = status
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Conditions:
    """On what a request depends: the header fields of these names, None where there is none."""

    if_match: str | None = None
    if_none_match: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """What a path leads to.

    Args:
        path: the whole path, indices as they were given.
        nearest: the element itself, or the nearest one round it that there is.
        found: whether `nearest` is the element that the path names.
        name: of the element, by which it would be made.
        free: whether the element may be made there, as the last of its name in `nearest`.
        attribute: the attribute that is meant, or `""` for the element.
    """

    path: str
    nearest: Section
    found: bool
    name: str
    free: bool
    attribute: str

    @property
    def shown(self) -> str:
        """The whole path, that of the attribute if one is meant; of what is there with all indices."""
        path = self.nearest.path if self.found else self.path
        return f"{path}/@{self.attribute}" if self.attribute else path

    def value(self) -> str | None:
        """The attribute, as it is written; None when it is not there."""
        return own_attributes(self.nearest._element).get(self.attribute) if self.found else None

    def missing(self) -> Refusal:
        """The answer to whoever asks for what is not there."""
        if self.found:
            what = f"{self.nearest.path} has no attribute '{self.attribute}'"
        else:
            there = len(_children(self.nearest._element, self.name))
            what = f"there is no {self.path}: {self.nearest.path} has {there or 'no'} <{self.name}>"
        return Refusal(404, what, nearest=self.nearest.path)


def whole_path(root: Section, path: str) -> str:
    """A path as `locate` takes it, from the root's name on."""
    name = step_name(root._element)
    words = path.rstrip("/")
    if words.partition("/")[0] not in (name, f"{name}[1]"):
        words = f"{name}/{words}" if words else name
    return f"/{words}"


def locate(root: Section, path: str, *, without: etree._Element | None = None) -> Place:
    """Find out what a path leads to. The caller lets nothing change the document meanwhile.

    Args:
        root: of the document.
        path: see rule 1; decoded, without a slash at its beginning.
        without: an element to be taken as absent.

    Raises:
        Refusal: 400: it is no path. 409: it leads to several elements; the answer names them.
    """
    complete = whole_path(root, path)
    try:
        steps, attribute = parse_path(complete)
    except ValueError as error:
        raise Refusal(400, str(error)) from None
    whole = complete.partition("/@")[0]
    element, name = root._element, step_name(root._element)
    for depth, (name, index) in enumerate(steps[1:], start=1):
        try:
            matching = [each for each in _children(element, name) if each is not without]
        except ValueError:
            raise Refusal(400, f"{name!r} cannot be the name of an element") from None
        if not index and len(matching) > 1:
            candidates = [path_of(each) for each in matching[:_MAX_CANDIDATES]]
            raise Refusal(409, f"{whole} is {len(matching)} elements; write which one is meant", candidates=candidates)
        if len(matching) < max(index, 1):
            last = depth == len(steps) - 1 and attribute is None and name != "*"
            free = last and index in (0, len(matching) + 1)
            return Place(whole, Section(root._tree, element), False, name, free, attribute or "")
        element = matching[max(index - 1, 0)]
    return Place(whole, Section(root._tree, element), True, name, False, attribute or "")


def _children(parent: etree._Element, name: str) -> list[etree._Element]:
    """The children that a step of a path names."""
    if name == "*":
        return list(parent.iterchildren(etree.Element))
    prefix, colon, local = name.rpartition(":")
    if not colon:
        return list(parent.iterchildren(name))
    return [each for each in parent.iterchildren(f"{{*}}{local}") if each.prefix == prefix]


# Entity tags


def content_tag(content: etree._Element | str, key: bytes) -> str:
    """The part of an entity tag that is of the content (rule 2).

    Args:
        content: an element, or the value of an attribute.
        key: 16 to 64 random bytes.
    """
    state = blake2b(key=key, digest_size=10)
    if isinstance(content, str):
        state.update(_encoded(["value", content]))
        return state.hexdigest()
    for event, node in etree.iterwalk(content, events=("start", "end"), tag=etree.Element):
        if event == "end":
            state.update(b"end")
            continue
        leaf = next(node.iterchildren(etree.Element), None) is None
        text = own_text(node)
        state.update(_encoded([node.tag, sorted(node.items()), text if leaf else _WORD.findall(text)]))
    return state.hexdigest()


def etag(content: str, body: bytes) -> str:
    """The entity tag of a representation, quoted."""
    return f'"{content}-{blake2b(body, digest_size=6).hexdigest()}"'


def check_conditions(conditions: Conditions, content: str | None) -> None:
    """Refuse a change of what is not as the client knows it.

    Raises:
        Refusal: 412, or 428 when it does not say what it knows.
    """
    wanted, unwanted = conditions.if_match, conditions.if_none_match
    if wanted is not None and (content is None or not _knows(wanted, content)):
        what = "is not there" if content is None else "has been changed since you looked"
        raise Refusal(412, f"it {what}; look again, and decide again")
    if unwanted is not None and content is not None and _knows(unwanted.replace("W/", ""), content):
        raise Refusal(412, "it is there already")
    if wanted is None and unwanted is None and content is not None:
        raise Refusal(
            428, "say which state of it you know: send the ETag that GET gave you as If-Match, or '*' for any"
        )


def _knows(header: str, content: str) -> bool:
    """Whether an `If-Match` names a content (RFC 9110, section 13.1.1: compared strongly)."""
    return header.strip() == "*" or any(
        not weak and tag.partition("-")[0] == content
        for weak, tag in cast("list[tuple[str, str]]", _TAGS.findall(header))
    )


def same_representation(header: str, tag: str) -> bool:
    """Whether an `If-None-Match` names a representation (section 13.1.2: compared weakly)."""
    return header.strip() == "*" or tag.strip('"') in [each for _, each in _TAGS.findall(header)]


# Replacements


def replacement(current: etree._Element, wanted: etree._Element) -> list[Change]:
    """The script that makes an element of a document mean what another one does.

    Args:
        current: the element.
        wanted: the root of a document of its own, of the same name.
    """
    path = path_of(current)
    if (_is_mixed(current) or _is_mixed(wanted)) and not same_meaning(current, wanted):
        index = position_of(current)
        return [
            Change("remove", path, old=xml_of(current), index=index),
            Change("add", path, new=xml_of(wanted), index=index),
        ]
    own = len(f"/{step_name(current)}")
    return [
        replace(
            each,
            path=path + each.path[own:],
            new=path + each.new[own:] if each.kind == "move" and each.new else each.new,
        )
        for each in diff(current, wanted)
    ]


def _is_mixed(element: etree._Element) -> bool:
    return next(element.iterchildren(etree.Element), None) is not None and bool(own_text(element).strip())


def check_masks(script: Sequence[Change]) -> None:
    """Refuse a script that would put what hides a secret in the place of one (rule 3).

    Raises:
        Refusal: 422, with the places.
    """
    places = [place for change in script for place in _masks(change)]
    if places:
        raise Refusal(
            422,
            f"'{MASK}' stands for a secret that is not shown, and cannot be stored; send the secret itself, or change "
            "only what is to be changed: attributes and elements inside have paths of their own",
            reasons=places,
        )


def _masks(change: Change) -> Iterator[str]:
    if change.new is None or MASK not in change.new or change.kind == "move":
        return
    if change.kind != "add":
        yield change.path
        return
    for element in parse_xml(change.new).iter(etree.Element):
        inner = path_of(element).partition("/")[2].partition("/")[2]
        path = f"{change.path}/{inner}" if inner else change.path
        yield from (f"{path}/@{key}" for key, value in own_attributes(element).items() if MASK in value)
        if MASK in own_text(element):
            yield path


def _encoded(data: object) -> bytes:
    return json.dumps(data).encode()
