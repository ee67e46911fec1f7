"""A private copy of the document, in which changes are collected until they are carried out together.

1. What is changed in the copy is known as a script, and what each change needs has to be there in the copy. So the
   script fits the document as it was when the copy was made.
2. Nobody waits for a draft, and nobody is asked about it, before it is carried out. What others change meanwhile is not
   in it. Where that touches what the script changes, the script does not fit any more, and is refused.
3. A path counts siblings. So a script does not fit either when others have added, removed or moved elements among those
   that its paths count (`disturbance`): there may be something else of the same value at them now.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from types import TracebackType

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from .._configuration import Configuration
from .._editing.changes import Change, describe, resolve
from .._editing.condense import condensed
from .._editing.edit import Editor
from .._history import Generation
from .._section import Section
from .._transaction import Transaction
from .._tree import Store, Tree
from .search import stands_in
from .shown import masked_changes

__all__ = ["MAX_CHANGES", "Draft", "disturbance"]

MAX_CHANGES = 10_000
"""How many changes are collected."""

_MAX_ELEMENTS = 100_000
"""How many elements a document may have to be copied; whoever changes something waits meanwhile."""


class Draft:
    """A copy of the document in force, to be looked at and changed like the document. For one thread at a time.

    Making one blocks while somebody else changes the configuration, and while the copy is made.

    Args:
        configuration: of what.

    Raises:
        ConfigurationError: the document is too large.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._script: list[Change] = []
        with configuration.exclusive():
            self._base = configuration.generation
            self._tree, self._twins = _copied(configuration.root._tree)
        self._originals = {twin: original for original, twin in self._twins.items()}

    @property
    def root(self) -> Section:
        """The root element."""
        return Section(self._tree, self._tree.root)

    @property
    def root_name(self) -> str:
        """Name of the root element."""
        return self.root.name

    @property
    def generation(self) -> int:
        """A number that grows with each change."""
        return len(self._script)

    @property
    def changes(self) -> list[Change]:
        """What is different from the document that was copied: a script."""
        return condensed(self._script)

    def at(self, path: str) -> Section | None:
        """The element of a path with all indices, or None."""
        try:
            found = resolve(self._tree.root, path)
        except LookupError:
            return None
        return Section(self._tree, found) if isinstance(found, etree._Element) else None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """As `Configuration.exclusive`; a draft has one user anyway."""
        yield

    def transaction(self, who: str = "", why: str = "") -> Transaction:
        """As `Configuration.transaction`, but at the end of its block the changes are made in the copy, and collected.

        Raises:
            ConfigurationError: at the end of the block: there are too many already, or one is impossible.
            LookupError: likewise.
            ValueError: likewise.
        """
        return _Step(self._configuration, self._tree, self._collect)

    def carry_out(self, who: str, why: str) -> Generation | None:
        """Make all changes in the document in force, as one transaction.

        Returns:
            What they made; None when there is nothing to change.

        Raises:
            ConfigurationError: the document has been changed since, so that they do not fit.
            ChangeRefused: somebody refused.
        """
        script = self.changes
        if not script:
            return None
        with self._configuration.exclusive():
            self._check_undisturbed(script)
            return self._configuration.apply(script, who, why)

    # What is where in both

    def twin(self, section: Section) -> Section:
        """The copy of an element; of one that was not copied, that of the root."""
        return Section(self._tree, self._twins.get(section._element, self._tree.root))

    def counterpart(self, section: Section, *, carried_out: bool) -> Section:
        """The element of the document in force that an element of the copy stands for, or the nearest round it.

        Args:
            section: of the copy.
            carried_out: whether the document has what is new in the copy.
        """
        current = self._configuration.root
        node: etree._Element | None = section._element
        while node is not None:
            original = self._originals.get(node)
            found = None if original is None else Section(current._tree, original)
            if found is not None and stands_in(found, current):
                inner = section.path[len(Section(self._tree, node).path) :] if carried_out else ""
                return (self._configuration.at(f"{found.path}{inner}") if inner else None) or found
            node = node.getparent()
        return (self._configuration.at(section.path) if carried_out else None) or current

    def _collect(self, perform: Callable[[Editor], None]) -> None:
        if len(self._script) >= MAX_CHANGES:
            raise ConfigurationError(f"{MAX_CHANGES} changes are collected already; commit them, or abort")
        editor = Editor(_Unobserved(), self._tree.opened)
        try:
            perform(editor)
        except BaseException:
            editor.undo()
            raise
        finally:
            self._tree.changed()
        self._script += editor.changes

    def _check_undisturbed(self, script: Sequence[Change]) -> None:
        try:
            others = self._configuration.since(self._base)
        except LookupError:
            raise ConfigurationError(
                f"what has been changed since generation {self._base}, in which this was begun, is not known any more, "
                "and so not whether this still fits; abort, look, and begin again"
            ) from None
        found = disturbance(script, others)
        if found is not None:
            (shown,) = masked_changes([found])
            raise ConfigurationError(
                f"somebody else has changed which elements there are, so that paths may mean others than you saw: "
                f"{describe(shown)}; abort, look, and begin again"
            )


