"""The mode `configure terminal`: where an operator stands in the document, and what can be done from there.

1. One session, one place: an element, not a path, so that nobody comes to stand somewhere else because a sibling before
   it goes. When it goes itself, or the document is read again, the nearest place that is left takes over. The next
   command says so first, and if it is one that edits, does nothing else.
2. Paths are XPath; absolute ones begin below the root element, as in libmtev: `/listeners/listener[2]`.
3. Every editing command is one transaction. Nothing is written to files before `write file`.
4. Between `begin` and `commit` or `abort` all commands work on a draft, a private copy of the document, and what they
   change is collected there. `commit` carries it out as one transaction; where that is refused, it stays collected.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence

from lxml import etree

from mtev_kernel.errors import MtevError

from .._configuration import Configuration
from .._editing.paths import step_name, written_name
from .._history import Generation
from .._section import Section
from .._transaction import Transaction
from .console_commands import (
    CommandRegistry,
    Function,
    Operator,
    checked_reason,
    generation_number,
    more,
    none_of,
    reasons,
    remedy,
    told,
)
from .console_listing import MAX_LISTED, listing, name_prefix
from .draft import Draft
from .position import position_of_nth
from .search import OutsideTree, find_sections, position_below_root, shown_path, stands_in

__all__ = ["Editing"]

_NAME = re.compile(r"[-_.:a-zA-Z0-9]+")
_INCLUDE = "include"
_MAX_POSITION = 66
"""How much of a position libmtev's prompt has room for."""
_MAX_DIGITS = 9

_log = logging.getLogger("mtev.conf")


