"""A log file: appended to, rotated, and opened anew when its path comes to mean another file.

Rules:

1. A relative path is relative to the working directory at the time of configuration, and stays so.
2. Every batch is one write. Of a batch that fails, the sink is told which lines are whole; what is left of a half
   written one is ended before the next.
3. Before a write, at most every `CHECK_S`, the path is looked at. When it names another file than the one that is
   open, or none, that file is opened, or made: external rotation needs no signal. When it cannot be opened, the write
   fails: lines must not vanish in a file that nobody can find. A new file gets the owner of the old one if it may.
4. Before a write, and about once a second without one, it is rotated where the policy says so (`rotation`). Processes
   that write the same file agree by a lock on it. A rotation that fails costs no line: it is told, and tried later.
5. Files are made with the configured mode, less what the umask takes away; existing ones keep theirs.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import pwd
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from mtev_log import BackendSettings, IncompleteWrite, Record

from ._keeper import Keeper, rotated_files
from .rotation import free_stamp, read_policy

__all__ = ["CHECK_S", "FILE_MODE", "FileBackend", "FileOptions", "read_options"]

CHECK_S = 0.077
"""How often the path is looked at, at most, in seconds; libmtev's period."""

FILE_MODE = 0o640
"""Mode of new files: libmtev's 0664 without the group's right to write and without the others' to read."""

_RETRY_ROTATION_S = 60.0
_OPTIONS = ("compress", "group", "mode", "owner", "sync")


@dataclass(frozen=True, slots=True)
class FileOptions:
    """What `<config>` says.

    Args:
        compress: whether rotated files are compressed with gzip.
        mode: mode of new files.
        uid, gid: owner and group of new files; -1 to leave them.
        sync: whether every batch is synced to the disk before the next one.
    """

    compress: bool = False
    mode: int = FILE_MODE
    uid: int = -1
    gid: int = -1
    sync: bool = False


