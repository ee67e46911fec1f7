"""The bytes of a journal, as libjlog 2 writes them. Pure: no files, no clock.

    record      u32 magic, u32 seconds, u32 microseconds, u32 length, body
                with compression a fifth u32, the length on the disk, before the body
    metastore   u32 current segment, u32 segment size, u32 safety, u32 magic
    checkpoint  u32 segment, u32 marker: the last record that was consumed, counted from 1; 0 for none

All in the byte order of the machine. How records are found in a segment: `records.py`.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from mmap import mmap
from typing import NamedTuple, Self, TypeAlias

import lz4.block

from .errors import DamagedJournal

__all__ = [
    "COMPRESSED_MAGIC",
    "DEFAULT_SEGMENT_SIZE",
    "FOREIGN",
    "LAST_SEGMENT",
    "MAGICS",
    "MAX_BODY",
    "PLAIN_MAGIC",
    "Compression",
    "Entry",
    "Layout",
    "Metastore",
    "Position",
    "Safety",
    "checkpoint_name",
    "segment_name",
    "segment_number",
    "subscriber_of",
]

PLAIN_MAGIC = 0x663A7318
COMPRESSED_MAGIC = 0x15106A00
DEFAULT_SEGMENT_SIZE = 4 * 1024 * 1024
LAST_SEGMENT = 2**32 - 1

MAX_BODY = 256 * 1024 * 1024
"""Largest record, in bytes: what claims to be larger is damage."""

_METASTORE = struct.Struct("=4I")
_CHECKPOINT = struct.Struct("=2I")
_PLAIN = struct.Struct("=4I")
_COMPRESSED = struct.Struct("=5I")
_LARGEST = 2**32 - 1
_LZ4_RATIO = 255  # of a block: every byte of it stands for no more

Buffer: TypeAlias = bytes | bytearray | mmap


class Safety(IntEnum):
    """libjlog's levels: what it syncs of its own accord. Kept for it; ours is the writer's `durability`."""

    UNSAFE = 0
    ALMOST_SAFE = 1
    SAFE = 2


class Compression(IntEnum):
    """How bodies are stored; the last byte of a compressed journal's magic."""

    NULL = 0
    LZ4 = 1


MAGICS = (PLAIN_MAGIC, *(COMPRESSED_MAGIC | each for each in Compression))
"""Those that there are."""

FOREIGN = "it holds records of another kind than the metastore says; 'mtev-jlog data --repair' finds out which"


