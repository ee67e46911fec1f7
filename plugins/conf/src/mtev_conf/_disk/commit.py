"""Put a set of files in place so that a crash at any instruction leaves all of the old or all of the new ones.

1. All new content is first written beside its target under a temporary name, with the mode, owner and access list of
   what it replaces, and brought to the medium. What is new below a directory that does not exist yet is built in a
   temporary directory. Up to here, nothing is visible.
2. If one system call can do the rest, it does: one rename, or one removal. Else the steps are written down in a commit
   record beside the anchor, and *its* rename decides. From then on the save has happened: the steps are carried out, by
   this process or, when it dies, by whoever comes next. Then the record is removed.
3. Readers and writers of one anchor exclude each other by a lock (`lock`), and each first completes what it finds
   interrupted (`commit_steps`). So nobody sees a mixture.
4. Before its rename, every file has been synced; after it, its directory is; the record comes after the temporary files
   are on the medium, and goes after everything else is.
5. A failure before the decision removes the temporary files and leaves everything as it was. A crash leaves temporary
   files; the next save into the same directory removes them, and a reader ignores them, because it may have no right to
   write. Their names are the same each time, so they never become more.

Several anchors may share an included file. The lock and the record are the anchor's, so what is saved through one is a
set to those who read through the same one.

    ConfigurationError
    ├── Conflict      the files on disk are not those that were expected; nothing was changed
    └── Unfinished    the new files are in force, but a step failed that is to be repeated
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mtev_kernel.errors import ConfigurationError

from .commit_record import ANYTHING, Delete, DeleteDirectory, Put, PutTree, Step, digest, encode_record
from .commit_staging import Staging
from .commit_steps import Place, complete, digest_of, forget, perform, settle, status_of
from .durable import Files, explain
from .lock import locked

__all__ = [
    "ANYTHING",
    "Change",
    "Conflict",
    "Remove",
    "RemoveDirectory",
    "Unfinished",
    "Write",
    "commit",
    "digest",
    "reading",
]


class Conflict(ConfigurationError):
    """Files on disk are not those that a save expects, so somebody else has changed them. Nothing was changed.

    Attributes:
        paths: all such files.
    """

    paths: tuple[str, ...] = ()


class Unfinished(ConfigurationError):
    """The save has been decided on, and every reader gets its files; but a later step failed, which will be repeated.

    To the caller it is a save that succeeded, with a warning.
    """


@dataclass(frozen=True, slots=True)
class Write:
    """Make or replace a file.

    Args:
        path: the file; a symbolic link stays, and what it points to is replaced.
        data: its new content.
        expect: digest of its content now; None when it must not exist; ANYTHING not to look.
    """

    path: str
    data: bytes
    expect: bytes | None


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a file.

    Args:
        path: the file; of a symbolic link, what it points to.
        expect: digest of its content now; with ANYTHING, it need not exist.
    """

    path: str
    expect: bytes


@dataclass(frozen=True, slots=True)
class RemoveDirectory:
    """Remove a directory if it is empty after everything else; it need not exist."""

    path: str


Change = Write | Remove | RemoveDirectory


def commit(
    anchor: str, changes: Sequence[Change], *, lock_timeout_s: float = 10.0, files: Files | None = None
) -> list[str]:
    """Put all changes in place, or none. Blocks on the disk; may be called from any thread, not within `reading`.

    Args:
        anchor: the main configuration file; it need not be among the changes.
        changes: what to do, in any order.
        lock_timeout_s: how long to wait for other writers and readers, in seconds.
        files: the way to the disk; the real one when None.

    Returns:
        Directories that were to be removed and stay, because something else is in them.

    Raises:
        Conflict: files are not as expected.
        Unfinished: done as far as every reader is concerned, but not to the end.
        ConfigurationError: it cannot be done: disk full, no permission, not a file, locked. Nothing was changed.
        ValueError: a path is named twice, or a digest is none.
    """
    place = Place.of(anchor)
    targets = _targets(changes)
    disk = Files() if files is None else files
    with locked(place.directory, place.anchor, exclusive=True, timeout_s=lock_timeout_s):
        complete(place, disk)
        return [str(each) for each in _Save(place, targets, disk).run()]


