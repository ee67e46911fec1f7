"""What a change of the tree means for the files behind it: noted before it happens, and taken back when it is undone.

An observer of `edit.Editor`. Rules:

1. Before the attributes of an element change it is put among its file's edited tags, before anything else about its
   children or text does, a snapshot of both is taken; once per element, so that the snapshot shows the base text.
2. What is *fresh* (not in the base text of its file, or without a file in its store) is written from memory, so what
   changes inside it needs no note.
3. A new node belongs to the file of its previous sibling; where there is none, to the next one's; else to that of
   what encloses it. Below an element with a backing store, or one that is stored as a directory, it gets its own file.
4. An element whose file may not be written cannot be changed.
5. The leaf of a store is a file of its own, which is read again when something in it is first changed.
"""

from __future__ import annotations

from collections.abc import Callable

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from .._disk.commit import Conflict, digest
from .._disk.shatter import Stored
from .._names import element_name
from .._source import Source, decode
from .._tree import Store, Tree
from .._writing.render import Snapshot

__all__ = ["Tracker"]


class Tracker:
    """The notes of one transaction. The caller holds the tree's lock.

    Attributes:
        shared: whether something that was changed carries an `id`, or stands in something that does.

    Args:
        tree: what is changed.
    """

    def __init__(self, tree: Tree) -> None:
        self.shared = False
        self._tree = tree
        self._taken_back: list[Callable[[], object]] = []
        self._silent = False

    # As `edit.Observer`

    def tag(self, element: etree._Element) -> None:
        """The attributes of an element are about to change."""
        self._look_for_id(element)
        if self._silent or self._is_fresh(element):
            return
        stored = self._tree.stored.get(element)
        if stored is not None and not stored.leaf:
            self._add(self._store_of(element).touched, element)
        elif (source := self._editable(element)) is not None:
            self._add(source.edits.tags, element)

    def content(self, element: etree._Element) -> None:
        """The text of an element without child elements is about to change."""
        self._look_for_id(element)
        if self._silent or self._is_fresh(element):
            return
        stored = self._tree.stored.get(element)
        if stored is None or stored.leaf:
            self.children(element)
        else:  # a directory holds no text: it becomes a leaf, under a new number
            store = self._store_of(element)
            self._forget_stored(element, store)
            self._make_fresh(element, store)

    def children(self, parent: etree._Element) -> None:
        """The child nodes of an element, or the text between them, are about to change."""
        tree = self._tree
        self._look_for_id(parent)
        if self._silent or self._is_fresh(parent) or parent in tree.stores:
            return  # what stands in a store is noted when it comes and goes
        stored = tree.stored.get(parent)
        if stored is not None and not stored.leaf:
            return
        if parent in tree.containers:
            for each in tree.containers[parent]:
                if not each.readonly:
                    self._snapshot(each, parent)
        elif (source := self._editable(parent)) is not None:
            self._snapshot(source, parent)

    def departing(self, element: etree._Element) -> None:
        """An element is about to be taken out of the tree, or to another place in it."""
        tree = self._tree
        parent = element.getparent()
        assert parent is not None, "the root stays"
        tree.positions.pop(parent, None)
        if self._silent:
            return
        above = tree.stored.get(parent)
        if above is not None and not above.leaf and not above.digest:
            # libmtev wrote no file for an element without attributes; without its last child it would be gone.
            self._add(self._store_of(parent).touched, parent)
        if parent in tree.stores and element not in tree.stored and element not in tree.fresh:
            source = self._editable(element)
            assert source is not None, "what stands in no store stands in a file with a text"
            self._snapshot(source, parent)
        elif not self._is_fresh(parent) and not isinstance(tree.origin(element), Stored):
            self._editable(element)
        if tree.stores:
            store = None
            for each in element.iter(etree.Element):
                if each in tree.stored:
                    store = store or self._store_of(element)
                    self._forget_stored(each, store)
                self._lose_fresh(each)
        self._lose_fresh(element)

    def arrived(self, element: etree._Element, parent: etree._Element) -> None:
        """An element stands below a parent where it was not before."""
        tree = self._tree
        if (positions := tree.positions.get(parent)) is not None and not positions.append(element):
            del tree.positions[parent]
        if self._silent:
            return
        if self._is_fresh(parent):
            self._settle(element, None)
        elif parent in tree.stores or ((stored := tree.stored.get(parent)) is not None and not stored.leaf):
            self._settle(element, None)
            self._make_fresh(element, self._store_of(parent))
        else:
            source = self._neighbour(element, parent) if parent in tree.containers else self._editable(parent)
            self._settle(element, source if parent in tree.containers else None)
            if source is None:
                return
            self._mark(source)
            if element not in source.base_nodes:
                self._add(source.edits.fresh, element)
                self._note_fresh(element, source)
                _forget_lines(element)

    def undo(self) -> None:
        """Take all notes back; the tree itself is put right by the editor, which is not listened to meanwhile."""
        while self._taken_back:
            self._taken_back.pop()()

    def silence(self) -> None:
        """Listen no longer."""
        self._silent = True

    # Where things are

    def _look_for_id(self, element: etree._Element) -> None:
        if not self.shared:
            self.shared = "id" in element.attrib or any("id" in each.attrib for each in element.iterancestors())

    def _is_fresh(self, element: etree._Element) -> bool:
        """Whether an element that is about to change is written from memory; its file has to be written again then."""
        fresh = self._tree.fresh
        node: etree._Element | None = element
        while node is not None:
            owner = fresh.get(node)
            if owner is not None:
                if isinstance(owner, Source):
                    self._mark(owner)
                return True
            node = node.getparent()
        return False

    def _store_of(self, element: etree._Element) -> Store:
        node: etree._Element | None = element
        while node is not None:
            if node in self._tree.stores:
                return self._tree.stores[node]
            node = node.getparent()
        raise AssertionError("an element with a place in a store stands below an element that has one")

    def _editable(self, element: etree._Element) -> Source | None:
        """The file of an element, ready to be changed; None for one that is written whole."""
        tree = self._tree
        origin = tree.origin(element)
        if isinstance(origin, Stored):
            assert origin.leaf, "elements that are stored as directories are noted elsewhere"
            top = self._leaf_of(element, origin)
            if not origin.digest:  # recovered from what an interrupted save left
                store = self._store_of(top)
                self._forget_stored(top, store)
                self._make_fresh(top, store)
                return None
            origin = self._open_leaf(top, origin)
        if origin.readonly:
            raise ConfigurationError(
                f"<{element_name(element)}> stands in a file that is included as readonly at {origin.included_at}; "
                "change the file itself and reload, or take readonly out",
                tree.where(element),
            )
        self._mark(origin)
        return origin

    def _leaf_of(self, element: etree._Element, stored: Stored) -> etree._Element:
        top = element
        while self._tree.stored.get(top) is not stored:
            above = top.getparent()
            assert above is not None, "a leaf encloses what belongs to it"
            top = above
        return top

    def _open_leaf(self, top: etree._Element, stored: Stored) -> Source:
        tree = self._tree
        try:
            with open(stored.path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise ConfigurationError(f"it cannot be read: {error.strerror}", stored.path) from None
        if digest(data) != stored.digest:
            raise Conflict("it has been changed by somebody else since it was read; reload first", stored.path)
        source = Source(stored.path, "leaf", top, decode(data), stored.digest)
        tree.sources.append(source)
        tree.home[top] = source

        def close() -> None:
            tree.sources.remove(source)
            del tree.home[top]

        self._taken_back.append(close)
        return source

    def _neighbour(self, element: etree._Element, parent: etree._Element) -> Source:
        tree = self._tree
        for preceding in (True, False):
            for sibling in element.itersiblings(preceding=preceding):
                if sibling in tree.home:
                    source = tree.home[sibling]
                    if not source.readonly:
                        return source
        for source in reversed(tree.containers[parent]):
            if not source.readonly:
                return source
        what = "all its files are readonly" if tree.containers[parent] else "it includes no file"
        raise ConfigurationError(f"<include> cannot take a new element: {what}", tree.where(parent))

    # Notes, each with the way back

    def _add(self, notes: set[etree._Element], element: etree._Element) -> None:
        if element not in notes:
            notes.add(element)
            self._taken_back.append(lambda: notes.discard(element))

    def _mark(self, source: Source) -> None:
        if not source.changed:
            source.changed = True
            self._taken_back.append(lambda: setattr(source, "changed", False))

    def _snapshot(self, source: Source, parent: etree._Element) -> None:
        self._mark(source)
        if parent in source.edits.children:
            return
        nodes = tuple((node, node.tail) for node in self._tree.nodes_of(source, parent))
        source.edits.children[parent] = Snapshot(parent.text, nodes)
        source.base_nodes.update(node for node, _ in nodes)

        def forget() -> None:
            del source.edits.children[parent]
            source.base_nodes.difference_update(node for node, _ in nodes)

        self._taken_back.append(forget)

    def _note_fresh(self, element: etree._Element, owner: Source | Store) -> None:
        fresh = self._tree.fresh
        fresh[element] = owner
        self._taken_back.append(lambda: fresh.pop(element, None))

    def _lose_fresh(self, element: etree._Element) -> None:
        owner = self._tree.fresh.pop(element, None)
        if owner is None:
            return
        if isinstance(owner, Source):
            owner.edits.fresh.discard(element)

        def restore() -> None:
            self._tree.fresh[element] = owner
            if isinstance(owner, Source):
                owner.edits.fresh.add(element)

        self._taken_back.append(restore)

    def _make_fresh(self, element: etree._Element, store: Store) -> None:
        self._note_fresh(element, store)
        _forget_lines(element)

    def _forget_stored(self, element: etree._Element, store: Store) -> None:
        stored = self._tree.stored.pop(element)
        store.removed.append(stored)
        touched = element in store.touched
        store.touched.discard(element)

        def restore() -> None:
            self._tree.stored[element] = stored
            store.removed.remove(stored)
            if touched:
                store.touched.add(element)

        self._taken_back.append(restore)

    def _settle(self, element: etree._Element, source: Source | None) -> None:
        """Say which file a node at the top of an included file belongs to; None for every other node."""
        home = self._tree.home
        before = home.pop(element, None)
        if source is not None:
            home[element] = source
        if before is source:
            return

        def restore() -> None:
            home.pop(element, None)
            if before is not None:
                home[element] = before

        self._taken_back.append(restore)


def _forget_lines(element: etree._Element) -> None:
    """Whatever lines it knows are of another text than the file that it is in now."""
    for each in element.iter(etree.Element):
        each.sourceline = 0  # type: ignore[assignment]  # the stubs give the attribute no type
