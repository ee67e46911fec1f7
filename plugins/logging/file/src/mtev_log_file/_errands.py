"""What a log file has done away from the thread that writes, and what it has to say.

A backend may not log while it writes, and what it raises means that lines are not written. So trouble that costs no
line, such as a rotation that fails, is told by the logger `mtev.log.file` on a thread of its own: once for each kind,
and once more when it is over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

__all__ = ["Errands", "Notices"]

_log = logging.getLogger("mtev.log.file")


class Errands:
    """Does one thing after another, on a thread that lives only while there is something to do. Thread-safe.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._waiting: dict[str, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None

    def add(self, key: str, act: Callable[[], None]) -> None:
        """Do something soon. Does not block.

        Args:
            key: what waits under the same key already is not done twice.
            act: what to do; may block.
        """
        with self._lock:
            self._waiting.setdefault(key, act)
            if self._thread is not None and self._thread.is_alive():
                return
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no more threads: done with the next errand
                self._thread = None

    def wait(self, timeout_s: float) -> None:
        """Let what is under way end. Blocks for `timeout_s` seconds at most."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                act = self._waiting.pop(next(iter(self._waiting)))
            try:
                act()
            except Exception:
                _log.exception("work for a log file failed")


class Notices:
    """Tells of trouble once for each kind, and when it is over. Thread-safe as far as each subject has one thread.

    Args:
        name: the log file.
        errands: where telling is done.
    """

    def __init__(self, name: str, errands: Errands) -> None:
        self._name = name
        self._errands = errands
        self._kinds: dict[str, object] = {}

    def failed(self, subject: str, error: OSError, text: str) -> None:
        """Something did not work. Does not block.

        Args:
            subject: what did not, in a word.
            error: why; of the same number counts as the same kind.
            text: what that means.
        """
        kind = (type(error), error.errno)
        if self._kinds.get(subject) != kind:
            self._kinds[subject] = kind
            self._say(logging.ERROR, f"{text}: {error}")

    def worked(self, subject: str, text: str) -> None:
        """Something worked; told only when it did not before. Does not block."""
        if self._kinds.pop(subject, None) is not None:
            self._say(logging.INFO, text)

    def _say(self, level: int, text: str) -> None:
        said = f"log file {self._name}: {text}"
        self._errands.add(said, partial(_log.log, level, "%s", said))