class Position(NamedTuple):
    """A place in a journal: a segment and the number of a record in it, from 1; 0 is before the first."""

    log: int
    marker: int

    def __str__(self) -> str:
        return f"{self.log:08x}:{self.marker:08x}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position that `str` gave, as jlogctl writes it too.

        Raises:
            ValueError: it is something else.
        """
        log, colon, marker = text.strip().partition(":")
        try:
            found = cls(int(log, 16), int(marker, 16))
        except ValueError:
            found = cls(-1, -1)
        if not colon or not (0 <= found.log <= _LARGEST and 0 <= found.marker <= _LARGEST):
            raise ValueError(f"'{text}' is not a position; expected segment:marker in hexadecimal, such as 0000000a:1")
        return found

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """The position in a checkpoint.

        Raises:
            DamagedJournal: it has not eight bytes.
        """
        if len(data) != _CHECKPOINT.size:
            raise DamagedJournal(f"a checkpoint has {_CHECKPOINT.size} bytes, this one has {len(data)}")
        return cls(*_CHECKPOINT.unpack(data))

    def pack(self) -> bytes:
        """The bytes of a checkpoint."""
        return _CHECKPOINT.pack(self.log, self.marker)


class Entry(NamedTuple):
    """A record that was read. A tuple, for there are a million of them a second.

    Args:
        position: where it stands.
        time_us: when it was written, in microseconds since the epoch.
        body: what was written.
    """

    position: Position
    time_us: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Metastore:
    """What a journal says about itself.

    Args:
        storage_log: the current segment, the only one that is written.
        unit_limit: a segment that has reached this size, in bytes, is complete.
        safety: libjlog's.
        magic: that of every record.
    """

    storage_log: int = 0
    unit_limit: int = DEFAULT_SEGMENT_SIZE
    safety: int = Safety.ALMOST_SAFE
    magic: int = PLAIN_MAGIC

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """The metastore in these bytes.

        Raises:
            DamagedJournal: they are none.
        """
        if len(data) != _METASTORE.size:
            raise DamagedJournal(f"the metastore has {len(data)} bytes instead of {_METASTORE.size}")
        found = cls(*_METASTORE.unpack(data))
        if found.safety > Safety.SAFE or not found.unit_limit:
            raise DamagedJournal(
                f"the metastore says safety {found.safety} and segment size {found.unit_limit}, which cannot be"
            )
        Layout(found.magic)
        return found

    def pack(self) -> bytes:
        """Its bytes."""
        return _METASTORE.pack(self.storage_log, self.unit_limit, self.safety, self.magic)


class Layout:
    """How the records of one journal look.

    Args:
        magic: the journal's.

    Attributes:
        compression: how bodies are stored; None when they are stored as they are.
        header_size: of a record, in bytes.

    Raises:
        DamagedJournal: there is no such magic.
    """

    def __init__(self, magic: int) -> None:
        self.magic = magic
        self.compression: Compression | None = None
        if magic not in MAGICS:
            raise DamagedJournal(f"a journal with the magic {magic:#010x} is not known")
        if magic != PLAIN_MAGIC:
            self.compression = Compression(magic & 0xFF)
        self.header = _PLAIN if self.compression is None else _COMPRESSED
        self.header_size = self.header.size
        self.magic_bytes = struct.pack("=I", magic)

    @classmethod
    def of(cls, compression: Compression | None) -> Self:
        """The layout with that compression."""
        return cls(PLAIN_MAGIC if compression is None else COMPRESSED_MAGIC | compression)

    def is_foreign(self, magic: bytes) -> bool:
        """Whether that is the magic of another kind of journal."""
        return magic != self.magic_bytes and int.from_bytes(magic, sys.byteorder) in MAGICS

    def encode(self, bodies: Iterable[bytes], time_us: int) -> list[bytes]:
        """Records with these bodies.

        Args:
            bodies: at most `MAX_BODY` bytes each.
            time_us: when they are written, in microseconds since the epoch.

        Raises:
            ValueError: a body is too large.
        """
        seconds, micros = divmod(time_us, 1_000_000)
        magic, compression = self.magic, self.compression
        pack = self.header.pack
        records = []
        for body in bodies:
            size = len(body)
            if size > MAX_BODY:
                raise ValueError(f"a record has at most {MAX_BODY} bytes, this one has {size}")
            if compression is None:
                records.append(pack(magic, seconds, micros, size) + body)
            else:
                stored = body if compression is Compression.NULL else lz4.block.compress(body, store_size=False)
                records.append(pack(magic, seconds, micros, size, len(stored)) + stored)
        return records

    def stored_size(self, data: Buffer, offset: int) -> int:
        """The size on the disk of the record at an offset, header included; 0 when no whole header is there."""
        if len(data) - offset < self.header_size:
            return 0
        fields = self.header.unpack_from(data, offset)
        if fields[0] != self.magic or fields[3] > MAX_BODY:
            return 0
        return self.header_size + int(fields[-1])

    def decode(self, data: Buffer, offset: int, position: Position) -> Entry:
        """The record at an offset that `scan` found.

        Raises:
            DamagedJournal: its body cannot be restored.
        """
        fields = self.header.unpack_from(data, offset)
        start = offset + self.header_size
        stored = bytes(data[start : start + fields[-1]])
        try:
            body = self.restore(stored, fields[3])
        except DamagedJournal as error:
            raise DamagedJournal(f"the record {position} {error}") from None
        return Entry(position, fields[1] * 1_000_000 + fields[2], body)

    def restore(self, stored: bytes, size: int) -> bytes:
        """The body of a record.

        Args:
            stored: what is on the disk.
            size: how large it says that it is, in bytes. Memory for it is taken only when that can be.

        Raises:
            DamagedJournal: it is not what was stored.
        """
        if self.compression is Compression.LZ4:
            if size > _LZ4_RATIO * len(stored):
                raise DamagedJournal(f"cannot be decompressed: {len(stored)} bytes are no {size}")
            try:
                stored = lz4.block.decompress(stored, uncompressed_size=size)
            except (lz4.block.LZ4BlockError, ValueError, MemoryError, OverflowError) as error:
                raise DamagedJournal(f"cannot be decompressed: {error}") from None
        if len(stored) != size:
            raise DamagedJournal(f"has {len(stored)} bytes instead of {size}")
        return stored


def segment_name(log: int) -> str:
    """The file of a segment."""
    return f"{log:08x}"


def segment_number(name: str) -> int | None:
    """The segment that a file is, or None."""
    return int(name, 16) if len(name) == 8 and set(name) <= set("0123456789abcdef") else None


def checkpoint_name(subscriber: str) -> str:
    """The file of a subscriber's checkpoint."""
    return f"cp.{subscriber.encode('utf-8', 'surrogateescape').hex()}"


def subscriber_of(name: str) -> str | None:
    """The subscriber whose checkpoint a file is, or None."""
    if not name.startswith("cp.") or len(name) < 5:
        return None
    try:
        found = bytes.fromhex(name[3:]).decode("utf-8", "surrogateescape")
    except ValueError:
        return None
    return found if checkpoint_name(found) == name else None
