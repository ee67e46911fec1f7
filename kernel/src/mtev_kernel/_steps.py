"""Perform one step of a plugin: on a thread or on the loop, within a limit, whatever the plugin does.

Rules:

1. A plain function runs on a daemon thread of its own. When its limit passes, the thread is abandoned and named.
2. A coroutine function runs as a task. When its limit passes it is cancelled; if it will not end it is abandoned.
3. `SystemExit` is an error like any other: it must reach neither the thread's nor the loop's machinery.
4. A coroutine that blocks the loop keeps rule 2 from working. A watching thread notices and reports the culprit.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Awaitable, Callable

from .errors import LoadError, StepTimeout

__all__ = ["StuckWatch", "contained", "perform"]

_GRACE_S = 1.0


async def perform(function: Callable[[], object], limit_s: float, thread_name: str) -> object:
    """Call a step and wait for its end.

    Args:
        function: takes no arguments; plain or `async`. A plain one may return an awaitable, which is then awaited.
        limit_s: how long it may take in all, in seconds.
        thread_name: name of the thread that a plain function runs on.

    Returns:
        What it returned.

    Raises:
        StepTimeout: the limit passed.
        Exception: whatever it raised; `SystemExit` comes as `LoadError`.
    """
    until = time.monotonic() + limit_s
    result: object
    if inspect.iscoroutinefunction(function):
        result = function()
    else:
        result = await _on_thread(function, limit_s, thread_name)
    if inspect.isawaitable(result):
        return await _as_task(result, max(until - time.monotonic(), 0.0), limit_s)
    return result


async def contained(awaitable: Awaitable[object]) -> object:
    """Await something that a plugin gave us; its `sys.exit` becomes a `LoadError`."""
    try:
        return await awaitable
    except SystemExit as error:
        raise LoadError(f"it called sys.exit({error.code!r}); a plugin does not end the process") from error


async def _on_thread(function: Callable[[], object], limit_s: float, thread_name: str) -> object:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[object] = loop.create_future()

    def settle(result: object, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)

    def work() -> None:
        result: object = None
        failure: BaseException | None = None
        try:
            result = context.run(function)
        except SystemExit as error:
            failure = LoadError(f"it called sys.exit({error.code!r}); a plugin does not end the process")
            failure.__cause__ = error
        except StopIteration as error:  # a future refuses this one
            failure = RuntimeError(f"it raised {error!r}")
        except BaseException as error:  # everything is carried over to the loop and raised there
            failure = error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:
            return  # the loop closed while an abandoned thread was still at work; nobody waits for the result

    context = contextvars.copy_context()
    threading.Thread(target=work, name=thread_name, daemon=True).start()
    try:
        return await asyncio.wait_for(done, limit_s)
    except TimeoutError:
        if done.done() and not done.cancelled():
            raise  # the step's own TimeoutError
        raise StepTimeout(
            f"it did not end within {limit_s:g} s; its thread '{thread_name}' was abandoned"
        ) from None


async def _as_task(awaitable: Awaitable[object], remaining_s: float, limit_s: float) -> object:
    task = asyncio.ensure_future(contained(awaitable))
    try:
        await asyncio.wait({task}, timeout=remaining_s)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait({task}, timeout=_GRACE_S)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=_GRACE_S)
        raise
    stubborn = "" if task.done() else "; it ignored its cancellation and was abandoned"
    if task.done() and not task.cancelled():
        task.exception()  # what it raised on being cancelled is beside the point, and seen
    raise StepTimeout(f"it did not end within {limit_s:g} s{stubborn}")


class StuckWatch:
    """Notices a step that blocks the loop itself, which no time limit on that loop could.

    Args:
        report: called on the watching thread with the culprit in words, once per step; it may end the process.
        slack_s: how long past its limit a step may be before that is said of it, in seconds.
    """

    def __init__(self, report: Callable[[str], None], slack_s: float = 3.0) -> None:
        self._report = report
        self._slack_s = slack_s
        self._changed = threading.Condition()
        self._watched: tuple[float, str] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="mtev-stuck-watch", daemon=True)
        self._thread.start()

    def arm(self, culprit: str, limit_s: float) -> None:
        """A step begins; call `disarm` when it has ended. Thread-safe."""
        with self._changed:
            self._watched = (time.monotonic() + limit_s + self._slack_s, culprit)
            self._changed.notify()

    def disarm(self) -> None:
        """The step has ended. Thread-safe."""
        with self._changed:
            self._watched = None
            self._changed.notify()

    def close(self) -> None:
        """Stop watching and join the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                watched = self._watched
                if watched is None:
                    self._changed.wait()
                    continue
                remaining_s = watched[0] - time.monotonic()
                if remaining_s > 0:
                    self._changed.wait(remaining_s)
                    continue
                self._watched = None
            self._report(watched[1])
