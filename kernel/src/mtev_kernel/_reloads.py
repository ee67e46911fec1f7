"""Requests to read the configuration again, and those who wait to be told what came of them. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from .errors import MtevError

__all__ = ["Reloads", "refusal"]


class Reloads:
    """What was asked for and is not done. Requests that come before a reading begins share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Future[None]] = []
        self._closed = ""

    def request(self) -> Future[None]:
        """One more request; what it gives ends with the reading, or at once where there will be none."""
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # nobody who waits can cancel it for the others
        with self._lock:
            if not self._closed:
                self._waiting.append(future)
                return future
        future.set_exception(refusal(self._closed))
        return future

    @contextmanager
    def answering(self) -> Iterator[Outcome]:
        """Take all requests that there are; they end when the block does, as the outcome says.

        A block that is left by an exception (the kernel itself is being cancelled) ends them with a refusal.
        """
        with self._lock:
            waiting, self._waiting = self._waiting, []
        outcome = Outcome(bool(waiting), refusal("the service has ended meanwhile"))
        try:
            yield outcome
        finally:
            _end(waiting, outcome.error)

    def close(self, reason: str) -> None:
        """Refuse what waits and whatever comes later; the first reason counts."""
        with self._lock:
            self._closed = self._closed or reason
            waiting, self._waiting = self._waiting, []
        _end(waiting, refusal(self._closed))


class Outcome:
    """What comes of the requests that are being answered.

    Attributes:
        wanted: whether there are any.
        error: why they are refused; None when the configuration was read and everybody has been told.
    """

    def __init__(self, wanted: bool, error: Exception | None) -> None:
        self.wanted = wanted
        self.error = error


def refusal(reason: str) -> MtevError:
    """The error for a reading that does not come about."""
    return MtevError(f"the configuration is not read again: {reason}")


def _end(waiting: Sequence[Future[None]], error: Exception | None) -> None:
    for each in waiting:
        if error is None:
            each.set_result(None)
        else:
            each.set_exception(error)
