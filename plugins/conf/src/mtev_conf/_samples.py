"""One commented document made of the samples (`sample.xml`) of plugins.

1. A sample is a piece of a document: comments and elements, as its author wrote them. It is only moved to the right,
   unless a value in it goes over several lines, which that would change; and it loses its XML declaration.
2. Several samples of one stanza become several such elements: to plugins they mean the same as one, and each sample can
   be taken, or left out, as a whole.
3. What the stanza of an earlier sample defines under the same name (a `<log>`, a `<generic>`) is left out of the later
   one, with a comment: the second definition would replace the first.
4. A sample that cannot be shown never hides another one.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lxml import etree

from ._source import decode
from ._writing.scan import scan

if TYPE_CHECKING:
    from mtev_kernel.discovery import Found

__all__ = ["compose_samples"]

_SAMPLE = "sample.xml"
_ROOT = "example"
_INDENT = "  "
_WIDTH = 116
_DECLARATION = re.compile(r"\A\s*<\?xml\s.*?\?>", re.DOTALL)
_DEFINITIONS = ("log", "generic", "loader")

_Names = dict[tuple[str, str, str], str]


def compose_samples(offers: Sequence[Found]) -> str:
    """One document with the samples of plugins, in their order. Blocks on the file system.

    The name of its root is to be replaced. A plugin without a sample, or with one that cannot be shown, is mentioned in
    a comment.

    Args:
        offers: plugins; their samples stand beside their manifests.
    """
    names = ", ".join(dict.fromkeys(each.name for each in offers)) or "no plugin"
    opening = (
        f"A configuration to begin with, made of the samples of: {names}. Name the outermost element after your "
        "application, and keep of the rest what you need."
    )
    defined: _Names = {}
    sections = [_section(each, defined) for each in offers]
    body = "\n\n".join([f"<{_ROOT}>", *sections, f"</{_ROOT}>"])
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_comment(opening)}\n{body}\n'


def _section(offer: Found, defined: _Names) -> str:
    """What is shown of one plugin; `defined` says which plugin's sample has defined what so far."""
    summary = offer.manifest.summary.rstrip(".") if offer.manifest is not None else "no manifest"
    heading = f"{offer.name} ({offer.label}): {summary}."
    try:
        data = offer.resource(_SAMPLE)
        if data is None:
            return _told(f"{heading} It brings no sample along.")
        text = re.sub("\r\n?", "\n", _DECLARATION.sub("", decode(data).text)).strip()
        if _parsed(text).find("*") is None:
            return _told(f"{heading} Its sample is left out: it has no element.")
        text = _without_repeated(text, offer.name, defined)
    except OSError as error:
        return _told(f"{heading} Its sample cannot be read: {error.strerror}.")
    except etree.XMLSyntaxError as error:
        return _told(f"{heading} Its sample is left out: it is not well-formed XML: {error.msg}")
    except ValueError as error:
        return _told(f"{heading} Its sample is left out: {error}")
    moved = _moved(text)
    return f"{_told(heading)}\n{moved if _same_values(_parsed(text), _parsed(moved)) else text}"


def _with_root(sample: str) -> str:
    """A sample as a document; it may be several elements itself."""
    return f"<{_ROOT}>{sample}</{_ROOT}>"


def _parsed(sample: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    return etree.fromstring(_with_root(sample).encode(), parser)


def _without_repeated(sample: str, plugin: str, defined: _Names) -> str:
    """A sample without what others have defined under the same names."""
    text = _with_root(sample)
    spans = scan(text)
    pieces, position = [], len(f"<{_ROOT}>")
    own: _Names = {}
    for number, node in enumerate(_parsed(sample).iter(), start=1):
        if node.tag not in _DEFINITIONS or spans.start[number] < position:
            continue
        *_, stanza, _root = (node, *node.iterancestors())
        key = (stanza.tag, node.tag, node.get("name", ""))
        if key in defined:
            note = f'{node.tag} "{key[2]}": see the sample of {defined[key]}'
            pieces += [text[position : spans.start[number]], _comment(note)]
            position = spans.end[number]
        elif key[2]:
            own[key] = plugin
    defined.update(own)
    return "".join([*pieces, text[position : -len(f"</{_ROOT}>")]])


def _told(text: str) -> str:
    return _moved(_comment(text))


def _moved(text: str) -> str:
    return re.sub("^(?=.)", _INDENT, text, flags=re.MULTILINE)


def _same_values(one: etree._Element, other: etree._Element) -> bool:
    """Whether two versions of a sample differ in nothing but comments, and blanks among elements."""
    for left, right in zip(one.iter(), other.iter(), strict=True):
        texts = [(left.tail, right.tail)]
        if isinstance(left.tag, str):
            texts.append((left.text, right.text))
        if left.items() != right.items() or any(before != after and (before or "").strip() for before, after in texts):
            return False
    return True


def _comment(text: str) -> str:
    """A comment, on as many lines as it takes; two hyphens in a row may not stand in one."""
    safe = re.sub("-(?=-)", "- ", text)
    lines = textwrap.wrap(f"<!-- {safe} -->", _WIDTH, subsequent_indent="     ", break_long_words=False)
    return "\n".join(lines)
