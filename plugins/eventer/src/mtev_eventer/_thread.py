"""One asyncio loop on a thread of its own, from its start to its end. `Loop` is what others see of it.

Rules:

1. Nothing that a callback does ends the loop: an escaping SystemExit is logged, and so is a `stop()` by a stranger, and
   the loop goes on. Only an error of the loop's own machinery ends it; then `died` is told.
2. It ends in two moves, so that all loops can be quieted while every one of them still turns: `quiet` cancels timers
   and the tasks that there are, and waits for them; `end` cancels everything, again and again, and ends the thread.
   What another loop awaits here is spared by `quiet`: it may be part of that loop's tidying up.
3. What still refuses to end is named by `join` and left behind; the thread is a daemon, so the process can exit.
4. Whoever waits for work that will not run is told so.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ._inbox import Inbox, Inboxes
from ._names import position
from .errors import EventerError, LoopDied

__all__ = ["LoopThread", "new_loop"]

T = TypeVar("T")
Measure = Callable[[Coroutine[Any, Any, Any], object, str], Coroutine[Any, Any, Any]]

_START_TIMEOUT_S = 10.0


def new_loop(implementation: str) -> asyncio.AbstractEventLoop:
    """Make a loop.

    Args:
        implementation: `uvloop` or `asyncio`.

    Raises:
        EventerError: uvloop cannot be imported.
    """
    if implementation == "asyncio":
        return asyncio.SelectorEventLoop()
    try:
        import uvloop
    except ImportError as error:
        raise EventerError(
            f'uvloop cannot be imported ({error}); install it with "pip install uvloop", '
            'or write <eventer implementation="asyncio">'
        ) from error
    return uvloop.new_event_loop()


class LoopThread:
    """A running loop. Used once: a restart makes a new one.

    Args:
        name: of the thread.
        loop: what it runs; closed in the end.
        inboxes: where its inbox is found.
        log: for what goes wrong.
        died: told, on the thread itself, when the loop ended although nobody asked for it.
        quieted: called on the thread when `quiet` begins, before tasks are cancelled.
        measure: puts something round a coroutine that measures its steps, given the function that it is for and its
            name.
    """

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop,
        inboxes: Inboxes,
        log: logging.Logger,
        died: Callable[[LoopDied], None] | None,
        quieted: Callable[[], None],
        measure: Measure,
    ) -> None:
        self.name = name
        self.loop = loop
        self.inbox: Inbox = inboxes.of(loop)
        self.stopping = False
        """New work is refused from now on."""
        self.ended = False
        """The loop does not turn any more, or is about to end."""
        self.lent: set[asyncio.Task[object]] = set()
        """Tasks that somebody on another loop awaits. On the loop only."""
        self._log = log
        self._died = died
        self._quieted = quieted
        self._measure = measure
        self._up = threading.Event()
        self._quiet = threading.Event()
        self._sweeps: set[asyncio.Task[object]] = set()
        self._stubborn: list[str] = []
        self._unfinished: dict[Callable[[], None], None] = {}
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        loop.set_exception_handler(self._on_exception)

    def start(self) -> None:
        """Start the thread; does not wait for the loop to turn.

        Raises:
            EventerError: the system allows no further thread.
        """
        try:
            self._thread.start()
        except RuntimeError as error:
            self.ended = True
            self.loop.close()
            raise EventerError(f"the thread '{self.name}' cannot be started: {error}") from error

    def wait_up(self) -> None:
        """Wait until the loop turns.

        Raises:
            EventerError: it does not.
        """
        if not self._up.wait(_START_TIMEOUT_S) or not self._thread.is_alive():
            raise EventerError(f"the loop '{self.name}' did not begin to turn within {_START_TIMEOUT_S:g} s")

    @property
    def here(self) -> bool:
        """Whether the caller runs on this thread."""
        return threading.get_ident() == self._thread.ident

    @property
    def ident(self) -> int | None:
        """The number of the thread; None before the start."""
        return self._thread.ident

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def task(
        self,
        coroutine: Coroutine[Any, Any, T],
        *,
        name: str,
        function: object = None,
        title: str = "",
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """Make a task, on this thread.

        Args:
            coroutine: what it runs.
            name: of the task.
            function: what it is for; its steps are measured under its name. None for the loop's own business.
            title: another name for that.
            context: of the task; None for a copy of the present one.
        """
        if function is not None:
            coroutine = self._measure(coroutine, function, title)
        return asyncio.Task(coroutine, loop=self.loop, name=name, context=context)

    def begin_quiet(self, timeout_s: float) -> None:
        """Cancel timers and tasks, and give the tasks so long to end. Returns at once."""
        self.stopping = True
        self._command(lambda: self._sweep(self._calm_down(timeout_s), self._quiet.set))

    def wait_quiet(self, until: float) -> bool:
        """Wait for `begin_quiet` to come to its end.

        Args:
            until: how long to wait, on the monotonic clock.

        Returns:
            Whether it did; a loop that died is quiet too.
        """
        return self._quiet.wait(max(until - time.monotonic(), 0.0))

    def begin_end(self, timeout_s: float) -> None:
        """Cancel whatever is left, give it so long to end, and end the thread. Returns at once."""
        self.stopping = True
        self._command(lambda: self._sweep(self._clear_out(timeout_s), self._end))

    def join(self, until: float) -> list[str]:
        """Wait for the thread to end.

        Args:
            until: how long to wait, on the monotonic clock.

        Returns:
            What is left behind, in words.
        """
        self._thread.join(max(until - time.monotonic(), 0.0))
        left = [f"task '{name}' on {self.name} ignored its cancellation" for name in self._stubborn]
        if self._thread.is_alive():
            left.append(f"thread '{self.name}' hangs {position(self._thread)}".rstrip())
        return left

    def expect(self, abandon: Callable[[], None]) -> None:
        """Have something called if the thread ends before `settled` is. On the loop only."""
        self._unfinished[abandon] = None

    def settled(self, abandon: Callable[[], None]) -> None:
        """Take `expect` back. On the loop only."""
        self._unfinished.pop(abandon, None)

    def _command(self, function: Callable[[], None]) -> None:
        try:
            self.loop.call_soon_threadsafe(function)
        except RuntimeError:  # it has ended by itself, which `_main` has reported
            self._quiet.set()

    def _end(self) -> None:
        self.ended = True
        self.loop.stop()

    def _sweep(self, sweep: Coroutine[object, object, None], done: Callable[[], None]) -> None:
        task = self.task(sweep, name=f"{self.name} stopping")
        self._sweeps.add(task)

        def finished(ended: asyncio.Task[None]) -> None:
            if not ended.cancelled() and (error := ended.exception()) is not None:
                self._log.error("stopping %s went wrong", self.name, exc_info=error)
            done()

        task.add_done_callback(finished)

    async def _calm_down(self, timeout_s: float) -> None:
        self._quieted()
        await self._cancel(self._others() - self.lent, timeout_s)

    async def _clear_out(self, timeout_s: float) -> None:
        until = self.loop.time() + timeout_s
        self._quieted()
        pending: set[asyncio.Task[object]] = set()
        while not pending and (tasks := self._others()):
            pending = await self._cancel(tasks, until - self.loop.time())
            if self.loop.time() >= until:  # some task may be bringing forth new ones for ever
                pending |= self._others()
                break
        self._stubborn = sorted(task.get_name() for task in pending)
        closing = self.task(self.loop.shutdown_asyncgens(), name=f"{self.name} closing generators")
        await asyncio.wait((closing,), timeout=max(until - self.loop.time(), 0.05))
        if not closing.done():
            closing.cancel()
            self._stubborn.append(closing.get_name())

    def _others(self) -> set[asyncio.Task[object]]:
        return asyncio.all_tasks(self.loop) - self._sweeps

    async def _cancel(self, tasks: set[asyncio.Task[object]], timeout_s: float) -> set[asyncio.Task[object]]:
        for task in tasks:
            task.cancel()
        if not tasks:
            return tasks
        return (await asyncio.wait(tasks, timeout=max(timeout_s, 0.0)))[1]

    def _main(self) -> None:
        error: BaseException | None = None
        self.loop.call_soon(self._up.set)
        try:
            while not self.ended:
                try:
                    self.loop.run_forever()
                    if not self.ended:
                        self._log.error("somebody stopped the loop %s from inside; it goes on", self.name)
                except (SystemExit, KeyboardInterrupt) as escaped:
                    what = f"a callback on {self.name} raised {escaped!r}"
                    self._log.error("%s; the loop goes on", what, exc_info=escaped)
        except BaseException as problem:  # whatever it is, the loop is finished and somebody has to say so
            error = problem
        self._finish()
        if error is not None:
            self._log.critical("the loop %s died", self.name, exc_info=error)
            died = LoopDied(f"the loop '{self.name}' died: {error!r}; what lived on it is lost")
            died.__cause__ = error
            if self._died is not None:
                self._died(died)

    def _finish(self) -> None:
        self.ended = True
        for abandon in [*self.inbox.close(), *self._unfinished]:
            abandon()
        self._unfinished.clear()
        try:
            self.loop.close()
        except Exception as error:  # a loop whose machinery broke may fail at this in any way
            self._log.error("the loop %s cannot be closed: %r", self.name, error)
        self._up.set()
        self._quiet.set()

    def _on_exception(self, _: asyncio.AbstractEventLoop, report: dict[str, object]) -> None:
        if self.ended and "exception" not in report:
            return  # a task that is destroyed while pending; it was named when it would not end
        error = report.get("exception")
        task = report.get("task") or report.get("future")
        where = f"task '{task.get_name()}' on " if isinstance(task, asyncio.Task) else ""
        self._log.error(
            "%s%s: %s",
            where,
            self.name,
            report.get("message", "an unhandled exception"),
            exc_info=error if isinstance(error, BaseException) else None,
        )
