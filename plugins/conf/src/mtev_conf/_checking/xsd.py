"""Schema documents of plugins (`schema.xsd`), read with the same suspicion as configurations. Pure; needs lxml alone.

What is refused, so that a schema can neither reach outside itself nor exhaust the process: a DOCTYPE, more than
`MAX_XSD_BYTES`, and everything that would bring another document in (include, import, redefine, override).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

from lxml import etree

from mtev_kernel.errors import ConfigurationError

__all__ = ["MAX_XSD_BYTES", "XS", "SchemaError", "declared_names", "nearest", "read_xsd", "xs_name", "xs_node"]

MAX_XSD_BYTES = 1024 * 1024
"""How large a schema may be."""

XS = "http://www.w3.org/2001/XMLSchema"
"""The namespace of XSD."""

_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
_REACHING = ("include", "import", "redefine", "override")
_ALIKE = 0.8


class SchemaError(ConfigurationError):
    """A plugin's schema cannot be used; its author is to blame, not the operator. Names the file, and the line."""


def read_xsd(data: bytes, name: str) -> etree._Element:
    """Parse a schema document.

    Args:
        data: the document.
        name: what to call it in messages.

    Returns:
        Its root, an `xs:schema`, without comments and without hints at other documents.

    Raises:
        SchemaError: it is malformed, no schema, or holds what is refused.
    """
    if len(data) > MAX_XSD_BYTES:
        raise SchemaError(f"the schema is larger than {MAX_XSD_BYTES // 1_048_576} MiB", name)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, remove_comments=True,
        remove_pis=True,
    )  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise SchemaError(f"the schema is not well-formed XML: {error.msg}", f"{name}:{line}:{column}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise SchemaError("the schema has a DOCTYPE, which is refused because it can declare entities", name)
    if root.tag != xs_name("schema"):
        raise SchemaError(f"<{root.tag}> is no schema; expected xs:schema in the namespace {XS}", name)
    for reaching in root.iterchildren(*map(xs_name, _REACHING)):
        word = etree.QName(reaching).localname
        raise SchemaError(
            f"xs:{word} is refused: a plugin's schema is one document; put what it brings in into this place",
            f"{name}:{reaching.sourceline}",
        )
    for attribute in [each for each in root.attrib if str(each).startswith(_XSI)]:
        del root.attrib[attribute]
    return root


def xs_name(local: str) -> str:
    """A name of XSD's, as lxml writes it."""
    return f"{{{XS}}}{local}"


def xs_node(local: str, **attributes: str) -> etree._Element:
    """A new element of XSD's, with the prefix `xs`."""
    return etree.Element(xs_name(local), attributes, nsmap={"xs": XS})


def declared_names(root: etree._Element) -> frozenset[str]:
    """The names of all elements and attributes that a schema declares anywhere."""
    return frozenset(_names(root))


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that another one is probably a misspelling of, or `""`.

    Stricter than guessing: an application's own name must not be taken for a misspelling of ours. Two neighbouring
    letters may have changed places; else four fifths have to agree, by `difflib`.
    """
    best, likeness = "", 0.0
    matcher = SequenceMatcher()
    matcher.set_seq2(name)
    for other in known:
        if other == name or abs(len(other) - len(name)) > (1 - _ALIKE) * (len(other) + len(name)):
            continue
        matcher.set_seq1(other)
        if _transposed(name, other):
            ratio = 1.0
        elif matcher.quick_ratio() < _ALIKE:
            continue
        else:
            ratio = matcher.ratio()
        if ratio >= _ALIKE and ratio > likeness:
            best, likeness = other, ratio
    return best


def _transposed(one: str, other: str) -> bool:
    if len(one) != len(other) or len(one) < 3:
        return False
    differing = [index for index, (left, right) in enumerate(zip(one, other, strict=True)) if left != right]
    if len(differing) != 2 or differing[1] != differing[0] + 1:
        return False
    first, second = differing
    return one[first] == other[second] and one[second] == other[first]


def _names(root: etree._Element) -> Iterator[str]:
    for declaration in root.iter(xs_name("element"), xs_name("attribute")):
        name = declaration.get("name")
        if name is not None:
            yield name
