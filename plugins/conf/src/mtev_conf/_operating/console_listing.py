"""What `ls` shows of elements: their attributes, and what is in them, secrets hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from lxml import etree

from .._editing.changes import labels_of, own_text
from .._editing.paths import written_name
from .._masking import secret_content, shown_attribute, shown_text
from .._names import own_attributes
from .._section import Section
from .console_commands import more

__all__ = ["MAX_LISTED", "listing", "name_prefix"]

MAX_LISTED = 1000
"""How many elements are shown."""


def listing(sections: Sequence[tuple[Section, str]]) -> Iterator[str]:
    """What sections hold, each with what its names begin with."""
    settings: list[str] = []
    subsections: list[str] = []
    values: list[str] = []
    left_out = 0
    for section, prefix in sections:
        element = section._element
        with section._tree.lock:
            names = [written_name(each) for each in (element, *element.iterancestors())]
            secret = secret_content(names, labels_of(element))
            settings += [f"{prefix}{each}" for each in _attributes(element, secret, "@{}: {}")]
            children = element.iterchildren(etree.Element)
            for child in islice(children, MAX_LISTED - len(subsections) - len(values)):
                step = prefix + element.getroottree().getpath(child).rpartition("/")[2]
                text = own_text(child).strip()
                if child.find("*") is not None or not text:
                    subsections.append(step)
                    continue
                secret = secret_content([written_name(child), *names], labels_of(child))
                labels = "".join(_attributes(child, secret, ' {}="{}"'))
                values.append(f"{step}{labels}: {shown_text(text, secret=secret)}")
            left_out += sum(1 for _ in children)
    for title, lines in (("Section Settings", settings), ("Subsections", subsections), ("Values", values)):
        if lines:
            yield f"== {title} =="
            yield from lines
    yield from more(left_out, "elements")


def _attributes(element: etree._Element, secret: bool, form: str) -> list[str]:
    tag = written_name(element)
    return [
        form.format(name, shown_attribute(tag, name, value, secret=secret))
        for name, value in own_attributes(element).items()
    ]


def name_prefix(position: str, base: str) -> str:
    """What names in a section begin with, seen from another one."""
    if position == base:
        return ""
    beginning = base if base.endswith("/") else f"{base}/"
    return f"{position.removeprefix(beginning)}/"