class Editing:
    """The mode of one session, whose commands run one at a time.

    Args:
        configuration: what is edited.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._draft: Draft | None = None
        self._go(configuration.root)

    @property
    def prompt(self) -> str:
        """Where the session is; the end of it where it is long. With a `*` while changes are collected."""
        position = self._position if self._draft is None else f"{self._position}*"
        if len(position) > _MAX_POSITION:
            position = f"...{position[3 - _MAX_POSITION :]}"
        return f"mtev(conf:{position})# "

    def register(self, commands: CommandRegistry) -> None:
        """Register the commands of the mode."""
        looking: Sequence[tuple[str, Function, str, str]] = (
            ("ls", self.list_section, "what this section holds, or the sections that XPATH selects", "[XPATH]"),
            ("cd", self.change_section, "go to another section", "XPATH"),
            ("begin", self.begin, "collect changes from now on, to be carried out together", ""),
            ("commit", self.commit, "carry out what is collected, all of it or nothing", "[WHY]"),
            ("abort", self.abort, "forget what is collected", ""),
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
            (
                "move",
                self.move_section,
                "move a section, to be the N-th of its name, or first or last of all, here or in another section",
                "XPATH N|first|last | XPATH to XPATH [N|first|last]",
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
            yield from listing([(self._section, "")])
            return
        found = find_sections(self._document, self._xpath(words[0]))
        if not found:
            raise ValueError("no such object")
        base = "/" if words[0].startswith("/") else self._position
        yield from listing([(each, name_prefix(position_below_root(each), base)) for each in found[:MAX_LISTED]])
        yield from more(len(found) - MAX_LISTED, "sections")

    def change_section(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`cd XPATH`."""
        if len(words) != 1:
            raise ValueError("requires one argument")
        target = self._one(words[0])
        while target.name == _INCLUDE and words[0].endswith("..") and target.parent is not None:
            target = target.parent  # "up" leads past what is no section
        if target.name == _INCLUDE:
            raise ValueError(f"reserved word [{self._shown(words[0])}]")
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

    def move_section(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`move XPATH N|first|last` and `move XPATH to XPATH [N|first|last]`."""
        match list(words):
            case [what, "to", where]:
                place, target = "last", where
            case [what, "to", where, place]:
                target = where
            case [what, place]:
                target = ""
            case _:
                raise ValueError("move XPATH N|first|last, or move XPATH to XPATH [N|first|last]")
        number = _number(place)
        section = self._one(what)
        parent = self._one(target) if target else section.parent
        if parent is None:
            raise ValueError("manipulation of toplevel section disallowed")
        with self._document.exclusive():  # nobody changes what the position is counted in
            if not all(stands_in(each, self._document.root) for each in (section, parent)):
                raise ValueError("somebody else has just removed that section")
            index = 0 if number == 0 else -1
            if number > 0:
                name = step_name(section._element)
                index = position_of_nth(parent._element, name, number, without=section._element)
            with self._transaction(operator) as change:
                change.move(section, parent, index=index)
        yield from self._consequences(change.generation)

    def rollback(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`rollback GENERATION`."""
        if len(words) != 1:
            raise ValueError("requires one argument")
        if self._draft is not None:
            raise ValueError("changes are being collected; commit or abort first")
        yield from self._consequences(self._configuration.rollback(generation_number(words[0]), _who(operator)))

    # Changes that are carried out together

    def begin(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`begin`."""
        none_of(words)
        if self._draft is not None:
            raise ValueError("changes are being collected already; commit or abort first")
        draft = Draft(self._configuration)
        self._go(draft.twin(self._section))
        self._draft = draft
        yield "changes are collected from now on; commit carries them out, abort forgets them"

    def commit(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`commit [WHY]`."""
        draft, why = self._collected(), checked_reason(" ".join(words))
        try:
            made = draft.carry_out(_who(operator), why)
        except MtevError as error:
            told_reasons = [*reasons(error), "nothing was changed; what is collected stays"]
            raise ValueError("\n".join(told_reasons)) from error
        self._end(draft, carried_out=True)
        yield "no changes" if made is None else f"generation {made.number}: {_counted(len(made.changes))}"
        yield from self._consequences(made)

    def abort(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`abort`."""
        none_of(words)
        draft, before = self._collected(), self._position
        self._end(draft, carried_out=False)
        yield f"{_counted(len(draft.changes))} forgotten"
        if self._position != before:
            yield f"this is {self._position}"

    def close(self) -> str:
        """The session has left the mode: what was collected is forgotten.

        Returns:
            What to tell whoever left; `""` for nothing.
        """
        draft, self._draft = self._draft, None
        if draft is None or not draft.changes:
            return ""
        lost = f"{_counted(len(draft.changes))} not committed, and forgotten"
        _log.warning("configure terminal: %s", lost)
        return lost

    @property
    def _document(self) -> Configuration | Draft:
        """What the commands work on."""
        return self._draft or self._configuration

    def _collected(self) -> Draft:
        if self._draft is None:
            raise ValueError("no changes are being collected; begin does that")
        return self._draft

    def _end(self, draft: Draft, *, carried_out: bool) -> None:
        self._draft = None
        self._go(draft.counterpart(self._section, carried_out=carried_out))

    def _transaction(self, operator: Operator) -> Transaction:
        return self._document.transaction(_who(operator))

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
        document, section, path = self._document, self._section, self._path
        above: Section | None = section
        while above is not None and above != document.root:
            above = above.parent
        if above is not None:
            self._go(section)  # its path may be another by now
            return ""
        found = document.at(path)
        reloaded = section._tree is not document.root._tree
        while found is None and "/" in path[1:]:
            path = path.rpartition("/")[0]
            found = document.at(path)
        self._go(found or document.root)
        cause = "the configuration was read again" if reloaded else "that section was removed"
        return f"{cause}; this is {self._position}"

    def _one(self, word: str) -> Section:
        """The section that an operator's XPath selects."""
        try:
            found = find_sections(self._document, self._xpath(word))
        except OutsideTree:
            raise ValueError(f"new path outside out tree [{self._shown(word)}]") from None
        if len(found) == 1:
            return found[0]
        raise ValueError(f"{'ambiguous' if found else 'no such'} section [{self._shown(word)}]")

    def _shown(self, word: str) -> str:
        xpath = self._xpath(word)
        return xpath if xpath.startswith("/") else f"/{self._document.root_name}/{xpath}"

    def _go(self, section: Section) -> None:
        self._section, self._path, self._position = section, section.path, position_below_root(section)

    def _xpath(self, word: str) -> str:
        """An operator's XPath as one that starts at the document, or, from the root, at the root element."""
        if word.startswith("/"):
            xpath = f"/{self._document.root_name}{word}"
        elif self._section.parent is None:
            xpath = word
        else:
            xpath = f"{shown_path(self._section)}/{word}"
        return xpath.rstrip("/")


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


def _number(word: str) -> int:
    """What is to be the place of an element: from 1; 0 for the first of all, -1 for the last."""
    if word in ("first", "last"):
        return 0 if word == "first" else -1
    if not (word.isascii() and word.isdecimal() and len(word) <= _MAX_DIGITS and int(word)):
        raise ValueError(f"'{word}' is no place; write first, last, or a number that counts from 1 as in paths")
    return int(word)


def _counted(count: int) -> str:
    return f"{count} change{'' if count == 1 else 's'}"


def _who(operator: Operator) -> str:
    return f"{operator.name} {operator.user or operator.peer}"