@contextmanager
def reading(anchor: str, *, lock_timeout_s: float = 10.0, files: Files | None = None) -> Iterator[list[str]]:
    """Keep writers away while the files of a configuration are read; an interrupted save is completed first.

    Blocks on the lock and the disk; may be used in any thread, and by several at once.

    Args:
        anchor: the main configuration file.
        lock_timeout_s: how long to wait for a writer, in seconds.
        files: the way to the disk; the real one when None.

    Yields:
        A sentence for each thing that was done to complete an interrupted save.

    Raises:
        ConfigurationError: an interrupted save cannot be completed, and the message says who can, or what else to do.
            Or the directory cannot be opened or locked.
    """
    place = Place.of(anchor)
    disk = Files() if files is None else files
    notices: list[str] = []
    while True:
        with locked(place.directory, place.anchor, exclusive=False, timeout_s=lock_timeout_s):
            # No writer is at work while the shared lock is held, so a record is one whose writer died.
            if not os.path.lexists(place.record):
                yield notices
                return
        with locked(place.directory, place.anchor, exclusive=True, timeout_s=lock_timeout_s):
            notices += complete(place, disk)


@dataclass(slots=True)
class _Target:
    """One change, where it really goes, and what is there: `old` is a digest, None for nothing, or ANYTHING."""

    change: Change
    path: Path
    before: os.stat_result | None = None
    old: bytes | None = None


def _targets(changes: Iterable[Change]) -> list[_Target]:
    targets: dict[Path, _Target] = {}
    for change in changes:
        path = Path(os.path.realpath(change.path))
        if path in targets:
            raise ValueError(f"{path} is named twice in one save")
        if not isinstance(change, RemoveDirectory):
            expect = change.expect
            if expect is not None and expect != ANYTHING and len(expect) != len(digest(b"")):
                raise ValueError(f"what {path} is expected to hold is no digest: {expect!r}")
        targets[path] = _Target(change, path)
    return list(targets.values())


