"""What a save has to do to the files, and what is different in memory once it is done.

Planning needs the tree's lock and touches no file; carrying the plan out is `_disk.commit`'s. Only files whose bytes
differ are written, and of a backing store only the elements that were touched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from .._disk.commit import ANYTHING, Remove, RemoveDirectory, Write, digest
from .._disk.shatter import ATTRS, MAX_STORE_FILE_BYTES, Stored, attrs_document, plan_new, plan_removal
from .._load import MAX_SIZE_BYTES
from .._source import Source
from .._tree import Store, Tree

__all__ = ["Saving", "plan_save"]

Wanted = Callable[[etree._Element], bool]
"""Whether the application wants an element of a backing store in one file, with all that is in it."""


@dataclass(frozen=True, slots=True)
class Saving:
    """A plan.

    Args:
        changes: what to do to the files, as one set.
        done: to be called, with the tree's lock held, when it is done.
    """

    changes: Sequence[Write | Remove | RemoveDirectory]
    done: Callable[[], None]

    @property
    def paths(self) -> list[str]:
        """The files that are written or removed."""
        return [each.path for each in self.changes if not isinstance(each, RemoveDirectory)]


def plan_save(tree: Tree, wanted: Wanted, *, force: bool = False) -> Saving:
    """Work out a save. The caller holds the tree's lock, and lets nothing change the tree until it is done.

    Args:
        tree: what to save.
        wanted: see `Wanted`.
        force: overwrite what somebody else has changed since.

    Raises:
        ConfigurationError: a file cannot be rewritten.
    """
    changes: list[Write | Remove | RemoveDirectory] = []
    steps: list[Callable[[], None]] = []
    for source in list(tree.sources):
        if source.kind == "leaf" and source.top not in tree.stored:
            steps.append(_closing(tree, source))  # taken out since: its file is among the removed
        elif source.changed:
            _plan_source(tree, source, changes, steps, force=force)
    namespaces = {prefix: uri for prefix, uri in tree.root.nsmap.items() if prefix is not None}
    number = tree.next_number
    for store in tree.stores.values():
        number = _plan_store(tree, store, number, wanted, namespaces, changes, steps, force=force)

    def done() -> None:
        for step in steps:
            step()
        tree.next_number = number

    return Saving(changes, done)


def _plan_source(
    tree: Tree,
    source: Source,
    changes: list[Write | Remove | RemoveDirectory],
    steps: list[Callable[[], None]],
    *,
    force: bool,
) -> None:
    rendered = source.render(tree)
    data = source.text.encoded(rendered.text)
    limit = MAX_STORE_FILE_BYTES if source.kind == "leaf" else MAX_SIZE_BYTES
    if len(data) > limit:
        raise ConfigurationError(
            f"it would have {len(data)} bytes, and could not be read again; {limit} are allowed", source.path
        )
    if force or digest(data) != source.digest:
        changes.append(Write(source.path, data, ANYTHING if force else source.digest))
    steps.append(lambda: source.written(rendered, data))
    if source.kind == "leaf":
        stored = tree.stored[source.top]
        changes += [Remove(path, ANYTHING) for path in stored.leavings]
        steps.append(_redigest(stored, digest(data)))
        steps.append(_closing(tree, source))


def _closing(tree: Tree, source: Source) -> Callable[[], None]:
    def close() -> None:
        tree.sources.remove(source)
        if tree.home.get(source.top) is source:
            del tree.home[source.top]
        for node in source.edits.fresh:
            tree.fresh.pop(node, None)

    return close


def _plan_store(
    tree: Tree,
    store: Store,
    number: int,
    wanted: Wanted,
    namespaces: Mapping[str, str],
    changes: list[Write | Remove | RemoveDirectory],
    steps: list[Callable[[], None]],
    *,
    force: bool,
) -> int:
    files, directories = plan_removal(store.removed)
    known = {each.path if each.leaf else os.path.join(each.path, ATTRS): each.digest for each in store.removed}
    changes += [Remove(path, (not force and known.get(path)) or ANYTHING) for path in files]
    for element in store.touched:
        stored = tree.stored[element]
        data = attrs_document(element, namespaces)
        expected = ANYTHING if force else (stored.digest or None)
        changes.append(Write(os.path.join(stored.path, ATTRS), data, expected))
        changes += [Remove(path, ANYTHING) for path in stored.leavings]
        steps.append(_redigest(stored, digest(data)))
    planned_nodes: dict[etree._Element, Stored] = {}
    fresh = [each for each, owner in tree.fresh.items() if owner is store]
    for element in fresh:
        parent = element.getparent()
        assert parent is not None, "what is fresh stands in the store"
        directory = store.directory if parent is store.element else tree.stored[parent].path
        planned = plan_new(element, directory, number, wanted, namespaces)
        number = planned.next_number
        planned_nodes |= planned.nodes
        changes += [Write(path, data, None) for path, data in planned.files]
    changes += [RemoveDirectory(path) for path in directories]

    def done() -> None:
        tree.stored |= planned_nodes
        for element in fresh:
            del tree.fresh[element]
        store.touched.clear()
        store.removed.clear()

    steps.append(done)
    return number


def _redigest(stored: Stored, value: bytes) -> Callable[[], None]:
    def update() -> None:
        stored.digest = value
        stored.leavings = ()

    return update
