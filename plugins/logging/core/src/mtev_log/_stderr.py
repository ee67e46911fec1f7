"""Standard error: the backend of the stream `stderr`, and the last resort for what cannot be logged."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence

from .backend import BackendSettings
from .formats import encode_plain
from .record import Flags, Record

__all__ = ["StderrBackend", "complain", "write_all"]

_TIMESTAMPS = Flags(timestamps=True)


class StderrBackend:
    """Writes to a file descriptor that it neither opens nor closes.

    Args:
        settings: of these, the format.
        fd: the descriptor.
    """

    def __init__(self, settings: BackendSettings, fd: int = 2) -> None:
        self._encode = settings.encoder()
        self._fd = fd

    def open(self) -> None:
        """Nothing: it is open."""

    def write(self, records: Sequence[Record]) -> None:
        """Write; raises OSError when nobody reads any more."""
        write_all(self._fd, b"".join(map(self._encode, records)))

    def flush(self) -> None:
        """Nothing is held back."""

    def reopen(self) -> None:
        """There is no other one."""

    def close(self) -> None:
        """It stays open for others."""


def write_all(fd: int, data: bytes) -> None:
    """Write all bytes to a descriptor, in as many calls as it takes. Blocks.

    Raises:
        OSError: it failed, perhaps after a part.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def complain(text: str, fd: int = 2) -> None:
    """Write one line about the log itself, past all streams. Never raises."""
    record = Record(time.time_ns(), "", f"mtev-log: {text}", flags=_TIMESTAMPS)
    with contextlib.suppress(OSError):
        write_all(fd, encode_plain(record))
