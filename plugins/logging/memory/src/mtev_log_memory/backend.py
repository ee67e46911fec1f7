"""The backend of type `memory`."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from mtev_log import BackendSettings, Record

from .ring import Entry, Ring

__all__ = ["DEFAULT_BYTES", "DEFAULT_LINES", "MemoryBackend"]

DEFAULT_LINES = 10_000
DEFAULT_BYTES = 100_000


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
        self._encode = settings.encoder(split=False)
        self._lock = threading.Lock()
        self._ring = Ring(*_limits(settings))

    def open(self) -> None:
        """Nothing to acquire."""

    def write(self, records: Sequence[Record]) -> None:
        """Keep records; older ones make room."""
        encoded = [(record.time_ns, self._encode(record)) for record in records]
        with self._lock:
            for time_ns, text in encoded:
                self._ring.append(time_ns, text)

    def flush(self) -> None:
        """Nothing is held back."""

    def reopen(self) -> None:
        """Nothing to look at."""

    def close(self) -> None:
        """Nothing to release; the lines stay readable."""

    @property
    def dropped(self) -> int:
        """How many lines were too large to be kept."""
        return self._ring.dropped

    def lines_since(self, since: int | None = None, last: int | None = None) -> list[Entry]:
        """Lines, oldest first; see `Ring.lines_since`. Thread-safe."""
        with self._lock:
            return self._ring.lines_since(since, last)


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
