"""What is done to rotated files, away from the thread that writes: old ones go, others are compressed.

Rules:

1. One thread at a time for each log, and only while there is something to do.
2. A file is compressed into `<name>.gz.tmp`, which is synced, renamed to `<name>.gz`, and the directory synced, before
   the original goes: whenever the machine stops, one whole copy is there. What was left half done is done next time.
3. What cannot be done is left as it is, and told at the next write.
"""

from __future__ import annotations

import gzip
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .rotation import Rotated, RotationPolicy, stamp_of

__all__ = ["Keeper", "rotated_files"]

_CHUNK_BYTES = 1 << 20


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
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    found.append(Rotated(stamp, entry.stat(follow_symlinks=False).st_size, entry.name))
    return found


class Keeper:
    """Looks after the rotated files of one log. Thread-safe.

    Args:
        live: the live file.
        policy: what to keep.
        compress: whether to compress them.
        clock: seconds since the epoch.

    Attributes:
        trouble: what could not be done the last time, or `""`.
    """

    def __init__(self, live: Path, policy: RotationPolicy, compress: bool, clock: Callable[[], float]) -> None:
        self.trouble = ""
        self._live = live
        self._policy = policy
        self._compress = compress
        self._clock = clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._again = False

    def look_after(self) -> None:
        """See to the rotated files soon, on a thread of its own. Does not block."""
        if not (self._compress or self._policy.retains):
            return
        with self._lock:
            self._again = True
            if self._thread is not None and self._thread.is_alive():
                return
            self._thread = threading.Thread(target=self._run, name=f"l:{self._live.name}"[:15], daemon=True)
            self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Let work under way end. Blocks.

        Args:
            timeout_s: how long to wait at most, in seconds.
        """
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._again:
                    self._thread = None
                    return
                self._again = False
            try:
                self.tidy()
                self.trouble = ""
            except OSError as error:
                self.trouble = f"rotated files cannot be looked after: {error}"

    def tidy(self) -> None:
        """Remove and compress now. Blocks on the file system.

        Raises:
            OSError: something could not be done; other files have been seen to nevertheless.
        """
        problems: list[OSError] = []
        rotated = rotated_files(self._live)
        gone = self._policy.superfluous(rotated, self._clock()) if self._policy.retains else []
        for each in gone:
            try:
                (self._live.parent / each.name).unlink(missing_ok=True)
            except OSError as error:
                problems.append(error)
        if self._compress:
            for each in sorted(set(rotated) - set(gone), key=lambda one: one.stamp):
                if each.name.endswith(".gz"):
                    continue
                try:
                    compress(self._live.parent / each.name)
                except OSError as error:
                    problems.append(error)
        if problems:
            raise problems[0]


def compress(path: Path) -> None:
    """Replace a file by its compressed form, `<path>.gz`, with the same owner, mode and times. Blocks.

    Raises:
        OSError: it could not be done; the file is still there.
    """
    target = path.with_name(f"{path.name}.gz")
    if not target.exists():
        partial = path.with_name(f"{path.name}.gz.tmp")
        try:
            with path.open("rb") as source, partial.open("wb") as raw:
                status = os.fstat(source.fileno())
                os.fchmod(raw.fileno(), status.st_mode & 0o7777)
                with suppress(PermissionError):
                    os.fchown(raw.fileno(), status.st_uid, status.st_gid)
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=int(status.st_mtime)) as packed:
                    shutil.copyfileobj(source, packed, _CHUNK_BYTES)
                raw.flush()
                os.fsync(raw.fileno())
                os.utime(raw.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
            partial.rename(target)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)
    path.unlink(missing_ok=True)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
