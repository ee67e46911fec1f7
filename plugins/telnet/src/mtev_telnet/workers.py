"""Commands that may block: each runs on a thread of its own, and its lines come over to the session's loop.

1. The thread takes a line from the command, hands it over and goes on. While `BUFFER` characters wait to be taken, it
   waits: a client that does not read holds up its command here too.
2. The loop never waits. Asked for a line where there is none yet, `Work` answers None, and wakes the session as soon as
   there is something to ask for.
3. A command is begun, continued and closed on one and the same thread, so it may hold a lock across its lines.
4. Whoever has enough of a command lets go of it: none of its lines are taken any more, and its iterator is closed as
   soon as it hands over the next one. What it is in the middle of cannot be interrupted, and ends by itself.
5. At most `limit` of them run at one time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator

__all__ = ["BUFFER", "Work", "Workers"]

BUFFER = 64 * 1024
"""How many characters a command may be ahead of its session; a single line may be longer."""


class Work(Iterator[str | None]):
    """A command on its thread, as a session sees it: its lines, with None for "nothing yet". Thread-safe.

    What the command raises is raised by `__next__` behind its last line.

    Args:
        name: what it is called in messages; also the name of its thread.
        lines: makes the command's lines; called on the thread.
        wake: called on the thread when there is something to ask for after a None, and when it has ended.
        failed: told of a failure that nobody will ask for any more, on whichever thread that turns out.
        ended: told, on the thread, that all is over.
    """

    def __init__(
        self,
        name: str,
        lines: Callable[[], Generator[str, None, None]],
        *,
        wake: Callable[[], None],
        failed: Callable[[BaseException], object],
        ended: Callable[[Work], None],
    ) -> None:
        self.name = name
        self.thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._make = lines
        self._wake = wake
        self._failed = failed
        self._ended = ended
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._lines: deque[str] = deque()
        self._size = 0
        self._hungry = False
        self._let_go = False
        self._done = False
        self._error: BaseException | None = None
        self._afterwards: list[Callable[[], None]] = []

    @property
    def ended(self) -> bool:
        """Whether the command has come to its end, its iterator closed."""
        return self._done

    def __next__(self) -> str | None:
        """The next line; None when there is none yet."""
        with self._lock:
            if self._lines:
                line = self._lines.popleft()
                self._size -= len(line) + 1
                if self._size <= BUFFER // 2:
                    self._room.notify()
                return line
            if not self._done:
                self._hungry = True
                return None
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Let go of the command; returns at once. Harmless to repeat."""
        with self._lock:
            self._let_go = True
            self._lines.clear()
            self._size = 0
            error, self._error = self._error, None
            self._room.notify()
        if error is not None:
            self._failed(error)

    def afterwards(self, function: Callable[[], None]) -> None:
        """Have a function called when the command has ended: at once, or later on its thread. It may not raise."""
        with self._lock:
            if not self._done:
                self._afterwards.append(function)
                return
        function()

    def _main(self) -> None:
        error = self._run()
        with self._lock:
            forgotten = self._let_go
            self._error = None if forgotten else error
            self._done = True
            functions, self._afterwards = self._afterwards, []
        if forgotten and error is not None:
            self._failed(error)
        self._wake()
        for function in functions:
            function()
        self._ended(self)

    def _run(self) -> BaseException | None:
        """Take the command's lines until the last, or until nobody wants them; then close it."""
        lines = self._make()
        try:
            try:
                for line in lines:
                    if not self._put(line):
                        break
            finally:
                lines.close()
        except BaseException as error:  # raised again where the session takes its lines, or logged
            return error
        return None

    def _put(self, line: str) -> bool:
        with self._lock:
            while self._size >= BUFFER and not self._let_go:
                self._room.wait()
            if self._let_go:
                return False
            self._lines.append(line)
            self._size += len(line) + 1
            hungry, self._hungry = self._hungry, False
        if hungry:
            self._wake()
        return True


class Workers:
    """The threads of all sessions' commands. Thread-safe.

    Args:
        limit: the most that run at one time.
    """

    def __init__(self, limit: int = 16) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._running: dict[Work, None] = {}

    def start(
        self,
        name: str,
        lines: Callable[[], Generator[str, None, None]],
        *,
        wake: Callable[[], None],
        failed: Callable[[BaseException], object],
    ) -> Work:
        """Begin a command on a thread of its own.

        Args:
            name: the session's name and the command's, such as `console/17 write file`.
            lines: as for `Work`.
            wake: as for `Work`.
            failed: as for `Work`.

        Raises:
            ValueError: as many run as may; the text names them.
        """
        work = Work(name, lines, wake=wake, failed=failed, ended=self._forget)
        with self._lock:
            busy = [each.name for each in self._running if not each.ended]
            if len(busy) >= self._limit:
                raise ValueError(
                    f"{self._limit} commands that take their time are running already, which is the most: "
                    f"{', '.join(busy)}. Try again when one has ended."
                )
            self._running[work] = None
        try:
            work.thread.start()
        except BaseException:
            self._forget(work)
            raise
        return work

    def stop(self, timeout_s: float) -> list[str]:
        """Let go of every command and wait for their threads.

        Args:
            timeout_s: how long to wait, in all.

        Returns:
            The names of those that have not ended; their threads do not keep the process.
        """
        until = time.monotonic() + timeout_s
        with self._lock:
            running = list(self._running)
        for work in running:
            work.close()
        for work in running:
            work.thread.join(max(until - time.monotonic(), 0.0))
        return [work.name for work in running if work.thread.is_alive()]

    def _forget(self, work: Work) -> None:
        with self._lock:
            self._running.pop(work, None)
