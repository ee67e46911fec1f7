"""What values are made of, for those who show or check a whole document: nothing is reported to anybody, or raised."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from ._masking import MASK, hide_secrets, secret_source
from ._tree import Tree
from ._values.expansion import Used, expand

__all__ = ["Substituted", "origins", "shown_key", "substituted"]

_ABSENT = {"ENV": "which is not set", "FILE": "which is not there"}
_NAMED = 200


@dataclass(frozen=True, slots=True)
class Substituted:
    """A text of an element, with everything put in that it asks for.

    Args:
        raw: as written.
        value: as it is read; as written when that cannot be told.
        used: what it asked for.
        replaced: whether a plugin may have put another value in its place, so that positions in `used` mean nothing.
        problem: why it cannot be read, or `""`.
        notices: what was asked for and cannot be given, each a sentence.
    """

    raw: str
    value: str
    used: tuple[Used, ...] = ()
    replaced: bool = False
    problem: str = ""
    notices: tuple[str, ...] = ()

    @property
    def secret(self) -> bool:
        """Whether something in it comes from where secrets are kept."""
        return any(secret_source(each.facility, each.key) for each in self.used)


def substituted(tree: Tree, element: etree._Element, raw: str, name: str = "") -> Substituted:
    """Put in what a text asks for, as `Tree.value` does, but without a notice. May block on the file system.

    Args:
        tree: the document, locked by the caller.
        element: where the text stands.
        raw: as written.
        name: of the attribute, `""` for the element's own text.
    """
    fixup = tree.facilities.fixup()
    if "{" not in raw and fixup is None:
        return Substituted(raw, raw)
    used: list[Used] = []
    notices: list[str] = []
    try:
        interpolate = tree._interpolation(element)
        value = expand(raw, tree._table(element), notices.append, used=used, interpolate=interpolate)
        fixed = None if fixup is None else fixup(tree.element_path(element), name, value)
    except (ValueError, ConfigurationError) as error:
        return Substituted(raw, raw, tuple(used), problem=hide_secrets(str(error)))
    value, replaced = (value, False) if fixed is None else (fixed, True)
    return Substituted(raw, value, tuple(used), replaced, notices=tuple(notices))


def origins(text: Substituted) -> str:
    """Where what was put into a text comes from: `ENV PORT`, `default of ENV PORT, which is not set`; or `""`.

    No value is shown, also none that became part of a key.
    """
    return " and ".join(dict.fromkeys(_origin(each, text.raw) for each in text.used))


def shown_key(use: Used, raw: str) -> str:
    """The key of something that was looked up, as far as it is written as such, on one line.

    A key can itself be made of values; then it is hidden.
    """
    if f"{{{use.key}}}" not in raw:
        return MASK
    return " ".join(hide_secrets(use.key).split())[:_NAMED]


def _origin(use: Used, raw: str) -> str:
    source = f"{use.facility} {shown_key(use, raw)}"
    if use.found:
        return source
    absent = f"{source}, {_ABSENT.get(use.facility, 'which has no value')}"
    return f"default of {absent}" if use.has_default else absent
