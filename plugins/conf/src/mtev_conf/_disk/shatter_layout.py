"""How an element is laid out in a backing store: names, documents, plans. Pure.

An element with `backingstore="dir"` keeps its children in a directory, one entry for each, so that a change of one
element of a huge tree rewrites one small file. The layout is libmtev's, and both may work on one store in turns:

    dir/                  the element that has backingstore=; its own attributes stay in the main document
      host#1/             a child <host>; its number is unlike that of any other element of the document
        .attrs            a document of one element: its name and attributes are those of this <host>
        item#2/           a grandchild, likewise
      check#4.xml         a *leaf*: a document that holds all of one element <check>

1. Numbers only grow, and give the order of siblings. (libmtev reads them in the directory's order.)
2. The name of an entry is the element's local name. Its prefix and namespace are in the document; libmtev's own
   documents have lost them for the element itself.
3. What a directory cannot hold is a leaf: text that is not blank, comments, processing instructions, an element without
   attributes and children. Blank text between the elements of a directory is not kept.
4. A directory that holds neither an `.attrs` nor an element is none: a save that was interrupted leaves such, and so
   does an entry that somebody else's file kept from being removed. So plans give every directory its `.attrs`, if need
   be without attributes (libmtev writes none then, but reads it). Whoever takes the last element out of a directory
   that libmtev made without an `.attrs` has to write one, or the directory's own element is gone with it.
5. Names that open with a dot or have no `#` belong to somebody else, and do not count.
6. libmtev replaces a file X thus: link X to X.bak, unlink X, write X.tmp, link that to X, unlink X.tmp, unlink X.bak.
   So where X is there it counts, and the others are leavings. Where it is not, X.bak is the last whole version and
   counts; X.tmp may break off anywhere. X.tmp alone is a new file that was never put in place: it counts when it is
   well formed, which a document that breaks off is not.
7. Such leavings go with the next write or removal of their element. Otherwise they would bring it back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from .._parser import declarations
from .commit_record import digest

__all__ = [
    "ATTRS",
    "MAX_STORE_DEPTH",
    "MAX_STORE_FILE_BYTES",
    "Arrangement",
    "EntryKind",
    "Place",
    "Planned",
    "Stored",
    "arrange",
    "attrs_document",
    "declared",
    "is_leaf",
    "leaf_document",
    "plan_new",
    "plan_removal",
    "shown",
]

ATTRS = ".attrs"
"""Name of the file in a directory that holds the attributes of the directory's element."""

MAX_STORE_DEPTH = 200
"""How many directories of a store may lie in each other."""

MAX_STORE_FILE_BYTES = 16 * 1024 * 1024
"""How large one file of a store may be."""

EntryKind = Literal["file", "directory", "link", "other"]

