"""What a compiled schema makes of a stanza, in our words; see `schema`.

xmlschema judges; what it says of attributes and texts is asked again of their types, so that a problem can name the
attribute, what was expected and what may have been meant. What it says of content is put in words of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from lxml import etree

from .._masking import LABELS, MASK, secret_content, secret_source, shown_attribute, shown_text
from .._names import element_name
from .._values.expansion import Used, expand
from .expectation import choices, expected
from .xsd import nearest

if TYPE_CHECKING:
    from xmlschema import XMLSchema
    from xmlschema.aliases import BaseXsdType
    from xmlschema.validators import (
        XMLSchemaValidationError,
        XsdAnyAttribute,
        XsdAttribute,
        XsdComplexType,
        XsdElement,
        XsdSimpleType,
    )

    Attributes = Mapping[str | None, XsdAttribute | XsdAnyAttribute]

__all__ = ["Judgement", "SchemaProblem", "under_config"]

_CONFIG = "config"
_ATTRIBUTES = frozenset({"id", "inherit", "require_env"})
_ELEMENTS = frozenset({_CONFIG, "include", "value"})
_SHOWN = 60
_COMPONENT = re.compile(r"Xsd\w+\(name='([^']*)'\)")  # how xmlschema calls what it speaks of
_OBJECT = re.compile(r" for <[^>]* object at [^>]*>")


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """Something in a stanza that its schema does not allow, or hardly means.

    Args:
        element: the element at fault; one of the tree that was given.
        attribute: its attribute at fault, or None.
        message: one sentence about it, without the place.
        severity: `error`, or `warning` for what is probably a misspelling.
    """

    element: etree._Element
    attribute: str | None
    message: str
    severity: Literal["error", "warning"] = "error"


class Judgement:
    """One stanza before one schema.

    Args:
        schema: the schema.
        originals: the elements of a copy of the stanza, in document order and with values substituted, each with the
            caller's element that it stands for.
        known: names that are no misspellings.
    """

    def __init__(
        self, schema: XMLSchema, originals: Mapping[etree._Element, etree._Element], known: frozenset[str]
    ) -> None:
        self._schema = schema
        self._originals = originals
        self._known = known
        self._problems: dict[etree._Element, list[SchemaProblem]] = {each: [] for each in originals}

    def result(self) -> list[SchemaProblem]:
        """Everything that was found, in the order of the document."""
        return [problem for problems in self._problems.values() for problem in problems]

    def judge(self, element: etree._Element) -> None:
        """Judge an element of the copy, with all that is in it."""
        if element.tag in self._schema.elements:
            self._judge_declared(element)
            return
        self._judge_attributes(element, None)
        for child in element:
            if child.tag not in self._schema.elements:
                if element.tag == _CONFIG:
                    continue
                self._suspect_element(child)
            self.judge(child)

    def _judge_declared(self, top: etree._Element) -> None:
        declarations: dict[etree._Element, XsdElement] = {top: self._schema.elements[top.tag]}

        def note(element: object, declaration: XsdElement) -> bool:
            """Keep who is judged by what; say whether to leave an element out."""
            assert isinstance(element, etree._Element)
            if not _is_declared(declaration):
                self._suspect_element(element)
                if under_config(element):
                    return True
            declarations[element] = declaration
            return False

        errors = list(self._schema.iter_errors(top, validation_hook=note, use_location_hints=False))
        faulty: set[object] = {error.elem for error in errors}
        for element, declaration in declarations.items():
            kind = declaration.type
            if not _is_declared(declaration):
                self._judge_attributes(element, None, values=element in faulty)
            elif not kind.is_simple():
                self._judge_attributes(element, cast("XsdComplexType", kind).attributes, values=element in faulty)
            if element in faulty and (kind.is_simple() or kind.has_simple_content()):
                self._judge_text(element, declaration)
        for error in errors:
            at: object = error.elem
            element = at if isinstance(at, etree._Element) and at in declarations else top
            self._judge_structure(element, declarations[element], error)

    def _judge_attributes(self, element: etree._Element, declared: Attributes | None, *, values: bool = True) -> None:
        """Judge the attributes of an element, or of a container (`declared` is None); `values` or just their names."""
        names = [str(name) for name in element.attrib if not str(name).startswith("{")]
        for name in names:
            attribute: XsdAttribute | XsdAnyAttribute | None
            attribute = self._schema.attributes.get(name) if declared is None else declared.get(name)
            if attribute is None and declared is not None:
                wildcard = declared.get(None)
                if wildcard is None:
                    near = nearest(name, [each for each in declared if each is not None])
                    self._add(element, name, f"the attribute '{name}' is not allowed here{_perhaps(near)}")
                    continue
                if getattr(wildcard, "process_contents", "") != "skip":
                    attribute = self._schema.attributes.get(name)
            if attribute is None:
                self._suspect_attribute(element, name, [*(declared or ()), *self._schema.attributes])
            elif values:
                self._judge_attribute(element, name, attribute)
        for required, attribute in (declared or {}).items() if values else ():
            if required and getattr(attribute, "use", "") == "required" and required not in element.attrib:
                what = _described(getattr(attribute, "type", None))
                self._add(element, None, f"the attribute '{required}' is required{what}")

    def _judge_attribute(self, element: etree._Element, name: str, attribute: XsdAttribute | XsdAnyAttribute) -> None:
        text = element.get(name) or ""
        fixed: str | None = getattr(attribute, "fixed", None)
        if getattr(attribute, "use", "") == "prohibited":
            self._add(element, name, f"the attribute '{name}' is not allowed here")
        elif fixed is not None and text.strip() != fixed.strip():
            self._add(element, name, f"{name}={self._shown(element, name, text)} is not valid; it is always '{fixed}'")
        elif (kind := attribute.type) is not None and not kind.is_valid(text):
            self._add(element, name, f"{name}={self._shown(element, name, text)} {_wrong(text, kind)}")

    def _judge_text(self, element: etree._Element, declaration: XsdElement) -> None:
        kind = declaration.type
        simple = cast("XsdSimpleType", kind if kind.is_simple() else cast("XsdComplexType", kind).content)
        text = element.text or ""
        absent = not text and (declaration.default is not None or declaration.fixed is not None)
        if not len(element) and not absent and not simple.is_valid(text):
            if not text.strip():
                self._add(element, None, f"it is empty{_described(simple)}")
            else:
                self._add(element, None, f"{self._shown(element, None, text)} {_wrong(text, simple)}")

    def _judge_structure(
        self, element: etree._Element, declaration: XsdElement, error: XMLSchemaValidationError
    ) -> None:
        """Put what xmlschema says about elements in our words; attributes and texts have been judged already."""
        from xmlschema.validators import XsdAttribute, XsdAttributeGroup, XsdGroup

        kind = declaration.type
        child: object = error.invalid_child
        awaited = [name for name in error.expected_tags if not name.startswith("from ")]
        expected_tags = f"; expected {' or '.join(f'<{name}>' for name in awaited)}" if awaited else ""
        if isinstance(error.validator, XsdAttributeGroup | XsdAttribute):
            return
        if isinstance(child, etree._Element):
            name, known = element_name(child), _content_names(kind)
            if not awaited and known:
                expected_tags = f"; <{element_name(element)}> may hold {', '.join(f'<{each}>' for each in known)}"
            again = " again" if any(each.tag == child.tag for each in child.itersiblings(preceding=True)) else ""
            near = "" if name in known else nearest(name, known)
            self._add(child, None, f"<{name}> is not expected here{again}{expected_tags}{_perhaps(near, '<{}>')}")
        elif hasattr(error, "index"):
            self._add(element, None, f"something is missing in it{expected_tags}")
        elif error.obj is element and kind.is_empty() and (element.text or "").strip():
            self._add(element, None, "it is to be empty")
        elif error.obj is element and isinstance(error.validator, XsdGroup):
            self._add(element, None, "it holds elements, and no text of its own")
        elif error.obj is element and len(element) and (kind.is_simple() or kind.has_simple_content()):
            self._add(element, None, "it holds a text, and no elements")
        elif error.obj is element or not self._problems[element]:
            reason = _OBJECT.sub("", _COMPONENT.sub(r"'\1'", error.reason or "it is not valid"))
            self._add(element, None, f"its schema says: {reason}")

    def _shown(self, element: etree._Element, attribute: str | None, text: str) -> str:
        return _shown(self._originals[element], attribute, text)

    def _suspect_attribute(self, element: etree._Element, name: str, declared: Iterable[str | None]) -> None:
        if name not in self._known and name not in _ATTRIBUTES:
            candidates = [each for each in declared if each is not None]
            if near := nearest(name, [*candidates, *_ATTRIBUTES]):
                self._add(element, name, f"unknown attribute '{name}': did you mean '{near}'?", "warning")

    def _suspect_element(self, element: etree._Element) -> None:
        name = str(element.tag)
        if name in self._known or name in _ELEMENTS or name.startswith("{"):
            return
        declared = self._schema.elements
        if any(not declared[each.tag].type.is_simple() for each in element.iterdescendants() if each.tag in declared):
            return  # a container, of whatever name
        if under_config(element):
            candidates = [each for each, declaration in declared.items() if declaration.type.is_simple()]
        else:
            candidates = [*declared, *_ELEMENTS]
        if near := nearest(name, candidates):
            self._add(element, None, f"unknown element <{name}>: did you mean <{near}>?", "warning")

    def _add(
        self,
        element: etree._Element,
        attribute: str | None,
        message: str,
        severity: Literal["error", "warning"] = "error",
    ) -> None:
        problem = SchemaProblem(self._originals[element], attribute, message, severity)
        if problem not in self._problems[element]:
            self._problems[element].append(problem)


def _is_declared(declaration: XsdElement) -> bool:
    return not hasattr(declaration.parent, "process_contents")  # else xmlschema made it up, for a lax wildcard


def _content_names(kind: BaseXsdType) -> list[str]:
    """The names that the content of a type lists."""
    content: object = getattr(kind, "content", None)
    if not hasattr(content, "iter_elements"):
        return []
    return list(dict.fromkeys(each.local_name for each in content.iter_elements() if each.local_name))


def under_config(element: etree._Element) -> bool:
    """Whether an element is a key of a `<config>`."""
    parent = element.getparent()
    return parent is not None and parent.tag == _CONFIG


def _described(kind: BaseXsdType | None) -> str:
    return "" if kind is None else f"; expected {expected(kind)}"


def _perhaps(near: str, form: str = "'{}'") -> str:
    return f"; did you mean {form.format(near)}?" if near else ""


def _wrong(text: str, kind: BaseXsdType) -> str:
    return f"is not valid{_described(kind)}{_perhaps(nearest(text.strip().lower(), choices(kind)))}"


def _shown(element: etree._Element, attribute: str | None, text: str) -> str:
    """A value in a message: not too long of it, and nothing of a secret.

    Args:
        element: as it is written, in the caller's tree.
        attribute: the attribute that has the value; None for the element's text.
        text: the value, substituted.
    """
    used: list[Used] = []
    written = (element.text if attribute is None else element.get(attribute)) or ""
    expand(written, {}, lambda message: None, used=used)
    names = [element_name(each) for each in (element, *element.iterancestors())]
    secret = secret_content(names, [element.get(label) or "" for label in LABELS])
    if any(secret_source(each.facility, each.key) for each in used):
        shown = MASK
    elif attribute is None:
        shown = shown_text(text, secret=secret)
    else:
        shown = shown_attribute(names[0], attribute, text, secret=secret)
    return f"'{shown}'" if len(shown) <= _SHOWN else f"'{shown[:_SHOWN]}…'"
