"""The steps of a save, carried out; and completed by somebody else when their writer died. See `commit`."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mtev_kernel.errors import ConfigurationError

from .commit_record import ANYTHING, Delete, DeleteDirectory, Put, PutTree, Step, decode_record, digest, is_temporary
from .durable import Files, explain, remove_tree, user_name

__all__ = ["Place", "complete", "digest_of", "forget", "perform", "settle", "status_of"]

_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a configuration is.

    Attributes:
        anchor: absolute path of its main file, links followed.
        directory: what that is in; it carries the lock.
        record: where the commit record of an interrupted save is.
        mark: is in the names of the temporary files of its saves.
    """

    anchor: Path
    directory: Path
    record: Path
    mark: str

    @classmethod
    def of(cls, anchor: str) -> Place:
        """The place of a main configuration file, which need not exist."""
        real = Path(os.path.realpath(anchor))
        mark = digest(os.fsencode(real))[:8].hex()
        # "#" would make it an element to a backing store in the same directory; names end at 255 bytes.
        stem = real.name if "#" not in real.name and len(os.fsencode(real.name)) <= 200 else f"mtev-{mark}"
        return cls(real, real.parent, real.parent / f".{stem}.commit", mark)


def perform(steps: Sequence[Step], mark: str, files: Files) -> list[Path]:
    """Carry steps out, in order; returns the directories that stay because something is in them.

    Raises:
        OSError: a step failed; those after it have not been tried.
    """
    left: list[Path] = []
    for step in steps:
        if isinstance(step, Put | PutTree):
            files.rename(step.temporary, step.target)
        elif isinstance(step, Delete):
            if os.path.lexists(step.target):
                files.unlink(step.target)
        elif not _is_removed(step.target, mark, files):
            left.append(step.target)
    return left


def settle(steps: Sequence[Step], files: Files) -> None:
    """Bring to the medium what steps did to directories, each once. Raises OSError."""
    removed = {step.target for step in steps if isinstance(step, DeleteDirectory)}
    for folder in dict.fromkeys(step.target.parent for step in steps):
        # Of one that is gone there is nothing to sync; that it is gone is known to the one above, which is in the list.
        if folder not in removed or os.path.lexists(folder):
            files.sync_directory(folder)


def forget(place: Place, files: Files) -> None:
    """Remove the commit record for good. Raises OSError."""
    files.unlink(place.record)
    files.sync_directory(place.directory)


def complete(place: Place, files: Files) -> list[str]:
    """Finish the save that a commit record speaks of, if there is one. The caller holds the exclusive lock.

    Returns:
        What was done, in sentences.

    Raises:
        ConfigurationError: it cannot be finished: the record is damaged or somebody else's, files were changed since,
            or this process may not write.
    """
    try:
        steps = _recorded(place)
        if steps is None:
            return []
        todo, problems = _examined(steps)
        if problems:
            raise ConfigurationError(
                "an earlier save was interrupted, and cannot be completed because files have been changed since:"
                + "".join(f"\n  {each}" for each in problems)
                + f"\nLook through them, then remove {place.record} to go on with the files as they are",
                str(place.anchor),
            )
        # Its writer may have died before the record was on the medium, or any of what it has done.
        files.sync_directory(place.directory)
        left = perform(todo, place.mark, files)
        settle(steps, files)
        forget(place, files)
    except OSError as error:
        raise ConfigurationError(_cannot(error, place), str(place.anchor)) from error
    notices = [f"{place.anchor}: a save that had been interrupted was completed ({len(todo)} of {len(steps)} steps)"]
    notices += [f"{each}: the save was to remove it, but something is in it" for each in left]
    return notices


def status_of(path: Path) -> os.stat_result | None:
    """Status of a file, links not followed; None when there is none. Raises OSError."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def digest_of(path: Path) -> bytes:
    """Digest of a file's content; links are not followed. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        return digest(file.read())


