"""One schema of a whole document, made of those of the plugins. Pure; needs lxml alone.

XSD 1.0 knows no element of any name, and, where there is no namespace, one global declaration for each name. Hence:

1. The root has the name that it is given. In it, and in every element that the plugins leave open, anything may stand;
   what has a known name is judged wherever it stands, also inside of stanzas that nobody described.
2. Attributes that are declared by themselves become part of the elements that refer to them. On containers of other
   names nothing is judged, where a plugin's own schema would judge it.
3. Types, groups and attribute groups keep their names where these mean one thing; else the plugin's id goes before.
4. Of an element that several plugins describe, the plugin with the outermost claim decides the content. The attributes
   of all of them are allowed; one that they describe differently takes what any of them takes. Only the first may say
   that one is required. When its content is closed (not just "anything"), its own attributes stand as they are.
5. A key that is just a text takes what any of the plugins takes, and may have attributes.
6. A schema that cannot be used is left out, and a comment says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from .xsd import XS, SchemaError, xs_name, xs_node
from .xsd_source import REFERENCES, Source, open_type, read_source, references, space_of

__all__ = ["compose"]

_NAME = re.compile(r"[^\W\d][\w.-]*")
_IDENTITIES = ("unique", "key", "keyref")
_HEADING = """
  What {count} plugins take in a configuration: {plugins}.
  Values are as they are once ENV and {{{{...}}}} have been substituted. What no plugin knows is let through; what has a
  name that one knows is judged wherever it stands. A check by mtev-kernel judges a stanza by its owner's schema alone.
