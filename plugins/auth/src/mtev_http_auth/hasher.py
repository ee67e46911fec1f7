"""Verifies passwords in threads of its own, a few at a time: each takes a tenth of a second, and 32 MiB."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from .errors import Busy
from .hashes import PasswordHash

__all__ = ["Hasher"]

_THREADS = 2
_WAITING = 64


class Hasher:
    """Used from any loop. Thread-safe.

    Args:
        threads: how many verify at the same time.
        waiting: how many different passwords may wait or be verified.
    """

    def __init__(self, threads: int = _THREADS, waiting: int = _WAITING) -> None:
        self._threads = ThreadPoolExecutor(threads, "http.auth")
        self._waiting = waiting
        self._under_way: dict[bytes, Future[bool]] = {}
        self._lock = threading.Lock()

    def under_way(self, key: bytes) -> bool:
        """Whether that password is being verified already, so that `verify` costs nothing."""
        return key in self._under_way

    async def verify(
        self, key: bytes, known: PasswordHash, password: str, found: Callable[[], object] = lambda: None
    ) -> bool:
        """Whether a password fits a hash. Those who ask the same at the same time share one answer.

        Args:
            key: the same for the same hash, user and password, and for nothing else.
            known: the hash.
            password: the password.
            found: called when it fits, on whatever thread, while `under_way` still holds: so that there is no moment in
                which the answer is neither on its way nor known.

        Raises:
            Busy: too many others are waiting.
        """
        with self._lock:
            future = self._under_way.get(key)
            is_first = future is None
            if future is None:
                if len(self._under_way) >= self._waiting:
                    raise Busy(f"{self._waiting} passwords are waiting to be verified")
                future = self._under_way[key] = self._threads.submit(known.verify, password)
        if is_first:
            future.add_done_callback(lambda done: self._verified(done, key, found))
        # One who leaves does not take the answer away from the others.
        return await asyncio.shield(asyncio.wrap_future(future))

    def close(self) -> None:
        """Begin nothing more. Those who wait are cancelled; does not block."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verified(self, done: Future[bool], key: bytes, found: Callable[[], object]) -> None:
        try:
            if not done.cancelled() and done.exception() is None and done.result():
                found()
        finally:
            with self._lock:
                self._under_way.pop(key, None)
