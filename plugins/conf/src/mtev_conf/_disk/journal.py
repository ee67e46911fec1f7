"""An append-only journal of records, for changes that are kept at once and written back later.

The format, pure (`encode_record`, `decode`): records one after another, each

    marker      4 bytes    ff 4a 52 01, which no UTF-8 text holds
    length      4 bytes    of the payload, little-endian
    CRC-32      4 bytes    of the payload
    CRC-32      4 bytes    of the 12 bytes before
    payload

1. A record counts when it is whole. Each is on the medium before the next is begun, so a crash can only leave a torn
   one at the end; it was never confirmed to anybody, and is cut.
2. What is not whole with a whole record behind it is damage, never a crash: an error that says where.
3. The first record is the header. A journal comes into being with it, whole, or not at all.

`Journal` is the thin file around it.
"""

from __future__ import annotations

import os
import stat
import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from mtev_kernel.errors import ConfigurationError

from .commit_record import digest, temporary_name
from .durable import Files, explain, write_all
from .lock import named_holders, try_lock

__all__ = [
    "MAX_JOURNAL_BYTES",
    "MAX_RECORD_BYTES",
    "Damaged",
    "Journal",
    "JournalFull",
    "Records",
    "decode",
    "encode_record",
]

MAX_RECORD_BYTES = 64 * 1024 * 1024
"""How long the payload of a record may be."""
MAX_JOURNAL_BYTES = 1024 * 1024 * 1024
"""How long a journal may become, unless told otherwise."""

_MARKER = b"\xffJR\x01"
_FIXED = struct.Struct("<4sII")
_CHECK = struct.Struct("<I")
_HEAD_BYTES = _FIXED.size + _CHECK.size


class Damaged(ValueError):
    """A record in the middle of a journal is not whole.

    Args:
        offset: where it begins, in bytes.
        following: where the next whole one begins.
    """

    def __init__(self, offset: int, following: int) -> None:
        super().__init__(f"the record at byte {offset} is damaged, and whole ones follow from byte {following}")
        self.offset = offset
        self.following = following


class JournalFull(ConfigurationError):
    """A record would make the journal longer than it may be: write the changes back, and begin another."""


def encode_record(payload: bytes) -> bytes:
    """The bytes of a record. Pure.

    Raises:
        ValueError: the payload is longer than MAX_RECORD_BYTES.
    """
    if len(payload) > MAX_RECORD_BYTES:
        raise ValueError(f"a record of {len(payload)} bytes is too long; at most {MAX_RECORD_BYTES} are allowed")
    fixed = _FIXED.pack(_MARKER, len(payload), zlib.crc32(payload))
    return fixed + _CHECK.pack(zlib.crc32(fixed)) + payload


def decode(data: bytes) -> tuple[list[bytes], int]:
    """The payloads of all whole records. Pure.

    Returns:
        The payloads, and how many bytes they take: what is behind that is a torn record.

    Raises:
        Damaged: a record is not whole, but one behind it is.
    """
    records: list[bytes] = []
    offset = 0
    while offset < len(data):
        payload = _payload_at(data, offset)
        if payload is None:
            following = data.find(_MARKER, offset + 1)
            while following >= 0:
                if _payload_at(data, following) is not None:
                    raise Damaged(offset, following)
                following = data.find(_MARKER, following + 1)
            break
        records.append(payload)
        offset += _HEAD_BYTES + len(payload)
    return records, offset


def _payload_at(data: bytes, offset: int) -> bytes | None:
    """The payload of the record that begins there, or None when there is no whole one."""
    if len(data) - offset < _HEAD_BYTES:
        return None
    marker, length, payload_sum = _FIXED.unpack_from(data, offset)
    (head_sum,) = _CHECK.unpack_from(data, offset + _FIXED.size)
    if marker != _MARKER or head_sum != zlib.crc32(data[offset : offset + _FIXED.size]):
        return None
    begin = offset + _HEAD_BYTES
    payload = data[begin : begin + length]
    return payload if len(payload) == length and zlib.crc32(payload) == payload_sum else None