"""


def compose(schemas: Mapping[str, tuple[Sequence[str], bytes]], root: str = "app") -> str:
    """Compose one schema for documents that hold stanzas of several plugins.

    Args:
        schemas: by plugin id, the claims of its manifest (`stanzas`) and its schema document.
        root: name of the document's outermost element.

    Returns:
        An XSD 1.0 document that stands alone.

    Raises:
        ConfigurationError: the root's name is no XML name, or a plugin describes an element of that name.
    """
    if _NAME.fullmatch(root) is None:
        raise ConfigurationError(f"'{root}' cannot name the outermost element; write an XML name without a prefix")
    sources, left_out = [], []
    for plugin, (claims, data) in schemas.items():
        try:
            sources.append(read_source(plugin, claims, data))
        except SchemaError as error:
            left_out.append(f" plugin '{plugin}' is left out: {error} ")
    for source in sources:
        if root in source.elements:
            raise ConfigurationError(
                f"the outermost element cannot be called <{root}>: plugin '{source.plugin}' describes one of that name"
            )
    return _Composition(sources, root).text(left_out)


class _Composition:
    def __init__(self, sources: Sequence[Source], root: str) -> None:
        self._sources = sources
        self._root = root
        self._taken: dict[tuple[str, str], bytes] = {}
        self._types: list[etree._Element] = []

    def text(self, left_out: Sequence[str]) -> str:
        schema = etree.Element(xs_name("schema"), nsmap={"xs": XS})
        plugins = ", ".join(each.plugin for each in self._sources) or "none"
        for text in (_HEADING.format(count=len(self._sources), plugins=plugins), *left_out):
            schema.append(etree.Comment(text.replace("--", "- -")))
        schema.append(self._outermost())
        described: dict[str, list[Source]] = {}
        for source in self._sources:
            self._take_names(source)
            for name in source.elements:
                described.setdefault(name, []).append(source)
        for name, sources in described.items():
            schema.append(self._element(name, sorted(sources, key=lambda each: each.depth)))
        schema.extend(self._types)
        etree.indent(schema)
        return etree.tostring(schema, encoding="unicode") + "\n"

    def _outermost(self) -> etree._Element:
        element = xs_node("element", name=self._root)
        element.append(_documentation(["The configuration. Its outermost element is named after the application."]))
        element.append(open_type())
        return element

    def _take_names(self, source: Source) -> None:
        """Decide what each named component of a source is called here, and add those that are new."""
        fresh = []
        for (space, name), node in source.named.items():
            meaning = source.meaning(node)
            called = name
            if self._taken.get((space, name), meaning) != meaning:
                called = self._free(f"{source.plugin}.{name}", space)
            source.names[space, name] = called
            if (space, called) not in self._taken:
                self._taken[space, called] = meaning
                fresh.append((called, node))
        for called, node in fresh:
            copy = self._renamed(node, source)
            copy.set("name", called)
            self._types.append(copy)

    def _free(self, name: str, space: str) -> str:
        while (space, name) in self._taken:
            name += "_"
        return name

    def _add_type(self, name: str, kind: etree._Element) -> str:
        name = self._free(name, "type")
        self._taken["type", name] = b""
        kind.set("name", name)
        self._types.append(kind)
        return name

    def _renamed(self, node: etree._Element, source: Source) -> etree._Element:
        """A copy of a node with every reference as it is called here."""
        copy = _copy(node)
        for each in {each for each, _, _ in references(copy)}:
            for attribute in REFERENCES:
                if (space := space_of(each, attribute)) and attribute in each.attrib:
                    words = (each.get(attribute) or "").split()
                    each.set(attribute, " ".join(source.names.get((space, word), word) for word in words))
        for each in copy.iter(*map(xs_name, _IDENTITIES)):
            for attribute in ("name", "refer"):
                if attribute in each.attrib:
                    each.set(attribute, f"{source.plugin}.{each.get(attribute)}")
        return copy

    def _element(self, name: str, sources: Sequence[Source]) -> etree._Element:
        """The element of a name, as these describe it; the first of them counts most."""
        nodes = [self._renamed(source.elements[name], source) for source in sources]
        kinds = [source.complex_type(source.elements[name]) for source in sources]
        meanings = {source.meaning(source.elements[name]) for source in sources}
        plugins = [source.plugin for source in sources]
        if any(kind is not None for kind in kinds) and len(meanings) == 1:
            return nodes[0]
        element = xs_node("element", name=name)
        if told := _told(
            [(plugin, text) for plugin, node in zip(plugins, nodes, strict=True) for text in _texts(node)]
        ):
            element.append(_documentation(told))
        if all(kind is None for kind in kinds):
            if len(meanings) == 1:
                for attribute in ("default", "fixed", "nillable"):
                    if attribute in nodes[0].attrib:
                        element.set(attribute, nodes[0].get(attribute) or "")
            element.append(self._text(name, nodes))
            return element
        attributes = [
            [] if kind is None else [self._renamed(each, source) for each in source.attributes(kind)]
            for kind, source in zip(kinds, sources, strict=True)
        ]
        if kinds[0] is None or sources[0].is_open(kinds[0]):
            element.append(open_type(_merged(attributes, plugins)))
        else:
            simple = kinds[0].find(xs_name("simpleContent")) is not None
            element.append(
                self._extended(name, nodes[0], plugins, attributes, "simpleContent" if simple else "complexContent")
            )
        element.extend(list(nodes[0].iterchildren(*map(xs_name, _IDENTITIES))))
        return element

    def _text(self, name: str, nodes: Sequence[etree._Element]) -> etree._Element:
        """What any of the simple types takes, with any attributes."""
        named = {node.get("type", "") for node in nodes}
        base = named.pop() if len(named) == 1 else ""
        kind, content = xs_node("complexType"), xs_node("simpleContent")
        extension = xs_node("extension", base=base or self._add_type(f"{name}.value", _union(nodes)))
        extension.append(xs_node("anyAttribute", processContents="lax"))
        content.append(extension)
        kind.append(content)
        return kind

    def _extended(
        self,
        name: str,
        node: etree._Element,
        plugins: Sequence[str],
        attributes: Sequence[Sequence[etree._Element]],
        content_kind: str,
    ) -> etree._Element:
        """The closed content of the first, with the attributes of the others added."""
        inner = node.find(xs_name("complexType"))
        base = node.get("type") or ""
        if inner is not None:
            base = self._add_type(f"{plugins[0]}.{name}", inner)
        own = {each.get("name") for each in attributes[0]}
        others = [[each for each in more if each.get("name") not in own] for more in attributes[1:]]
        kind = xs_node("complexType")
        content = xs_node(content_kind)
        extension = xs_node("extension", base=base)
        extension.extend(_merged([[], *others], plugins))
        content.append(extension)
        kind.append(content)
        return kind


def _merged(attributes: Sequence[Sequence[etree._Element]], plugins: Sequence[str]) -> list[etree._Element]:
    """The attributes of all; those of the first come first, and they alone may be required. At the end, any other."""
    found: dict[str, list[tuple[str, etree._Element]]] = {}
    for index, (plugin, more) in enumerate(zip(plugins, attributes, strict=True)):
        for each in more:
            if index and "use" in each.attrib:
                del each.attrib["use"]
            found.setdefault(each.get("name") or "", []).append((plugin, each))
    result = []
    for described in found.values():
        first = described[0][1]
        merged = xs_node("attribute", **{str(key): str(value) for key, value in first.attrib.items() if key != "type"})
        if told := _told([(plugin, text) for plugin, each in described for text in _texts(each)]):
            merged.append(_documentation(told))
        kinds = list({_kind(each): each for _, each in described}.values())
        if len(kinds) > 1 and all(_kind(each) != b"xs:string" for each in kinds):
            merged.append(_union(kinds))
        elif len(kinds) > 1:
            merged.set("type", "xs:string")
        elif "type" in first.attrib:
            merged.set("type", first.get("type") or "")
        else:
            merged.extend([_copy(child) for child in first.iterchildren(xs_name("simpleType"))])
        result.append(merged)
    return [*result, xs_node("anyAttribute", processContents="lax")]


def _union(nodes: Sequence[etree._Element]) -> etree._Element:
    """A simple type that takes what any of these elements or attributes takes."""
    kind, union = xs_node("simpleType"), xs_node("union")
    if named := [name for node in nodes if (name := node.get("type"))]:
        union.set("memberTypes", " ".join(dict.fromkeys(named)))
    union.extend([_copy(child) for node in nodes for child in node.iterchildren(xs_name("simpleType"))])
    kind.append(union)
    return kind


def _kind(node: etree._Element) -> bytes:
    """The type of an attribute, as bytes that are equal where it is the same."""
    inner = b"".join(etree.tostring(each, method="c14n") for each in node.iterchildren(xs_name("simpleType")))
    return (node.get("type") or "").encode() + inner


def _told(texts: Sequence[tuple[str, str]]) -> list[str]:
    """What plugins say of one thing: each text once, with its plugins where there is more than one text."""
    by_text: dict[str, list[str]] = {}
    for plugin, text in texts:
        by_text.setdefault(text, []).append(plugin)
    if len(by_text) < 2:
        return list(by_text)
    return [f"{', '.join(plugins)}: {text}" for text, plugins in by_text.items()]


def _texts(node: etree._Element) -> Iterator[str]:
    for annotation in node.iterchildren(xs_name("annotation")):
        for documentation in annotation.iterchildren(xs_name("documentation")):
            if text := " ".join("".join(map(str, documentation.itertext())).split()):
                yield text


def _documentation(texts: Sequence[str]) -> etree._Element:
    annotation = xs_node("annotation")
    for text in texts:
        documentation = xs_node("documentation")
        documentation.text = text
        annotation.append(documentation)
    return annotation


def _copy(node: etree._Element) -> etree._Element:
    copy = etree.Element(node.tag, {str(key): str(value) for key, value in node.attrib.items()}, nsmap={"xs": XS})
    copy.text = node.text
    copy.extend([_copy(child) for child in node])
    return copy
