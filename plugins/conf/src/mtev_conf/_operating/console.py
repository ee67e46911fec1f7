"""The commands that the configuration adds to a console: libmtev's, in its words, and those that it lacks.

    show conf [-x] XPATH            show conf history | pending | diff [GENERATION]
    write terminal | file | memory  configure reload [force]
    configure terminal              see `console_editor`

Secrets are hidden in all that they print.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from datetime import UTC, datetime
from pathlib import Path

from lxml import etree

from mtev_kernel.errors import ConfigurationError
from mtev_kernel.plugin import Context

from .._configuration import Configuration
from .._editing.changes import Change, describe
from .._editing.condense import condensed
from .._section import Section
from .console_commands import CommandRegistry, Mode, Operator, generation_number, more, none_of, reasons, remedy, told
from .console_editor import Editing
from .search import Match, find_matches, shown_path
from .shown import all_text, masked_changes, masked_element, masked_text

__all__ = ["CommandRegistry", "register_commands"]

_MAX_MATCHES = 1000
_MAX_CHARS = 1_000_000
_MAX_CHANGES = 1000
_RELOAD_S = 120.0


def register_commands(console: CommandRegistry, configuration: Configuration, context: Context) -> None:
    """Register all commands.

    Args:
        console: the console, as its hook `mtev_console_commands` hands it out.
        configuration: what they show and change.
        context: the plugin's, for what concerns the whole service.
    """
    reports = _Reports(configuration)
    console.command(
        "show conf",
        told(reports.show),
        summary="what XPATH selects of the configuration (-x: as XML), what has changed, what waits for a restart",
        usage="[-x] XPATH | history | pending | diff [GENERATION]",
        session=True,
        threaded=True,
    )
    _register_writes(console, reports)

    def reload(operator: Operator, words: Sequence[str]) -> Iterator[str]:
        yield from _reload(configuration, context, force=_forced(words))

    console.command(
        "configure reload",
        told(reload),
        summary="read the files again; force gives up the changes that are not in them",
        usage="[force]",
        session=True,
        threaded=True,
    )

    def enter(operator: Operator, words: Sequence[str]) -> Mode:
        if words:
            raise ValueError("extra arguments not expected.")
        return _Terminal(configuration, reports)

    console.mode("configure terminal", enter, summary="look at the configuration, and change it")


class _Terminal(Editing):
    """The mode `configure terminal`: editing, and what is also at the top level.

    Args:
        configuration: what is edited.
        reports: the commands of the top level.
    """

    def __init__(self, configuration: Configuration, reports: _Reports) -> None:
        super().__init__(configuration)
        self._reports = reports

    def register(self, commands: CommandRegistry) -> None:
        super().register(commands)
        for words, function, summary, usage in (
            ("diff", self.diff, "what is collected, or not in the files; what has changed since then", "[GENERATION]"),
            ("pending", self._reports.pending, "what waits for a restart", ""),
            ("history", self._reports.history, "the last generations", ""),
        ):
            commands.command(words, told(function), summary=summary, usage=usage, session=True, threaded=True)
        _register_writes(commands, self._reports)

    def diff(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`diff [GENERATION]`: as at the top level, but what is collected while changes are."""
        if self._draft is None or words:
            yield from self._reports.diff(operator, words)
        else:
            yield from _described(self._draft.changes)


