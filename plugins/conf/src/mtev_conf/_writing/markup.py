"""XML as it is written: what raw characters mean, how a thing has to be written to mean it, which prefixes hold. Pure.

Remarks are comments and processing instructions. A scope is the namespaces that hold at a place, by prefix; None is
the prefix of the default namespace, and an empty namespace is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, cast

from lxml import etree

__all__ = [
    "XML_NAMESPACE",
    "RawAttribute",
    "Scope",
    "adapted",
    "added_attributes",
    "attributes",
    "content_of",
    "declared_in",
    "declares",
    "escaped_content",
    "escaped_like",
    "escaped_value",
    "is_element",
    "name_end",
    "prevailing_line_break",
    "remark",
    "same_remark",
    "start_tag",
    "value_of",
]

XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
"""What the prefix `xml` stands for, always and without a declaration."""

Scope = Mapping[str | None, str]

_NAME = re.compile(r"<[^ \t\r\n<>/=?!\"'&]++")
_ATTRIBUTE = re.compile(r"""[ \t\r\n]*+([^ \t\r\n<>/=?!"'&]++)[ \t\r\n]*+=[ \t\r\n]*+(?:"([^"]*+)"|'([^']*+)')""")
_INSTRUCTION = re.compile(r"<\?([^ \t\r\n?]++)[ \t\r\n]*+(.*)\?>", re.DOTALL)
_CODED = re.compile(r"<!\[CDATA\[(.*?)\]\]>|&([^;&<]*+);?", re.DOTALL)
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


class RawAttribute(NamedTuple):
    """An attribute as it is written in a start tag; namespace declarations are attributes here.

    Args:
        name: with its prefix.
        start: offset of the blanks before it.
        value_start: offset of the first character after the opening quote.
        value_end: offset of the closing quote.
    """

    name: str
    start: int
    value_start: int
    value_end: int

    @property
    def end(self) -> int:
        """Offset after the closing quote."""
        return self.value_end + 1


def name_end(text: str, start: int) -> int:
    """Offset after the name in the start tag that begins at an offset.

    Raises:
        ValueError: no start tag begins there.
    """
    match = _NAME.match(text, start)
    if match is None:
        raise ValueError(f"the text has no start tag at offset {start}: {text[start : start + 40]!r}")
    return match.end()


def attributes(text: str, position: int) -> list[RawAttribute]:
    """The attributes in a start tag, in order.

    Args:
        text: the text.
        position: where the tag's name ends; see `name_end`.
    """
    found = []
    while match := _ATTRIBUTE.match(text, position):
        position = match.end()
        found.append(RawAttribute(match[1], match.start(), match.start(cast("int", match.lastindex)), position - 1))
    return found


def declares(name: str) -> bool:
    """Whether an attribute of that name declares a namespace. lxml does not count these among the attributes."""
    return name == "xmlns" or name.startswith("xmlns:")


def declared_in(text: str, start: int) -> dict[str | None, str]:
    """The namespaces that the start tag at an offset declares, by prefix; an empty one ends the default namespace."""
    return {
        each.name[6:] or None: value_of(text[each.value_start : each.value_end])
        for each in attributes(text, name_end(text, start))
        if declares(each.name)
    }


def content_of(raw: str) -> str:
    r"""What raw text between tags means: references and CDATA sections are resolved, line breaks are `\n`.

    Raises:
        ValueError: it refers to an entity that is not one of XML's own five, or to no character.
    """
    raw = _one_line_break(raw)
    return _CODED.sub(_meaning, raw) if "&" in raw or "<" in raw else raw


def value_of(raw: str) -> str:
    """What raw text between the quotes of an attribute means: as `content_of`, with blanks for tabs and line breaks.

    Raises:
        ValueError: as `content_of`.
    """
    raw = _one_line_break(raw).replace("\n", " ").replace("\t", " ")
    return _CODED.sub(_meaning, raw) if "&" in raw else raw


def same_remark(raw: str, node: etree._Element) -> bool:
    """Whether a raw comment or processing instruction means what such a node in memory does."""
    if isinstance(node, etree._Comment):
        return raw.startswith("<!--") and _one_line_break(raw[4:-3]) == _one_line_break(node.text or "")
    match = _INSTRUCTION.fullmatch(raw)
    if match is None or not isinstance(node, etree._ProcessingInstruction):
        return False
    return match[1] == node.target and _one_line_break(match[2]) == _one_line_break(node.text or "")


def is_element(node: etree._Element) -> bool:
    """Whether a node is an element: not a comment, nor a processing instruction."""
    return isinstance(cast("object", node.tag), str)


def prevailing_line_break(text: str) -> str:
    r"""What most lines of a text end with: `\n`, `\r\n` or, in files from another age, `\r`."""
    if "\r" not in text:
        return "\n"
    pairs = text.count("\r\n")
    ends = {"\n": text.count("\n") - pairs, "\r\n": pairs, "\r": text.count("\r") - pairs}
    return max(ends, key=ends.__getitem__)


def escaped_content(text: str, line_break: str) -> str:
    """A text, written to stand between tags.

    Args:
        text: what it shall mean.
        line_break: what a line ends with.
    """
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    return text.replace("\n", line_break)


def escaped_like(raw: str, text: str, line_break: str) -> str:
    """As `escaped_content`, but as a CDATA section if the raw text to be replaced is one and the text can be one."""
    one_section = raw.startswith("<![CDATA[") and raw.find("]]>") == len(raw) - 3
    if one_section and text and "]]>" not in text and "\r" not in text:
        return f"<![CDATA[{text}]]>".replace("\n", line_break)
    return escaped_content(text, line_break)


def escaped_value(value: str, quote: str = '"') -> str:
    """A value, written to stand between the quotes of an attribute.

    Args:
        value: what it shall mean. Its tabs and line breaks become references, or a parser would read blanks.
        quote: the quote character that it stands between.
    """
    value = value.replace("&", "&amp;").replace("<", "&lt;").replace(quote, "&quot;" if quote == '"' else "&apos;")
    return value.replace("\t", "&#9;").replace("\n", "&#10;").replace("\r", "&#13;")


def remark(node: etree._Element, line_break: str) -> str:
    """A comment or processing instruction, written anew.

    Args:
        node: the node.
        line_break: what a line ends with. A carriage return, which XML cannot express in these, is one too.

    Raises:
        ValueError: it is another kind of node.
    """
    text = _one_line_break(node.text or "").replace("\n", line_break)
    if isinstance(node, etree._Comment):
        return f"<!--{text}-->"
    if isinstance(node, etree._ProcessingInstruction):
        target = cast("str", node.target)
        return f"<?{target} {text}?>" if text else f"<?{target}?>"
    raise ValueError(f"{node!r} cannot be written: it is no element, comment or processing instruction")


def start_tag(element: etree._Element, scope: Scope, inherited: Scope) -> tuple[str, Scope]:
    """The start tag of an element, written anew up to its last attribute, without `>`.

    It declares the namespaces that the element needs or has of its own, as far as they do not hold already.

    Args:
        element: the element.
        scope: what holds where the tag will stand.
        inherited: what lxml's `nsmap` says of the element's parent.

    Returns:
        The tag, and the scope inside the element.
    """
    uri, local = _split(element.tag)
    prefix = cast("str | None", element.prefix)
    declared: dict[str | None, str] = {}
    known = element.nsmap
    if known != inherited:
        declared = {p: u for p, u in known.items() if inherited.get(p) != u and scope.get(p) != u}
    if {**scope, **declared}.get(prefix, "") != uri:
        declared[prefix] = uri
    written = added_attributes(dict(cast("Mapping[str, str]", element.attrib)), element, scope, declared)
    return f"<{_qualified(prefix, local)}{written}", {**scope, **declared} if declared else scope


def added_attributes(
    values: Mapping[str, str], element: etree._Element, scope: Scope, declared: dict[str | None, str] | None = None
) -> str:
    """Attributes written anew, each after a blank, behind the declarations that they need.

    Args:
        values: by the names that lxml gives them (`{uri}name`).
        element: where they belong; memory's own prefixes are preferred.
        scope: what holds in the tag so far.
        declared: what else the tag declares anew. Gets what the attributes need beyond that; all of it is written.
    """
    declared = {} if declared is None else declared
    written = []
    for key, value in values.items():
        uri, local = _split(key)
        prefix = _prefix(uri, element, scope, declared) if uri else None
        written.append(f' {_qualified(prefix, local)}="{escaped_value(value)}"')
    return _declarations(declared) + "".join(written)


def adapted(raw: str, old: Scope, new: Scope) -> str:
    """A raw element with the declarations that it needs in order to mean the same in another place.

    Args:
        raw: the element from its first `<` to its last `>`.
        old: the scope that it stood in.
        new: the scope that it will stand in.
    """
    differing = [prefix for prefix in {**new, **old} if old.get(prefix, "") != new.get(prefix, "")]
    if not differing:
        return raw
    own = declared_in(raw, 0)
    # A prefix that only looks used (in a text, say) gets a declaration too many, which does no harm.
    missing: dict[str | None, str] = {
        prefix: old.get(prefix, "")
        for prefix in differing
        if prefix not in own and (prefix is None or (prefix in old and f"{prefix}:" in raw))
    }
    after_name = name_end(raw, 0)
    return f"{raw[:after_name]}{_declarations(missing)}{raw[after_name:]}"


def _prefix(uri: str, element: etree._Element, scope: Scope, declared: dict[str | None, str]) -> str:
    """A prefix for an attribute's namespace; declared in `declared` if none holds.

    A prefix that holds for another namespace is never taken over: what stands inside the element may use it.
    """
    if uri == XML_NAMESPACE:
        return "xml"
    holding = {**scope, **declared}
    mine = [prefix for prefix, known in element.nsmap.items() if prefix and known == uri]
    for prefix in (*mine, *holding):
        if prefix and holding.get(prefix) == uri:
            return prefix
    made = (f"ns{number}" for number in range(len(holding) + len(element.nsmap) + 1))
    free = next(prefix for prefix in (*mine, *made) if prefix not in holding and element.nsmap.get(prefix, uri) == uri)
    declared[free] = uri
    return free


def _declarations(declared: Scope) -> str:
    return "".join(
        f' {f"xmlns:{prefix}" if prefix else "xmlns"}="{escaped_value(uri)}"' for prefix, uri in declared.items()
    )


def _split(name: str) -> tuple[str, str]:
    """The namespace (or nothing) and the local part of a name as lxml gives it."""
    if not name.startswith("{"):
        return "", name
    uri, _, local = name[1:].partition("}")
    return uri, local


def _qualified(prefix: str | None, local: str) -> str:
    return f"{prefix}:{local}" if prefix else local


def _one_line_break(text: str) -> str:
    """As every XML parser reads the line breaks of a text (XML 1.0, section 2.11)."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _meaning(match: re.Match[str]) -> str:
    section: str | None = match[1]
    if section is not None:
        return section
    name = match[2]
    if name in _ENTITIES:
        return _ENTITIES[name]
    try:
        if name.startswith("#x"):
            return chr(int(f"0{name[1:]}", base=16))
        if name.startswith("#"):
            return chr(int(name[1:]))
    except (ValueError, OverflowError):
        pass  # no character: the same sentence as for an entity that nobody declares
    raise ValueError(f"'&{name};' stands for nothing")
