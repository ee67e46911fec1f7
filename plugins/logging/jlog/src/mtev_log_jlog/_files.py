"""The files of a journal: locks, the metastore, segments and checkpoints. Blocks on the file system.

Locks are `fcntl` locks of open file descriptions. They exclude libjlog's, which are locks of processes, and each other
between threads; and unlike those they are not lost when the process closes another descriptor of the file.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .codec import Metastore, Position, checkpoint_name, segment_name, segment_number, subscriber_of
from .errors import DamagedJournal, NoSuchJournal, NoSuchSubscriber, SubscriberExists
from .index import INDEX_SUFFIX, index_name

__all__ = ["Files", "locked", "pwrite_all"]

_FLOCK = struct.Struct("hhqqi4x")
_METASTORE_SIZE = 16
_TEMPORARY = ".cp-"


@contextmanager
def locked(fd: int, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a file. Blocks until others have released it.

    Args:
        fd: open for writing; for reading is enough when the lock is shared.
        shared: whether others may hold it too, who share it.
    """
    _lock(fd, fcntl.F_RDLCK if shared else fcntl.F_WRLCK)
    try:
        yield
    finally:
        _lock(fd, fcntl.F_UNLCK)


def _lock(fd: int, kind: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0))


def pwrite_all(fd: int, data: bytes, offset: int) -> None:
    """Write all of it.

    Raises:
        OSError: it failed, perhaps after a part.
    """
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view = view[count:]
        offset += count