_ENTRY = re.compile(r"([^#]+)#([0-9]{1,18})(\.xml)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LEAVINGS = (".bak", ".tmp")
_MAX_NAME_BYTES = 200
_MAX_PATH_BYTES = 4000
_BLANK = " \t\r\n"
_HEADING = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_START = re.compile(rb"<[^\s!?/>][^\s/>]*")


@dataclass(slots=True)
class Stored:
    """Where one element of a backing store lies on disk.

    Attributes:
        path: absolute path of the directory (`…/host#1`) or of the leaf (`…/check#4.xml`).
        number: the number in its name.
        leaf: whether all of it is in one file.
        digest: of the leaf file or of the `.attrs` file as it is on disk, 16 bytes of BLAKE2b; `b""` when there is no
            such file: a directory without `.attrs`, or an element that was recovered from `leavings`. Such a leaf has
            no base text and is written whole.
        leavings: paths of what an interrupted save of libmtev left beside that file; to be removed with the next write
            or removal of the element (rule 7).
    """

    path: str
    number: int
    leaf: bool
    digest: bytes
    leavings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """What it takes to store a new element.

    Attributes:
        files: path and content of each file, none of which is there yet, parents first.
        nodes: where each directory and leaf will lie; elements within a leaf have no entry.
        next_number: the first number that is still free.
    """

    files: tuple[tuple[str, bytes], ...]
    nodes: dict[etree._Element, Stored]
    next_number: int


@dataclass(frozen=True, slots=True)
class Place:
    """One file or directory that belongs in a directory of a store.

    Attributes:
        file_name: the name that it has, or would have had if the save had not been interrupted.
        element: local name of the element by that name; "" for `.attrs`, and for a leaf whose name is no XML name.
        number: of the element; 0 for `.attrs`.
        directory: whether it is one.
        present: whether it is there; otherwise there are leavings.
        leavings: names of what an interrupted save left beside it, the `.bak` first.
    """

    file_name: str
    element: str
    number: int
    directory: bool
    present: bool = True
    leavings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What the names in one directory of a store mean.

    Attributes:
        attrs: the file of the directory's own attributes.
        elements: the entries that are elements, in order.
        highest: the highest number in any name, also of those that are not read; 0 when there is none.
        links: names of elements that are symbolic links.
        notices: names, each with what there is to say about it; mostly why it is not read.
    """

    attrs: Place | None
    elements: tuple[Place, ...]
    highest: int
    links: tuple[str, ...]
    notices: tuple[tuple[str, str], ...]


def shown(path: str) -> str:
    """A path for messages: control characters and what is no UTF-8 in it are escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def arrange(entries: Iterable[tuple[str, EntryKind]]) -> Arrangement:
    """Tell which entries of a directory are elements, and in which order.

    Args:
        entries: name and kind of each, in any order.
    """
    files: dict[str, re.Match[str] | None] = {}
    present: dict[str, EntryKind] = {}
    leavings: dict[str, list[str]] = {}
    links: list[str] = []
    notices: list[tuple[str, str]] = []
    highest = 0
    for name, kind in entries:
        left = name.endswith(_LEAVINGS)
        file_name = name[:-4] if left else name
        parts = _ENTRY.fullmatch(file_name)
        if file_name != ATTRS:
            if file_name.startswith(".") or "#" not in file_name:
                continue
            if parts is None:
                notices.append((name, "it is not read: its name is not of the form name#number or name#number.xml"))
                continue
            highest = max(highest, int(parts[2]))
        if kind == "link":
            links.append(name)
        elif objection := _objection(parts, left, kind):
            notices.append((name, f"it is not read: {objection}"))
        else:
            files[file_name] = parts
            if left:
                leavings.setdefault(file_name, []).append(name)
            else:
                present[name] = kind
    places = sorted(
        (
            Place(
                file_name,
                "" if parts is None else _xml_name(parts[1]),
                0 if parts is None else int(parts[2]),
                present.get(file_name) == "directory",
                file_name in present,
                tuple(sorted(leavings.get(file_name, ()))),
            )
            for file_name, parts in files.items()
        ),
        key=lambda place: (place.number, place.file_name),
    )
    attrs = next((place for place in places if place.file_name == ATTRS), None)
    elements = tuple(place for place in places if place is not attrs)
    notices += [
        (after.file_name, f"{shown(before.file_name)} has the same number; they are read in the order of their names")
        for before, after in pairwise(elements)
        if before.number == after.number
    ]
    return Arrangement(attrs, elements, highest, tuple(sorted(links)), tuple(sorted(notices)))


def is_leaf(element: etree._Element, wanted: Callable[[etree._Element], bool]) -> bool:
    """Whether an element that is not stored yet becomes a leaf. Walks its child nodes.

    Args:
        element: the element.
        wanted: whether the application wants it as a leaf (libmtev decides by name).

    Returns:
        Whether it is wanted, or cannot be a directory (rule 3). Its tail is its parent's business.
    """
    if wanted(element) or _says_something(element.text):
        return True
    if len(element) == 0:
        return not element.attrib
    if next(element.iterchildren(etree.Comment, etree.ProcessingInstruction), None) is not None:
        return True
    return any(_says_something(child.tail) for child in element)


def attrs_document(element: etree._Element, namespaces: Mapping[str, str]) -> bytes:
    """Content of the `.attrs` file of an element that is a directory.

    Args:
        element: the element. What is in it is left out, and costs nothing.
        namespaces: declarations of the main document's root, by prefix; repeated.
    """
    own = etree.QName(element).namespace
    # A default namespace would take in an element that has none.
    scope = {prefix: uri for prefix, uri in element.nsmap.items() if prefix is not None or uri == own}
    bare = etree.Element(element.tag, cast("dict[str, str]", element.attrib), cast("dict[str, str]", scope))
    return _document(bare, namespaces)


def leaf_document(element: etree._Element, namespaces: Mapping[str, str]) -> bytes:
    """Content of the file of a leaf, as it is first written. Nothing is indented: the text stays as it is.

    Args:
        element: the element; its tail is left out.
        namespaces: declarations of the main document's root, by prefix; repeated.
    """
    return _document(element, namespaces)


def declared(document: bytes, namespaces: Mapping[str, str]) -> bytes:
    """A document with declarations added to its outermost element, which must not have them yet.

    Args:
        document: its text in an encoding that keeps ASCII; no comment before the element may hold a tag.
        namespaces: by prefix.
    """
    start = _START.search(document)
    if start is None:
        return document
    added = declarations(namespaces)
    return document[: start.end()] + added.encode() + document[start.end() :]


def plan_new(
    element: etree._Element,
    directory: str,
    next_number: int,
    wanted: Callable[[etree._Element], bool],
    namespaces: Mapping[str, str],
) -> Planned:
    """Plan the files of an element that no store has yet, with all that is in it. Numbers are given in document order.

    Args:
        element: the element; its tail is left out.
        directory: absolute path of the store, or of the directory of the element's parent.
        next_number: the first free number, from 1 on.
        wanted: see `is_leaf`.
        namespaces: see `attrs_document`.

    Raises:
        ConfigurationError: it could not be written, or not be read again: a name or path is too long, a document too
            large, or directories would lie too deep in each other.
    """
    files: list[tuple[str, bytes]] = []
    nodes: dict[etree._Element, Stored] = {}
    waiting = [(element, directory, 1)]
    while waiting:
        current, folder, depth = waiting.pop()
        leaf = is_leaf(current, wanted)
        path = os.path.join(folder, _file_name(current, next_number, leaf))  # noqa: PTH118  # paths are text here
        data = leaf_document(current, namespaces) if leaf else attrs_document(current, namespaces)
        _check_limits(current, path, data, 0 if leaf else depth)
        files.append((path if leaf else os.path.join(path, ATTRS), data))  # noqa: PTH118  # as above
        nodes[current] = Stored(path, next_number, leaf, digest(data))
        next_number += 1
        if not leaf:
            waiting += [(child, path, depth + 1) for child in current.iterchildren(reversed=True)]
    return Planned(tuple(files), nodes, next_number)


def plan_removal(stored: Iterable[Stored]) -> tuple[list[str], list[str]]:
    """Plan the removal of elements, with all their descendants in the store.

    Args:
        stored: where they and their descendants lie, in any order.

    Returns:
        The files to remove, leavings included, and the directories to remove after them, the deepest first.
    """
    files: list[str] = []
    directories: list[str] = []
    for each in stored:
        if each.digest:
            files.append(each.path if each.leaf else os.path.join(each.path, ATTRS))  # noqa: PTH118  # as above
        files += each.leavings
        if not each.leaf:
            directories.append(each.path)
    directories.sort(key=lambda path: path.count("/"), reverse=True)
    return files, directories


def _objection(parts: re.Match[str] | None, left: bool, kind: EntryKind) -> str:
    """Why an entry of a fitting name is not read; "" when nothing speaks against it."""
    if kind == "other":
        return "it is neither a file nor a directory"
    if left and (kind == "directory" or (parts is not None and not parts[3])):
        return "only of leaves and of .attrs does an interrupted save leave such a thing"
    if kind == "directory" and parts is None:
        return "it is a directory, but attributes are kept in a file"
    if kind == "directory" and parts is not None and not _xml_name(parts[1]):
        return "what is before the '#' is not the name of an element"
    return ""


def _says_something(text: str | None) -> bool:
    return bool(text and text.strip(_BLANK))


def _xml_name(name: str) -> str:
    """The local name in a file name, which is UTF-8 whatever the file system's encoding; "" when it is none."""
    try:
        text = os.fsencode(name).decode()
        return "" if "{" in text else etree.QName(text).localname
    except ValueError:
        return ""


def _file_name(element: etree._Element, number: int, leaf: bool) -> str:
    name = etree.QName(element).localname.encode()
    if len(name) > _MAX_NAME_BYTES:
        raise ConfigurationError(
            f"the element name <{name.decode()}> has {len(name)} bytes, and a backing store takes {_MAX_NAME_BYTES}, "
            "because it becomes the name of a file; use a shorter one"
        )
    return f"{os.fsdecode(name)}#{number}{'.xml' if leaf else ''}"


def _check_limits(element: etree._Element, path: str, data: bytes, depth: int) -> None:
    name = f"<{etree.QName(element).localname}>"
    if depth > MAX_STORE_DEPTH:
        raise ConfigurationError(
            f"{name} lies {depth} elements deep; a backing store takes {MAX_STORE_DEPTH}", shown(path)
        )
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise ConfigurationError(
            f"{name} lies so deep in the backing store that its path is longer than {_MAX_PATH_BYTES} bytes",
            shown(path),
        )
    if len(data) > MAX_STORE_FILE_BYTES:
        raise ConfigurationError(
            f"{name} makes a file of {len(data)} bytes; a file of a backing store may have {MAX_STORE_FILE_BYTES}; "
            "split the element",
            shown(path),
        )


def _document(element: etree._Element, namespaces: Mapping[str, str]) -> bytes:
    # lxml writes all declarations in scope at the element; only those that are not can be missing.
    missing = {prefix: uri for prefix, uri in namespaces.items() if prefix not in element.nsmap}
    text = etree.tostring(element, encoding="UTF-8", xml_declaration=False, with_tail=False)
    return _HEADING + declared(text, missing) + b"\n"
