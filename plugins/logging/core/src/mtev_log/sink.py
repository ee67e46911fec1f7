"""A sink: the queue in front of one stream's backend, the thread that empties it, and what becomes of lines when it
does not work.

Whoever logs appends to `queue` and, when the sink is `asleep`, calls `wake`: no lock, no formatting. Everything else
happens in `_drain`, under a lock, mostly on the sink's own thread.

Rules:

1. The caller's part never raises. It waits only where the policy is `block`, and in synchronous mode.
2. One thread at a time takes lines off the queue *and* hands them to the backend, so order is that of the appends.
3. In synchronous mode, and when closed, the sink is always asleep, and `wake` drains on the caller's thread.
4. Otherwise `wake` rings a bell; the writer keeps looking for a moment after it has worked, before it sleeps again.
5. Before `open`, lines wait in the queue.
6. A backend that raises is *failing*; that is said once. Lines wait in the queue. Every `RETRY_S` it reopens and tries
   again, and when that works, says so. Of a batch that failed, what the backend did not report as unwritten
   (`IncompleteWrite`) is lost, for nobody knows what of it is written.
7. A full queue means, by policy: `drop` loses the new line; `drop_oldest` the oldest; `block` makes the caller wait,
   but not while the backend is failing or not open, and for `BLOCK_LIMIT_S` at most.
8. Lost lines are counted, and their number is written to the sink itself when there is room again.
9. After `close`, lines go to the successor if there is one, else they are lost.
10. What a thread logs while it drains is dropped by the streams (`Nesting`). Reports are made without the lock.
11. A child after a fork starts with an empty queue: what stood in it is the parent's to write.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import Enum
from itertools import islice
from typing import Protocol

from mtev_kernel import MtevError

from . import _forks
from ._delivery import Delivery
from ._line import Line, Plan, Way
from .backend import Backend, BackendSettings
from .errors import IncompleteWrite
from .handover import Nesting, Overflow, SinkOptions
from .record import Record

__all__ = ["BLOCK_LIMIT_S", "RETRY_S", "Sink", "SinkReports", "one_line"]

RETRY_S = 1.0
"""How long a failing backend is left alone, in seconds."""

BLOCK_LIMIT_S = 10.0
"""How long the policy `block` makes a caller wait at most, in seconds."""

_BATCH = 1000
_LINGER_S = (0.002, 0.005, 0.01, 0.02)
_LOCK_LIMIT_S = 5.0
_TICK_S = 1.0


class SinkReports(Protocol):
    """Who is told how sinks are. Called on the thread that drains; must not log."""

    def sink_failed(self, sink: Sink, text: str) -> None: ...
    def sink_recovered(self, sink: Sink, text: str) -> None: ...


class _State(Enum):
    WAITING = 1
    WORKING = 2
    FAILING = 3
    CLOSED = 4


class Sink:
    """The queue and the backend of one stream. Thread-safe.

    Args:
        settings: what the backend was made from.
        backend: writes the lines.
        reports: told of failure and recovery.
        nesting: that of the service.
        options: how lines are handed over.
        clock: a monotonic clock, in seconds.

    Attributes:
        queue: lines that wait. Append, then `wake` if `asleep`.
        limit: how long the queue may get; call `make_room` when it is that long.
        asleep: whether nobody looks at the queue.
        written: records handed to the backend.
        lost: lines that were dropped.
    """

    __slots__ = (
        "__weakref__",
        "_as_is",
        "_bell",
        "_cause",
        "_clock",
        "_counting",
        "_delivery",
        "_lock",
        "_lost_before",
        "_lost_told",
        "_maintain",
        "_nesting",
        "_options",
        "_reports",
        "_retry_at",
        "_state",
        "_successor",
        "_synchronous",
        "_thread",
        "_told_at",
        "asleep",
        "backend",
        "limit",
        "lost",
        "queue",
        "settings",
        "written",
    )

    def __init__(
        self,
        settings: BackendSettings,
        backend: Backend,
        reports: SinkReports,
        nesting: Nesting | None = None,
        options: SinkOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.backend = backend
        self._options = options or SinkOptions()
        self.queue: deque[Line] = deque()
        self.limit = self._options.queue_lines
        self.asleep = False
        self.written = 0
        self.lost = 0
        self._reports = reports
        self._nesting = nesting or Nesting()
        self._clock = clock
        self._lock = threading.Lock()
        self._bell = threading.Lock()
        self._bell.acquire()
        self._counting = threading.RLock()  # reentrant: what a finalizer logs may be lost while a loss is counted
        self._state = _State.WAITING
        self._synchronous = True
        self._thread: threading.Thread | None = None
        self._retry_at = 0.0
        self._cause = ""
        self._lost_before = 0
        self._lost_told = 0
        self._told_at = 0.0
        self._successor: Sink | None = None
        self._delivery = Delivery(backend, self)
        self._maintain: Callable[[], None] | None = getattr(backend, "maintain", None)
        self._as_is = Plan("", (self,), {self: (Way(None),)})
        _forks.watch(self)

    @property
    def options(self) -> SinkOptions:
        """How lines are handed over."""
        return self._options

    @property
    def failing(self) -> str:
        """Why it does not work at the moment, or `""`."""
        return self._cause if self._state is _State.FAILING else ""

    @property
    def suppressed(self) -> int:
        """How many lines rate limits and de-duplication held back."""
        return self._delivery.suppressed

    # What callers of a log call do.

    def write(self, records: Sequence[Record]) -> None:
        """Append records as they are, with their flags."""
        self._take([(self._as_is, record) for record in records])

    def make_room(self) -> bool:
        """The queue is full: do what the policy says. May block if that is `block`.

        Returns:
            Whether the line may be appended; otherwise it has been counted as lost.
        """
        policy = self._options.overflow
        if policy is Overflow.BLOCK and self._nesting.thread is not None:
            deadline = self._clock() + BLOCK_LIMIT_S
            while self._works and self._clock() < deadline:
                if self.asleep:
                    self.wake()
                if len(self.queue) < self.limit:
                    return True
                time.sleep(0.001)
        if policy is Overflow.DROP_OLDEST:
            with suppress(IndexError):
                self.queue.popleft()
                self._lose(1)
            return True
        self._lose(1)
        return False

    def wake(self) -> None:
        """See to it that somebody looks at the queue. May block in synchronous mode."""
        if self._state is _State.CLOSED:
            self._pass_on()
            return
        if self._synchronous:
            self._drain()
            return
        if self._thread is None and not self._start_thread():  # after a fork
            self._drain()
            return
        self.asleep = False
        self._ring()

    # What the service does.

    def open(self) -> None:
        """Open the backend; write what waits. May block.

        Raises:
            Exception: whatever the backend raised; the sink waits as before.
        """
        with self._lock:
            self.backend.open()
            self._state = _State.WORKING
            self._successor = None
            self._delivery.forget()
            self.asleep = self._synchronous
        self._drain()

    def open_or_fail(self) -> None:
        """Like `open`, but a backend that cannot be opened is failing, and will be tried again."""
        try:
            self.open()
        except (Exception, SystemExit) as error:
            with self._lock:
                failure = self._failed(error, 0)
                self.asleep = self._synchronous
            self._reports.sink_failed(self, failure)

    def go_asynchronous(self) -> None:
        """From now on a thread drains, unless the type or the `<log>` asked for the contrary. Open it first."""
        if self._options.synchronous or not self._synchronous or self._state is _State.CLOSED:
            return
        self._synchronous = not self._start_thread()

    def go_synchronous(self) -> None:
        """Drain on the caller's thread from now on; what is queued is written first. May block for seconds."""
        if self._synchronous:
            return
        thread, self._thread = self._thread, None
        self._ring()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_LOCK_LIMIT_S)
        self._synchronous = True
        self.asleep = self._state is not _State.WAITING
        self._drain(_LOCK_LIMIT_S)

    def reopen(self) -> None:
        """Let the backend look again at what it writes to. May block."""
        self._drain(_LOCK_LIMIT_S)
        self._call(self.backend.reopen)

    def flush(self, timeout_s: float = _LOCK_LIMIT_S) -> bool:
        """Write what is queued, and let the backend hand over what it holds back. May block.

        Args:
            timeout_s: how long to wait for a writer that is stuck, in seconds.

        Returns:
            Whether everything that was logged before is written.
        """
        if not self._drain(timeout_s):
            return False
        self._call(self.backend.flush)
        return self._state is _State.WORKING

    def close(self, successor: Sink | None = None) -> None:
        """Write what is queued, flush and close the backend. May block for seconds; harmless to repeat.

        Args:
            successor: what takes over; lines that still come here go there.
        """
        self.go_synchronous()
        self.flush()
        failure = ""
        if not self._lock.acquire(timeout=_LOCK_LIMIT_S):
            failure = f"log '{self.settings.name}' cannot be closed: its backend has been busy for {_LOCK_LIMIT_S:g} s"
            self._state = _State.CLOSED
            self._successor = successor
            self.asleep = True
            self._reports.sink_failed(self, failure)
            self._pass_on()
            return
        try:
            if self._state is _State.CLOSED:
                return
            self._state = _State.CLOSED
            self._successor = successor
            self.asleep = True
            if successor is None:
                self._lose(len(self._delivery.kept))
            else:
                successor.write(self._delivery.kept)
            self._delivery.kept = []
            if self.lost != self._lost_told:
                self._tell_lost(now=True)
            try:
                self.backend.close()
            except (Exception, SystemExit) as error:
                failure = f"log '{self.settings.name}' cannot be closed properly: {one_line(error)}"
        finally:
            self._lock.release()
        if failure:
            self._reports.sink_failed(self, failure)
        self._pass_on()

    def tick(self) -> None:
        """About once a second: what is due without a line. May block."""
        if self._maintain is not None:
            self._call(self._maintain)
        if self._delivery.pending:
            self.write(self._delivery.summaries())
        if self.lost != self._lost_told:
            self._call(self._tell_lost)

    # The inside.

    @property
    def _works(self) -> bool:
        return self._state is _State.WORKING  # another thread may change it between two looks

    def after_fork(self) -> None:
        """In a child: what is queued is the parent's to write, and its threads are not here. For `_forks`."""
        self.queue.clear()
        self._delivery.kept = []
        self._lock = threading.Lock()
        self._counting = threading.RLock()
        self._bell = threading.Lock()
        self._bell.acquire()
        self._thread = None
        self.asleep = self._state is not _State.WAITING

    def hold(self, timeout_s: float) -> bool:
        """Before a fork: keep writers out, so that no backend is forked in the middle of a write. For `_forks`."""
        return self._lock.acquire(timeout=timeout_s)

    def release(self) -> None:
        """In the parent after a fork, where `hold` was granted. For `_forks`."""
        self._lock.release()

    def _take(self, lines: Iterable[Line]) -> None:
        for line in lines:
            if len(self.queue) >= self.limit and not self.make_room():
                continue
            self.queue.append(line)
        if self.asleep:
            self.wake()

    def _lose(self, count: int) -> None:
        with self._counting:
            self.lost += count

    def _ring(self) -> None:
        with suppress(RuntimeError):  # it rings already
            self._bell.release()

    def _start_thread(self) -> bool:
        thread = threading.Thread(target=self._run, name=f"l:{self.settings.name}"[:15], daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the interpreter ends
            self._thread = None
            return False
        return True

    def _run(self) -> None:
        me = threading.current_thread()
        self._nesting.thread = None  # whatever a backend logs must not come back to it
        polls = 0
        ticked_at = self._clock()
        while self._thread is me:
            polls = 0 if self.queue else polls + 1
            self._drain()
            now = self._clock()
            if now - ticked_at >= _TICK_S:
                ticked_at = now
                self.tick()
            if self._state is _State.FAILING:
                self._bell.acquire(timeout=min(max(0.01, self._retry_at - now), RETRY_S))
            elif self.queue:
                continue
            elif polls < len(_LINGER_S):
                self._bell.acquire(timeout=_LINGER_S[polls])
            else:
                self.asleep = True
                if not self.queue:
                    self._bell.acquire(timeout=_TICK_S if self._something_is_due else -1)
                self.asleep = False

    @property
    def _something_is_due(self) -> bool:
        return self._maintain is not None or self.lost != self._lost_told or self._delivery.pending

    def _drain(self, timeout_s: float = -1) -> bool:
        """Write what is in the queue now, as far as it goes.

        Returns:
            False when the lock could not be had in time.
        """
        nesting = self._nesting
        thread, nesting.thread = nesting.thread, None
        reports: list[tuple[Callable[[Sink, str], None], str]] = []
        try:
            if not self._lock.acquire(timeout=timeout_s):
                return False
            try:
                left = len(self.queue)
                while left > 0 or self._delivery.kept or self._state is _State.FAILING:
                    count = 0 if self._delivery.kept else min(left, _BATCH)
                    if not self._step(count, reports):
                        break
                    left -= count
            finally:
                self._lock.release()
            for report, text in reports:
                report(self, text)
        finally:
            nesting.thread = thread
        return True

    def _step(self, count: int, reports: list[tuple[Callable[[Sink, str], None], str]]) -> bool:
        """Take some lines off the queue and write them. Returns whether there is a point in going on."""
        if self._state is _State.WAITING:
            return False
        if self._state is _State.CLOSED:
            return False
        again = self._state is _State.FAILING
        if again and self._clock() < self._retry_at:
            return False
        if again and not self._reopened():
            return False
        delivery = self._delivery
        try:
            self.written += delivery.write([] if delivery.kept else self._taken(count))
        except IncompleteWrite as error:
            self.written += error.written
            self._report_failure(error, 0, again, reports)
            return False
        except (Exception, SystemExit) as error:
            self._report_failure(error, delivery.attempted, again, reports)
            return False
        if again:
            self._state = _State.WORKING
            lost = self.lost - self._lost_before
            text = f"log '{self.settings.name}' works again; lost lines: {lost}"
            reports.append((self._reports.sink_recovered, text))
        if self.lost != self._lost_told:
            self._tell_lost()
        return True

    def _reopened(self) -> bool:
        try:
            self.backend.reopen()
        except (Exception, SystemExit) as error:  # nothing was given to it, so nothing is lost
            self._failed(error, 0)
            return False
        return True

    def _report_failure(
        self, error: BaseException, lost: int, again: bool, reports: list[tuple[Callable[[Sink, str], None], str]]
    ) -> None:
        text = self._failed(error, lost)
        if not again:
            reports.append((self._reports.sink_failed, text))

    def _taken(self, count: int) -> list[Line]:
        lines: list[Line] = []
        with suppress(IndexError):  # drop_oldest was faster
            lines.extend(islice(iter(self.queue.popleft, None), count))
        return lines

    def _pass_on(self) -> None:
        successor = self._successor
        while self.queue:
            try:
                line = self.queue.popleft()
            except IndexError:
                return
            if successor is None:
                self._lose(1)
                continue
            ways = line[0].ways.get(self, ())
            moved = Plan(line[0].facility, (successor,), {successor: ways})
            successor._take([(moved, *line[1:])])

    def _tell_lost(self, *, now: bool = False) -> None:
        at = self._clock()
        if at - self._told_at < RETRY_S and not now:
            return
        count = self.lost - self._lost_told
        self._told_at = at
        self._lost_told = self.lost
        why = f"its queue of {self.limit} lines was full, or its backend failed"
        text = f"{count} lines of the log '{self.settings.name}' were lost: {why}"
        record = Record(time.time_ns(), "error/log", text, flags=self._delivery.flags)
        try:
            self.backend.write([record])
        except (Exception, SystemExit):  # the next line finds out that it fails
            self._lost_told -= count
        else:
            self.written += 1

    def _call(self, act: Callable[[], None]) -> None:
        failure = ""
        nesting = self._nesting
        thread, nesting.thread = nesting.thread, None
        try:
            if not self._lock.acquire(timeout=_LOCK_LIMIT_S):
                return
            try:
                if self._state is _State.WORKING:
                    try:
                        act()
                    except (Exception, SystemExit) as error:
                        failure = self._failed(error, 0)
            finally:
                self._lock.release()
            if failure:
                self._reports.sink_failed(self, failure)
        finally:
            nesting.thread = thread

    def _failed(self, error: BaseException, lost: int) -> str:
        if self._state is not _State.FAILING:
            self._state = _State.FAILING
            self._lost_before = self.lost
        self._retry_at = self._clock() + RETRY_S
        self._cause = one_line(error)
        self._lose(lost)
        kind = f" (type '{self.settings.type}')" if self.settings.type else ""
        return (
            f"log '{self.settings.name}'{kind} fails: {self._cause}; up to {self.limit} lines wait until it works again"
        )


def one_line(error: BaseException) -> str:
    """An error in one line: of the system's and our own the message, of others the type too. Never raises."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an error that cannot say what it is must not become a second error
        text = ""
    if isinstance(error, OSError | MtevError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
