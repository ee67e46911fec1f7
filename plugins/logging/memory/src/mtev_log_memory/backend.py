"""The backend of type `memory`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from mtev_log import BackendSettings, LogError, Record

from ._waiting import Waiting
from .ring import Entry, Ring

__all__ = ["DEFAULT_BYTES", "DEFAULT_LINES", "MAX_WAITING", "MemoryBackend", "TooManyWaiting"]

DEFAULT_LINES = 10_000
DEFAULT_BYTES = 100_000
MAX_WAITING = 64
"""How many may wait for the lines of one log at once."""


class TooManyWaiting(LogError):
    """`MAX_WAITING` wait for the lines of a log already; ask again later, or without waiting."""


class MemoryBackend:
    """Keeps the latest lines in memory. Reading is thread-safe, also while lines are written.

    A text of several lines is one entry, with its prefixes once. What it holds outlives `close`, so that the lines of
    a service that failed to start can still be read.

    Args:
        settings: `path` is `lines,bytes`; either may be left out.

    Raises:
        ConfigurationError: `path` is something else, or there are options.
    """

    def __init__(self, settings: BackendSettings) -> None:
        settings.check_options()
        self.encode = settings.encoder(split=False)
        self._lock = threading.Lock()
        self._ring = Ring(*_limits(settings))
        self._waiting = Waiting(MAX_WAITING)
        self._ended = False

    def open(self) -> None:
        """Nothing to acquire. From now on lines may be waited for, also after a `close`."""
        self._ended = False

    def write(self, records: Sequence[Record]) -> None:
        """Keep records; older ones make room."""
        self.write_encoded(list(map(self.encode, records)), [record.time_ns for record in records])

    def write_encoded(self, lines: Sequence[bytes], times_ns: Sequence[int]) -> None:
        """Keep lines that `encode` made, with the time of each in nanoseconds since the epoch."""
        with self._lock:
            for time_ns, text in zip(times_ns, lines, strict=True):
                self._ring.append(time_ns, text)
        if self._waiting.armed:
            self._waiting.ring()

    def flush(self) -> None:
        """Nothing is held back."""

    def reopen(self) -> None:
        """Nothing to look at."""

    def close(self) -> None:
        """Nothing to release, and nothing more to wait for; the lines stay readable."""
        self.end_waits()

    def end_waits(self) -> None:
        """Let those who wait for lines go, and later ones not wait. Thread-safe; does not block."""
        self._ended = True
        self._waiting.ring()

    @property
    def dropped(self) -> int:
        """How many lines were too large to be kept."""
        return self._ring.dropped

    def lines_since(self, since: int | None = None, last: int | None = None) -> list[Entry]:
        """Lines, oldest first; see `Ring.lines_since`. Thread-safe."""
        with self._lock:
            return self._ring.lines_since(since, last)

    async def next_lines(self, since: int | None = None, last: int | None = None, *, wait_s: float) -> list[Entry]:
        """The same, as soon as there are any. Takes no thread; may be awaited on any loop, and cancelled.

        Args:
            since: as for `Ring.lines_since`.
            last: as for `Ring.lines_since`.
            wait_s: how long to wait at most, in seconds; 0 or more.

        Returns:
            Lines; none when no line came in time, or when the log ended.

        Raises:
            TooManyWaiting: there are none now, and `MAX_WAITING` wait for some already.
        """
        if (found := self.lines_since(since, last)) or self._ended:
            return found
        with self._waiting.place() as bell:
            if bell is None:
                raise TooManyWaiting(f"{MAX_WAITING} wait for lines of this log already")
            try:
                async with asyncio.timeout(wait_s):
                    while True:
                        self._waiting.arm(bell)
                        if (found := self.lines_since(since, last)) or self._ended:
                            return found
                        await bell.wait()
            except TimeoutError:
                return []


def _limits(settings: BackendSettings) -> tuple[int, int]:
    lines, _, size_bytes = settings.path.partition(",")
    values = []
    for text, default in ((lines, DEFAULT_LINES), (size_bytes, DEFAULT_BYTES)):
        text = text.strip()
        if text and not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) > 0):
            raise settings.error(
                f"path='{settings.path}' is not 'lines,bytes'; expected two numbers above 0 such as "
                f"'{DEFAULT_LINES},{DEFAULT_BYTES}'"
            )
        values.append(int(text) if text else default)
    return values[0], values[1]