def _is_removed(directory: Path, mark: str, files: Files) -> bool:
    """Remove a directory unless something is in it that is not a left-over of this configuration's saves."""
    if not os.path.lexists(directory):
        return True
    inside = list(directory.iterdir())
    if not all(is_temporary(each.name, mark) for each in inside):
        return False
    for each in inside:
        remove_tree(files, each)
    try:
        files.rmdir(directory)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY}:
            return False
        raise
    return True


def _recorded(place: Place) -> tuple[Step, ...] | None:
    """The steps of the commit record; None when there is none."""
    try:
        descriptor = os.open(place.record, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        # Whoever owns the configuration or its directory can make it say anything; nobody else is obeyed.
        trusted = {0, os.geteuid(), place.directory.stat().st_uid}
        anchor = status_of(place.anchor)
        if anchor is not None:
            trusted.add(anchor.st_uid)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in trusted:
            raise ConfigurationError(
                f"it has the name of the record of an interrupted save, but is no file, or is of "
                f"user {user_name(status.st_uid)}, who owns neither {place.anchor} nor its directory; load the "
                "configuration once as that user to complete the save, or remove the record if nobody wants it",
                str(place.record),
            )
        data = file.read()
    try:
        return decode_record(data, place.directory)
    except ValueError as error:
        raise ConfigurationError(
            f"the record of an interrupted save {error}; of the files that belong to {place.anchor}, some may be new "
            "and others old. If a newer release wrote it, load the configuration with that. Else look through the "
            "files, then remove the record",
            str(place.record),
        ) from None


def _examined(steps: Sequence[Step]) -> tuple[list[Step], list[str]]:
    """Tell which steps of an interrupted save are still to be done, and what is in the way."""
    todo: list[Step] = []
    problems: list[str] = []
    for step in steps:
        problem = ""
        if isinstance(step, Put):
            done, problem = _put(step)
        elif isinstance(step, PutTree):
            done, problem = _put_tree(step)
        else:
            found = status_of(step.target)
            done = found is None
            if isinstance(step, Delete) and not done and step.old != ANYTHING and not _holds(step.target, step.old):
                problem = f"{step.target} was to be removed, but has been changed"
        if problem:
            problems.append(problem)
        elif not done:
            todo.append(step)
    return todo, problems


def _put(step: Put) -> tuple[bool, str]:
    """Whether it is done, or what is in the way."""
    if not os.path.lexists(step.temporary):
        done = _holds(step.target, step.new)
        return done, "" if done else f"{step.target} is not the version that was saved, and {step.temporary} is gone"
    if not _holds(step.temporary, step.new):
        return False, f"{step.temporary} is not what was written for {step.target}"
    if step.old == ANYTHING or _holds(step.target, step.old, step.new):
        return False, ""
    return False, f"{step.target} has been changed; the version that was saved is {step.temporary}"


def _put_tree(step: PutTree) -> tuple[bool, str]:
    """Whether it is done, or what is in the way."""
    waits, found = os.path.lexists(step.temporary), os.path.lexists(step.target)
    if waits and found:
        return False, f"{step.target} has been made; the version that was saved is {step.temporary}"
    if not waits and not found:
        return False, f"{step.target} is not in place, and {step.temporary} is gone"
    return found, ""


def _holds(path: Path, *digests: bytes | None) -> bool:
    """Whether it is a file with one of these digests; None stands for no file."""
    found = status_of(path)
    if found is None:
        return None in digests
    return stat.S_ISREG(found.st_mode) and digest_of(path) in digests


def _cannot(error: OSError, place: Place) -> str:
    where = error.filename2 or error.filename
    which = f"{error.strerror} ({where})" if where else f"{error.strerror}"
    opening = "an earlier save was interrupted, and has to be completed before the files can be read"
    if error.errno in _NOT_ALLOWED:
        anchor = status_of(place.anchor)
        owner = user_name(place.directory.stat().st_uid if anchor is None else anchor.st_uid)
        return (
            f"{opening}, which user {user_name()} may not do: {which}; load it once as a user who may write it, the "
            f"files that belong to it, and their directories, such as {owner}"
        )
    return f"{opening}, but that failed: {which}; {explain(error, place.directory)}"
