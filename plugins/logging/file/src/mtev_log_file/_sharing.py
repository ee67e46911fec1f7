"""How processes share one log file: who may write to it, give names, and pack it. Locks and names; no lines.

The *live* file is the one that the log's path names. A *rotated* file is one that was live. Every process that writes
the log, and every thread that packs its files, keeps these rules; so a process may be killed at any point.

1. A writer opens the live file for appending, takes a shared lock on it (`share`), and looks whether the path still
   names it. If not, it starts again. It keeps the lock for as long as it may write: until it closes the descriptor.
2. No writer ever waits for a lock on a log file, or asks for an exclusive one. Where the file system has no locks, or
   a program that is not ours holds one, lines are written all the same, and the lock is asked for again later.
3. Names of rotated files are given and taken only under an exclusive lock on the directory (`names_locked`). It is held
   for a few system calls, never while data is copied. Whoever wants it waits for `LOCK_LIMIT_S` at most, then gives up
   and tries later.
4. A rotation, under that lock (`move_away`): look whether the path still names the writer's own file, or else another
   process was faster. Choose a stamp greater than that of every rotated file. Claim the name by making an empty file
   that must not exist yet. Rename the live file onto the claim. Nothing that others put there is ever replaced.
   Killed before the rename: an empty file is left, which holds no line and is never packed. Killed after it: the path
   names nothing, and the next writer that looks makes it.
5. Other writers have the rotated file open until they look again. Their lines are in it, and they hold the lock of
   rule 1.
6. A rotated file is packed only under an exclusive lock on it (`alone`), which is not waited for. Granted, it says that
   nobody writes any more; and nobody can begin, because of rule 1. Refused, the file stays as it is until later.
   The lock is kept until the file is gone, so two processes never pack the same file.
7. The packed copy is written under a name that does not count, synced, renamed, and the directory synced, before the
   original goes. Killed in between: both are there. The original then goes only if the copy holds the same bytes.
8. A file that is live under one name and rotated under another (a hard link of somebody's) is never packed.

All locks are `flock`s: they belong to an open file, so that two in one process exclude each other, a killed process
leaves none behind, and a forked child that may write keeps its parent's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .rotation import Rotated, free_stamp, stamp_of

__all__ = ["LOCK_LIMIT_S", "alone", "move_away", "names", "names_locked", "rotated_files", "share"]

LOCK_LIMIT_S = 1.0
"""How long the lock on the directory is waited for, in seconds."""

_POLL_S = 0.001


def share(fd: int) -> bool:
    """Take the lock of a writer on an open file (rule 1). Does not block.

    Returns:
        Whether it was granted.
    """
    return _try(fd, fcntl.LOCK_SH)


@contextmanager
def alone(fd: int) -> Iterator[bool]:
    """Hold the lock of whoever packs an open file (rule 6). Does not block.

    Yields:
        False when somebody may still write to the file.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)  # said, not left to close: a forked child may have the descriptor too


@contextmanager
def names_locked(directory: Path, limit_s: float = LOCK_LIMIT_S) -> Iterator[None]:
    """Hold the lock under which names are given and taken (rule 3). Blocks for `limit_s` seconds at most.

    Raises:
        OSError: the directory cannot be opened or locked; a `TimeoutError` when another process has kept the lock.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + limit_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    text = "another process has kept the directory locked"
                    raise TimeoutError(errno.ETIMEDOUT, text, str(directory)) from None
            time.sleep(_POLL_S)
        try:
            yield
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)  # as above
    finally:
        os.close(fd)


def names(path: Path, status: os.stat_result) -> bool:
    """Whether a path names the file with this status.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        return os.path.samestat(path.stat(), status)
    except FileNotFoundError:
        return False


def move_away(live: Path, mine: os.stat_result, now_s: float) -> bool:
    """Give the live file a rotated one's name (rule 4). The caller holds `names_locked`. Blocks on the file system.

    Args:
        live: the live file.
        mine: the status of the file that the caller writes to.
        now_s: what time it is, in seconds since the epoch.

    Returns:
        False when the path names another file, or none: somebody else was faster.

    Raises:
        OSError: it cannot be renamed, and has its name still.
    """
    if not names(live, mine):
        return False
    with os.scandir(live.parent) as entries:
        taken = [stamp for entry in entries if (stamp := stamp_of(live.name, entry.name)) is not None]
    claim = _claim(live, free_stamp(now_s, taken))
    try:
        live.rename(claim)
    except OSError as error:
        claim.unlink(missing_ok=True)
        if isinstance(error, FileNotFoundError):
            return False
        raise
    return True


def rotated_files(live: Path) -> list[Rotated]:
    """The rotated files of a log, in any order. Blocks on the file system.

    Raises:
        OSError: the directory cannot be read.
    """
    found: list[Rotated] = []
    with os.scandir(live.parent) as entries:
        for entry in entries:
            stamp = stamp_of(live.name, entry.name)
            if stamp is None:
                continue
            with suppress(FileNotFoundError):  # it went while we looked
                if entry.is_file(follow_symlinks=False):
                    found.append(Rotated(stamp, entry.stat(follow_symlinks=False).st_size, entry.name))
    return found


def _claim(live: Path, stamp: int) -> Path:
    while True:
        claim = live.with_name(f"{live.name}.{stamp}")
        try:
            os.close(os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            stamp += 1
        else:
            return claim


def _try(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError:  # held by somebody, or the file system has no locks: rule 2
        return False
    return True
