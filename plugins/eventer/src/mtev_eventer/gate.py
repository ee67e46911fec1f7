"""Gates: wait until a number of things are done, whatever loops and threads they are on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Self

__all__ = ["Gate"]


class Gate:
    """Counts what is under way, and lets pass who waits for the end of it (libmtev: `eventer_aco_gate`). Thread-safe.

        gate = Gate("index")
        for path in paths:
            queue.submit_nowait(index, path, gate=gate)
        await gate.wait()

    `Loop.spawn` and `JobQueue.submit_nowait` enter it and leave it. Anybody else may do so too, with a `with` or with
    `enter` and `leave`. It may be used again and again.

    Args:
        name: what errors call it.

    Attributes:
        name: as above.
    """

    __slots__ = ("_lock", "_pending", "_waiting", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._pending = 0
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    @property
    def pending(self) -> int:
        """How many things are under way."""
        return self._pending

    def enter(self) -> None:
        """One more thing is under way. Never blocks."""
        with self._lock:
            self._pending += 1

    def leave(self) -> None:
        """One is done. Never blocks.

        Raises:
            ValueError: more have left than had entered.
        """
        with self._lock:
            if not self._pending:
                raise ValueError(f"the gate '{self.name}' was left more often than it was entered")
            self._pending -= 1
            waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
            if not self._pending:
                waiting, self._waiting = self._waiting, waiting
        for loop, future in waiting:
            with contextlib.suppress(RuntimeError):  # that loop has ended, and whoever waited on it
                loop.call_soon_threadsafe(_let_pass, future)

    async def wait(self, timeout_s: float | None = None) -> None:
        """Wait on any loop until nothing is under way; at once when nothing is.

        Args:
            timeout_s: how long, in seconds; None for as long as it takes.

        Raises:
            TimeoutError: it took longer; the message tells how many are left.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if not self._pending:
                return
            future: asyncio.Future[None] = loop.create_future()
            entry = (loop, future)
            self._waiting.append(entry)
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                await future
        except TimeoutError:
            text = f"the gate '{self.name}': {self._pending} are still under way after {timeout_s:g} s"
            raise TimeoutError(text) from None
        finally:
            with self._lock, contextlib.suppress(ValueError):
                self._waiting.remove(entry)

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.leave()

    def __repr__(self) -> str:
        return f"<Gate {self.name}: {self._pending}>"


def _let_pass(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
