"""Run a coroutine function on another loop and bring its outcome back to the one that awaits it.

Rules:

1. Cancelling the awaiter cancels the coroutine, and the awaiter goes on waiting until that has ended, as it would on
   one loop. A coroutine that swallows the cancellation and returns has swallowed the awaiter's too.
2. An outcome is delivered exactly once; when the other loop ends first, it is `LoopStopped`.
3. What would end a loop (SystemExit and the like) arrives as `Escaped`.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from ._inbox import Inbox
from ._names import callback_name
from ._thread import LoopThread
from .errors import Escaped, LoopStopped

__all__ = ["Crossing"]

T = TypeVar("T")


class Crossing(Generic[T]):
    """One call from a loop to another. Made and awaited on the loop that asks.

    Args:
        function: makes the coroutine, on the other loop.
        home: the inbox of the loop that asks.
        thread: the other loop.
    """

    def __init__(self, function: Callable[[], Awaitable[T]], home: Inbox, thread: LoopThread) -> None:
        self._function = function
        self._home = home
        self._thread = thread
        self._context = contextvars.copy_context()
        self._outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[T] | None = None

    async def wait(self) -> T:
        """Send the call over and wait for its outcome.

        Raises:
            LoopStopped: the other loop has ended, or ends before the outcome is there.
        """
        if not self._thread.inbox.post(self._begin, abandon=self._abandon):
            raise self._stopped()
        while not self._outcome.done():
            try:
                await asyncio.wait((self._outcome,))
            except asyncio.CancelledError:
                self._thread.inbox.post(self._cancel)
        return self._outcome.result()

    def _begin(self) -> None:
        self._thread.expect(self._abandon)
        name = callback_name(self._function)
        self._task = self._thread.task(self._run(name), name=name, function=self._function, context=self._context)
        self._thread.lent.add(self._task)
        self._task.add_done_callback(self._finished)

    async def _run(self, name: str) -> T:
        try:
            return await self._function()
        except SystemExit as error:
            raise Escaped(f"{name} called sys.exit({error.code!r}) on {self._thread.name}") from error

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _finished(self, task: asyncio.Task[T]) -> None:
        self._thread.settled(self._abandon)
        self._thread.lent.discard(task)
        if task.cancelled():
            self._home.post(self._settle_cancelled)
        elif (error := task.exception()) is not None:
            self._home.post(self._settle_error, error)
        else:
            self._home.post(self._settle_result, task.result())

    def _abandon(self) -> None:
        self._home.post(self._settle_error, self._stopped())

    def _settle_cancelled(self) -> None:
        if not self._outcome.done():
            self._outcome.cancel()

    def _settle_error(self, error: BaseException) -> None:
        if not self._outcome.done():
            self._outcome.set_exception(error)

    def _settle_result(self, result: T) -> None:
        if not self._outcome.done():
            self._outcome.set_result(result)

    def _stopped(self) -> LoopStopped:
        return LoopStopped(f"the loop '{self._thread.name}' ended before {callback_name(self._function)} was done")
