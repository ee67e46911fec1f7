"""Standard error: the backend of the stream `stderr`, and the last resort for what cannot be logged.

On a terminal, lines in the plain format have colours: red for `error` and what is below it, yellow for warnings of the
standard library, grey for `debug`. `NO_COLOR` in the environment, or a terminal that is `dumb`, means none.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Sequence

from .backend import BackendSettings
from .formats import Encoder, encode_plain
from .record import Flags, Record

__all__ = ["StderrBackend", "complain", "write_all"]

_TIMESTAMPS = Flags(timestamps=True)
_RED, _YELLOW, _GREY, _RESET = b"\x1b[31m", b"\x1b[33m", b"\x1b[90m", b"\x1b[0m"


class StderrBackend:
    """Writes to a file descriptor that it neither opens nor closes.

    Args:
        settings: of these, the format.
        fd: the descriptor.
    """

    def __init__(self, settings: BackendSettings, fd: int = 2) -> None:
        self._fd = fd
        self._encode = settings.encoder()
        if settings.format == "plain" and shows_colours(fd):
            self._encode = coloured(self._encode)

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


def shows_colours(fd: int) -> bool:
    """Whether a descriptor is a terminal whose user wants colours."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb" and os.isatty(fd)


def coloured(encode: Encoder) -> Encoder:
    """An encoder whose lines have colours, each of them on its own, so that a pager can show any part of them."""

    def encoded(record: Record) -> bytes:
        data = encode(record)
        colour = _colour(record)
        if not colour:
            return data
        return b"".join(colour + line + _RESET + b"\n" for line in data.removesuffix(b"\n").split(b"\n"))

    return encoded


def _colour(record: Record) -> bytes:
    kind = record.facility.partition("/")[0]
    if kind == "error" or record.level >= logging.ERROR:
        return _RED
    if record.level >= logging.WARNING:
        return _YELLOW
    return _GREY if kind == "debug" else b""


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
