"""Writing a journal: batches under the segment's lock, from any number of processes and threads.

Rules:

1. A record is appended at the end of the current segment, under the lock of that segment. A segment that has reached
   the journal's segment size is complete: still under its lock, and that of the metastore, whoever comes first makes
   the next one; the others follow. Nothing is appended to a complete one, even when the limit has been raised since.
2. Before it appends, a writer looks at what it does not know of the segment. A record that is not whole at the end,
   from a writer that was killed, is cut off; it was never acknowledged. Damage with records after it is left for
   readers and repairs.
3. What `append` returned for is as durable as the writer was asked to make it: `none` survives the process, `batch` and
   `record` survive the machine. With `record` every single record is synced before the next is written.
4. Of a batch that fails, whole records stay, and are counted in the error; the rest is cut off.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from enum import Enum
from types import TracebackType
from typing import Self

from ._files import Files, locked, pwrite_all
from .codec import FOREIGN, LAST_SEGMENT, Layout, segment_name
from .errors import AppendFailed, DamagedJournal, JournalError
from .records import damage, scan

__all__ = ["Durability", "Writer"]

_BYTE_ORDER = sys.byteorder


class Durability(Enum):
    """When records are synced to the disk."""

    NONE = "none"
    BATCH = "batch"
    RECORD = "record"


class Writer:
    """Appends records to a journal. Thread-safe. Made by `Journal.writer`.

    Args:
        files: the journal's.
        durability: when records are synced.
        salvage: whether a damaged buffer of libjlog's is emptied, after its whole records; otherwise it is left alone.
        clock: microseconds since the epoch.

    Attributes:
        cut_bytes: how much of incomplete records, of others, was cut off.

    Raises:
        NoSuchJournal: there is none.
        DamagedJournal: it cannot be used.
    """

    def __init__(
        self,
        files: Files,
        durability: Durability = Durability.NONE,
        *,
        salvage: bool = False,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.cut_bytes = 0
        self._files = files
        self._durability = durability
        self._salvage = salvage
        self._clock = clock
        self._mutex = threading.Lock()
        self._layout = Layout(files.metastore().magic)
        self._log = -1
        self._fd = -1
        self._known = 0
        self._closed = False
        self._take_over_pre_commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def append(self, body: bytes) -> None:
        """Append one record. Blocks on locks and the file system.

        Raises:
            AppendFailed: it could not be written.
            ValueError: it is too large.
        """
        self.append_many((body,))

    def append_many(self, bodies: Iterable[bytes], time_us: int | None = None) -> int:
        """Append records in order, with one write for each segment. Blocks on locks and the file system.

        Args:
            bodies: the records.
            time_us: when they are said to be written, in microseconds since the epoch; None for now.

        Returns:
            How many there were.

        Raises:
            AppendFailed: not all could be written; it says how many were.
            ValueError: one is too large; none was written.
        """
        records = self._layout.encode(bodies, self._clock() if time_us is None else time_us)
        written = 0
        with self._mutex:
            if self._closed:
                raise JournalError(f"the writer of '{self._files.path}' is closed")
            try:
                while written < len(records):
                    written += self._append_some(records, written)
            except AppendFailed as error:
                raise AppendFailed(written + error.written, str(error)) from error
            except (JournalError, OSError) as error:
                raise AppendFailed(written, str(error)) from error
        return written

    def close(self) -> None:
        """Close the segment. Harmless to repeat."""
        with self._mutex:
            self._closed = True
            self._leave_segment()

    def _append_some(self, records: list[bytes], first: int) -> int:
        """Append to the current segment what fits into it. Returns how many records; 0 when it was complete."""
        if self._fd < 0:
            self._enter_segment()
        last = first
        with locked(self._fd):
            meta = self._files.metastore()
            status = os.fstat(self._fd)
            # Others may have gone on to the next one; or it was replaced by a repair, or removed with the journal.
            leave = meta.storage_log != self._log or not status.st_nlink
            if not leave:
                end = size = self._examined(status.st_size)
                while last < len(records) and end < meta.unit_limit:
                    end += len(records[last])
                    last += 1
                    if self._durability is Durability.RECORD:
                        break
                if last > first:
                    self._write(records[first:last], size)
                if end >= meta.unit_limit:
                    try:
                        self._roll()
                        leave = True
                    except OSError:
                        if last == first:  # otherwise the next append tries again, and says so
                            raise
        if leave:
            self._leave_segment()
        return last - first

    def _write(self, records: list[bytes], size: int) -> None:
        try:
            pwrite_all(self._fd, b"".join(records), size)
            if self._durability is not Durability.NONE:
                os.fdatasync(self._fd)
        except OSError as error:
            end, whole = size, 0
            written = os.fstat(self._fd).st_size
            while whole < len(records) and end + len(records[whole]) <= written:
                end += len(records[whole])
                whole += 1
            if self._durability is not Durability.NONE:
                end, whole = size, 0  # what is not known to be synced is not there
            os.ftruncate(self._fd, end)
            self._known = end
            raise AppendFailed(whole, f"{self._files.path / segment_name(self._log)}: {error}") from error
        self._known = size + sum(map(len, records))

    def _examined(self, size: int) -> int:
        """The size of the segment, after an incomplete record at its end has been cut off. Under its lock."""
        if size == self._known:
            return size
        start = self._known if self._known < size else 0
        with mmap.mmap(self._fd, size, prot=mmap.PROT_READ) if size else _Nothing() as data:
            found = scan(self._layout, data, start)
            if not start and not found.offsets and self._layout.is_foreign(data[:4]):
                raise DamagedJournal(f"{self._files.path / segment_name(self._log)}: {FOREIGN}")
        if found.incomplete:
            os.ftruncate(self._fd, found.end)
            self.cut_bytes += size - found.end
            size = found.end
        self._known = size
        return size

    def _enter_segment(self) -> None:
        with self._files.opened("metastore") as meta, locked(meta):
            log = self._files.metastore().storage_log
            made = self._files.segment_size(log) < 0
            if made:
                self._files.remove_index(log)
            self._fd = self._files.open(segment_name(log), os.O_RDWR | os.O_CREAT)
        self._log = log
        self._known = 0
        if made and self._durability is not Durability.NONE:
            self._files.sync()

    def _leave_segment(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _roll(self) -> None:
        """Make the next segment the current one. Under the lock of this one."""
        if self._log == LAST_SEGMENT:
            raise OSError(errno.EFBIG, f"the journal '{self._files.path}' has used up the numbers of its segments")
        durable = self._durability is not Durability.NONE
        following = self._log + 1
        os.fdatasync(self._fd)
        with self._files.opened("metastore") as meta, locked(meta):
            # The segment first: whoever is told of it has to find it.
            if self._files.segment_size(following) < 0:
                self._files.remove_index(following)
            os.close(self._files.open(segment_name(following), os.O_RDWR | os.O_CREAT))
            if durable:
                self._files.sync()
            pwrite_all(meta, following.to_bytes(4, _BYTE_ORDER), 0)
            if durable:
                os.fdatasync(meta)

    def _take_over_pre_commit(self) -> None:
        """Append what a writer of libjlog has left in its buffer, as libjlog does when it opens one."""
        try:
            buffer = self._files.open("pre_commit")
        except FileNotFoundError:
            return
        try:
            data = os.pread(buffer, os.fstat(buffer).st_size, 0)
            used = int.from_bytes(data[:4], _BYTE_ORDER)
            sound = 4 + used <= len(data)
            left = data[4 : 4 + used]
            gone, _ = damage(self._layout, left)
            whole = [left] if sound and not gone else []
            if self._salvage:
                edges = [0, *(edge for each in gone for edge in each), len(left)]
                whole = [left[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
            if any(whole):
                self._enter_segment()
                with locked(self._fd):
                    pwrite_all(self._fd, b"".join(whole), self._examined(os.fstat(self._fd).st_size))
                    os.fdatasync(self._fd)
            if any(whole) or (self._salvage and (used or len(data) < 4)):
                pwrite_all(buffer, bytes(4), 0)
        finally:
            os.close(buffer)
            self._leave_segment()


class _Nothing:
    """Stands for the map of an empty file, which there cannot be."""

    def __enter__(self) -> bytes:
        return b""

    def __exit__(self, *error: object) -> None: ...
