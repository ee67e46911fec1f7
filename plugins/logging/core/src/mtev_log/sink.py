"""A sink: the backend of one stream, behind a lock, and what becomes of lines while it does not work.

Rules:

1. `write` never raises and never waits for anything but the backend and other writers.
2. Before `open`, up to `WAITING_LIMIT` lines wait, and are written first.
3. A backend that raises is *failing*. That is said once; lines are dropped and counted. After `RETRY_S`, the next
   line makes it reopen and try again. When that works, the number of lost lines is said, and it counts as working.
4. After `close`, lines go to the successor if there is one, else they are dropped and counted.
5. Backends are called by one thread at a time. Reports are made without the lock.

This is where writer threads will stand: a queue instead of the lock, and the same backends behind it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

from mtev_kernel import MtevError

from .backend import Backend, BackendSettings
from .record import Record

__all__ = ["RETRY_S", "WAITING_LIMIT", "Sink", "SinkReports", "one_line"]

RETRY_S = 1.0
"""How long a failing backend is left alone, in seconds."""

WAITING_LIMIT = 1000
"""How many lines wait for a sink that is not open yet."""


class SinkReports(Protocol):
    """Who is told how sinks are. Called on the thread that logged; must not log."""

    def sink_failed(self, sink: Sink, text: str) -> None: ...
    def sink_recovered(self, sink: Sink, text: str) -> None: ...


class _State(Enum):
    WAITING = 1
    WORKING = 2
    FAILING = 3
    CLOSED = 4


class Sink:
    """The backend of one stream. Thread-safe.

    Args:
        settings: what the backend was made from.
        backend: writes the lines.
        reports: told of failure and recovery.
        clock: a monotonic clock, in seconds.

    Attributes:
        written: lines handed to the backend.
        lost: lines that were dropped.
    """

    def __init__(
        self,
        settings: BackendSettings,
        backend: Backend,
        reports: SinkReports,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.backend = backend
        self.written = 0
        self.lost = 0
        self._reports = reports
        self._clock = clock
        self._lock = threading.Lock()
        self._state = _State.WAITING
        self._waiting: deque[Record] = deque()
        self._retry_at = 0.0
        self._lost_before = 0
        self._cause = ""
        self._successor: Sink | None = None

    @property
    def failing(self) -> str:
        """Why it does not work at the moment, or `""`."""
        return self._cause if self._state is _State.FAILING else ""

    def open(self) -> None:
        """Open the backend and write what waited. May block.

        Raises:
            Exception: whatever the backend raised; the sink waits as before.
        """
        with self._lock:
            self.backend.open()
            self._state = _State.WORKING
            self._successor = None
            waiting = list(self._waiting)
            self._waiting.clear()
            failure = self._deliver(waiting) if waiting else ""
        if failure:
            self._reports.sink_failed(self, failure)

    def open_or_fail(self) -> None:
        """Like `open`, but a backend that cannot be opened is failing, and will be tried again."""
        try:
            self.open()
        except (Exception, SystemExit) as error:
            with self._lock:
                failure = self._failed(error, len(self._waiting))
                self._waiting.clear()
            self._reports.sink_failed(self, failure)

    def write(self, records: Sequence[Record]) -> None:
        """Write records, or lose them. May block."""
        failure = recovery = ""
        successor: Sink | None = None
        with self._lock:
            match self._state:
                case _State.WORKING:
                    failure = self._deliver(records)
                case _State.WAITING:
                    room = WAITING_LIMIT - len(self._waiting)
                    self._waiting.extend(records[:room])
                    self.lost += len(records[room:])
                case _State.FAILING if self._clock() < self._retry_at:
                    self.lost += len(records)
                case _State.FAILING:
                    recovery = self._retry(records)
                case _State.CLOSED:
                    successor = self._successor
                    self.lost += 0 if successor else len(records)
        if failure:
            self._reports.sink_failed(self, failure)
        if recovery:
            self._reports.sink_recovered(self, recovery)
        if successor is not None:
            successor.write(records)

    def reopen(self) -> None:
        """Let the backend look again at what it writes to. May block."""
        self._maintain(self.backend.reopen)

    def flush(self) -> None:
        """Let the backend hand over what it holds back. May block."""
        self._maintain(self.backend.flush)

    def close(self, successor: Sink | None = None) -> None:
        """Flush and close the backend. May block; harmless to repeat.

        Args:
            successor: what takes over; lines that still come here go there.
        """
        self.flush()
        failure = ""
        with self._lock:
            if self._state is _State.CLOSED:
                return
            self.lost += len(self._waiting)
            self._waiting.clear()
            self._state = _State.CLOSED
            self._successor = successor
            try:
                self.backend.close()
            except (Exception, SystemExit) as error:
                failure = f"log '{self.settings.name}' cannot be closed properly: {one_line(error)}"
        if failure:
            self._reports.sink_failed(self, failure)

    def _maintain(self, act: Callable[[], None]) -> None:
        failure = ""
        with self._lock:
            if self._state is _State.WORKING:
                try:
                    act()
                except (Exception, SystemExit) as error:
                    failure = self._failed(error, 0)
        if failure:
            self._reports.sink_failed(self, failure)

    def _deliver(self, records: Sequence[Record]) -> str:
        try:
            self.backend.write(records)
        except (Exception, SystemExit) as error:
            return self._failed(error, len(records))
        self.written += len(records)
        return ""

    def _retry(self, records: Sequence[Record]) -> str:
        try:
            self.backend.reopen()
            self.backend.write(records)
        except (Exception, SystemExit) as error:
            self._failed(error, len(records), again=True)
            return ""
        self._state = _State.WORKING
        self.written += len(records)
        lost = self.lost - self._lost_before
        return f"log '{self.settings.name}' works again; lost lines: {lost}"

    def _failed(self, error: BaseException, lost: int, *, again: bool = False) -> str:
        self._state = _State.FAILING
        self._retry_at = self._clock() + RETRY_S
        self._cause = one_line(error)
        if not again:
            self._lost_before = self.lost
        self.lost += lost
        kind = f" (type '{self.settings.type}')" if self.settings.type else ""
        return f"log '{self.settings.name}'{kind} fails: {self._cause}; its lines are lost until it works again"


def one_line(error: BaseException) -> str:
    """An error in one line: of the system's and our own the message, of others the type too. Never raises."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an error that cannot say what it is must not become a second error
        text = ""
    if isinstance(error, OSError | MtevError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
