"""The configuration of a service: the document in force, behind an object that outlives every change and reload.

What happens to a set of changes, in this order:

1. They are carried out in the tree, with its lock held, so that nobody reads a half of them.
2. Checks and plugins judge the result; whoever refuses has all of it undone, with a reason.
3. Where changes are journalled, they are on the disk before they count.
4. The generation is one more, and the history knows who did what.
5. Everybody who wants to know is told, outside the lock.

A reload is the same with a new tree in the place of step 1. One thing happens at a time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from ._apply import Pending, Policies, settle
from ._disk.commit import Remove, RemoveDirectory, Unfinished, Write, commit, reading
from ._disk.journalling import ChangeJournal
from ._editing import changes as _changes
from ._editing.changes import Change
from ._editing.condense import condensed
from ._editing.diff import diff
from ._editing.edit import Editor
from ._editing.machinery import check_machinery
from ._editing.tracker import Tracker
from ._events import ChangeEvent, ChangeRefused, Proposal
from ._history import Generation, History, Origin
from ._load import load_tree, parse_tree
from ._section import Section
from ._transaction import Transaction
from ._tree import Tree
from ._values.facilities import Facilities
from ._writing.save import Wanted, plan_save

if TYPE_CHECKING:
    from mtev_kernel.document import Document

__all__ = ["MAX_VALUE_CHARS", "Configuration"]

MAX_VALUE_CHARS = 4 * 1024 * 1024
"""How long a new value, or the XML of a new element, may be."""

_log = logging.getLogger("mtev.conf")


class Configuration:
    """A configuration document, to be read section by section and changed in transactions. Thread-safe.

    Plugins obtain it as a service: `context.services.require(Configuration)`. Sections follow every transaction. A
    reload replaces the document inside and leaves the object the same; sections handed out before go on showing the
    document that they came from.

    Attributes:
        facilities: where values come from, for plugins to add to.
    """

    def __init__(self, facilities: Facilities | None = None) -> None:
        self.facilities = facilities or Facilities()
        self._mutex = threading.RLock()
        self._current: tuple[int, Tree | None] = (0, None)
        self._history = History()
        self._saved = 0
        self._telling = False
        self._shared = False
        self._pending: dict[str, Pending] = {}
        self._pending_lock = threading.Lock()
        self._policies = Policies()
        self._wanted: list[Wanted] = []
        self._judges: list[Callable[[Proposal], None]] = []
        self._listeners: list[Callable[[ChangeEvent], None]] = []
        self._prepare: Callable[[], None] = lambda: None
        self._journal: ChangeJournal | None = None
        self._writes_refused = ""
        self._may_discard = False
        self._write_wanted = False
        self._call_for_write: Callable[[], None] = lambda: None

    # Making one

    @classmethod
    def parse(
        cls,
        text: str | bytes,
        path: str = "<string>",
        environ: Mapping[str, str] | None = None,
        *,
        notice: Callable[[str], None] | None = None,
    ) -> Configuration:
        """Parse a document that is in memory.

        Args:
            text: the document; of bytes the encoding is what it declares.
            path: what to call it in messages.
            environ: the environment it is read in; the process's, as it is now, when None.
            notice: called once for each thing that was taken otherwise than it may have been meant.

        Raises:
            ConfigurationError: it is malformed, or uses what is refused.
        """
        configuration = cls()
        if isinstance(text, bytes):
            return configuration._begin(parse_tree(text, path, environ, configuration.facilities, notice))
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise ConfigurationError(f"the document holds what is not text: {error}", path) from None
        return configuration._begin(parse_tree(data, path, environ, configuration.facilities, notice, encoding="utf-8"))

    @classmethod
    def load(
        cls,
        path: str,
        environ: Mapping[str, str] | None = None,
        *,
        notice: Callable[[str], None] | None = None,
        facilities: Facilities | None = None,
    ) -> Configuration:
        """Read and parse a file and all that it includes. Blocks on the file system; otherwise as `parse`.

        An interrupted save is finished first.

        Args:
            path: the main file.
            environ: as for `parse`.
            notice: as for `parse`.
            facilities: where values come from; a new, empty registry when None.

        Raises:
            ConfigurationError: it is malformed, or uses what is refused.
            OSError: it cannot be read.
        """
        configuration = cls(facilities)
        with reading(path) as completed:
            for sentence in completed:
                _log.warning("%s", sentence)
            return configuration._begin(load_tree(path, environ, configuration.facilities, notice))

    # Reading

    @property
    def path(self) -> str:
        """Absolute path of the main file, or the name given to `parse`."""
        return self._tree.path

    @property
    def root(self) -> Section:
        """The root element."""
        tree = self._tree
        return Section(tree, tree.root)

    @property
    def root_name(self) -> str:
        """Name of the root element, which is the application's."""
        return self.root.name

    @property
    def generation(self) -> int:
        """Number of the document in force: 0 before the first, one more with every change or reload that succeeds."""
        return self._current[0]

    @property
    def notices(self) -> Sequence[str]:
        """What of the present document was taken otherwise than it may have been meant, as far as it was read."""
        return self._tree.notices

    def sections(self, xpath: str, **variables: str) -> list[Section]:
        """The elements that an XPath expression selects, in document order.

        Args:
            xpath: relative to the root element (`listeners//listener`) or absolute (`/example1/listeners`). A relative
                one also looks behind includes that stand directly below the root.
            variables: values of `$names` in the expression.

        Raises:
            ConfigurationError: the expression is malformed, or does not select nodes.
        """
        tree = self._tree
        return [Section(tree, each) for each in tree.select_below_root(xpath, variables)]

    def section(self, xpath: str, **variables: str) -> Section | None:
        """The last of the elements that an XPath expression selects (as in libmtev), or None; see `sections`."""
        found = self.sections(xpath, **variables)
        return found[-1] if found else None

    def at(self, path: str) -> Section | None:
        """The element of a path such as `/app/listeners[1]/listener[2]`, as `Section.path` gives it, or None."""
        tree = self._tree
        with tree.lock:
            try:
                found = _changes.resolve(tree.root, path)
            except LookupError:
                return None
        return Section(tree, found) if isinstance(found, etree._Element) else None

    def nearest(self, path: str) -> Section:
        """As `at`, or the nearest of the elements round it that exists; the root, if need be."""
        while path.count("/") > 1:
            found = self.at(path)
            if found is not None:
                return found
            path = path.rpartition("/")[0]
        return self.root

    def document(self) -> Document:
        """The document in force as the kernel sees it. It stays that document when another is loaded."""
        from ._document import TreeDocument

        return TreeDocument(self._tree)

    # Changing

    def transaction(self, who: str = "", why: str = "") -> Transaction:
        """Begin a set of changes; see `Transaction`.

        Args:
            who: who asks, for the history and for those who may refuse.
            why: a word of theirs.

        Raises:
            ConfigurationError: at the end of its `with` block: a change is impossible.
            ChangeRefused: likewise: somebody refused; nothing is changed.
        """
        return Transaction(self, who, why)

    def apply(self, script: Sequence[Change], who: str = "", why: str = "", *, kind: Origin = "change") -> Generation:
        """Carry out changes that are given by path, as one transaction.

        Raises:
            ConfigurationError: a path does not exist, or what is there is not what the change says.
            ChangeRefused: somebody refused; nothing is changed.
        """
        tree = self._tree

        def operate(editor: Editor) -> None:
            for change in script:
                if kind != "replay":
                    check_machinery(tree, change)
                _changes.apply(editor, tree.root, [change])

        return self._carry_out(tree, operate, kind, who, why)

    def adopt(self, other: Configuration, who: str = "", why: str = "") -> Generation:
        """Put another configuration's document in force here, in one step, if nobody refuses.

        Raises:
            ChangeRefused: somebody refused; what was in force stays.
        """
        fresh = other._tree
        with self._mutex:
            self._check_telling()
            old = self._current[1]
            changes: tuple[Change, ...] = ()
            if old is not None:
                with old.lock, fresh.lock:
                    changes = tuple(diff(old.root, fresh.root))
                self._judge(Proposal(other, changes, who, why))
                self._commit(fresh, [])  # what the journal holds is given up, or was none
            generation = self._advance(fresh, "load" if old is None else "reload", changes, who, why)
            self._saved = generation.number
            self._may_discard = self._write_wanted = False
            self._tell(generation)
            return generation

    def rollback(self, number: int, who: str = "", why: str = "") -> Generation:
        """Make the document what it was in an earlier generation; that is a new one, with its own number.

        Comments that a reload has brought or taken do not come and go with it.

        Raises:
            LookupError: the generation is no longer kept.
            ConfigurationError: as `apply`.
            ChangeRefused: as `apply`.
        """
        with self._mutex:
            script = _changes.inverse(self._history.since(number))
            return self.apply(script, who, why or f"back to generation {number}", kind="rollback")

    # Knowing

    def history(self) -> list[Generation]:
        """The last generations, oldest first."""
        with self._mutex:
            return self._history.kept()

    def since(self, number: int) -> list[Change]:
        """What has changed since a generation.

        Raises:
            LookupError: it is no longer kept.
        """
        with self._mutex:
            return self._history.since(number)

    def unsaved(self) -> list[Change]:
        """What is in force and not in the files, as far back as the history reaches; what was undone is left out."""
        with self._mutex:
            kept = self._history.kept()
            return condensed(self._history.since(max(self._saved, kept[0].number))) if kept else []

    def pending(self) -> list[Pending]:
        """What is in the document and takes a restart to come into force."""
        with self._pending_lock:
            return list(self._pending.values())

    def subscribe(self, listener: Callable[[ChangeEvent], None]) -> Callable[[], None]:
        """Hear of every change once it is in force, in order.

        Args:
            listener: called on the thread that made the change, which waits for it. It may read, but not change, the
                configuration. What it raises is logged.

        Returns:
            A function that ends it.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def judge(self, judge: Callable[[Proposal], None]) -> Callable[[], None]:
        """Be asked before every change or reload comes into force.

        Args:
            judge: calls `proposal.refuse(...)`, or raises, to refuse it. Called with the document locked: it must not
                wait for another thread.

        Returns:
            A function that ends it.
        """
        self._judges.append(judge)
        return lambda: self._judges.remove(judge)

    # Writing

    def leaf(self, wanted: Wanted) -> Callable[[], None]:
        """Say which elements of a backing store are to be kept in one file each, with all that is in them.

        Without anybody's word, an element is when its text, or its emptiness, would be lost otherwise.

        Args:
            wanted: true for such an element; called with new elements only.

        Returns:
            A function that takes the word back.
        """
        self._wanted.append(wanted)
        return lambda: self._wanted.remove(wanted)

    def disable_writes(self, reason: str) -> None:
        """Refuse to write files from now on; `""` allows it again."""
        self._writes_refused = reason

    def write(self, *, force: bool = False) -> list[str]:
        """Write what is in force to the files that it came from. Blocks until it is safely on the disk.

        Only files whose content changes are written, all of them as one set: whatever happens meanwhile, the next
        reading finds all of them as they were or all as they are.

        Args:
            force: overwrite files that somebody else has changed since they were read.

        Returns:
            The files written or removed.

        Raises:
            ConfigurationError: writing is disabled, the document came from no file, or a file cannot be written.
            Conflict: a file has been changed by somebody else.
        """
        with self._mutex, self._answering_requests():
            if self._writes_refused:
                raise ConfigurationError(f"nothing is written: {self._writes_refused}")
            tree = self._tree
            if not tree.path.startswith("/"):
                raise ConfigurationError("the configuration came from no file, so there is none to write", tree.path)
            with tree.lock:
                saving = plan_save(tree, self._wants, force=force)
            self._commit(tree, saving.changes)
            with tree.lock:
                saving.done()
            self._saved = self.generation
            return saving.paths

    def request_write(self) -> None:
        """Have it written soon, together with what else changes until then. Returns at once."""
        self._write_wanted = True
        self._call_for_write()

    @property
    def write_requested(self) -> bool:
        """Whether somebody has asked for a write that has not been made."""
        return self._write_wanted

    def text(self, path: str = "") -> str:
        """What a file would hold if it were written now.

        Args:
            path: the main file, when empty, or one that it includes.

        Raises:
            LookupError: the document has no such file.
            ConfigurationError: it cannot be rewritten.
        """
        tree = self._tree
        with tree.lock:
            for source in tree.sources:
                if source.path == (path or tree.path):
                    return source.render(tree).text
        raise LookupError(f"the configuration has no file '{path}'")

    def discard_unsaved(self, *, allowed: bool = True) -> None:
        """Let the next reload replace what is not in the files.

        Args:
            allowed: whether it may; False takes the permission back.
        """
        self._may_discard = allowed

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep everybody else from changing the configuration: to look at it and change it in one step.

        Blocks while somebody else does. Not for long: everybody who changes something waits.
        """
        with self._mutex:
            yield

    # For the plugin

    def when_write_is_requested(self, call: Callable[[], None]) -> None:
        """Call this from any thread when somebody asks for a write."""
        self._call_for_write = call

    def check_unsaved(self) -> None:
        """Refuse a reload that would lose changes, unless it may.

        Raises:
            ConfigurationError: it would, and may not.
        """
        unsaved = self.unsaved()
        if unsaved and not self._may_discard:
            raise ConfigurationError(
                f"{len(unsaved)} change{'s' if len(unsaved) > 1 else ''} made while the service runs would be lost; "
                "write them to the files first, or roll them back",
                self.path,
            )

    def keep_journal(self, journal: ChangeJournal) -> None:
        """Keep each change in a journal before it comes into force, from now on."""
        self._journal = journal

    def replay(self, journal: ChangeJournal) -> None:
        """Carry out what a journal holds, one generation for each of its own.

        Raises:
            ConfigurationError: it cannot be carried out here.
        """
        with self._mutex:
            for who, why, changes in journal.replay(self._tree):
                self.apply(changes, who, why, kind="replay")

    def set_policies(self, policies: Policies) -> None:
        """What it takes for a change to come into force, from now on."""
        self._policies = policies

    def prepare_with(self, prepare: Callable[[], None]) -> None:
        """Call this before the document is locked for a change: the place for what judges need and takes long."""
        self._prepare = prepare

    def restarted(self, plugin: str) -> None:
        """A plugin has started again: what waited for that is in force. Does not wait for changes under way."""
        with self._pending_lock:
            self._pending = {
                key: each
                for key, each in self._pending.items()
                if not (each.policy == "restart-plugin" and each.plugin == plugin)
            }

    def keep_history(self, limit: int) -> None:
        """How many generations are kept, at least 1."""
        with self._mutex:
            self._history.resize(limit)

    @property
    def _tree(self) -> Tree:
        tree = self._current[1]
        if tree is None:
            raise ConfigurationError("no configuration document has been opened yet")
        return tree

    def _begin(self, tree: Tree) -> Configuration:
        self._advance(tree, "load", (), "", "")
        self._saved = 1
        return self

    def _carry_out(self, tree: Tree, operate: Callable[[Editor], None], kind: Origin, who: str, why: str) -> Generation:
        with self._mutex:
            self._check_telling()
            if tree is not self._current[1]:
                raise ConfigurationError("the configuration was reloaded meanwhile; look at it and try again")
            self._prepare()
            with tree.lock:
                generation = self._changed(tree, operate, kind, who, why)
            if generation is None:
                return self._history.kept()[-1]
            self._tell(generation)
            return generation

    def _changed(
        self, tree: Tree, operate: Callable[[Editor], None], kind: Origin, who: str, why: str
    ) -> Generation | None:
        tracker = Tracker(tree)
        editor = Editor(tracker, tree.opened, tree.path_of)
        tree.proposed = True
        try:
            try:
                operate(editor)
            except (ValueError, LookupError) as error:
                raise ConfigurationError(str(error)) from None
            changes = tuple(editor.changes)
            if not changes:
                return None
            _check_sizes(changes)
            tree.changed()
            self._judge(Proposal(self, changes, who, why, shared=tracker.shared))
            generation = self._next(kind, changes, who, why)
            if self._journal is not None and kind != "replay":
                self._journal.record(tree, generation)
        except BaseException:
            tracker.silence()
            editor.undo()
            tracker.undo()
            tree.changed()
            raise
        finally:
            tree.proposed = False
        self._shared = tracker.shared
        return self._put_in_force(tree, generation)

    def _judge(self, proposal: Proposal) -> None:
        if proposal.concerns("modules", "generic", "loader"):
            try:
                proposal.configuration.document().modules()
            except ConfigurationError as error:
                proposal.refuse(error)
        for judge in self._judges:
            try:
                judge(proposal)
            except ConfigurationError as error:
                proposal.refuse(error)
        if proposal.refusals:
            combined = ConfigurationError.combined(proposal.refusals)
            refused = ChangeRefused(str(combined))
            refused.where, refused.parts = combined.where, combined.parts
            raise refused

    def _next(self, kind: Origin, changes: tuple[Change, ...], who: str, why: str) -> Generation:
        return Generation(self._current[0] + 1, time.time(), kind, who, why, changes)

    def _advance(self, tree: Tree, kind: Origin, changes: tuple[Change, ...], who: str, why: str) -> Generation:
        return self._put_in_force(tree, self._next(kind, changes, who, why))

    def _put_in_force(self, tree: Tree, generation: Generation) -> Generation:
        self._current = (generation.number, tree)
        self._history.add(generation)
        waiting = []
        for change in generation.changes:
            plugin, policy = self._policies.of(change)
            if policy != "live":
                waiting.append(Pending(change, plugin, policy, generation.number))
        with self._pending_lock:
            self._pending = settle(self._pending, waiting)
        return generation

    def _tell(self, generation: Generation) -> None:
        event = ChangeEvent(self, generation, self._shared if generation.kind not in ("load", "reload") else None)
        self._telling = True
        try:
            for listener in list(self._listeners):
                try:
                    listener(event)
                except Exception:  # one listener's fault is not another's
                    _log.exception("generation %d: a listener failed", generation.number)
        finally:
            self._telling = False

    def _check_telling(self) -> None:
        # The mutex is held, so this is the thread that is telling.
        if self._telling:
            raise ConfigurationError("the configuration cannot be changed by whoever is being told of a change")

    @contextmanager
    def _answering_requests(self) -> Iterator[None]:
        """What was asked to be written is, unless the block fails: then it still waits."""
        wanted, self._write_wanted = self._write_wanted, False
        try:
            yield
        except BaseException:
            self._write_wanted = wanted or self._write_wanted
            raise

    def _commit(self, tree: Tree, changes: Sequence[Write | Remove | RemoveDirectory]) -> None:
        """Change the files, and end the journal with them."""
        ending = self._journal.ending() if self._journal is not None else []
        if changes or ending:
            try:
                for directory in commit(tree.path, [*changes, *ending]):
                    _log.warning("%s is no longer used, and stays: something else is in it", directory)
            except Unfinished as warning:
                _log.warning("%s", warning)
        if self._journal is not None:
            self._journal.ended()

    def _wants(self, element: etree._Element) -> bool:
        return any(wanted(element) for wanted in self._wanted)


def _check_sizes(changes: Sequence[Change]) -> None:
    """Refuse values that no parser would read back, or that nobody could read with pleasure."""
    for change in changes:
        if len(change.new or "") > MAX_VALUE_CHARS:
            raise ConfigurationError(
                f"{change.path}: {len(change.new or '')} characters in one change; {MAX_VALUE_CHARS} are allowed"
            )
