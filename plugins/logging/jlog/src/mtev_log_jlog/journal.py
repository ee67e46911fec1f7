"""A journal: a directory of segments that writers append to, and that subscribers read at their own pace."""

from __future__ import annotations

import mmap
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ._files import Files, locked, pwrite_all
from .codec import (
    DEFAULT_SEGMENT_SIZE,
    MAGICS,
    Compression,
    Layout,
    Metastore,
    Position,
    Safety,
    segment_name,
    subscriber_of,
)
from .errors import DamagedJournal, JournalError, JournalExists, NoSuchJournal
from .index import IndexState, index_state
from .reader import Reader
from .records import damage, scan
from .writer import Durability, Writer

__all__ = ["MAX_SEGMENT_SIZE", "Journal", "Repair", "SegmentReport"]

MAX_SEGMENT_SIZE = 1024 * 1024 * 1024
"""Largest segment size, in bytes; libmtev's."""

_MAX_NAME = 120
_CHUNK_BYTES = 1 << 20
_ENOUGH_RECORDS = 100


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """What stands in a segment.

    Args:
        log: which one it is.
        size_bytes: how large the file is.
        records: how many records it holds.
        damaged_bytes: how much of it belongs to no record.
        incomplete_bytes: how much at its end may become a record yet; in the current segment only.
        index: how libjlog's index of it fits.
        pending: how many subscribers have yet to read it, or a part of it, or what comes before it.
    """

    log: int
    size_bytes: int
    records: int
    damaged_bytes: int
    incomplete_bytes: int
    index: IndexState = IndexState.NONE
    pending: int = 0


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair did.

    Args:
        metastore: whether a new one was made.
        checkpoints: subscribers whose checkpoint was not usable, and begin anew.
        removed_bytes: what was squeezed out of each segment.
        indexes: segments whose index was wrong, and removed.
    """

    metastore: bool
    checkpoints: tuple[str, ...]
    removed_bytes: dict[int, int]
    indexes: tuple[int, ...] = ()


class Journal:
    """A journal, as libjlog 2 has them on the disk. Thread-safe: it holds nothing open.

    Args:
        path: its directory. Nothing is looked at yet.

    Every method blocks on the file system, and raises `NoSuchJournal` when there is no journal, `DamagedJournal` when
    what there is cannot be used, and `OSError` for what the system refuses.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._files = Files(self.path)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        segment_size: int = DEFAULT_SEGMENT_SIZE,
        safety: Safety = Safety.ALMOST_SAFE,
        compression: Compression | None = None,
        mode: int = 0o640,
    ) -> Journal:
        """Make a journal. It is there as a whole, or not at all, whenever the process ends.

        Args:
            path: its directory, which must not be there yet.
            segment_size: how large a segment gets, in bytes; a record more at most.
            safety: what libjlog syncs of its own accord.
            compression: how bodies are stored.
            mode: mode of its files; the directory can be entered by whoever may read them.

        Raises:
            JournalExists: there is something already.
            ValueError: the segment size is below 1 or above `MAX_SEGMENT_SIZE`.
        """
        _check_segment_size(segment_size)
        target = Path(path)
        if os.path.lexists(target):
            raise JournalExists(f"'{target}' exists already")
        made = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}")
        directory_mode = mode | (mode & 0o444) >> 2
        made.mkdir()
        try:
            made.chmod(directory_mode)
            files = Files(made, mode)
            with files.opened("metastore", os.O_RDWR | os.O_CREAT) as fd:
                meta = Metastore(0, segment_size, safety, Layout.of(compression).magic)
                pwrite_all(fd, meta.pack(), 0)
                os.fsync(fd)
            files.sync()
            try:
                made.rename(target)
            except OSError as error:
                raise JournalExists(f"'{target}' cannot be created: {error}") from None
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        Files(target.parent).sync()
        return cls(target)

    @property
    def metastore(self) -> Metastore:
        """What it says about itself, as of now."""
        return self._files.metastore()

    def writer(self, durability: Durability | str = Durability.NONE) -> Writer:
        """A writer; any number of them, in any process, may be there at once.

        Args:
            durability: `none`, `batch` or `record`; see `Writer`.
        """
        return Writer(self._files, Durability(durability))

    def reader(self, subscriber: str, *, durable: bool = True) -> Reader:
        """A reader for a subscriber.

        Args:
            subscriber: its name.
            durable: whether commits are synced to the disk.

        Raises:
            NoSuchSubscriber: there is none of that name.
        """
        return Reader(self._files, subscriber, durable=durable)

    def subscribers(self) -> dict[str, Position]:
        """The position of every subscriber, by name."""
        self._files.metastore()
        return self._files.checkpoints()

    def add_subscriber(self, name: str, at: str | Position = "begin") -> Position:
        """Add a subscriber.

        Args:
            name: 1 to 120 bytes. One that begins with `~` is temporary: logs forget it when they open the journal.
            at: `begin` for the first record that is still there, `end` for what comes from now on, the position of the
                last record that it is not to get, or `copy:NAME` for where another subscriber is.

        Returns:
            Where it is.

        Raises:
            SubscriberExists: there is one of that name.
            NoSuchSubscriber: there is none to copy.
            ValueError: the name is empty or too long, or `at` is something else.
        """
        if not 1 <= len(name.encode()) <= _MAX_NAME or "\0" in name:
            raise ValueError(f"the name of a subscriber has 1 to {_MAX_NAME} bytes, and no NUL")
        position = self.place(at)
        self._files.add_checkpoint(name, position)
        return position

    def set_position(self, name: str, position: Position) -> None:
        """Move a subscriber.

        Raises:
            NoSuchSubscriber: there is none of that name.
        """
        self._files.set_checkpoint(name, position, durable=True)

    def remove_subscriber(self, name: str) -> bool:
        """Remove a subscriber. Segments stay until somebody commits, or `clean`. Returns whether there was one."""
        return self._files.remove_checkpoint(name)

    def bounds(self) -> tuple[Position, Position]:
        """Before the first record that is there, and the last one."""
        meta = self._files.metastore()
        segments = self._files.segments()
        first = Position(segments[0] if segments else meta.storage_log, 0)
        return first, Position(meta.storage_log, self.report(meta.storage_log).records)

    def segments(self) -> list[int]:
        """The segments that are there, oldest first."""
        self._files.metastore()
        return self._files.segments()

    def clean(self) -> list[int]:
        """Remove the segments that every subscriber is past; none while there is no subscriber. Returns which."""
        return self._files.clean()

    def alter(self, *, segment_size: int | None = None, safety: Safety | None = None) -> Metastore:
        """Change what a journal says about itself. Writers follow with their next batch.

        Raises:
            ValueError: the segment size is below 1 or above `MAX_SEGMENT_SIZE`.
        """
        with self._files.opened("metastore") as fd, locked(fd):
            meta = self._files.metastore()
            if segment_size is not None:
                _check_segment_size(segment_size)
                meta = replace(meta, unit_limit=segment_size)
            if safety is not None:
                meta = replace(meta, safety=safety)
            pwrite_all(fd, meta.pack(), 0)
            os.fsync(fd)
        return meta

    def report(self, log: int) -> SegmentReport:
        """Look through a segment; one that is not there has nothing in it."""
        meta = self._files.metastore()
        pending = sum(position.log <= log for position in self._files.checkpoints().values())
        layout = Layout(meta.magic)
        closed = log < meta.storage_log
        size = 0
        found = scan(layout, b"")
        index = self._files.index(log)  # before the segment, which grows first
        with (
            suppress(FileNotFoundError),
            self._files.opened(segment_name(log), os.O_RDONLY) as fd,
            locked(fd, shared=True),
        ):
            size = os.fstat(fd).st_size
            if size:
                with mmap.mmap(fd, size, prot=mmap.PROT_READ) as data:
                    found = scan(layout, data, closed=closed)
        damaged = sum(end - start for start, end in found.damaged)
        state = index_state(index, found.offsets, closed=closed)
        return SegmentReport(log, size, len(found.offsets), damaged, size - found.end, state, pending)

    def repair(self, *, segments: bool = True) -> Repair:
        """Make a damaged journal usable. No writer may be at work, and no reader of libjlog.

        A metastore that does not fit the segments is made anew, and a checkpoint that cannot be used begins with the
        first record. Bytes that belong to no record, and records whose bodies cannot be restored, are squeezed out of
        segments; of libjlog's buffer what is whole is appended, and indexes that are wrong are removed (libjlog makes
        new ones). Whenever the process ends, no record is lost; some may be read again.

        Args:
            segments: whether segments, the buffer and indexes are repaired; otherwise metastore and checkpoints only.
        """
        if not self.path.is_dir():
            raise NoSuchJournal(f"there is no journal at '{self.path}'")
        names = [each.name for each in self.path.iterdir()]
        there = self._files.segments()
        if "metastore" not in names and not there and not any(map(subscriber_of, names)):
            raise NoSuchJournal(f"there is no journal at '{self.path}', nor what is left of one")
        remade = self._repair_metastore(there)
        meta = self._files.metastore()
        anew = self._repair_checkpoints(meta, there)
        removed: dict[int, int] = {}
        wrong: list[int] = []
        if segments:
            removed = {log: count for log in there if (count := self._squeeze(Layout(meta.magic), log))}
            self._bring_back()
            Writer(self._files, salvage=True).close()
            wrong = [log for log in self._files.indexes() if self._index_is_wrong(log)]
            for log in wrong:
                self._files.remove_index(log)
        return Repair(remade, anew, removed, tuple(wrong))

    def place(self, at: str | Position) -> Position:
        """The position that `add_subscriber` understands by `at`."""
        if isinstance(at, Position):
            return at
        if at.startswith("copy:"):
            return self._files.checkpoint(at.removeprefix("copy:"))
        if at not in ("begin", "end"):
            raise ValueError(f"at='{at}' is neither 'begin' nor 'end' nor 'copy:<subscriber>'")
        first, last = self.bounds()
        return first if at == "begin" else last

    def _repair_metastore(self, segments: list[int]) -> bool:
        newest = segments[-1] if segments else 0
        try:
            meta = self._files.metastore()
        except JournalError:
            meta = Metastore(newest, magic=self._magic_of_most(segments) or Metastore().magic)
        else:
            fitting = meta
            if segments and not newest <= meta.storage_log <= newest + 1:
                # One that was complete must not grow again: libjlog's readers have closed its index.
                fitting = replace(meta, storage_log=newest if meta.storage_log < newest else newest + 1)
            if not self._records_with(meta.magic, segments):
                fitting = replace(fitting, magic=self._magic_of_most(segments) or meta.magic)
            if fitting == meta:
                return False
            meta = fitting
        temporary = self.path / f".metastore-{os.urandom(4).hex()}"
        with self._files.opened(temporary.name, os.O_RDWR | os.O_CREAT | os.O_EXCL) as fd:
            pwrite_all(fd, meta.pack(), 0)
            os.fsync(fd)
        temporary.rename(self.path / "metastore")
        self._files.sync()
        return True

    def _magic_of_most(self, segments: list[int]) -> int | None:
        counts = {magic: self._records_with(magic, segments) for magic in MAGICS}
        most = max(counts, key=lambda magic: counts[magic])
        return most if counts[most] else None

    def _records_with(self, magic: int, segments: list[int]) -> int:
        """How many records the segments begin with, were that their magic; enough of them to tell."""
        count = 0
        for log in segments:
            with self._files.opened(segment_name(log), os.O_RDONLY) as fd:
                data = os.pread(fd, _CHUNK_BYTES, 0)
            count += len(scan(Layout(magic), data, limit=_ENOUGH_RECORDS).offsets)
            if count >= _ENOUGH_RECORDS:
                break
        return count

    def _repair_checkpoints(self, meta: Metastore, segments: list[int]) -> tuple[str, ...]:
        first = Position(segments[0] if segments else meta.storage_log, 0)
        anew = []
        for name in sorted(each.name for each in self.path.iterdir()):
            subscriber = subscriber_of(name)
            if subscriber is None:
                continue
            with suppress(DamagedJournal):
                if self._files.checkpoint(subscriber).log <= meta.storage_log:
                    continue
            with self._files.opened(name) as fd, locked(fd):
                os.ftruncate(fd, 8)
                pwrite_all(fd, first.pack(), 0)
                os.fsync(fd)
            anew.append(subscriber)
        return tuple(anew)

    def _index_is_wrong(self, log: int) -> bool:
        there = self._files.segment_size(log) >= 0
        return not there or self.report(log).index is IndexState.WRONG

    def _bring_back(self) -> None:
        """Move the subscribers behind the end of their segment to it: what is appended next is theirs."""
        for name, position in self._files.checkpoints().items():
            records = self.report(position.log).records
            if position.marker > records:
                self._files.set_checkpoint(name, Position(position.log, records), durable=True)

    def _make_up_for(self, log: int, numbers: list[int]) -> None:
        """Move the subscribers that are behind records that are about to go: those after them get other numbers."""
        if not numbers:
            return
        for name, position in self._files.checkpoints().items():
            fewer = sum(number <= position.marker for number in numbers)
            if position.log == log and fewer:
                self._files.set_checkpoint(name, Position(log, position.marker - fewer), durable=True)

    def _squeeze(self, layout: Layout, log: int) -> int:
        """Replace a damaged segment by one without the damage. Returns how many bytes went."""
        path = self.path / segment_name(log)
        with self._files.opened(path.name) as fd, locked(fd):
            size = os.fstat(fd).st_size
            if not size:
                return 0
            with mmap.mmap(fd, size, prot=mmap.PROT_READ) as data:
                gone, numbers = damage(layout, data)
                if not gone:
                    return 0
                self._make_up_for(log, numbers)
                temporary = self.path / f".{path.name}-{os.urandom(4).hex()}"
                with temporary.open("wb") as whole:
                    at = 0
                    for start, end in [*gone, (size, size)]:
                        for piece in range(at, start, _CHUNK_BYTES):
                            whole.write(data[piece : min(piece + _CHUNK_BYTES, start)])
                        at = end
                    os.fchmod(whole.fileno(), os.fstat(fd).st_mode & 0o7777)
                    whole.flush()
                    os.fsync(whole.fileno())
            self._files.remove_index(log)
            temporary.rename(path)
            self._files.remove_index(log)  # that of a reader that came between
            self._files.sync()
        return sum(end - start for start, end in gone)


def _check_segment_size(size: int) -> None:
    if not 1 <= size <= MAX_SEGMENT_SIZE:
        raise ValueError(f"a segment has 1 to {MAX_SEGMENT_SIZE} bytes, not {size}")