class _Reports:
    """Commands that show and save.

    Args:
        configuration: what they show.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def show(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`show conf`."""
        match list(words):
            case ["history"]:
                yield from self.history(operator, ())
            case ["pending"]:
                yield from self.pending(operator, ())
            case ["diff", *rest]:
                yield from self.diff(operator, rest)
            case ["-x", xpath]:
                yield from self._look(xpath, xml=True)
            case [xpath] if xpath != "-x":
                yield from self._look(xpath, xml=False)
            case _:
                raise ValueError("show conf [-x] <xpath expression>")

    def history(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`history`: one line for each generation, oldest first."""
        none_of(words)
        for each in self._configuration.history():
            when = datetime.fromtimestamp(each.time_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
            count = f"{len(each.changes)} change{'' if len(each.changes) == 1 else 's'}"
            line = f"{each.number:>4}  {when}  {each.kind:<8}  {count}"
            yield "  ".join(filter(None, (line, each.who, each.why)))

    def pending(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`pending`: what is in the document, but not in force before a restart."""
        none_of(words)
        pending = self._configuration.pending()
        if not pending:
            yield "nothing waits for a restart"
        shown = masked_changes(each.change for each in pending[:_MAX_CHANGES])
        for each, change in zip(pending, shown, strict=False):
            yield f"{describe(change)} ({remedy(each)}; since generation {each.generation})"
        yield from more(len(pending) - _MAX_CHANGES, "changes")

    def diff(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`diff [GENERATION]`: what is not in the files, or what has changed since a generation."""
        if len(words) > 1:
            raise ValueError("too many arguments")
        changes: Sequence[Change]
        changes = self._configuration.since(generation_number(words[0])) if words else self._configuration.unsaved()
        yield from _described(condensed(changes))

    def write_terminal(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`write terminal`: the main file as it would be written, without what it includes, secrets hidden."""
        none_of(words)
        yield from masked_text(self._configuration.text(), self._configuration.path).splitlines()

    def write_files(self, operator: Operator, words: Sequence[str]) -> Iterator[str]:
        """`write file [force]`: save; how many bytes, then which files."""
        paths = self._configuration.write(force=_forced(words))
        sizes = {path: Path(path).stat().st_size for path in paths if Path(path).exists()}
        yield f"{sum(sizes.values())} bytes written."
        for path in paths:
            yield path if path in sizes else f"{path} (removed)"

    def _look(self, xpath: str, *, xml: bool) -> Iterator[str]:
        yield f"Looking for '{xpath}'"
        try:
            found = find_matches(self._configuration, xpath)
        except ConfigurationError:
            yield "no elements found"
            raise
        if not found:
            yield "no elements found"
        left = _MAX_CHARS
        for number, each in enumerate(found, start=1):
            if number > _MAX_MATCHES or left <= 0:
                yield from more(len(found) - number + 1, "elements")
                return
            shown = each if isinstance(each, Match) else _match(each)
            yield f"== {number}: {shown.path} ==" if shown.path else f"== {number} =="
            text = f'<?xml version="1.0"?>\n{shown.xml}' if xml else shown.text
            yield text[:left]
            left -= len(text)


def _register_writes(commands: CommandRegistry, reports: _Reports) -> None:
    summary = "write to the files what is not in them; force overwrites what others have changed there"
    write_files = told(reports.write_files)
    for words in ("write file", "write memory"):
        commands.command(words, write_files, summary=summary, usage="[force]", session=True, threaded=True)
    commands.command(
        "write terminal", told(reports.write_terminal), summary="the file as it would be written",
        session=True, threaded=True,
    )  # fmt: skip


def _reload(configuration: Configuration, context: Context, *, force: bool) -> Iterator[str]:
    if force:
        configuration.discard_unsaved()
    outcome = context.reload()
    if not wait([outcome], _RELOAD_S).done:
        raise ValueError(f"still reading after {_RELOAD_S:g} s; the log will say what comes of it")
    error = outcome.exception()
    if error is not None:
        configuration.discard_unsaved(allowed=False)
        raise ValueError("\n".join([*reasons(error), "error loading config"]))
    yield "reload complete"


def _described(changes: Sequence[Change]) -> Iterator[str]:
    """Changes, one per line, secrets hidden."""
    if not changes:
        yield "no changes"
    for change in masked_changes(changes[:_MAX_CHANGES]):
        yield describe(change)
    yield from more(len(changes) - _MAX_CHANGES, "changes")


def _match(section: Section) -> Match:
    element = masked_element(section)
    return Match(shown_path(section), all_text(element), etree.tostring(element, encoding="unicode"))


def _forced(words: Sequence[str]) -> bool:
    if list(words) not in ([], ["force"]):
        raise ValueError(f"'{' '.join(words)}' is not understood; the only argument is 'force'")
    return bool(words)