class _Step(Transaction):
    """Changes of a draft, made when the block ends.

    Args:
        configuration: of which document there is a draft.
        tree: the copy.
        collect: makes them.
    """

    def __init__(
        self, configuration: Configuration, tree: Tree, collect: Callable[[Callable[[Editor], None]], None]
    ) -> None:
        super().__init__(configuration)
        self._tree = tree
        self._collect = collect

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._collect(self._perform)


class _Unobserved:
    """The observer of a copy, which is in no file."""

    def tag(self, element: etree._Element) -> None:
        """Nothing has to be noted."""

    def content(self, element: etree._Element) -> None:
        """Nothing has to be noted."""

    def children(self, parent: etree._Element) -> None:
        """Nothing has to be noted."""

    def departing(self, element: etree._Element) -> None:
        """Nothing has to be noted."""

    def arrived(self, element: etree._Element, parent: etree._Element) -> None:
        """Nothing has to be noted."""


def disturbance(script: Iterable[Change], others: Iterable[Change]) -> Change | None:
    """The first change of others because of which a path of a script may lead to another element than it did.

    Both begin at the same document. Paths are those of `path_of`.
    """
    counted: set[str] = set()
    shifted: set[str] = set()
    for change in script:
        for end in _ends(change):
            counted.update(_parents(end))
            if _is_structural(change):
                shifted.add(end.rpartition("/")[0])
    for change in others:
        if not _is_structural(change):
            continue
        for end in _ends(change):
            # Where the script shifts paths itself, theirs cannot be compared with its own.
            if end.rpartition("/")[0] in counted or not shifted.isdisjoint(_parents(end)):
                return change
    return None


def _is_structural(change: Change) -> bool:
    return change.kind in ("add", "remove", "move")


def _ends(change: Change) -> list[str]:
    """The paths of elements that a change speaks of."""
    ends = [change.path, change.new] if change.kind == "move" else [change.path]
    return [end.partition("/@")[0] for end in ends if end]


def _parents(path: str) -> Iterator[str]:
    """The paths of the elements whose children a path counts."""
    while path := path.rpartition("/")[0]:
        yield path


def _copied(tree: Tree) -> tuple[Tree, dict[etree._Element, etree._Element]]:
    """A copy of a tree, with what is known of the files behind it, and the copy of each node.

    Raises:
        ConfigurationError: it has too many elements.
    """
    with tree.lock:
        if next(islice(tree.root.iter(etree.Element), _MAX_ELEMENTS, None), None) is not None:
            raise ConfigurationError(
                f"the document has more than {_MAX_ELEMENTS} elements, too many to make a copy of it for collecting "
                "changes; give each command by itself, or send them all in one request over REST"
            )
        root = copy.deepcopy(tree.root)
        twins = dict(zip(tree.root.iter(), root.iter(), strict=True))
        main = copy.copy(tree.main)
        main.top = root
        made = Tree(main, tree.environ, tree.facilities)
        made.containers = {twins[each]: files for each, files in tree.containers.items() if each in twins}
        made.home = {twins[each]: source for each, source in tree.home.items() if each in twins}
        made.stored = {twins[each]: stored for each, stored in tree.stored.items() if each in twins}
        for each, store in tree.stores.items():
            if each in twins:
                made.stores[twins[each]] = Store(twins[each], store.directory)
    return made, twins