class _Save:
    """One commit, under the lock and with nothing interrupted before it."""

    def __init__(self, place: Place, targets: list[_Target], files: Files) -> None:
        self._place = place
        self._targets = targets
        self._files = files
        self._staging = Staging(place.mark, files)

    def run(self) -> list[Path]:
        steps: list[Step] = []
        left: list[Path] = []
        try:
            self._check()
            steps = self._stage()
            self._staging.settle()
            self._check_again()
            if len(steps) > 1:
                self._decide(steps)
                self._staging.at = steps[0].target
            left += perform(steps[:1], self._place.mark, self._files)
        except OSError as error:
            raise self._given_up(error) from error
        except BaseException as error:
            # Once decided, an interrupt may hit after the first step as well as before it: the record has to stay.
            if not os.path.lexists(self._place.record):
                self._staging.discard(error)
            raise
        try:
            left += perform(steps[1:], self._place.mark, self._files)
            settle(steps, self._files)
            if len(steps) > 1:
                forget(self._place, self._files)
        except OSError as error:
            rest = "The next load or save does what is missing" if len(steps) > 1 else "A loss of power may undo it"
            reason = explain(error, self._place.directory)
            where = error.filename2 or error.filename or self._place.anchor
            raise Unfinished(f"it has been saved, but not to the end: {reason}. {rest}", str(where)) from error
        return left

    def _check(self) -> None:
        """Compare what is on disk with what is expected, and refuse what could not be carried out once decided on."""
        conflicts: list[tuple[Path, str]] = []
        for target in self._targets:
            self._staging.at = target.path
            target.before = before = status_of(target.path)
            if isinstance(target.change, RemoveDirectory):
                if before is not None and not stat.S_ISDIR(before.st_mode):
                    raise ConfigurationError("it is to be removed as a directory, but is none", str(target.path))
                continue
            if before is not None and not stat.S_ISREG(before.st_mode):
                raise ConfigurationError(
                    "it is to be saved, but is no file; move it away, then try again", str(target.path)
                )
            if target.change.expect == ANYTHING:
                target.old = ANYTHING
                continue
            target.old = None if before is None else digest_of(target.path)
            if target.old != target.change.expect:
                conflicts.append((target.path, _difference(target.change.expect, target.old)))
        if conflicts:
            raise _conflict(conflicts)
        if len(self._targets) > 1:
            self._check_replaceable()

    def _check_replaceable(self) -> None:
        """Each step has to succeed once the save is decided on; alone, it could fail without harm."""
        mounts = _mount_points()
        for target in self._targets:
            if target.before is None:
                continue
            self._staging.at = target.path
            if not isinstance(target.change, RemoveDirectory):
                if target.path in mounts:
                    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(target.path))
                if _is_protected(target.path):
                    raise ConfigurationError(
                        "an attribute protects it against changes (chattr +i or +a); take that away, then try again",
                        str(target.path),
                    )
            folder = target.path.parent
            if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
                reason = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
                raise OSError(reason, os.strerror(reason), str(folder))
            above = folder.stat()
            if above.st_mode & stat.S_ISVTX and os.geteuid() not in {0, above.st_uid, target.before.st_uid}:
                raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(target.path))

    def _check_again(self) -> None:
        """Writing took its time; who changed a file meanwhile, without the lock, shall not lose that either."""
        conflicts = [(top, "made") for top in self._staging.trees if os.path.lexists(top)]
        for target in self._targets:
            if isinstance(target.change, RemoveDirectory) or target.old == ANYTHING:
                continue
            now = status_of(target.path)
            if _identity(now) != _identity(target.before):
                held = None if now is None else digest_of(target.path)
                if held != target.old:
                    conflicts.append((target.path, _difference(target.old, held)))
        if conflicts:
            raise _conflict(conflicts)

    def _stage(self) -> list[Step]:
        """Write all that is new under temporary names; returns the steps that put it in place, in their order."""
        puts: list[Step] = []
        deletes: list[Step] = []
        directories: list[DeleteDirectory] = []
        for target in self._targets:
            change = target.change
            if isinstance(change, Write):
                temporary = self._staging.add(target.path, change.data, target.before)
                if temporary is not None:
                    puts.append(Put(temporary, target.path, digest(change.data), target.old))
            elif target.before is None:
                continue
            elif isinstance(change, Remove):
                assert target.old is not None
                deletes.append(Delete(target.path, target.old))
            else:
                directories.append(DeleteDirectory(target.path))
        trees = [PutTree(temporary, top) for top, temporary in self._staging.trees.items()]
        deepest_first = sorted(directories, key=lambda step: len(step.target.parts), reverse=True)
        return [*puts, *trees, *deletes, *deepest_first]

    def _decide(self, steps: Sequence[Step]) -> None:
        """Write the commit record. Its rename is what makes the save happen."""
        place = self._place
        temporary = self._staging.add(place.record, encode_record(steps, place.directory), None)
        assert temporary is not None
        self._staging.flush()
        self._files.rename(temporary, place.record)
        self._files.sync_directory(place.directory)

    def _given_up(self, error: OSError) -> ConfigurationError:
        """Undo everything, after a failure at a time when no file had been touched yet."""
        place, where = self._place, self._staging.at or self._place.anchor
        reason = explain(error, where.parent)
        failure = ConfigurationError(f"it cannot be saved: {reason}. Nothing was changed", str(where))
        try:
            if os.path.lexists(place.record):
                forget(place, self._files)
        except OSError as second:
            if os.path.lexists(place.record):
                return Unfinished(
                    f"saving failed ({reason}), but the record of it cannot be withdrawn ({second}), so the next load "
                    "or save completes it",
                    str(place.anchor),
                )
            # A loss of power may bring the record back, so the temporary files that it speaks of have to stay for now.
            failure.add_note(f"temporary files are left, which the next save removes: {second}")
            return failure
        self._staging.discard(failure)
        return failure


def _identity(status: os.stat_result | None) -> tuple[int, ...] | None:
    if status is None:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _difference(expected: bytes | None, found: bytes | None) -> str:
    if expected is None:
        return "made"
    return "removed" if found is None else "changed"


def _conflict(conflicts: Sequence[tuple[Path, str]]) -> Conflict:
    what = ", ".join(f"{path} was {how}" for path, how in conflicts)
    error = Conflict(
        f"{what} by somebody else since it was read; read the configuration again to take that over, or ask for it to "
        "be overwritten. Nothing was changed"
    )
    error.paths = tuple(str(path) for path, _ in conflicts)
    return error


def _is_protected(path: Path) -> bool:
    """Whether nobody may write to the file: the one reason for EPERM, in opening as in replacing it."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EPERM
    return False


def _mount_points() -> set[Path]:
    """Where something is mounted, as this process sees it."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            lines = file.read().split(b"\n")
    except OSError:
        return set()  # without /proc nothing is known beforehand, and the rename itself tells
    # The fifth word; blanks and the like in it are written as three octal digits after a backslash.
    words = (line.split(b" ")[4] for line in lines if line)
    return {Path(os.fsdecode(word.decode("unicode_escape").encode("latin-1"))) for word in words}
