"""The effective document, with what looks like a secret replaced by `***`.

Masked are:

1. the text of an element whose name sounds secret, and of all elements in it, and their attribute `value`;
2. an attribute whose name does;
3. the text and the attribute `value` of an element whose `name`, `key` or `id` does (`<value name="api_key">`);
4. whatever comes from an environment variable whose name does;
5. passwords inside URLs.

Comments are left out: they are where old passwords live.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping

from lxml import etree

from ._tree import Tree, element_name, own_attributes

__all__ = ["MASK", "masked_copy", "sounds_secret"]

MASK = "***"

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SECRET = re.compile(
    r".*(?:key|keys|pass|passwd|password|passphrase|pwd|secret|secrets|token|tokens|credential|credentials|psk|bearer)"
)
_LOCATIONS = ("file", "path", "files", "dir", "directory")
_URL_PASSWORD = re.compile(r"(://[^/@\s:]*:)[^/@\s]+(?=@)")


def sounds_secret(name: str) -> bool:
    """Whether values under a name are likely to be secrets: `password`, `hmacKey1`, `API_TOKEN`; not `key_file`."""
    words = [word.lower() for word in _WORDS.findall(name)]
    return bool(words) and words[-1] not in _LOCATIONS and any(_SECRET.fullmatch(word) for word in words)


def masked_copy(tree: Tree) -> etree._Element:
    """A copy of the tree's root with everything substituted and secrets masked."""
    environ = {name: MASK if sounds_secret(name) else value for name, value in tree.environ.items()}
    with tree.lock:
        holds = [tree.condition_holds(each) for each in tree.root.iter(etree.Element)]
        root = copy.deepcopy(tree.root)
    etree.strip_elements(root, etree.ProcessingInstruction, etree.Comment, with_tail=False)
    for element, applies in zip(list(root.iter(etree.Element)), holds, strict=True):
        _mask(tree, element, environ)
        if not applies:
            _mark_off(element)
    return root


def _mask(tree: Tree, element: etree._Element, environ: Mapping[str, str]) -> None:
    secret_text = any(sounds_secret(element_name(each)) for each in (element, *element.iterancestors()))
    labelled = any(sounds_secret(element.get(label, "")) for label in ("name", "key", "id"))
    for written, (name, raw) in zip(element.attrib, own_attributes(element).items(), strict=True):
        secret = sounds_secret(name) or (name == "value" and (secret_text or labelled))
        element.set(written, MASK if secret and raw else _shown(tree, element, raw, environ))
    if element.text and element.text.strip():
        element.text = MASK if secret_text or labelled else _shown(tree, element, element.text, environ)
    for child in element:
        # What follows a child is part of this element's text.
        if child.tail and child.tail.strip():
            child.tail = MASK if secret_text or labelled else _shown(tree, element, child.tail, environ)


def _mark_off(element: etree._Element) -> None:
    comment = etree.Comment(f" <{element_name(element)}>: its require_env does not hold ")
    if element.getparent() is None:
        element.insert(0, comment)
    else:
        element.addprevious(comment)


def _shown(tree: Tree, element: etree._Element, text: str, environ: Mapping[str, str]) -> str:
    return _URL_PASSWORD.sub(rf"\1{MASK}", tree.value(element, text, environ=environ))
