"""What of a configuration is secret, and how it is shown instead: the one place that decides. Pure.

By names:

1. A name sounds secret when one of its words ends with one of `_SECRET`, none of them is `public`, and the last is none
   of `_ABOUT`: `password`, `hmacKey1`, `API_TOKEN` do; `public_key`, `key_file`, `token_lifetime` do not.
2. Secret is an attribute whose name sounds so; and the content of an element, when its own name does, or that of an
   element around it, or its attribute `name`, `key` or `id` (`<value name="api_key">`).
   The content is the text, the attribute `value`, and all elements inside.
3. Secret is what comes from a file (facility `FILE`), and what comes from elsewhere when the facility or the key sounds
   secret (`{{ENV::{DB_PASSWORD}}}`); likewise the fallback or default that stands in for it.

Inside any other text:

4. The password of a URL (`scheme://user:password@host`).
5. What follows a name that sounds secret and `=` (`host=db password=x`, `?token=x&…`).
6. A private key in PEM form, for which the whole text is hidden.

Nothing is shown of a secret, not even its length; only an empty one is shown as empty. Comments are left out where
a document is shown: they are where old passwords live. A secret under an innocent name cannot be told from other text.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from ._names import element_name, own_attributes
from ._tree import Tree
from ._values.expansion import Used, expand
from ._values.secret import MASK

__all__ = [
    "LABELS",
    "MASK",
    "hide_secrets",
    "mask_subtree",
    "mask_used",
    "masked_copy",
    "secret_content",
    "secret_source",
    "shown_at",
    "shown_attribute",
    "shown_text",
    "sounds_secret",
]

LABELS = ("name", "key", "id")
"""The attributes that say what an element's content is for."""

