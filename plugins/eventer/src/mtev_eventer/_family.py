"""Dependent jobs: a job that has submitted some is not done before they are (libmtev: `eventer_add_asynch_dep`)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .job import Job

__all__ = ["Family"]


class Family:
    """A job and those that depend on it. Thread-safe; nothing here blocks.

    Attributes:
        children: the dependent jobs that are not done yet.
        outcome: what the job itself has come to, once it has run.
    """

    __slots__ = ("_errors", "_lock", "_pending", "children", "outcome")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending = 1  # the job itself
        self._errors: list[Exception] = []
        self.children: dict[Job, None] = {}
        self.outcome: tuple[object, BaseException | None] = (None, None)

    def join(self, child: Job) -> None:
        """One more job depends on it."""
        with self._lock:
            self._pending += 1
            self.children[child] = None

    def withdraw(self, child: Job) -> None:
        """It was not accepted by its queue."""
        with self._lock:
            self._pending -= 1
            del self.children[child]

    def ran(self, result: object, error: BaseException | None) -> bool:
        """The job itself has run; whether all are done."""
        self.outcome = result, error
        return self._one_less()

    def left(self, child: Job, error: BaseException | None) -> bool:
        """A dependent job is done; whether all are."""
        with self._lock:
            self.children.pop(child, None)
            if isinstance(error, Exception):
                self._errors.append(error)
        return self._one_less()

    def verdict(self, name: str) -> tuple[object, BaseException | None]:
        """What has come of them all: the job's own outcome, or the failures of those that depended on it."""
        result, error = self.outcome
        if error is None and self._errors:
            return None, ExceptionGroup(f"jobs that {name} depends on failed", self._errors)
        return result, error

    @property
    def unheard(self) -> list[Exception]:
        """Failures that the verdict does not tell of, because the job itself failed."""
        return self._errors if self.outcome[1] is not None else []

    def _one_less(self) -> bool:
        with self._lock:
            self._pending -= 1
            return not self._pending