class FileBackend:
    """Appends lines to a file. Thread-compatible, as every backend.

    Args:
        settings: `path` is the file; `options` and `config` say how it is rotated and made.
        clock: a monotonic clock, in seconds.
        wall_clock: seconds since the epoch.

    Attributes:
        path: the file, absolute.
        maintain: what is due without a line; None when nothing ever is.

    Raises:
        ConfigurationError: there is no path, or something that cannot be understood.
    """

    def __init__(
        self,
        settings: BackendSettings,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if not settings.path:
            raise settings.error(f"type='{settings.type}' needs to know where to write; write path='<file>'")
        settings.check_options(*_OPTIONS)
        self.path = Path(settings.path).absolute()
        self._options = read_options(settings)
        self._policy = read_policy(settings)
        self._encode = settings.encoder()
        self._clock = clock
        self._wall_clock = wall_clock
        self._rotates = bool(self._policy.rotate_bytes or self._policy.rotate_seconds)
        self._keeper = Keeper(self.path, self._policy, self._options.compress, wall_clock)
        self.maintain: Callable[[], None] | None = self._maintain if self._policy.rotate_seconds else None
        self._fd = -1
        self._check_at = 0.0
        self._torn = False
        self._size_bytes = 0
        self._since_s = 0.0
        self._rotate_from = float("-inf")
        self._trouble = ""

    def open(self) -> None:
        """Open the file, or make it. Blocks on the file system.

        Raises:
            OSError: it cannot be had; directories are not made.
        """
        if self._fd < 0:
            self._fd = self._opened()
            self._keeper.look_after()
        self._check_at = self._clock() + CHECK_S

    def write(self, records: Sequence[Record]) -> None:
        """Append. Blocks on the file system.

        Raises:
            OSError: the file cannot be opened anew.
            IncompleteWrite: not everything could be written, or the file cannot be rotated.
        """
        if not records:
            return
        lines = list(map(self._encode, records))
        if self._clock() >= self._check_at:
            self.reopen()
        if self._rotates:
            self._rotate_if_due()
        self._append(lines)
        if self._options.sync:
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                self._trouble = f"the file cannot be synced: {error}"
        trouble = self._trouble or self._keeper.trouble
        if trouble:
            self._trouble = self._keeper.trouble = ""
            raise IncompleteWrite(len(records), trouble)

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
        self._replace(old, inherit=now is None)

    def close(self) -> None:
        """Close the file; let the work on rotated ones end, for a moment. Harmless to repeat."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self._keeper.wait(1.0)

    def _maintain(self) -> None:
        if self._fd >= 0:
            self._rotate_if_due()

    def _rotate_if_due(self) -> None:
        now_s = self._wall_clock()
        if not self._policy.due(self._size_bytes, self._since_s, now_s) or self._clock() < self._rotate_from:
            return
        try:
            self._rotate(now_s)
        except OSError as error:
            self._rotate_from = self._clock() + _RETRY_ROTATION_S
            self._trouble = f"the file cannot be rotated, so it grows: {error}"

    def _rotate(self, now_s: float) -> None:
        held = self._fd
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            old = os.fstat(held)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(self.path.stat(), old):  # else another process was faster
                    stamp = free_stamp(now_s, (each.stamp for each in rotated_files(self.path)))
                    self.path.rename(self.path.with_name(f"{self.path.name}.{stamp}"))
            self._replace(old, inherit=True)
        finally:
            # Closed by now when the new file could be opened, and the lock with it.
            if self._fd == held:
                fcntl.flock(held, fcntl.LOCK_UN)
        self._keeper.look_after()

    def _replace(self, old: os.stat_result, *, inherit: bool) -> None:
        fresh = self._opened()
        if inherit and stat.S_ISREG(old.st_mode):
            mine = os.fstat(fresh)
            if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid) and self._options.uid == self._options.gid == -1:
                with contextlib.suppress(OSError):
                    os.fchown(fresh, old.st_uid, old.st_gid)
        os.close(self._fd)
        self._fd = fresh
        self._torn = False

    def _opened(self) -> int:
        options = self._options
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        made = not self.path.exists()
        fd = os.open(self.path, flags, options.mode)
        try:
            if made and (options.uid, options.gid) != (-1, -1):
                os.fchown(fd, options.uid, options.gid)
            status = os.fstat(fd)
        except OSError:
            os.close(fd)
            raise
        self._size_bytes = status.st_size
        self._since_s = status.st_mtime if status.st_size else self._wall_clock()
        return fd

    def _append(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        repaired = 1 if self._torn else 0
        view = memoryview(b"\n" + data if repaired else data)
        done = 0
        while done < len(view):
            try:
                count = os.write(self._fd, view[done:])
            except OSError as error:
                ends = accumulate(len(line) for line in lines)
                whole = sum(1 for end in ends if end + repaired <= done)
                raise IncompleteWrite(whole, str(error)) from error
            if count:
                self._torn = view[done + count - 1] != 0x0A
            done += count
            self._size_bytes += count


def read_options(settings: BackendSettings) -> FileOptions:
    """What the `<config>` of a log file says.

    Raises:
        ConfigurationError: a value that is not allowed, or a user or group that does not exist.
    """
    config = settings.config
    compress = _one_of(settings, "compress", ("none", "gzip"))
    sync = _one_of(settings, "sync", ("none", "batch"))
    mode = FILE_MODE
    if text := config.get("mode", ""):
        if not (text.isascii() and text.isdigit() and len(text) <= 4 and set(text) <= set("01234567")):
            raise settings.error(f"mode='{text}' is not a mode; expected octal digits such as '0640'")
        mode = int(text, 8)
        if mode & ~0o666:
            raise settings.error(f"mode='{text}': a log file is not to be executable; expected at most '0666'")
    return FileOptions(
        compress == "gzip",
        mode,
        _number(settings, "owner", lambda name: pwd.getpwnam(name).pw_uid),
        _number(settings, "group", lambda name: grp.getgrnam(name).gr_gid),
        sync == "batch",
    )


def _one_of(settings: BackendSettings, name: str, values: tuple[str, str]) -> str:
    value = settings.config.get(name, values[0])
    if value not in values:
        raise settings.error(f"{name}='{value}' is none of {', '.join(values)}")
    return value


def _number(settings: BackendSettings, name: str, look_up: Callable[[str], int]) -> int:
    value = settings.config.get(name, "")
    if not value:
        return -1
    if value.isascii() and value.isdigit():
        return int(value)
    try:
        return look_up(value)
    except KeyError:
        raise settings.error(f"{name}='{value}' does not exist on this system") from None
