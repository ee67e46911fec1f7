"""A log file: appended to, rotated, and opened anew when its path comes to mean another file.

Rules:

1. A relative path is relative to the working directory at the time of configuration, and stays so.
2. A batch is one write, unless a rotation falls into it (`rotation`): then it is one for each file. Of a batch that
   fails, the sink is told which lines are whole, and keeps the others.
3. Half a line, whether a failure here or a crash before the start left it, is ended before the next. In the format
   `flatbuffer`, which has no lines, nothing is.
4. Before a write, at most every `CHECK_S`, the path is looked at. When it names another file than the one that is
   open, or none, that file is opened, or made: external rotation needs no signal. When it cannot be opened, the write
   fails: lines must not vanish in a file that nobody can find. A new file gets the owner of the old one if it may.
5. The file is rotated before the line that makes it due, and about once a second without one. Processes that write the
   same file agree as `_sharing` says. A rotation that fails fails no write and costs no line: it is told, once for each
   kind of trouble, and tried again after `RETRY_ROTATION_S`; meanwhile the file grows.
6. How large the file is is asked of the system before each batch, for others write to it and truncate it.
7. Files are made with the configured mode, less what the umask takes away; existing ones keep theirs.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import attrgetter
from pathlib import Path

from mtev_log import BackendSettings, IncompleteWrite, Record

from ._errands import Errands, Notices
from ._keeper import Keeper
from ._live import LiveFile, open_live
from ._sharing import move_away, names, names_locked, share
from .options import FILE_MODE, OPTIONS, FileOptions, read_options
from .rotation import Live, read_policy

__all__ = ["CHECK_S", "FILE_MODE", "GRACE_S", "RETRY_ROTATION_S", "FileBackend", "FileOptions", "read_options"]

CHECK_S = 0.077
"""How often the path is looked at, at most, in seconds; libmtev's period."""

GRACE_S = 2.0
"""How long after the end of a period an idle log is rotated, in seconds: lines of that period may be on their way."""

RETRY_ROTATION_S = 60.0
"""After how long a rotation that failed is tried again, in seconds."""

_NS = 1_000_000_000
_time_ns = attrgetter("time_ns")


