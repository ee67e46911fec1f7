"""What is done to rotated files, away from the thread that writes: old ones go, others are packed.

Rules, beside those of `_sharing`:

1. One thread at a time for each log, and only while there is something to do.
2. A packed copy that was left half done is made anew; one whose original is gone, goes.
3. What cannot be done is left as it is, told once, and tried again later: soon when somebody still writes to a file,
   after a while when there is trouble.
"""

from __future__ import annotations

import errno
import gzip
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ._errands import Errands, Notices
from ._sharing import alone, names, names_locked, rotated_files
from .rotation import Rotated, RotationPolicy, stamp_of

__all__ = ["BUSY_S", "TROUBLE_S", "Keeper", "compress"]

BUSY_S = 1.0
"""After how long a file that somebody wrote to is tried again, in seconds."""

TROUBLE_S = 60.0
"""After how long what could not be done is tried again, in seconds."""

_CHUNK_BYTES = 1 << 20
_GZ, _PARTIAL = ".gz", ".gz.tmp"


class Keeper:
    """Looks after the rotated files of one log. `look_after` and `wait` are thread-safe.

    Args:
        live: the live file.
        policy: what to keep.
        packs: whether to pack them.
        clock: seconds since the epoch.
        errands: where the work is done.
        notices: who is told.

    Attributes:
        again_s: after how many seconds it should look again; 0 when nothing is left to do.
    """

    def __init__(
        self,
        live: Path,
        policy: RotationPolicy,
        packs: bool,
        clock: Callable[[], float],
        errands: Errands,
        notices: Notices,
    ) -> None:
        self.again_s = 0.0
        self._live = live
        self._policy = policy
        self._packs = packs
        self._clock = clock
        self._errands = errands
        self._notices = notices

    def look_after(self) -> None:
        """See to the rotated files soon, on a thread of its own. Does not block."""
        if self._packs or self._policy.retains:
            self.again_s = 0.0
            self._errands.add("tidy", self._tidy)

    def _tidy(self) -> None:
        try:
            self.again_s = 0.0 if self.tidy() else BUSY_S
        except OSError as error:
            self.again_s = TROUBLE_S
            self._notices.failed("keeping", error, "rotated files cannot be looked after")
        else:
            self._notices.worked("keeping", "rotated files are looked after again")

    def tidy(self) -> bool:
        """Remove and pack now. Blocks on the file system.

        Returns:
            False when somebody still writes to a file that is to be packed.

        Raises:
            OSError: something could not be done; other files have been seen to nevertheless.
        """
        problems: list[OSError] = []
        with names_locked(self._live.parent):
            rotated = rotated_files(self._live)
            self._remove_orphans({each.name for each in rotated})
        gone = self._policy.superfluous(rotated, self._clock()) if self._policy.retains else []
        for each in gone:
            try:
                _remove(self._live.parent / each.name)
            except OSError as error:
                problems.append(error)
        done = True
        for each in self._packable(rotated, gone) if self._packs else ():
            try:
                done = compress(self._live.parent / each.name, self._live) and done
            except OSError as error:
                problems.append(error)
        if problems:
            raise problems[0]
        return done

    def _packable(self, rotated: list[Rotated], gone: list[Rotated]) -> list[Rotated]:
        left = set(rotated) - set(gone)
        return sorted((each for each in left if not each.name.endswith(_GZ)), key=lambda each: each.stamp)

    def _remove_orphans(self, present: set[str]) -> None:
        with os.scandir(self._live.parent) as entries:
            partial = [each.name for each in entries if each.name.endswith(_PARTIAL)]
        for name in partial:
            original = name.removesuffix(_PARTIAL)
            if stamp_of(self._live.name, original) is not None and original not in present:
                (self._live.parent / name).unlink(missing_ok=True)


def compress(path: Path, live: Path) -> bool:
    """Replace a rotated file by its packed form, `<path>.gz`, with the same owner, mode and times. Blocks.

    Args:
        path: the rotated file.
        live: the live file of the same log.

    Returns:
        False when somebody still writes to it.

    Raises:
        OSError: it could not be done; the file is still there. Also when a file that holds something else has the name.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    with open(fd, "rb") as source, alone(fd) as granted:
        if not granted:
            return False
        status = os.fstat(fd)
        if not status.st_size or not names(path, status) or names(live, status):
            return True
        target = path.with_name(path.name + _GZ)
        if os.path.lexists(target):
            if not _holds(target, source):
                raise FileExistsError(errno.EEXIST, "it holds something else, and is in the way", str(target))
        elif not _pack(source, status, path, target):
            return False
        _sync_directory(path.parent)
        with names_locked(path.parent):
            if names(path, status):
                path.unlink()
    return True


def _pack(source: BinaryIO, status: os.stat_result, path: Path, target: Path) -> bool:
    partial = path.with_name(path.name + _PARTIAL)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(partial, flags, 0o600), "wb") as raw:
            os.fchmod(raw.fileno(), status.st_mode & 0o7777)
            with suppress(PermissionError):  # only root may give files away
                os.fchown(raw.fileno(), status.st_uid, status.st_gid)
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=int(status.st_mtime)) as packed:
                shutil.copyfileobj(source, packed, _CHUNK_BYTES)
            raw.flush()
            os.fsync(raw.fileno())
            os.utime(raw.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
        with names_locked(path.parent):
            # A program that is not ours may write without the lock of a writer.
            if not names(path, status) or os.fstat(source.fileno()).st_size != source.tell():
                partial.unlink(missing_ok=True)
                return False
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, "somebody else has made it", str(target))
            partial.rename(target)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return True


def _holds(target: Path, source: BinaryIO) -> bool:
    try:
        with gzip.open(target, "rb") as packed:
            while True:
                part = source.read(_CHUNK_BYTES)
                if packed.read(len(part) or 1) != part:
                    return False
                if not part:
                    return True
    except (EOFError, gzip.BadGzipFile):
        return False


def _remove(path: Path) -> None:
    # Held open, so that its blocks are freed after the lock: that may take long.
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        with names_locked(path.parent):
            path.unlink(missing_ok=True)
    finally:
        os.close(fd)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