_SECRET = (
    "key", "keys", "pass", "passwd", "password", "passwords", "passphrase", "passcode", "pwd", "psk",
    "secret", "secrets", "token", "tokens", "credential", "credentials", "private", "bearer", "authorization", "cookie",
)  # fmt: skip
_ABOUT = frozenset(
    ("file", "files", "path", "paths", "dir", "directory", "type", "size", "length", "bits", "count",
     "lifetime", "ttl", "timeout", "period", "policy", "algorithm")
)  # fmt: skip
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_FILE = "FILE"
# What may repeat is limited in length, so that no text takes more than a few passes.
_FORM = re.compile(r"(\{\{([^:{}]*):)([^:]+)(:\{(.{0,300}?)\}\}\})", re.DOTALL)
_URL_END = re.compile(r"[\s\"<>]")
_PORT = re.compile(r"[0-9]{1,5}(?![^/?#])")
_ASSIGNMENT = re.compile(r"""(?<![\w.-])([\w.-]{1,200})([ \t]{0,4}=[ \t]{0,4})("[^"]*"?|'[^']*'?|[^\s&;,"']+)""")
_PEM = re.compile("PRIVATE KEY(?: BLOCK)?-----")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def sounds_secret(name: str) -> bool:
    """Whether values under a name are likely to be secrets (rule 1)."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] in _ABOUT or "public" in words:
        return False
    return any(word.endswith(_SECRET) for word in words)


def secret_content(names: Iterable[str], labels: Iterable[str]) -> bool:
    """Whether the content of an element is secret (rule 2).

    Args:
        names: names of the element and of those around it.
        labels: values of its attributes `LABELS`, as far as it has them.
    """
    return any(map(sounds_secret, names)) or any(map(sounds_secret, labels))


def secret_source(facility: str, key: str) -> bool:
    """Whether what a facility gives for a key is secret (rule 3)."""
    return facility == _FILE or sounds_secret(facility) or sounds_secret(key)


def mask_used(value: str, used: Sequence[Used]) -> str:
    """An expanded text in which what came from secret sources is hidden.

    Args:
        value: what `expand` returned.
        used: what it put into its `used` for this text, and for no other.
    """
    pieces: list[str] = []
    position = 0
    spans = [(use.start, use.end) for use in used if secret_source(use.facility, use.key) and use.start < use.end]
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        # Two of them never overlap, except that one is all inside another, which then came first.
        if start >= position:
            pieces += (value[position:start], MASK)
            position = end
    pieces.append(value[position:])
    return "".join(pieces)


def hide_secrets(text: str) -> str:
    """A text, as written or expanded, in which whatever shows itself to be secret is hidden (rules 4 to 6).

    Fallbacks and defaults that stand in for a secret are hidden as well.
    """
    if _PEM.search(text):
        return MASK
    if ":{" in text:
        text = _FORM.sub(_without_fallback, _without_default(text))
    if "://" in text:
        first, *rest = text.split("://")
        text = "://".join((first, *map(_without_password, rest)))
    if "=" in text:
        text = _ASSIGNMENT.sub(_without_value, text)
    return text


def shown_text(text: str, *, secret: bool, used: Sequence[Used] = ()) -> str:
    """The text of an element as it may be shown.

    Args:
        text: as written or expanded.
        secret: whether the element's content is secret; see `secret_content`.
        used: when the text is expanded, what came from where.
    """
    if not text.strip():
        return text
    return MASK if secret else hide_secrets(mask_used(text, used))


def shown_attribute(tag: str, name: str, text: str, *, secret: bool = False, used: Sequence[Used] = ()) -> str:
    """The value of an attribute as it may be shown.

    Args:
        tag: name of the element that has it.
        name: its own name, as it is written.
        text: its value, as written or expanded.
        secret: whether the element's content is known to be secret for another reason; see `secret_content`.
        used: when the value is expanded, what came from where.
    """
    hidden = sounds_secret(name) or (name == "value" and (secret or sounds_secret(tag)))
    if not text:
        return text
    return MASK if hidden else hide_secrets(mask_used(text, used))


def shown_at(path: str, text: str, *, labels: Iterable[str] = ()) -> str:
    """The value that stands at a path, such as `/app/users[1]/user[2]/@password`, as it may be shown.

    Args:
        path: of an element, for its text, or of an attribute.
        text: the value, as written or expanded.
        labels: values of the element's attributes `LABELS`, as far as they are known.
    """
    elements, _, attribute = path.partition("/@")
    names = [step.partition("[")[0] for step in elements.split("/")]
    secret = secret_content(names, labels)
    return shown_attribute(names[-1], attribute, text, secret=secret) if attribute else shown_text(text, secret=secret)


def mask_subtree(
    root: etree._Element,
    value: Callable[[etree._Element, str, list[Used]], str] | None = None,
    *,
    above: Iterable[str] = (),
) -> None:
    """Hide all secrets in a subtree, in place, and take comments and processing instructions out.

    Characters that come from outside and that XML cannot hold are replaced by U+FFFD.

    Args:
        root: the top of a copy of what is to be shown; what follows it (its tail) is left alone.
        value: gives what a text of an element is to be replaced by, such as its expansion, and appends what that used;
            without it texts are shown as they are written.
        above: names of the elements that the original has around it.
    """
    # Names repeat, and deciding about one costs more than all the rest.
    secret_name = lru_cache(maxsize=10_000)(sounds_secret)
    etree.strip_elements(root, etree.ProcessingInstruction, etree.Comment, with_tail=False)
    inside = [any(map(secret_name, above))]
    content: list[bool] = []

    def shown(element: etree._Element, text: str, hidden: bool) -> str:
        if hidden:
            return MASK
        used: list[Used] = []
        if value is not None:
            text = value(element, text, used)
        return _NO_XML.sub("\ufffd", hide_secrets(mask_used(text, used)))

    for event, element in etree.iterwalk(root, events=("start", "end")):
        if event == "start":
            within = inside[-1] or secret_name(element_name(element))
            secret = within or any(sounds_secret(element.get(label, "")) for label in LABELS)
            inside.append(within or (secret and element_name(element) == "value"))
            content.append(secret)
            for written, (name, text) in zip(element.attrib, own_attributes(element).items(), strict=True):
                if text:
                    element.set(written, shown(element, text, secret_name(name) or (name == "value" and secret)))
            if element.text and element.text.strip():
                element.text = shown(element, element.text, secret)
        else:
            inside.pop()
            content.pop()
            parent = element.getparent()
            if element is not root and parent is not None and element.tail and element.tail.strip():
                # What follows an element is text of the one around it.
                element.tail = shown(parent, element.tail, content[-1])


def masked_copy(tree: Tree, value: Callable[[etree._Element, str, list[Used]], str] | None = None) -> etree._Element:
    """A copy of the tree's root with everything substituted and secrets hidden.

    An element whose own `require_env` does not hold is marked by a comment before it.

    Args:
        tree: what to show.
        value: expands a text of an element of the copy, and appends what that used; by default variables of the
            environment are put in.

    Raises:
        ConfigurationError: a value cannot be expanded.
    """

    def expanded(element: etree._Element, text: str, used: list[Used]) -> str:
        try:
            return expand(text, {"ENV": tree.environ.get}, lambda message: None, used=used)
        except ValueError as error:
            raise ConfigurationError(f"<{element_name(element)}>: {error}", tree.where(element)) from None

    with tree.lock:
        off = [index for index, each in enumerate(tree.root.iter(etree.Element)) if not tree.condition_holds(each)]
        root = copy.deepcopy(tree.root)
    elements = list(root.iter(etree.Element)) if off else []
    mask_subtree(root, expanded if value is None else value)
    for index in off:
        _mark_off(elements[index])
    return root


def _mark_off(element: etree._Element) -> None:
    comment = etree.Comment(f" <{element_name(element)}>: its require_env does not hold ")
    if element.getparent() is None:
        element.insert(0, comment)
    else:
        element.addprevious(comment)


def _without_default(text: str) -> str:
    default, separator, key = text[4:-1].partition(":{")
    if not text.startswith("ENV:") or not text.endswith("}") or not default or not secret_source("ENV", key):
        return text
    return f"ENV:{MASK}{separator}{key}}}"


def _without_fallback(match: re.Match[str]) -> str:
    return f"{match[1]}{MASK}{match[4]}" if secret_source(match[2], match[5]) else match[0]


def _without_password(rest: str) -> str:
    """What follows a `://`, its password hidden. Passwords with unescaped `@`, `/` or `:` are hidden as a whole."""
    end = _URL_END.search(rest)
    address = rest if end is None else rest[: end.start()]
    user, colon, after = address.partition(":")
    at = after.rfind("@")
    if not colon or at <= 0 or any(each in user for each in "/@?#") or _PORT.match(after):
        return rest
    return f"{user}:{MASK}{after[at:]}{rest[len(address) :]}"


def _without_value(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{MASK}" if sounds_secret(match[1]) else match[0]