class FileBackend:
    """Appends lines to a file. Thread-compatible, as every backend.

    Args:
        settings: `path` is the file; `options` and `config` say how it is rotated and made.
        clock: a monotonic clock, in seconds.
        wall_clock: seconds since the epoch.

    Attributes:
        path: the file, absolute.
        encode: what makes the lines.
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
        settings.check_options(*OPTIONS)
        self.path = Path(settings.path).absolute()
        self._options = read_options(settings)
        self._policy = read_policy(settings)
        self.encode = settings.encoder()
        self._has_lines = settings.format != "flatbuffer"
        self._clock = clock
        self._wall_clock = wall_clock
        self._errands = Errands(f"l:{self.path.name}"[:15])
        self._notices = Notices(str(self.path), self._errands)
        packs = self._options.compress
        self._keeper = Keeper(self.path, self._policy, packs, wall_clock, self._errands, self._notices)
        self.maintain: Callable[[], None] | None = self._maintain if self._policy.rotate_seconds or packs else None
        self._fd = -1
        self._regular = False
        self._rotates = False
        self._shared = True
        self._torn = False
        self._live = Live()
        self._check_at = 0.0
        self._keep_at = 0.0
        self._rotate_from = float("-inf")
        self._trouble = ""

    def open(self) -> None:
        """Open the file, or make it. Blocks on the file system.

        Raises:
            OSError: it cannot be had.
        """
        if self._fd < 0:
            self._take(open_live(self.path, self._options))
            self._keeper.look_after()
        self._check_at = self._clock() + CHECK_S

    def write(self, records: Sequence[Record]) -> None:
        """Append. Blocks on the file system.

        Raises:
            IncompleteWrite: not everything could be written; or all was, but the disk may not have it.
        """
        self.write_encoded(list(map(self.encode, records)), list(map(_time_ns, records)))

    def write_encoded(self, lines: Sequence[bytes], times_ns: Sequence[int]) -> None:
        """Append lines that `encode` made. Blocks on the file system.

        Args:
            lines: the lines.
            times_ns: when each was logged, in nanoseconds since the epoch.

        Raises:
            IncompleteWrite: as `write`.
        """
        if not lines:
            return
        if self._clock() >= self._check_at:
            self.reopen()
        if self._rotates and not self._fit(lines, times_ns):
            self._append_split(lines, times_ns)
        else:
            self._append(lines)
        if self._options.sync and self._regular:
            self._sync()
        if self._trouble:
            trouble, self._trouble = self._trouble, ""
            raise IncompleteWrite(len(lines), trouble)

    def flush(self) -> None:
        """Nothing is held back: what was written is with the operating system."""

    def reopen(self) -> None:
        """Open the file anew when the path names another one, or none. Blocks on the file system.

        Raises:
            IncompleteWrite: it cannot be opened; nothing has been written.
        """
        now = self._clock()
        self._check_at = now + CHECK_S
        if self._keeper.again_s and now >= self._keep_at:
            self._keep_at = now + self._keeper.again_s
            self._keeper.look_after()
        try:
            self._follow_path()
        except OSError as error:
            raise IncompleteWrite(0, str(error)) from error

    def close(self) -> None:
        """Close the file; let the work on rotated ones end, for a moment. Harmless to repeat."""
        if self._fd >= 0:
            self._leave()
        self._errands.wait(1.0)

    # Which file is open.

    def _follow_path(self) -> None:
        if self._fd < 0:
            self.open()
            return
        old = os.fstat(self._fd)
        if not names(self.path, old):
            self._replace(old)
        elif not self._shared:
            self._shared = share(self._fd)

    def _replace(self, old: os.stat_result) -> None:
        found = open_live(self.path, self._options)
        if found.made and self._regular and self._options.uid == self._options.gid == -1:
            mine = found.status
            if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
                with contextlib.suppress(OSError):  # only root may give files away
                    os.fchown(found.fd, old.st_uid, old.st_gid)
        self._leave()
        self._take(found)
        self._keeper.look_after()  # nobody else may still write to the old one

    def _take(self, found: LiveFile) -> None:
        self._fd = found.fd
        self._regular = found.regular
        self._rotates = self._regular and bool(self._policy.rotate_bytes or self._policy.rotate_seconds)
        self._shared = found.shared
        self._torn = found.torn and self._has_lines
        self._live.size_bytes = found.status.st_size
        if found.status.st_size:
            self._live.since_s = found.status.st_mtime

    def _leave(self) -> None:
        fd = self._fd
        if self._torn:
            with contextlib.suppress(OSError):  # the disk is full: whoever reads it sees half a line at its end
                os.write(fd, b"\n")
            self._torn = False
        if self._options.sync and self._regular:
            self._sync()
        self._fd = -1
        try:
            os.close(fd)
        except OSError as error:
            self._trouble = f"the file may have lost lines when it was closed: {error}"

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            self._trouble = f"the file cannot be synced: {error}"

    # Rotation.

    def _maintain(self) -> None:
        if self._fd < 0:
            return
        self.reopen()
        if self._rotates:
            self._live.size_bytes = self._size_bytes(0)
            now_s = self._wall_clock()
            if self._policy.due(self._live.size_bytes, self._live.since_s, now_s - GRACE_S) and self._rotate():
                self._live.since_s = max(self._live.since_s, now_s - GRACE_S)

    def _fit(self, lines: Sequence[bytes], times_ns: Sequence[int]) -> bool:
        policy, live = self._policy, self._live
        live.size_bytes = self._size_bytes(0)
        if policy.rotate_bytes and live.size_bytes + sum(map(len, lines)) > policy.rotate_bytes:
            return False
        return not policy.rotate_seconds or not policy.later(live.since_s, max(times_ns) // _NS)

    def _append_split(self, lines: Sequence[bytes], times_ns: Sequence[int]) -> None:
        now_s = int(self._wall_clock())
        lengths = list(map(len, lines))
        times_s = [min(time_ns // _NS, now_s) for time_ns in times_ns]  # the future has no file yet
        start = 0
        while start < len(lines):
            count = self._policy.fitting(self._live, lengths, times_s, start)
            if count:
                self._append(lines[start : start + count], start)
                self._live.since_s = max(self._live.since_s, *times_s[start : start + count])
            elif not self._rotate():
                self._append(lines[start:], start)
                return
            start += count

    def _rotate(self) -> bool:
        """Rotate the file, or follow another process that did. Returns whether another file is open now."""
        if self._clock() < self._rotate_from:
            return False
        try:
            old = os.fstat(self._fd)
            with names_locked(self.path.parent):
                move_away(self.path, old, self._wall_clock())
            self._replace(old)
        except OSError as error:
            self._rotate_from = self._clock() + RETRY_ROTATION_S
            self._notices.failed("rotation", error, "it cannot be rotated, so it grows")
            return False
        self._notices.worked("rotation", "it is rotated again")
        return True

    # Lines.

    def _size_bytes(self, before: int) -> int:
        try:
            return os.fstat(self._fd).st_size
        except OSError as error:
            raise IncompleteWrite(before, str(error)) from error

    def _append(self, lines: Sequence[bytes], before: int = 0) -> None:
        """Append lines with one write, or more where the system takes less; `before` lines of the batch are written."""
        data = b"".join(lines)
        if self._torn and self._size_bytes(before) == 0:  # truncated, and the half line with it
            self._torn = False
        mended = 1 if self._torn else 0
        view = memoryview(b"\n" + data if mended else data)
        done = 0
        while done < len(view):
            try:
                count = os.write(self._fd, view[done:])
            except OSError as error:
                ends = accumulate(map(len, lines))
                whole = sum(1 for end in ends if end + mended <= done)
                raise IncompleteWrite(before + whole, str(error)) from error
            if count:
                self._torn = self._has_lines and view[done + count - 1] != 0x0A
            done += count
            self._live.size_bytes += count
