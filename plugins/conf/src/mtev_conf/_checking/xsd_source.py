"""One plugin's schema in a form in which it can stand beside others. Pure; `composition` says what becomes of it.

In that form references to XSD's own types begin with `xs:` and all others are plain names, whatever prefixes the author
chose, and references to attributes that are declared by themselves have become those attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lxml import etree

from .xsd import XS, SchemaError, read_xsd, xs_name, xs_node

__all__ = ["REFERENCES", "Source", "open_type", "read_source", "references", "space_of"]

REFERENCES = ("type", "base", "itemType", "memberTypes", "ref", "refer", "substitutionGroup")
"""The attributes by which parts of a schema refer to others."""

_SPACES = {"simpleType": "type", "complexType": "type", "group": "group", "attributeGroup": "attributeGroup"}
_PREDICATE = re.compile(r"\[.*?\]")
_NOWHERE = 1000


@dataclass(slots=True)
class Source:
    """One plugin's schema.

    Args:
        plugin: the plugin's id.
        depth: how deep in a document its outermost claim lies; 1 for a top-level element.
        elements: its global elements, by name.
        named: its types, groups and attribute groups, by kind (`type`, `group`, `attributeGroup`) and name.
        names: what these are called in the schema that is composed.
    """

    plugin: str
    depth: int
    elements: dict[str, etree._Element] = field(default_factory=dict)
    named: dict[tuple[str, str], etree._Element] = field(default_factory=dict)
    names: dict[tuple[str, str], str] = field(default_factory=dict)

    def meaning(self, node: etree._Element, seen: frozenset[tuple[str, str]] = frozenset()) -> bytes:
        """A node with all that it refers to, as bytes that are equal only where they mean the same."""
        parts = [etree.tostring(node, method="c14n")]
        for _, space, name in references(node):
            key = (space, name)
            if key in self.named and key not in seen:
                parts.append(self.meaning(self.named[key], seen | {key}))
        return b"\n".join(parts)

    def complex_type(self, element: etree._Element) -> etree._Element | None:
        """The complex type of an element, or None where it is a text. One that states no type takes anything."""
        for child in element.iterchildren(xs_name("complexType"), xs_name("simpleType")):
            return child if child.tag == xs_name("complexType") else None
        name = element.get("type", "xs:anyType")
        if name == "xs:anyType":
            return open_type()
        found = self.named.get(("type", name))
        return found if found is not None and found.tag == xs_name("complexType") else None

    def is_open(self, kind: etree._Element) -> bool:
        """Whether a complex type lets anything in, so that all that it says is said by its attributes."""
        for child in kind.iterchildren(etree.Element):
            local = etree.QName(child).localname
            if local == "complexContent":
                (derivation,) = child.iterchildren(xs_name("extension"), xs_name("restriction"))
                base = self.named.get(("type", derivation.get("base", "")))
                if not (base is None or self.is_open(base)) or not self.is_open(derivation):
                    return False
            elif local in ("sequence", "choice"):
                if [each.tag for each in child] != [xs_name("any")]:
                    return False
            elif local not in ("annotation", "attribute", "attributeGroup", "anyAttribute"):
                return False
        return True

    def attributes(self, kind: etree._Element) -> list[etree._Element]:
        """The attributes of a complex type, of a derivation or of an attribute group; nearer ones replace inherited."""
        found: dict[str, etree._Element] = {}
        for child in kind.iterchildren(etree.Element):
            local = etree.QName(child).localname
            more: list[etree._Element] = []
            if local == "attribute":
                more = [child]
            elif local == "attributeGroup":
                more = self.attributes(self.named["attributeGroup", child.get("ref", "")])
            elif local in ("complexContent", "simpleContent"):
                for derivation in child.iterchildren(xs_name("extension"), xs_name("restriction")):
                    base = self.named.get(("type", derivation.get("base", "")))
                    more = [*([] if base is None else self.attributes(base)), *self.attributes(derivation)]
            found.update({each.get("name", ""): each for each in more})
        return [each for each in found.values() if each.get("use") != "prohibited"]


def read_source(plugin: str, claims: Sequence[str], data: bytes) -> Source:
    """Read a plugin's schema.

    Args:
        plugin: the plugin's id.
        claims: what its manifest claims of a document.
        data: the schema document.

    Raises:
        SchemaError: it cannot be used, or not beside others.
    """
    name = f"{plugin}/schema.xsd"
    root = read_xsd(data, name)
    if root.get("targetNamespace"):
        raise SchemaError("it describes elements of a namespace, which one document cannot hold beside others", name)
    try:
        etree.XMLSchema(root)
    except etree.XMLSchemaParseError as error:
        raise SchemaError(f"it is no valid schema: {error}", name) from None
    depth = min((len(_PREDICATE.sub("", claim).strip("/").split("/")) for claim in claims), default=_NOWHERE)
    source = Source(plugin, depth)
    attributes = {each.get("name", ""): each for each in root.iterchildren(xs_name("attribute"))}
    for node in root.iterchildren(etree.Element):
        local = etree.QName(node).localname
        if local == "element":
            source.elements[node.get("name", "")] = _resolved(node, attributes)
        elif local in _SPACES:
            source.named[_SPACES[local], node.get("name", "")] = _resolved(node, attributes)
    return source


def references(node: etree._Element) -> Iterator[tuple[etree._Element, str, str]]:
    """Every reference in a node to a type, group or attribute group of its schema: who makes it, the kind, the name."""
    for each in node.iter(etree.Element):
        for attribute in REFERENCES:
            space = space_of(each, attribute)
            for word in (each.get(attribute) or "").split() if space else ():
                if not word.startswith("xs:"):
                    yield each, space, word


def space_of(node: etree._Element, attribute: str) -> str:
    """Which kind of thing an attribute of a node refers to: `type`, `group`, `attributeGroup`, or `""` for others."""
    if attribute in ("type", "base", "itemType", "memberTypes"):
        return "type"
    local = etree.QName(node).localname
    return local if attribute == "ref" and local in ("group", "attributeGroup") else ""


def open_type(attributes: Sequence[etree._Element] = ()) -> etree._Element:
    """A complex type that lets anything in.

    Args:
        attributes: what it says about attributes; by default, that there may be any.
    """
    kind, sequence = xs_node("complexType", mixed="true"), xs_node("sequence")
    sequence.append(xs_node("any", minOccurs="0", maxOccurs="unbounded", processContents="lax"))
    kind.append(sequence)
    kind.extend(attributes or [xs_node("anyAttribute", processContents="lax")])
    return kind


def _resolved(node: etree._Element, attributes: Mapping[str, etree._Element]) -> etree._Element:
    own = {str(key): str(value) for key, value in node.attrib.items() if key != "id"}
    children = list(node.iterchildren(etree.Element))
    if node.tag == xs_name("attribute") and (shared := attributes.get(own.get("ref", ""))) is not None:
        del own["ref"]
        own = {str(key): str(value) for key, value in shared.attrib.items() if key != "id"} | own
        children = children or list(shared.iterchildren(etree.Element))
        node = shared
    for key in REFERENCES:
        if key in own:
            own[key] = " ".join(_qualified(node, word) for word in own[key].split())
    copy = etree.Element(node.tag, own, nsmap={"xs": XS})
    copy.text = " ".join((node.text or "").split()) or None
    copy.extend([_resolved(child, attributes) for child in children])
    return copy


def _qualified(node: etree._Element, word: str) -> str:
    prefix, colon, local = word.rpartition(":")
    return f"xs:{local}" if node.nsmap.get(prefix if colon else None) == XS else local