@dataclass(frozen=True, slots=True)
class Records:
    """What is in a journal.

    Args:
        header: what it was created with.
        records: what was appended, in order.
        torn_bytes: length of an unconfirmed record that a crash has left at the end.
    """

    header: bytes
    records: tuple[bytes, ...]
    torn_bytes: int = 0


class Journal:
    """A journal file. Its methods block on the disk, and may be called from any thread.

    It is open after `create` or `open`, until `close` or `remove`; leaving a `with` closes it. One process at a time
    has it open; anybody may `read`.

    Args:
        path: the file, in a directory that exists.
        mode: the permissions that it is created with.
        limit_bytes: how long it may become.
        files: the way to the disk; the real one when None.
    """

    def __init__(
        self, path: str, *, mode: int = 0o600, limit_bytes: int = MAX_JOURNAL_BYTES, files: Files | None = None
    ) -> None:
        self._path = Path(os.path.realpath(path))
        self._mode = mode
        self._limit_bytes = limit_bytes
        self._files = Files() if files is None else files
        self._lock = threading.Lock()
        self._descriptor = -1
        self._size_bytes = 0

    @property
    def path(self) -> str:
        """Absolute path of the file."""
        return str(self._path)

    @property
    def size_bytes(self) -> int:
        """How long it is, while it is open; 0 while it is not."""
        return self._size_bytes

    def exists(self) -> bool:
        """Whether there is such a file."""
        return os.path.lexists(self._path)

    def create(self, header: bytes, *, replace: bool = False) -> None:
        """Begin a journal, and open it. It exists, header and all, when this returns, also after a loss of power.

        Args:
            header: the first record.
            replace: take the place of one that exists, in one step; its records are lost.

        Raises:
            ConfigurationError: there is one already, it is in use, or it cannot be written.
            ValueError: the header is too long.
        """
        data = encode_record(header)
        with self._lock:
            if self.exists() and not replace:
                raise self._error(
                    "the journal exists already; its changes have to be written back before another begins"
                )
            self._close()
            present = self._taken_present()
            temporary = self._path.parent / temporary_name(digest(os.fsencode(self._path))[:8].hex(), 0)
            made = -1
            try:
                if os.path.lexists(temporary):
                    self._files.unlink(temporary)
                made = self._files.create(temporary)
                self._take(made)
                self._files.chmod(made, self._mode)
                write_all(self._files, made, data)
                self._files.fsync(made)
                self._files.rename(temporary, self._path)
                self._files.sync_directory(self._path.parent)
            except BaseException as error:
                if made >= 0:
                    self._drop(made, temporary, error)
                if isinstance(error, OSError):
                    raise self._error(f"the journal cannot be begun: {explain(error, self._path.parent)}") from error
                raise
            finally:
                if present >= 0:
                    os.close(present)
            self._descriptor, self._size_bytes = made, len(data)

    def open(self) -> Records:
        """Open a journal to append to it; a torn record at its end is cut off.

        Raises:
            ConfigurationError: there is none, it is damaged, in use, or cannot be read or written.
        """
        with self._lock:
            self._close()
            descriptor = -1
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                self._take(descriptor)
                found, size_bytes = self._decoded(descriptor)
                if found.torn_bytes:
                    self._files.truncate(descriptor, size_bytes)
                    self._files.fsync(descriptor)
            except BaseException as error:
                if descriptor >= 0:
                    os.close(descriptor)
                if isinstance(error, OSError):
                    raise self._error(f"the journal cannot be opened: {explain(error, self._path.parent)}") from error
                raise
            self._descriptor, self._size_bytes = descriptor, size_bytes
            return found

    def read(self) -> Records:
        """Read a journal, open or not; nothing is changed.

        Raises:
            ConfigurationError: there is none, it is damaged, or cannot be read.
        """
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                return self._decoded(descriptor)[0]
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._error(f"the journal cannot be read: {explain(error, self._path.parent)}") from error

    def append(self, record: bytes) -> None:
        """Add a record. It is on the medium when this returns.

        Raises:
            JournalFull: the journal would become too long.
            ConfigurationError: it is not open, has been replaced or removed by somebody else, or cannot be written;
                then nothing of the record is in it.
            ValueError: the record is too long.
        """
        data = encode_record(record)
        with self._lock:
            if self._descriptor < 0:
                raise self._error("the journal is not open; open or create it first")
            if self._size_bytes + len(data) > self._limit_bytes:
                raise JournalFull(
                    f"the journal is full: {self._size_bytes} bytes, at most {self._limit_bytes} are allowed; save the "
                    "configuration to its files, which begins another",
                    str(self._path),
                )
            try:
                if not os.path.samestat(os.fstat(self._descriptor), self._path.lstat()):
                    raise FileNotFoundError
            except FileNotFoundError:
                self._close()
                raise self._error(
                    "the journal was replaced or removed by somebody else; save the configuration"
                ) from None
            try:
                os.lseek(self._descriptor, self._size_bytes, os.SEEK_SET)
                write_all(self._files, self._descriptor, data)
                self._files.fsync(self._descriptor)
            except BaseException as error:
                self._take_back(error)
                if isinstance(error, OSError):
                    raise self._error(f"the change cannot be kept: {explain(error, self._path.parent)}") from error
                raise
            self._size_bytes += len(data)

    def close(self) -> None:
        """Close it; the file stays."""
        with self._lock:
            self._close()

    def remove(self) -> None:
        """Remove the file for good, if there is one.

        Raises:
            ConfigurationError: it cannot be removed.
        """
        with self._lock:
            try:
                if self.exists():
                    self._files.unlink(self._path)
                self._files.sync_directory(self._path.parent)
            except OSError as error:
                raise self._error(f"the journal cannot be removed: {explain(error, self._path.parent)}") from error
            finally:
                self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, descriptor: int) -> None:
        if not try_lock(descriptor, exclusive=True):
            raise self._error(f"the journal is in use by {named_holders(descriptor)}; only one may write to it")

    def _decoded(self, descriptor: int) -> tuple[Records, int]:
        """What is in the file, and the size of what is whole."""
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise self._error("the journal is not a file; move it away")
        if status.st_size > self._limit_bytes:
            raise self._error(f"the journal has {status.st_size} bytes; at most {self._limit_bytes} are allowed")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(self._limit_bytes)
        try:
            records, size_bytes = decode(data)
        except Damaged as error:
            raise self._error(
                f"the journal is damaged: {error}. Changes in it are lost, so it is not used; move it away to go on "
                "without any of them"
            ) from None
        if not records:
            raise self._error("it is not a journal, or its header is damaged; move it away to go on without it")
        return Records(records[0], tuple(records[1:]), len(data) - size_bytes), size_bytes

    def _take_back(self, error: BaseException) -> None:
        """Cut what an append that failed has left; if even that fails, close, because the end is not known any more."""
        try:
            self._files.truncate(self._descriptor, self._size_bytes)
            self._files.fsync(self._descriptor)
        except OSError as second:
            self._close()
            error.add_note(f"the journal {self._path} is closed, because its end cannot be cut off: {second}")

    def _taken_present(self) -> int:
        """A descriptor that locks the present file, so that nobody's journal is replaced while it is in use; or -1."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return -1
        except OSError as error:
            raise self._error(f"the journal cannot be replaced: {explain(error, self._path.parent)}") from error
        try:
            self._take(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _drop(self, made: int, temporary: Path, failure: BaseException) -> None:
        """Remove what a `create` that failed has made, under whichever name it has."""
        try:
            for path in (temporary, self._path):
                if os.path.lexists(path) and os.path.samestat(os.fstat(made), path.lstat()):
                    self._files.unlink(path)
        except OSError as error:
            failure.add_note(f"an empty journal is left at {temporary} or {self._path}: {error}")
        finally:
            os.close(made)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor, self._size_bytes = -1, 0

    def _error(self, message: str) -> ConfigurationError:
        return ConfigurationError(message, str(self._path))
