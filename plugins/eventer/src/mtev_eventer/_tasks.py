"""Tasks measured step by step: a task factory that puts a coroutine of ours around each.

A step is what runs between two awaits, so a task that waits for long is not slow; one that computes for long is. All
tasks of one `async def` share one name, `module.function`. Tasks that a library makes without the loop's factory are
not seen.
"""

from __future__ import annotations

import asyncio
import collections.abc
import time
from collections.abc import Callable, Coroutine, Generator
from types import CodeType, FrameType
from typing import Any, TypeVar

from .profile import SlowReport, Timing, whence

__all__ = ["TimedCoroutine", "timed_tasks"]

T = TypeVar("T")
_OF_ANYIO = ("TaskHandle._run_coro", "TaskGroup._run_wrapped_task")  # anyio 4.16 and later, and earlier ones
_clock = time.perf_counter_ns


class TimedCoroutine(collections.abc.Coroutine[Any, Any, T]):
    """A coroutine whose steps are measured. It looks like the one inside to those who show stacks.

    Args:
        inner: the real one.
        timing: where its steps are recorded.
        created: where its task was created, if that is known.
    """

    __slots__ = ("__name__", "__qualname__", "_created", "_inner", "_timing")

    def __init__(self, inner: Coroutine[Any, Any, T], timing: Timing, created: str) -> None:
        self._inner = inner
        self._timing = timing
        self._created = created
        self.__name__ = getattr(inner, "__name__", "coroutine")
        self.__qualname__ = getattr(inner, "__qualname__", self.__name__)

    def send(self, value: Any) -> Any:  # noqa: ANN401  # the protocol of coroutines has no narrower types
        """One step."""
        began = _clock()
        try:
            return self._inner.send(value)
        finally:
            self._timing.took(_clock() - began, self._created)

    def throw(self, *error: Any) -> Any:  # noqa: ANN401  # as above
        """One step, beginning with an exception."""
        began = _clock()
        try:
            return self._inner.throw(*error)
        finally:
            self._timing.took(_clock() - began, self._created)

    def close(self) -> None:
        """End it."""
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._inner.__await__()

    @property
    def cr_await(self) -> object:
        """What it waits for."""
        return getattr(self._inner, "cr_await", None)

    @property
    def cr_code(self) -> CodeType | None:
        """The code of the real one."""
        return getattr(self._inner, "cr_code", None)

    @property
    def cr_frame(self) -> FrameType | None:
        """The frame of the real one."""
        return getattr(self._inner, "cr_frame", None)

    @property
    def cr_running(self) -> bool:
        """Whether it runs at the moment."""
        return bool(getattr(self._inner, "cr_running", False))

    @property
    def cr_origin(self) -> object:
        """Where the real one was created, if that is tracked."""
        return getattr(self._inner, "cr_origin", None)


def timed_tasks(timing_of: Callable[[str], Timing], slow: SlowReport) -> Callable[..., asyncio.Future[Any]]:
    """A task factory for one loop.

    Args:
        timing_of: makes the timing of a name; called once for each `async def`.
        slow: tells whether anybody wants to know where slow tasks were created.
    """
    known: dict[object, Timing] = {}

    def make(
        loop: asyncio.AbstractEventLoop,
        coroutine: Any,  # noqa: ANN401  # loops hand over whatever they were given
        **options: Any,  # noqa: ANN401  # theirs to choose
    ) -> asyncio.Future[Any]:
        meant = _meant(coroutine)
        code = getattr(meant, "cr_code", None)
        timing = known.get(code)
        if timing is None:
            if code is None:  # a generator, or another library's own kind
                return asyncio.Task(coroutine, loop=loop, **options)
            frame = meant.cr_frame
            module = frame.f_globals.get("__name__", "") if frame is not None else ""
            timing = known[code] = timing_of(f"{module}.{meant.__qualname__}" if module else meant.__qualname__)
        created = whence(2) if slow.wanted else ""
        return asyncio.Task(TimedCoroutine(coroutine, timing, created), loop=loop, **options)

    return make


def _meant(coroutine: Any) -> Any:  # noqa: ANN401  # of whatever kind it is
    """The coroutine whose name people know: the task groups of anyio put one of their own round it."""
    if getattr(coroutine, "__qualname__", "") in _OF_ANYIO and coroutine.cr_frame is not None:
        found = coroutine.cr_frame.f_locals
        inner = found.get("coro") or getattr(found.get("self"), "_coro", None)
        return coroutine if inner is None else inner
    return coroutine
