"""The mode `configure terminal`: where an operator stands in the document, and what can be done from there.

1. One session, one place: an element, not a path, so that nobody comes to stand somewhere else because a sibling before
   it goes. When it goes itself, or the document is read again, the nearest place that is left takes over. The next
   command says so first, and if it is one that edits, does nothing else.
2. Paths are XPath; absolute ones begin below the root element, as in libmtev: `/listeners/listener[2]`.
3. Every editing command is one transaction. Nothing is written to files before `write file`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from lxml import etree

from .._configuration import Configuration
from .._editing.changes import labels_of, own_text
from .._editing.paths import written_name
from .._history import Generation
from .._masking import secret_content, shown_attribute, shown_text
from .._section import Section
from .._transaction import Transaction
from .._tree import own_attributes
from .console_commands import CommandRegistry, Function, Operator, generation_number, more, remedy, told
from .search import OutsideTree, find_sections, position_below_root, shown_path

__all__ = ["Editing"]

_NAME = re.compile(r"[-_.:a-zA-Z0-9]+")
_INCLUDE = "include"
_MAX_LISTED = 1000
_MAX_POSITION = 66
"""How much of a position libmtev's prompt has room for."""


class Editing:
    """The mode of one session, whose commands run one at a time.

    Args:
        configuration: what is edited.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._go(configuration.root)

    @property
    def prompt(self) -> str:
        """Where the session is; the end of it where it is long."""
        position = self._position
        if len(position) > _MAX_POSITION:
            position = f"...{position[3 - _MAX_POSITION :]}"
        return f"mtev(conf:{position})# "

    def register(self, commands: CommandRegistry) -> None:
        """Register the commands of the mode."""
        looking: Sequence[tuple[str, Function, str, str]] = (
            ("ls", self.list_section, "what this section holds, or the sections that XPATH selects", "[XPATH]"),
            ("cd", self.change_section, "go to another section", "XPATH"),
        )
        editing: Sequence[tuple[str, Function, str, str]] = (
            ("section", self.enter_section, "go to a section in this one; it is made if it is not there", "NAME"),
            ("no section", self.remove_section, "remove the first section of that name", "NAME"),
            ("attribute", self.set_attribute, "set an attribute of this section", "NAME VALUE"),
            ("no attribute", self.remove_attribute, "remove an attribute of this section", "NAME"),
            (
                "set",
                self.set_value,
                "set the text of an element in this section; it is made if not there",
                "NAME VALUE",
            ),
            ("rollback", self.rollback, "make the configuration what it was in a generation", "GENERATION"),
        )
        for table, edits in ((looking, False), (editing, True)):
            for words, function, summary, usage in table:
                command = self._placed(function, edits=edits)
                commands.command(words, command, summary=summary, usage=usage, session=True, threaded=True)

    def list_section(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`ls [XPATH]`."""
        if len(words) > 1:
            raise ValueError("too many arguments")
        if not words:
            yield from _listing([(self._section, "")])
            return
        found = find_sections(self._configuration, self._xpath(words[0]))
        if not found:
            raise ValueError("no such object")
        base = "/" if words[0].startswith("/") else self._position
        yield from _listing([(each, _prefix(position_below_root(each), base)) for each in found[:_MAX_LISTED]])
        yield from more(len(found) - _MAX_LISTED, "sections")

    def change_section(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`cd XPATH`."""
        if len(words) != 1:
            raise ValueError("requires one argument")
        xpath = self._xpath(words[0])
        shown = xpath if xpath.startswith("/") else f"/{self._configuration.root_name}/{xpath}"
        try:
            found = find_sections(self._configuration, xpath)
        except OutsideTree:
            raise ValueError(f"new path outside out tree [{shown}]") from None
        if not found:
            raise ValueError(f"no such section [{shown}]")
        if len(found) > 1:
            raise ValueError(f"ambiguous section [{shown}]")
        target = found[0]
        while target.name == _INCLUDE and words[0].endswith("..") and target.parent is not None:
            target = target.parent  # "up" leads past what is no section
        if target.name == _INCLUDE:
            raise ValueError(f"reserved word [{shown}]")
        self._go(target)
        yield from ()

    def enter_section(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`section NAME`."""
        name = self._section_name(words)
        found = _children(self._section, name)
        if len(found) > 1:
            raise ValueError("cannot create section")
        if found:
            self._go(found[0])
            return
        with self._transaction(operator) as change:
            made = change.add(self._section, name)
        self._go(made)
        yield from self._consequences(change.generation)

    def remove_section(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`no section NAME`."""
        found = _children(self._section, self._section_name(words))
        if not found:
            raise ValueError("no such section")
        with self._transaction(operator) as change:
            change.remove(found[0])
        yield from self._consequences(change.generation)

    def set_attribute(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`attribute NAME VALUE`."""
        name, value = _name_and_value(words)
        with self._transaction(operator) as change:
            change.set(self._section, name, value)
        yield from self._consequences(change.generation)

    def remove_attribute(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`no attribute NAME`."""
        if len(words) != 1:
            raise ValueError("requires one argument")
        if words[0] not in self._section.attributes:
            raise ValueError("no such attribute")
        with self._transaction(operator) as change:
            change.unset(self._section, words[0])
        yield from self._consequences(change.generation)

    def set_value(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`set NAME VALUE`."""
        name, value = _name_and_value(words)
        if name == _INCLUDE:
            raise ValueError("include is a reserved section name")
        found = _children(self._section, name)
        if len(found) > 1:
            raise ValueError("ambiguous section")
        if not found and self._section.parent is None:
            raise ValueError("manipulation of toplevel section disallowed")
        with self._transaction(operator) as change:
            if found:
                change.text(found[0], value)
            else:
                change.add(self._section, name, text=value)
        yield from self._consequences(change.generation)

    def rollback(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`rollback GENERATION`."""
        if len(words) != 1:
            raise ValueError("requires one argument")
        yield from self._consequences(self._configuration.rollback(generation_number(words[0]), _who(operator)))

    def _transaction(self, operator: Operator) -> Transaction:
        return self._configuration.transaction(_who(operator))

    def _consequences(self, made: Generation | None) -> Iterator[str]:
        """What of a generation is not in force yet."""
        paths = {each.path for each in made.changes} if made is not None else ()
        for each in self._configuration.pending():
            if each.change.path in paths:
                yield f"{each.change.path}: {remedy(each)}"

    def _section_name(self, words: Sequence[str]) -> str:
        if len(words) != 1:
            raise ValueError("requires one argument")
        name = words[0]
        if not _NAME.fullmatch(name):
            raise ValueError("invalid section name")
        if self._section.parent is None:
            raise ValueError("manipulation of toplevel section disallowed")
        if name == _INCLUDE:
            raise ValueError("include is a reserved section name")
        return name

    # Where the session is

    def _placed(self, function: Function, *, edits: bool) -> Function:
        """The same command, with rule 1 kept before and after it."""
        inner = told(function)

        def command(operator: Operator, words: Sequence[str]) -> Iterator[str]:
            news = self._moved()
            if news:
                yield news
                if edits:
                    raise ValueError("nothing was changed; look where you are, and repeat the command")
            yield from inner(operator, words)
            if news := self._moved():
                yield news

        command.__module__ = function.__module__  # `help` names the owner by it
        return command

    def _moved(self) -> str:
        """Go to the nearest place that is left when this one is gone, and say so; `""` when it is still there."""
        configuration, section, path = self._configuration, self._section, self._path
        above: Section | None = section
        while above is not None and above != configuration.root:
            above = above.parent
        if above is not None:
            self._go(section)  # its path may be another by now
            return ""
        found = configuration.at(path)
        reloaded = section._tree is not configuration.root._tree
        while found is None and "/" in path[1:]:
            path = path.rpartition("/")[0]
            found = configuration.at(path)
        self._go(found or configuration.root)
        cause = "the configuration was read again" if reloaded else "that section was removed"
        return f"{cause}; this is {self._position}"

    def _go(self, section: Section) -> None:
        self._section, self._path, self._position = section, section.path, position_below_root(section)

    def _xpath(self, word: str) -> str:
        """An operator's XPath as one that starts at the document, or, from the root, at the root element."""
        if word.startswith("/"):
            xpath = f"/{self._configuration.root_name}{word}"
        elif self._section.parent is None:
            xpath = word
        else:
            xpath = f"{shown_path(self._section)}/{word}"
        return xpath.rstrip("/")


def _listing(sections: Sequence[tuple[Section, str]]) -> Iterator[str]:
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
            for child in islice(children, _MAX_LISTED - len(subsections) - len(values)):
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


def _prefix(position: str, base: str) -> str:
    """What names in a section begin with, seen from another one."""
    if position == base:
        return ""
    beginning = base if base.endswith("/") else f"{base}/"
    return f"{position.removeprefix(beginning)}/"


def _children(section: Section, name: str) -> list[Section]:
    with section._tree.lock:
        children = section._element.iterchildren(etree.Element)
        return [Section(section._tree, each) for each in children if written_name(each) == name]


def _name_and_value(words: Sequence[str]) -> tuple[str, str]:
    if len(words) != 2:
        raise ValueError("requires two arguments: a name and a value (in quotes, if it has blanks)")
    if not _NAME.fullmatch(words[0]):
        raise ValueError(f"'{words[0]}' cannot be a name")
    return words[0], words[1]


def _who(operator: Operator) -> str:
    return f"{operator.name} {operator.user or operator.peer}"
