"""What REST sends: elements as XML and JSON, and what has changed, secrets hidden.

Pure, but that values which are substituted may come from files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from lxml import etree

from .._apply import Pending
from .._editing.changes import Change, describe, own_text, to_json
from .._editing.paths import path_of, step_name, written_name
from .._history import Generation
from .._masking import LABELS, MASK, secret_content, shown_attribute, shown_text, sounds_secret
from .._names import own_attributes
from .._origins import Substituted, origins, substituted
from .._tree import Tree
from .shown import masked_changes

__all__ = ["changes_json", "element_json", "generation_json", "json_bytes", "pending_json", "preferred", "xml_bytes"]

_MAX_CHANGES = 1000
_MAX_VALUE_CHARS = 4096


def preferred(accept: str, forms: Mapping[str, str]) -> str:
    """Which form a client would like best; the first, when it does not care.

    Args:
        accept: its `Accept`.
        forms: media types, each with the form that is of this type.
    """
    wanted: dict[str, float] = {}
    for each in accept.lower().split(","):
        kind, *parameters = [part.strip() for part in each.split(";")]
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            wanted[kind] = float(quality)
        except ValueError:
            wanted[kind] = 0.0

    def liking(kind: str) -> float:
        for pattern in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
            if pattern in wanted:
                return wanted[pattern]
        return 0.0

    return forms[max(forms, key=liking)]


def xml_bytes(shown: etree._Element) -> bytes:
    """An element as a document of its own, in UTF-8."""
    text = etree.tostring(shown, encoding="unicode", with_tail=False)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def json_bytes(data: object) -> bytes:
    """Data as one line of JSON."""
    return json.dumps(data, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def element_json(tree: Tree, element: etree._Element, *, substitute: bool) -> dict[str, object]:
    """An element as JSON holds it: `name`, `path`, `where`, `attributes`, `text` and `children`, secrets hidden.

    The text is what stands directly in the element; blanks between elements are left out. Where values are substituted,
    `origins` tells where they come from, by the attribute's name and by `""` for the text.

    Args:
        tree: the document, locked by the caller.
        element: one of its elements.
        substitute: show values as they are read; otherwise as they are written.
    """
    inside_secret = any(sounds_secret(written_name(each)) for each in element.iterancestors())
    return _element_json(tree, element, path_of(element), inside_secret, substitute)


def _element_json(
    tree: Tree, element: etree._Element, path: str, inside_secret: bool, substitute: bool
) -> dict[str, object]:
    def read(raw: str, name: str = "") -> Substituted:
        return substituted(tree, element, raw, name) if substitute else Substituted(raw, raw)

    tag = written_name(element)
    values = {name: read(raw, name) for name, raw in own_attributes(element).items()}
    labels = [text for name in LABELS if name in values for text in (values[name].raw, values[name].value)]
    inside_secret = inside_secret or sounds_secret(tag)
    secret = inside_secret or secret_content([], labels)
    elements = list(element.iterchildren(etree.Element))
    text = read(own_text(element))
    found = {**values, "": text} if text.raw.strip() or not elements else values
    attributes = {name: _shown(each, secret, tag, name) for name, each in values.items()}
    shown = _shown(text, secret) if "" in found else ""
    data: dict[str, object] = {
        "name": tag,
        "path": path,
        "where": tree.where(element),
        "attributes": attributes,
        "text": shown,
    }
    if substitute and (sources := {name: origins(each) for name, each in found.items() if each.used}):
        data["origins"] = sources
    children: list[dict[str, object]] = []
    seen: dict[str, int] = {}
    for number, child in enumerate(elements, start=1):
        name = step_name(child)
        seen[name] = number if name == "*" else seen.get(name, 0) + 1
        children.append(_element_json(tree, child, f"{path}/{name}[{seen[name]}]", inside_secret, substitute))
    return {**data, "children": children}


def _shown(text: Substituted, secret: bool, tag: str = "", attribute: str = "") -> str:
    """A text that was read, as it may be shown."""
    if text.replaced and text.secret:
        return MASK
    used = () if text.problem else text.used
    if attribute:
        return shown_attribute(tag, attribute, text.value, secret=secret, used=used)
    return shown_text(text.value, secret=secret, used=used)


def generation_json(generation: Generation) -> dict[str, object]:
    """A generation as JSON holds it; `left_out` says how many of its changes are."""
    return {
        "number": generation.number,
        "time": datetime.fromtimestamp(generation.time_s, UTC).isoformat(timespec="milliseconds"),
        "kind": generation.kind,
        "who": generation.who,
        "why": generation.why,
        "changes": changes_json(generation.changes),
        "left_out": max(len(generation.changes) - _MAX_CHANGES, 0),
    }


def changes_json(changes: Sequence[Change]) -> list[dict[str, object]]:
    """The first of some changes as JSON holds them, secrets hidden."""
    return [_change_json(each) for each in masked_changes(changes[:_MAX_CHANGES])]


def pending_json(pending: Iterable[Pending]) -> list[dict[str, object]]:
    """What waits for a restart, as JSON holds it, secrets hidden."""
    kept = list(pending)
    shown = masked_changes(each.change for each in kept)
    return [
        {**_change_json(change), "plugin": each.plugin, "policy": each.policy, "generation": each.generation}
        for each, change in zip(kept, shown, strict=True)
    ]


def _change_json(shown: Change) -> dict[str, object]:
    """A change that may be shown, as `to_json` puts it, long values cut, and with a `summary` for people."""
    data: dict[str, object] = {key: _cut(value) for key, value in to_json(shown).items()}
    return {**data, "summary": describe(shown)}


def _cut(value: object) -> object:
    if isinstance(value, str) and len(value) > _MAX_VALUE_CHARS:
        return f"{value[:_MAX_VALUE_CHARS]}… ({len(value)} characters)"
    return value
