"""A log file: appended to, and opened anew when its path comes to mean another file.

Rules:

1. A relative path is relative to the working directory at the time of configuration, and stays so.
2. Every batch is one write. What is left of a half written line after a failure is ended before the next line.
3. Before a write, at most every `CHECK_S`, the path is looked at. When it names another file than the one that is
   open, or none, that file is opened, or made: external rotation needs no signal. When it cannot be opened, the write
   fails: lines must not vanish in a file that nobody can find. A new file gets the owner of the old one if it may.
4. Files are made with `FILE_MODE`, less what the umask takes away; existing ones keep their mode.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mtev_log import BackendSettings, Record

__all__ = ["CHECK_S", "FILE_MODE", "FileBackend"]

CHECK_S = 0.077
"""How often the path is looked at, at most, in seconds; libmtev's period."""

FILE_MODE = 0o640
"""Mode of new files: libmtev's 0664 without the group's right to write and without the others' to read."""


class FileBackend:
    """Appends lines to a file. Thread-compatible, as every backend.

    Args:
        settings: `path` is the file.
        clock: a monotonic clock, in seconds.

    Raises:
        ConfigurationError: there is no path, or there are options.
    """

    def __init__(self, settings: BackendSettings, clock: Callable[[], float] = time.monotonic) -> None:
        if not settings.path:
            raise settings.error(f"type='{settings.type}' needs to know where to write; write path='<file>'")
        settings.check_options()
        self.path = Path(settings.path).absolute()
        self._encode = settings.encoder()
        self._clock = clock
        self._fd = -1
        self._check_at = 0.0
        self._torn = False

    def open(self) -> None:
        """Open the file, or make it. Blocks on the file system.

        Raises:
            OSError: it cannot be had; directories are not made.
        """
        if self._fd < 0:
            self._fd = self._opened()
        self._check_at = self._clock() + CHECK_S

    def write(self, records: Sequence[Record]) -> None:
        """Append. Blocks on the file system.

        Raises:
            OSError: not everything could be written, or the file cannot be opened anew.
        """
        if not records:
            return
        data = b"".join(map(self._encode, records))
        if self._clock() >= self._check_at:
            self.reopen()
        self._append(b"\n" + data if self._torn else data)

    def flush(self) -> None:
        """Nothing is held back: what was written is with the operating system."""

    def reopen(self) -> None:
        """Open the file anew when the path names another one, or none. Blocks on the file system.

        Raises:
            OSError: it cannot be opened.
        """
        self._check_at = self._clock() + CHECK_S
        if self._fd < 0:
            self.open()
            return
        old = os.fstat(self._fd)
        try:
            now = self.path.stat()
        except FileNotFoundError:
            now = None
        if now is not None and os.path.samestat(now, old):
            return
        fresh = self._opened()
        if now is None and stat.S_ISREG(old.st_mode):
            mine = os.fstat(fresh)
            if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
                with contextlib.suppress(OSError):
                    os.fchown(fresh, old.st_uid, old.st_gid)
        os.close(self._fd)
        self._fd = fresh
        self._torn = False

    def close(self) -> None:
        """Close the file. Harmless to repeat."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _opened(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, FILE_MODE)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            count = os.write(self._fd, view)
            if count:
                self._torn = view[count - 1] != 0x0A
            view = view[count:]
