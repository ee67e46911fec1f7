"""Reading a journal as one of its subscribers.

Rules:

1. A reader begins after the subscriber's checkpoint and goes on from segment to segment. What it was given counts as
   consumed only when it is committed: whoever reads again gets it again (at least once).
2. A commit moves the checkpoint, and removes the segments that no subscriber needs any more.
3. An incomplete record at the end of the current segment is not read: somebody is writing it, or will cut it off.
   Damage is skipped, counted, and never read; nothing is changed on the disk. Records keep the numbers that they will
   have after a repair.
4. A checkpoint behind the end of its segment counts as its end; a segment that is missing is passed over. A segment
   that has been read to its end and is complete is left at once, so that it can be removed.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread

from ._files import Files
from .codec import Entry, Layout, Position, scan, segment_name
from .errors import DamagedJournal

__all__ = ["Reader"]

_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.25
_LIMIT = 1000


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
        position: of the last record that was read.
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
        self.position = self._committed
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
        """Every record that is there now, from the position on. Blocks on the file system."""
        while batch := self.read():
            yield from batch

    @property
    def committed(self) -> Position:
        """Where the subscriber's checkpoint is, as far as this reader knows."""
        return self._committed

    def read(self, limit: int = _LIMIT) -> list[Entry]:
        """The next records; none when there are none yet. Blocks on the file system, but waits for nobody.

        Args:
            limit: how many at most.

        Raises:
            DamagedJournal: a record cannot be decompressed; it is passed over by the next call.
            OSError: the journal cannot be read.
        """
        while True:
            # Asked first: what is complete now will not grow any more.
            current = self._files.metastore().storage_log
            entries = self._read_segment(current, limit)
            if entries:
                return entries
            if self.position.log >= current or not self._next_segment(current):
                return []

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
            batch = await anyio.to_thread.run_sync(self.read)
            for entry in batch:
                yield entry
            if batch:
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

    def _read_segment(self, current: int, limit: int) -> list[Entry]:
        log, marker = self.position
        if self._fd_log != log and not self._open(log):
            return []
        size = os.fstat(self._fd).st_size
        if size == 0 or (self._sought and size <= self._offset):
            return []
        closed = log < current
        with mmap.mmap(self._fd, size, prot=mmap.PROT_READ) as data:
            if not self._sought:
                self._seek(data, marker, closed=closed)
                marker = self.position.marker
            found = scan(self._layout, data, self._offset, closed=closed, limit=limit)
            entries: list[Entry] = []
            problem: DamagedJournal | None = None
            for offset in found.offsets:
                marker += 1
                try:
                    entries.append(self._layout.decode(data, offset, Position(log, marker)))
                except DamagedJournal as error:
                    problem = error
                    if entries:
                        marker -= 1
                        found = scan(self._layout, data, self._offset, closed=closed, limit=len(entries))
                    break
                finally:
                    self.position = Position(log, marker)
            if problem is not None and not entries:
                self._offset = found.offsets[0] + self._layout.stored_size(data, found.offsets[0])
                raise problem
        self.damaged_bytes += sum(end - start for start, end in found.damaged)
        self._offset = found.end
        return entries

    def _seek(self, data: mmap.mmap, marker: int, *, closed: bool) -> None:
        found = scan(self._layout, data, 0, closed=closed, limit=marker)
        self._offset = found.end if marker else 0
        self._sought = True
        if len(found.offsets) < marker:
            self.position = Position(self.position.log, len(found.offsets))

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

    def _next_segment(self, current: int) -> bool:
        log = self.position.log
        following = min((each for each in self._files.segments() if each > log), default=current)
        consumed = self._committed == self.position
        self.close()
        self.position = Position(min(following, current), 0)
        if consumed:
            self.commit()
        return True
