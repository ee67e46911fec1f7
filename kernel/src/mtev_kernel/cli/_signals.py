"""Signals of a service in the foreground.

Rules:

1. SIGTERM and SIGINT ask for an orderly stop; SIGHUP asks for the configuration to be read again.
2. A second SIGTERM or SIGINT ends the process at once. It is handled outside the event loop, so that it works although
   a plugin blocks that. The same signal again within half a second is not a second one: wrappers such as timeout(1)
   send it to the process and to its group, and mean one.
3. While a stop is under way SIGHUP does nothing.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import TypeVar

import anyio

__all__ = ["Signals"]

T = TypeVar("T")

_STOP = (signal.SIGTERM, signal.SIGINT)
_SAME_WITHIN_S = 0.5


class Signals:
    """Turns signals into calls. Needs the main thread, and an anyio event loop on it.

    Args:
        stop: called once, with the reason, for the first SIGTERM or SIGINT.
        reload: called for each SIGHUP.
        die: called in a signal handler for a second SIGTERM or SIGINT; it is expected not to return.
    """

    def __init__(self, stop: Callable[[str], None], reload: Callable[[], None], die: Callable[[str], None]) -> None:
        self._stop = stop
        self._reload = reload
        self._die = die
        self._stopping = False
        self._first = (0, 0.0)

    async def during(self, function: Callable[[], Awaitable[T]]) -> T:
        """Await a coroutine function while signals are handled, and give its result.

        Signals are handled as by default afterwards.
        """
        results: list[T] = []
        failures: list[Exception] = []
        with anyio.open_signal_receiver(*_STOP, signal.SIGHUP) as received:
            async with anyio.create_task_group() as group:

                async def relay() -> None:
                    async for number in received:
                        self._handle(number)

                group.start_soon(relay)
                try:
                    results.append(await function())
                except Exception as error:  # raised below, out of the group, which would wrap it
                    failures.append(error)
                group.cancel_scope.cancel()
        for failure in failures:
            raise failure
        return results[0]

    def _handle(self, number: int) -> None:
        if number == signal.SIGHUP:
            if not self._stopping:
                self._reload()
        elif not self._stopping:
            self._stopping = True
            self._first = (number, time.monotonic())
            for each in _STOP:
                signal.signal(each, self._again)
            self._stop(signal.Signals(number).name)

    def _again(self, number: int, frame: FrameType | None) -> None:
        first, at = self._first
        if number != first or time.monotonic() - at > _SAME_WITHIN_S:
            self._die(signal.Signals(number).name)
