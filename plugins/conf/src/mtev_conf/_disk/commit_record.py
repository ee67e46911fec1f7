"""The commit record: what a save of several files does once it has been decided on. Pure.

A text that a person can read. Its first line holds the version and a digest of the rest; then each line is one step, a
list in JSON:

    mtev-conf-commit 1 0f5e3c…
    ["put", ".mtev-1c9a…-0.tmp", "app.conf", "NEW DIGEST", "OLD DIGEST"]
    ["put-tree", "store/.mtev-1c9a…-0.tmp", "store/host#7"]
    ["delete", "store/check#4.xml", "OLD DIGEST"]
    ["delete-directory", "store/host#2"]

1. Every step is one system call, and the steps are done in this order. Each may be done twice without harm.
2. An old digest is what the file held when the save was decided on; null: there was no file; "*": it was not looked at.
3. Paths are relative to the directory of the record: that may be seen under another name (a container, a chroot), and
   the record in a copy of a whole tree speaks of the copy.
4. A temporary file stands beside its target and is named as one. A record that says otherwise is damaged: nobody can be
   made to move other files by it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "ANYTHING",
    "Delete",
    "DeleteDirectory",
    "Put",
    "PutTree",
    "Step",
    "decode_record",
    "digest",
    "encode_record",
    "is_temporary",
    "temporary_name",
]

ANYTHING = b"*"
"""In the place of a digest: whatever the file holds, or does not."""

_DIGEST_BYTES = 16
_VERSION = 1
_HEADING = re.compile(rb"mtev-conf-commit ([0-9]{1,9}) ([0-9a-f]{32})\n")
_TEMPORARY = re.compile(r"\.mtev-([0-9a-f]{16})-[0-9]{1,9}\.tmp")


def digest(data: bytes) -> bytes:
    """Digest of a file's content: BLAKE2b of 16 bytes."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Put:
    """Rename a finished temporary file to its target.

    Args:
        temporary: absolute path of the temporary file.
        target: absolute path of what it becomes.
        new: digest of its content.
        old: digest of what it replaces; None for nothing; or ANYTHING.
    """

    temporary: Path
    target: Path
    new: bytes
    old: bytes | None


@dataclass(frozen=True, slots=True)
class PutTree:
    """Rename a finished temporary directory, with all that is in it, to a name that does not exist."""

    temporary: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a file with the digest `old`, which may be ANYTHING."""

    target: Path
    old: bytes


@dataclass(frozen=True, slots=True)
class DeleteDirectory:
    """Remove a directory if it is empty."""

    target: Path


Step = Put | PutTree | Delete | DeleteDirectory


def temporary_name(mark: str, number: int) -> str:
    """Name of a temporary file. Hidden, and without "#", so that no reader of a backing store takes it for an element.

    Args:
        mark: 16 hexadecimal digits that stand for a configuration, so that two of them never touch each other's.
        number: counts the files of one save in one directory. Because it begins at 0 each time, what a crash leaves
            is replaced by the next save, and never becomes more.
    """
    return f".mtev-{mark}-{number}.tmp"


def is_temporary(name: str, mark: str) -> bool:
    """Whether a file name is one that `temporary_name` gives for this mark."""
    match = _TEMPORARY.fullmatch(name)
    return match is not None and match[1] == mark


def encode_record(steps: Sequence[Step], directory: Path) -> bytes:
    """Write the text of a record.

    Args:
        steps: what is to be done, in order.
        directory: absolute path of the directory that the record will be in.
    """
    body = "".join(f"{json.dumps(_fields(step, directory))}\n" for step in steps).encode("ascii")
    return b"mtev-conf-commit %d %s\n%s" % (_VERSION, digest(body).hex().encode("ascii"), body)


def decode_record(data: bytes, directory: Path) -> tuple[Step, ...]:
    """Read the text of a record.

    Args:
        data: the text.
        directory: absolute path of the directory that the record is in.

    Raises:
        ValueError: it is damaged, or of another version; the sentence continues "the record …".
    """
    heading = _HEADING.match(data)
    if heading is None:
        raise ValueError("does not begin as one does")
    body = data[heading.end() :]
    if int(heading[1]) != _VERSION:
        raise ValueError(f"is of version {int(heading[1])}, and this release knows version {_VERSION}")
    if digest(body).hex().encode("ascii") != heading[2]:
        raise ValueError("does not match its own digest")
    return tuple(_step(line, directory) for line in body.splitlines())


def _fields(step: Step, directory: Path) -> list[str | None]:
    target = _shortened(step.target, directory)
    if isinstance(step, Put):
        return ["put", _shortened(step.temporary, directory), target, step.new.hex(), _shown(step.old)]
    if isinstance(step, PutTree):
        return ["put-tree", _shortened(step.temporary, directory), target]
    if isinstance(step, Delete):
        return ["delete", target, _shown(step.old)]
    return ["delete-directory", target]


def _step(line: bytes, directory: Path) -> Step:
    try:
        fields = json.loads(line)
    except ValueError:
        fields = None
    match fields:
        case ["put", str(temporary), str(target), str(new), str() | None as old]:
            step: Step = Put(_full(temporary, directory), _full(target, directory), _read(new), _read_old(old))
        case ["put-tree", str(temporary), str(target)]:
            step = PutTree(_full(temporary, directory), _full(target, directory))
        case ["delete", str(target), str(old)]:
            expected = _read_old(old)
            assert expected is not None
            step = Delete(_full(target, directory), expected)
        case ["delete-directory", str(target)]:
            step = DeleteDirectory(_full(target, directory))
        case _:
            raise ValueError(f"holds a step that is none: {line[:80].decode('ascii', 'replace')}")
    if isinstance(step, Put | PutTree) and not (
        step.temporary.parent == step.target.parent and _TEMPORARY.fullmatch(step.temporary.name)
    ):
        raise ValueError(f"asks to move {step.temporary}, which is no temporary file of it")
    return step


def _shortened(path: Path, directory: Path) -> str:
    return os.path.relpath(path, directory)


def _full(path: str, directory: Path) -> Path:
    return Path(os.path.normpath(directory / path))


def _shown(old: bytes | None) -> str | None:
    if old is None:
        return None
    return "*" if old == ANYTHING else old.hex()


def _read(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != _DIGEST_BYTES:
        raise ValueError(f"holds a digest of {len(value)} bytes")
    return value


def _read_old(text: str | None) -> bytes | None:
    if text is None:
        return None
    return ANYTHING if text == "*" else _read(text)
