"""Reading backing stores: directories that hold an element's children, one entry for each. Blocks on the file system.

The layout and its rules are in `shatter_layout`. What is read here may have been left by libmtev, by a crash or by an
operator, so nothing in a store is taken for granted: symbolic links are refused, the number of entries, the depth and
the size of each file are limited, and everything that is left out on purpose is reported.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from .commit_record import digest
from .shatter_layout import (
    ATTRS,
    MAX_STORE_DEPTH,
    MAX_STORE_FILE_BYTES,
    Arrangement,
    EntryKind,
    Place,
    Planned,
    Stored,
    arrange,
    attrs_document,
    declared,
    is_leaf,
    leaf_document,
    plan_new,
    plan_removal,
    shown,
)

__all__ = [
    "ATTRS",
    "MAX_STORE_DEPTH",
    "MAX_STORE_ENTRIES",
    "MAX_STORE_FILE_BYTES",
    "Planned",
    "StoreContent",
    "Stored",
    "attrs_document",
    "is_leaf",
    "leaf_document",
    "plan_new",
    "plan_removal",
    "read_store",
]

MAX_STORE_ENTRIES = 2_000_000
"""How many directory entries one store may have."""

_MAX_NOTICES = 1000
_MAX_PROBLEMS = 100
_CHUNK_BYTES = 8192


@dataclass(frozen=True, slots=True)
class StoreContent:
    """What was read from a store.

    Attributes:
        nodes: where each element lies that is a directory or the root of a leaf.
        highest: the highest number in any name; the next element gets a higher one.
        notices: what was left out or recovered, "path: sentence".
    """

    nodes: dict[etree._Element, Stored]
    highest: int
    notices: tuple[str, ...]


class _EnoughError(Exception):
    """So much is wrong that reading on makes no sense."""


def read_store(
    directory: str,
    parent: etree._Element,
    parse: Callable[[bytes, str], etree._Element],
    *,
    max_entries: int = MAX_STORE_ENTRIES,
    max_depth: int = MAX_STORE_DEPTH,
    max_file_bytes: int = MAX_STORE_FILE_BYTES,
) -> StoreContent:
    """Read a backing store and append its elements to the element that it belongs to, in the order of their numbers.

    Blocks on the file system. Not safe against others that change the store or the tree at the same time.

    Args:
        directory: the store. Where it is missing the store is empty. It may itself be a symbolic link.
        parent: the element. On an error nothing is appended.
        parse: called with a file's content and path, gives the root element of the document or raises
            ConfigurationError. It is called again with the declarations that are in scope at the parent if the first
            attempt fails for want of one.
        max_entries: how many entries all directories of the store together may have.
        max_depth: how many directories may lie in each other.
        max_file_bytes: how large one file may be.

    Raises:
        ConfigurationError: a limit is exceeded, a document is damaged, something cannot be read, or is a symbolic link.
            One error names them all.
    """
    before = len(parent)
    reader = _Reader(parse, max_entries, max_depth, max_file_bytes)
    try:
        reader.read(os.path.abspath(directory), parent)  # noqa: PTH100  # keeps symbolic links: the operator's name
    except BaseException:
        del parent[before:]
        raise
    return StoreContent(reader.nodes, reader.highest, reader.notices())


class _Reader:
    """One reading of one store."""

    def __init__(
        self, parse: Callable[[bytes, str], etree._Element], max_entries: int, max_depth: int, max_file_bytes: int
    ) -> None:
        self.nodes: dict[etree._Element, Stored] = {}
        self.highest = 0
        self._parse = parse
        self._max_entries = max_entries
        self._max_depth = max_depth
        self._max_file_bytes = max_file_bytes
        self._entries = 0
        self._notices: list[str] = []
        self._unsaid = 0
        self._problems: list[ConfigurationError] = []

    def notices(self) -> tuple[str, ...]:
        """All notices, as far as there is room for them."""
        more = [f"and {self._unsaid} more such notices"] if self._unsaid else []
        return (*self._notices, *more)

    def read(self, directory: str, parent: etree._Element) -> None:
        """Read the whole store, or raise."""
        if not os.path.lexists(directory):
            return
        try:
            found = self._list(directory)
            if found.attrs is not None:
                self._notice(
                    _join(directory, found.attrs.file_name),
                    "it is not read: the attributes of the element itself are in the main document; remove it",
                )
            self._fill(parent, directory, found, 1)
        except ConfigurationError as error:
            self._problems.append(error)
        except _EnoughError:
            pass
        if self._problems:
            raise ConfigurationError.combined(self._problems)

    def _fill(self, parent: etree._Element, folder: str, found: Arrangement, depth: int) -> None:
        for place in found.elements:
            try:
                if place.directory:
                    self._read_directory(parent, _join(folder, place.file_name), place, depth)
                else:
                    self._read_leaf(parent, folder, place)
            except ConfigurationError as error:
                self._problem(error)

    def _read_directory(self, parent: etree._Element, path: str, place: Place, depth: int) -> None:
        if depth > self._max_depth:
            raise ConfigurationError(
                f"it lies {depth} directories deep in its backing store; {self._max_depth} are allowed", shown(path)
            )
        found = self._list(path)
        document = None if found.attrs is None else self._document(parent, path, found.attrs)
        if document is None:
            element = etree.SubElement(parent, place.element)
            self.nodes[element] = Stored(path, place.number, leaf=False, digest=b"")
        else:
            element, checksum, leavings = document
            self._keep_attributes(element, path, place)
            parent.append(element)
            self.nodes[element] = Stored(path, place.number, False, checksum, leavings)
        self._fill(element, path, found, depth + 1)
        if document is None and len(element) == 0:
            del self.nodes[element]
            parent.remove(element)
            self._notice(path, f"it is not read: it holds neither an element nor an {ATTRS}; remove it")

    def _keep_attributes(self, element: etree._Element, path: str, place: Place) -> None:
        """Make the root of an `.attrs` document the element of its directory."""
        if len(element) or (element.text or "").strip():
            self._notice(_join(path, ATTRS), "only its attributes are read")
        del element[:]
        element.text = None
        if etree.QName(element).localname != place.element:
            element.tag = place.element

    def _read_leaf(self, parent: etree._Element, folder: str, place: Place) -> None:
        document = self._document(parent, folder, place)
        if document is None:
            return
        element, checksum, leavings = document
        path = _join(folder, place.file_name)
        name = etree.QName(element).localname
        if name != place.element:
            self._notice(path, f"it holds an element <{name}>, which counts, whatever the file is called")
        parent.append(element)
        self.nodes[element] = Stored(path, place.number, True, checksum, leavings)

    def _document(
        self, parent: etree._Element, folder: str, place: Place
    ) -> tuple[etree._Element, bytes, tuple[str, ...]] | None:
        """The root of a file's document, the digest of the file, and the paths of what lies beside it.

        Where the file is missing it is recovered (rule 6); None when there is nothing to recover it from.
        """
        leavings = tuple(_join(folder, each) for each in place.leavings)
        if place.present:
            path = _join(folder, place.file_name)
            data = self._content(path)
            try:
                root = self._parsed(data, path, parent)
            except ConfigurationError as error:
                if leavings:
                    raise _amended(error, f"{shown(leavings[0])} may hold another version of it") from None
                raise
            for each in leavings:
                self._notice(each, "an interrupted save left it behind; it is not read")
            return root, digest(data), leavings
        damaged: ConfigurationError | None = None
        for each in leavings:
            try:
                root = self._parsed(self._content(each), each, parent)
            except ConfigurationError as error:
                if each.endswith(".bak"):
                    damaged = error
                else:
                    self._notice(each, f"an interrupted save left it behind, unfinished; it is not read ({error})")
            else:
                self._notice(each, f"an interrupted save left it behind, but no {place.file_name}; it is read instead")
                return root, b"", leavings
        if damaged is not None:
            raise damaged
        return None

    def _parsed(self, data: bytes, path: str, parent: etree._Element) -> etree._Element:
        try:
            return self._parse(data, path)
        except ConfigurationError as error:
            # libmtev declares nothing in .attrs, and in leaves no more than the root of the main document does.
            missing = {
                prefix: uri
                for prefix, uri in parent.nsmap.items()
                if prefix is not None and f"xmlns:{prefix}=".encode() not in data
            }
            completed = declared(data, missing)
            if completed == data:
                raise
            try:
                return self._parse(completed, path)
            except ConfigurationError:
                raise error from None

    def _content(self, path: str) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            # Links were sorted out by their kind; the flag is for one that takes the file's place now.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                while size <= self._max_file_bytes and (chunk := os.read(descriptor, _CHUNK_BYTES)):
                    chunks.append(chunk)
                    size += len(chunk)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _unreadable(path, error) from error
        if size > self._max_file_bytes:
            raise ConfigurationError(
                f"it is larger than {self._max_file_bytes} bytes, which is the limit for a file of a backing store",
                shown(path),
            )
        return b"".join(chunks)

    def _list(self, path: str) -> Arrangement:
        entries: list[tuple[str, EntryKind]] = []
        try:
            with os.scandir(path) as listing:
                for entry in listing:
                    self._entries += 1
                    if self._entries > self._max_entries:
                        self._problems.append(
                            ConfigurationError(
                                f"the backing store has more than {self._max_entries} entries, which is the limit",
                                shown(path),
                            )
                        )
                        raise _EnoughError
                    entries.append((entry.name, _kind(entry)))
        except OSError as error:
            raise _unreadable(path, error) from error
        found = arrange(entries)
        self.highest = max(self.highest, found.highest)
        for name, sentence in found.notices:
            self._notice(_join(path, name), sentence)
        for name in found.links:
            self._problem(
                ConfigurationError(
                    "it is a symbolic link; a backing store holds files and directories of its own only; "
                    "put what it points to in its place",
                    shown(_join(path, name)),
                )
            )
        return found

    def _problem(self, error: ConfigurationError) -> None:
        self._problems.append(error)
        if len(self._problems) >= _MAX_PROBLEMS:
            raise _EnoughError

    def _notice(self, path: str, sentence: str) -> None:
        if len(self._notices) < _MAX_NOTICES:
            self._notices.append(f"{shown(path)}: {sentence}")
        else:
            self._unsaid += 1


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}"


def _kind(entry: os.DirEntry[str]) -> EntryKind:
    # Answered from the listing itself, without another system call.
    if entry.is_file(follow_symlinks=False):
        return "file"
    if entry.is_dir(follow_symlinks=False):
        return "directory"
    return "link" if entry.is_symlink() else "other"


def _unreadable(path: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"this part of a backing store cannot be read: {error.strerror}; the service's user needs to be able to read "
        "everything in it",
        shown(path),
    )


def _amended(error: ConfigurationError, sentence: str) -> ConfigurationError:
    amended = ConfigurationError(f"{error}; {sentence}")
    amended.where = error.where
    return amended