class Files:
    """The directory of a journal.

    Args:
        path: the directory.
        mode: mode of new files.
    """

    def __init__(self, path: Path, mode: int = 0o640) -> None:
        self.path = path
        self.mode = mode

    def open(self, name: str, flags: int = os.O_RDWR) -> int:
        """Open a file of the journal, for reading and writing as locks need it.

        Raises:
            OSError: it cannot be had.
        """
        return os.open(self.path / name, flags | os.O_CLOEXEC, self.mode)

    @contextmanager
    def opened(self, name: str, flags: int = os.O_RDWR) -> Iterator[int]:
        """Open a file for a while."""
        fd = self.open(name, flags)
        try:
            yield fd
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Let new, renamed and removed names reach the disk."""
        with self.opened(".", os.O_RDONLY | os.O_DIRECTORY) as fd:
            os.fsync(fd)

    def metastore(self) -> Metastore:
        """What the journal says about itself, as of now.

        Raises:
            NoSuchJournal: there is none.
            DamagedJournal: there is one that cannot be used.
        """
        try:
            with self.opened("metastore", os.O_RDONLY) as fd:
                data = os.pread(fd, _METASTORE_SIZE + 1, 0)
        except (FileNotFoundError, NotADirectoryError):
            raise NoSuchJournal(f"there is no journal at '{self.path}'; create one first") from None
        try:
            return Metastore.unpack(data)
        except DamagedJournal as error:
            raise DamagedJournal(f"{self.path}: {error}; 'mtev-jlog data --repair' can make a new one") from None

    def segments(self) -> list[int]:
        """The segments that are there, oldest first."""
        numbers = (segment_number(each.name) for each in self.path.iterdir())
        return sorted(number for number in numbers if number is not None)

    def segment_size(self, log: int) -> int:
        """The size of a segment, in bytes; -1 when it is not there."""
        try:
            return (self.path / segment_name(log)).stat().st_size
        except FileNotFoundError:
            return -1

    def remove_segment(self, log: int) -> None:
        """Remove a segment and its index; harmless when they are gone."""
        (self.path / segment_name(log)).unlink(missing_ok=True)
        self.remove_index(log)

    def indexes(self) -> list[int]:
        """The segments that libjlog has an index of, oldest first; they need not be there."""
        names = (each.name for each in self.path.iterdir())
        numbers = (segment_number(name.removesuffix(INDEX_SUFFIX)) for name in names if name.endswith(INDEX_SUFFIX))
        return sorted(number for number in numbers if number is not None)

    def index(self, log: int) -> bytes | None:
        """The index of a segment; None when there is none."""
        try:
            return (self.path / index_name(log)).read_bytes()
        except FileNotFoundError:
            return None

    def remove_index(self, log: int) -> None:
        """Remove the index of a segment; harmless when there is none. libjlog's next reader makes a new one."""
        (self.path / index_name(log)).unlink(missing_ok=True)

    def checkpoints(self) -> dict[str, Position]:
        """The position of every subscriber, by name.

        Raises:
            DamagedJournal: a checkpoint cannot be used.
        """
        found: dict[str, Position] = {}
        for name in sorted(each.name for each in self.path.iterdir()):
            subscriber = subscriber_of(name)
            if subscriber is not None:
                with suppress(NoSuchSubscriber):  # removed meanwhile
                    found[subscriber] = self.checkpoint(subscriber)
        return found

    def checkpoint(self, subscriber: str) -> Position:
        """The position of a subscriber.

        Raises:
            NoSuchSubscriber: there is none of that name.
            DamagedJournal: its checkpoint cannot be used.
        """
        try:
            with self.opened(checkpoint_name(subscriber)) as fd, locked(fd):
                data = os.pread(fd, 9, 0)
        except FileNotFoundError:
            raise NoSuchSubscriber(f"the journal '{self.path}' has no subscriber '{subscriber}'") from None
        try:
            return Position.unpack(data)
        except DamagedJournal as error:
            raise DamagedJournal(f"{self.path}: subscriber '{subscriber}': {error}") from None

    def add_checkpoint(self, subscriber: str, position: Position) -> None:
        """Add a subscriber. It is there with its position, or not at all, whenever the process ends.

        Raises:
            SubscriberExists: there is one of that name.
        """
        temporary = self.path / f"{_TEMPORARY}{os.getpid()}-{os.urandom(4).hex()}"
        with self.opened(temporary.name, os.O_RDWR | os.O_CREAT | os.O_EXCL) as fd:
            pwrite_all(fd, position.pack(), 0)
            os.fsync(fd)
        try:
            os.link(temporary, self.path / checkpoint_name(subscriber))
        except FileExistsError:
            raise SubscriberExists(f"the journal '{self.path}' has a subscriber '{subscriber}' already") from None
        finally:
            temporary.unlink()
        self.sync()

    def set_checkpoint(self, subscriber: str, position: Position, *, durable: bool) -> Position:
        """Move a subscriber. In place, for others may have the file open.

        Returns:
            Where it was.

        Raises:
            NoSuchSubscriber: there is none of that name.
        """
        try:
            with self.opened(checkpoint_name(subscriber)) as fd, locked(fd):
                before = os.pread(fd, 8, 0)
                pwrite_all(fd, position.pack(), 0)
                if durable:
                    os.fdatasync(fd)
        except FileNotFoundError:
            raise NoSuchSubscriber(f"the journal '{self.path}' has no subscriber '{subscriber}'") from None
        return Position.unpack(before) if len(before) == 8 else position

    def remove_checkpoint(self, subscriber: str) -> bool:
        """Remove a subscriber. Returns whether there was one."""
        try:
            (self.path / checkpoint_name(subscriber)).unlink()
        except FileNotFoundError:
            return False
        self.sync()
        return True

    def clean(self) -> list[int]:
        """Remove the segments that every subscriber is past; none while there is no subscriber, never the current one.

        Returns:
            Those that were removed.
        """
        positions = self.checkpoints().values()
        if not positions:
            return []
        needed = min(self.metastore().storage_log, *(position.log for position in positions))
        gone = [log for log in self.segments() if log < needed]
        for log in gone:
            self.remove_segment(log)
        for log in self.indexes():
            if log < needed:
                self.remove_index(log)
        return gone
