"""Reading a journal as one of its subscribers.

Rules:

1. A reader begins after the subscriber's checkpoint and goes on from segment to segment. What it was given counts as
   consumed only when it is committed: whoever reads again gets it again (at least once).
2. A commit moves the checkpoint, and removes the segments that no subscriber needs any more.
3. An incomplete record at the end of the current segment is not read: somebody is writing it, or will cut it off.
   Damage is skipped, counted, and never read; nothing is changed on the disk. A segment that was repaired meanwhile is
   opened anew, and read on behind the last record that was read.
4. A checkpoint behind the end of its segment counts as its end; a segment that is missing is passed over. A segment
   that has been read to its end and is complete is left at once, so that it can be removed.
5. Whole records are read in pieces of the file, a little ahead. What is in doubt is looked through as a whole, mapped
   and under a shared lock of the segment: a map of what a writer cuts off would end the process.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread

from ._files import Files, locked
from .codec import FOREIGN, Entry, Layout, Position, segment_name
from .errors import DamagedJournal
from .records import scan, take

__all__ = ["Reader"]

_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.25
_LIMIT = 1000
_PIECE_BYTES = 256 * 1024
_MAX_LOOKED_AT = 10_000


class Reader:
    """Reads records as one subscriber. One thread or task at a time. Made by `Journal.reader`.

        with journal.reader("shipper") as reader:
            for entry in reader:                # what is there now
                ship(entry.body)
            reader.commit()

        async for entry in reader.follow():     # and what comes
            await ship(entry.body)
            reader.commit(entry.position)

    Args:
        files: the journal's.
        subscriber: the subscriber's name.
        durable: whether a commit is synced to the disk.

    Attributes:
        subscriber: as given.
        damaged_bytes: how much was skipped because it belongs to no record.

    Raises:
        NoSuchJournal: there is none.
        NoSuchSubscriber: it has no such subscriber.
        DamagedJournal: it cannot be used.
    """

    def __init__(self, files: Files, subscriber: str, *, durable: bool = True) -> None:
        self.subscriber = subscriber
        self.damaged_bytes = 0
        self._files = files
        self._durable = durable
        self._layout = Layout(files.metastore().magic)
        self._committed = files.checkpoint(subscriber)
        self._place = self._committed  # how far the file has been read
        self._last = Entry(self._place, 0, b"")  # how far the caller has
        self._ready: Iterator[Entry] = iter(())  # what is between
        self._fd = -1
        self._fd_log = -1
        self._offset = 0
        self._sought = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Entry]:
        """Every record that is there now, from the position on. Blocks on the file system. Raises as `read` does."""
        while True:
            for self._last in self._ready:  # noqa: B020 - `_last` is the variable, so that a `break` leaves it right
                yield self._last
            if not self._fill():
                return

    @property
    def position(self) -> Position:
        """Of the last record that was read: the last that `read` returned, or that an iteration has come to."""
        return self._last.position

    @property
    def committed(self) -> Position:
        """Where the subscriber's checkpoint is, as far as this reader knows."""
        return self._committed

    def read(self, limit: int = _LIMIT) -> list[Entry]:
        """The next records; none when there are none yet. Blocks on the file system, but waits for nobody.

        Args:
            limit: how many at most.

        Raises:
            DamagedJournal: a record cannot be decompressed; it is passed over by the next call. Or the journal cannot
                be used.
            NoSuchSubscriber: the subscriber has been removed meanwhile.
            OSError: the journal cannot be read.
        """
        batch = list(islice(self._ready, limit))
        if not batch and self._fill():
            batch = list(islice(self._ready, limit))
        if batch:
            self._last = batch[-1]
        return batch

    def wait(self, timeout_s: float) -> list[Entry]:
        """The next records, as soon as there are some. Blocks.

        Args:
            timeout_s: how long to wait for them at most, in seconds.

        Returns:
            The records; none when there were none in time.
        """
        deadline = time.monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        while not (batch := self.read()):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        return batch

    async def follow(self) -> AsyncIterator[Entry]:
        """Every record from the position on, now and later; without an end. Reads on a worker thread.

        A new record is noticed within 5 ms while there are others, and within 250 ms after a silence.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            for self._last in self._ready:  # noqa: B020 - `_last` is the variable, so that a `break` leaves it right
                yield self._last
            if await anyio.to_thread.run_sync(self._fill):
                pause_s = _FIRST_PAUSE_S
            else:
                await anyio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def commit(self, position: Position | None = None) -> None:
        """Count records as consumed, and remove segments that nobody needs any more. Blocks on the file system.

        Args:
            position: the last one that was consumed; None for the last one that was read.

        Raises:
            NoSuchSubscriber: the subscriber has been removed meanwhile.
        """
        target = self.position if position is None else position
        before = self._files.set_checkpoint(self.subscriber, target, durable=self._durable)
        self._committed = target
        if target.log > before.log:
            self._files.clean()

    def close(self) -> None:
        """Close the segment. Harmless to repeat; reading goes on where it was."""
        fd, self._fd = self._fd, -1
        self._fd_log = -1
        if fd >= 0:
            os.close(fd)

    def _fill(self) -> bool:
        """Get records ready, when there are none. Returns whether there are."""
        while True:
            # Asked first: what is complete now will not grow any more.
            current = self._files.metastore().storage_log
            entries = self._read_segment(current)
            if entries:
                self._place = entries[-1].position
                self._ready = iter(entries)
                return True
            if self._place.log >= current:
                return False
            self._next_segment(current)

    def _read_segment(self, current: int) -> list[Entry]:
        log = self._place.log
        if self._fd_log != log and not self._open(log):
            return []
        status = os.fstat(self._fd)
        if not status.st_nlink or status.st_size < self._offset:
            # A repair has replaced it, or libjlog's has squeezed it.
            if not self._open(log):
                return []
            status = os.fstat(self._fd)
        closed = log < current
        if not self._sought:
            self._seek(closed=closed)
        if status.st_size <= self._offset:
            return []
        size = _PIECE_BYTES
        piece = os.pread(self._fd, size, self._offset)
        first = self._layout.stored_size(piece, 0)
        if size < first <= status.st_size - self._offset:
            size = first + 4  # and the magic of the next one
            piece = os.pread(self._fd, size, self._offset)
        entries, used = take(self._layout, piece, self._place, ends=len(piece) < size)
        self._offset += used
        return entries or self._look_through(closed=closed)

    def _look_through(self, *, closed: bool) -> list[Entry]:
        """Records behind damage, or what else needs more than a look at the next one."""
        log, marker = self._place
        entries: list[Entry] = []
        with locked(self._fd, shared=True):
            size = os.fstat(self._fd).st_size
            if size <= self._offset:
                return []
            with mmap.mmap(self._fd, size, prot=mmap.PROT_READ) as data:
                found = scan(self._layout, data, self._offset, closed=closed, limit=_MAX_LOOKED_AT)
                if not found.offsets and not self._offset and self._layout.is_foreign(data[:4]):
                    raise DamagedJournal(f"{self._files.path / segment_name(log)}: {FOREIGN}")
                end = found.end
                total = 0
                problem: DamagedJournal | None = None
                for offset in found.offsets:
                    if total > _PIECE_BYTES:
                        end = offset
                        break
                    marker += 1
                    try:
                        entries.append(self._layout.decode(data, offset, Position(log, marker)))
                    except DamagedJournal as error:
                        if entries:
                            end = offset
                        else:
                            end = offset + self._layout.stored_size(data, offset)
                            problem = error
                        break
                    total += len(entries[-1].body)
        self.damaged_bytes += sum(stop - start for start, stop in found.damaged if stop <= end)
        self._offset = end
        if problem is not None:
            self._move(Position(log, marker))
            raise problem
        return entries

    def _seek(self, *, closed: bool) -> None:
        log, marker = self._place
        self._sought = True
        if not marker:
            return
        with locked(self._fd, shared=True):
            size = os.fstat(self._fd).st_size
            if size:
                with mmap.mmap(self._fd, size, prot=mmap.PROT_READ) as data:
                    found = scan(self._layout, data, closed=closed, limit=marker)
                self._offset = found.end
                marker = len(found.offsets)
            else:
                marker = 0
        if marker < self._place.marker:
            self._move(Position(log, marker))

    def _move(self, position: Position) -> None:
        self._place = position
        self._last = Entry(position, 0, b"")

    def _open(self, log: int) -> bool:
        self.close()
        try:
            self._fd = self._files.open(segment_name(log), os.O_RDONLY)
        except FileNotFoundError:
            return False
        self._fd_log = log
        self._offset = 0
        self._sought = False
        return True

    def _next_segment(self, current: int) -> None:
        log = self._place.log
        following = min((each for each in self._files.segments() if each > log), default=current)
        consumed = self._committed == self.position
        self.close()
        self._move(Position(min(following, current), 0))
        if consumed:
            self.commit()
