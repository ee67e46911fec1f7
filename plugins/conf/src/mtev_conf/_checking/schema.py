"""Judging a stanza by the schema of a plugin.

A schema (`schema.xsd`) describes one plugin's part of the elements that its manifest's claims select. Several plugins
may describe the same element, so each schema is asked by itself. How:

1. The judgement is about a copy in which values are substituted; what is found is about the caller's own elements.
2. An element that the schema declares is judged by xmlschema, with all that is in it. Around such elements, and for a
   stanza whose name the schema does not declare, only attributes count that are declared by themselves (not inside a
   type): these may stand on containers of any name.
3. In `<config>`, `<value name="x">` is judged as `<x>` is, and elements that the schema does not declare are left
   alone. A key may have attributes, whatever its type, and everything may have attributes of other namespaces.
4. Whatever the schema does not know is let through. A name that it does not know is a warning when it is very likely a
   misspelling: it resembles one that the schema knows in this place, and nobody else knows it.

xmlschema is an extra of the distribution, imported when the first schema is compiled. It is told to read nothing but
the schema itself, and never looks at hints in documents.
"""

from __future__ import annotations

import copy
import importlib.util
import re
import threading
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from lxml import etree

from .judgement import Judgement, SchemaProblem, under_config
from .xsd import SchemaError, declared_names, read_xsd

if TYPE_CHECKING:
    from xmlschema import XMLSchema

__all__ = ["SchemaProblem", "SchemaSet", "missing", "outermost", "validate"]

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what comes from outside may hold it


def missing() -> str:
    """What to install before schemas can be asked, or `""` when it is there."""
    return "" if importlib.util.find_spec("xmlschema") else "pip install 'mtev-conf[schema]'"


def validate(stanza: etree._Element, xsd: bytes, xsd_name: str) -> list[SchemaProblem]:
    """Judge one stanza, whose values are as they should be taken, by one schema; see `SchemaSet.validate`."""
    return SchemaSet().validate(stanza, xsd, xsd_name)


def outermost(elements: Iterable[etree._Element]) -> list[etree._Element]:
    """Those elements that stand in none of the others, in the order given: each is judged once, with what is in it."""
    chosen = dict.fromkeys(elements)
    return [each for each in chosen if not any(around in chosen for around in each.iterancestors())]


class SchemaSet:
    """Schemas, each compiled once for its content. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._compiled: dict[bytes, XMLSchema | SchemaError] = {}
        self._names: dict[bytes, frozenset[str]] = {}

    def validate(
        self,
        stanza: etree._Element,
        xsd: bytes,
        xsd_name: str,
        *,
        value: Callable[[etree._Element, str], str] | None = None,
        applies: Callable[[etree._Element], bool] | None = None,
        known: Collection[str] = (),
    ) -> list[SchemaProblem]:
        """Judge a stanza by a schema. Blocks for as long as that takes; touches no file.

        Args:
            stanza: an element that a claim of the plugin's selects. It is copied, and left as it is.
            xsd: the schema document.
            xsd_name: what to call it in messages, such as `mtev_http/schema.xsd`.
            value: gives a text of an element (an attribute's, or its own) with everything substituted; None when the
                texts are to be taken as they stand.
            applies: whether an element within the stanza counts; what does not is left out, with all that is in it.
            known: names of elements and attributes that others know, so that they are no misspellings.

        Returns:
            Everything that is wrong, in the order of the document.

        Raises:
            SchemaError: the schema cannot be used.
            Exception: whatever `value` and `applies` raise.
        """
        with self._lock:
            schema, names = self._schema(xsd, xsd_name), self.names(xsd, xsd_name)
        originals = _copied(stanza, value, applies, schema)  # the caller's functions may take locks of theirs
        judgement = Judgement(schema, originals, names.union(known))
        with self._lock:
            judgement.judge(next(iter(originals)))
        return judgement.result()

    def names(self, xsd: bytes, xsd_name: str) -> frozenset[str]:
        """The names of all elements and attributes that a schema declares anywhere.

        Raises:
            SchemaError: the schema cannot be used.
        """
        with self._lock:
            if xsd not in self._names:
                self._names[xsd] = declared_names(read_xsd(xsd, xsd_name))
            return self._names[xsd]

    def _schema(self, xsd: bytes, xsd_name: str) -> XMLSchema:
        if xsd not in self._compiled:
            try:
                self._compiled[xsd] = _compile(read_xsd(xsd, xsd_name), xsd_name)
            except SchemaError as error:
                self._compiled[xsd] = error
        found = self._compiled[xsd]
        if isinstance(found, SchemaError):
            raise found.with_traceback(None)
        return found


def _compile(root: etree._Element, name: str) -> XMLSchema:
    if advice := missing():
        raise SchemaError(f"schemas cannot be asked without xmlschema; {advice}", name)
    import xmlschema

    try:
        return xmlschema.XMLSchema(etree.tostring(root, encoding="unicode"), allow="none", defuse="always")
    except (xmlschema.XMLSchemaException, etree.LxmlError) as error:
        reason = str(getattr(error, "reason", None) or getattr(error, "message", None) or error).strip()
        line: int | None = getattr(getattr(error, "elem", None), "sourceline", None)
        raise SchemaError(f"it is no valid schema: {reason}", f"{name}:{line}" if line else name) from None


def _copied(
    stanza: etree._Element,
    value: Callable[[etree._Element, str], str] | None,
    applies: Callable[[etree._Element], bool] | None,
    schema: XMLSchema,
) -> dict[etree._Element, etree._Element]:
    """The elements of a copy of the stanza that count, in document order, each with the one that it stands for."""
    top = copy.deepcopy(stanza)
    top.tail = None
    etree.strip_elements(top, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    pairs = list(zip(top.iter(etree.Element), stanza.iter(etree.Element), strict=True))
    dropped: set[etree._Element] = set()
    originals: dict[etree._Element, etree._Element] = {}
    own = f"{{{schema.target_namespace}}}"
    for element, original in pairs:
        parent = element.getparent()
        if element is not top and (parent in dropped or (applies is not None and not applies(original))):
            dropped.add(element)
            continue
        originals[element] = original
        for name, raw in element.attrib.items():
            if str(name).startswith("{") and not str(name).startswith(own):
                del element.attrib[name]
            elif value is not None:
                element.set(name, _NO_XML.sub("\ufffd", value(original, str(raw))))
        if value is not None and element.text:
            element.text = _NO_XML.sub("\ufffd", value(original, element.text))
        key = element.get("name", "")
        if element.tag == "value" and under_config(element) and key in schema.elements:
            element.tag = key
            del element.attrib["name"]
    for element in dropped:
        if (parent := element.getparent()) is not None and parent not in dropped:
            parent.remove(element)
    return originals
