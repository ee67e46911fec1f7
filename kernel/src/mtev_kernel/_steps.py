"""Perform one step of a plugin: on a thread or on the loop, within a limit, whatever the plugin does.

Rules:

1. A plain function runs on a daemon thread of its own. When its limit passes, the thread is abandoned and named.
2. A coroutine function runs as a task. When its limit passes it is cancelled; if it will not end it is abandoned.
3. `SystemExit`, and a cancellation that nobody here asked for, are errors like any other: neither may reach the
   machinery of a thread or of the loop.
4. A coroutine that blocks the loop defeats rule 2. Only somebody on another thread can notice it: a `StepWatch`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from .errors import LoadError, StepTimeout

__all__ = ["StepWatch", "contained", "perform"]

_GRACE_S = 1.0


class StepWatch(Protocol):
    """Told of each step, so that it can notice one that blocks the loop itself. The real one is `cli/_stuck.py`."""

    def arm(self, culprit: str, limit_s: float) -> None:
        """A step begins: whose and which, in words, and its limit in seconds."""

    def disarm(self) -> None:
        """The step has ended."""


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
    on_loop = inspect.iscoroutinefunction(function)
    result: object = function() if on_loop else await contained(_on_thread(function, limit_s, thread_name))
    if inspect.isawaitable(result):
        return await _as_task(result, max(until - time.monotonic(), 0.0), limit_s)
    return result


async def contained(awaitable: Awaitable[object]) -> object:
    """Await something that a plugin gave us. Its `sys.exit`, and a cancellation that is not ours, become errors."""
    try:
        return await awaitable
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise LoadError("it was cancelled by something of its own") from error
    except SystemExit as error:
        raise _exited(error) from error


def _exited(error: SystemExit) -> LoadError:
    return LoadError(f"it called sys.exit({error.code!r}); a plugin does not end the process")


async def _on_thread(function: Callable[[], object], limit_s: float, thread_name: str) -> object:
    future: concurrent.futures.Future[object] = concurrent.futures.Future()
    context = contextvars.copy_context()

    def work() -> None:
        future.set_running_or_notify_cancel()
        try:
            result = context.run(function)
        except SystemExit as error:
            future.set_exception(_exited(error))
        except BaseException as error:  # everything is carried over to the loop and raised there
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=work, name=thread_name, daemon=True).start()
    done = asyncio.wrap_future(future)
    await asyncio.wait({done}, timeout=limit_s)
    if not done.done():
        raise StepTimeout(f"it did not end within {limit_s:g} s; its thread '{thread_name}' was abandoned")
    return done.result()


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
