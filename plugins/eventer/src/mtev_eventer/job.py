"""A job: one call that waits for a worker of a job queue, or runs on one."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from ._family import Family
from ._inbox import Inbox
from ._names import callback_name
from .errors import Escaped, JobExpired, QueueStopped

if TYPE_CHECKING:
    from .gate import Gate
    from .jobqueue import JobQueue

__all__ = ["Awaiter", "Job", "current_job"]

Awaiter = tuple[Inbox, "asyncio.Future[Any]"]
"""Who waits for a job: the way into the loop, and what is to be settled there."""

_UNHEARD = "failed after its awaiter had gone"

_here = threading.local()


def current_job() -> Job | None:
    """The job that the calling thread is running, or None."""
    return getattr(_here, "job", None)


class Job:
    """Something submitted to a queue. Thread-safe.

    Attributes:
        subqueue: the subqueue that it belongs to; None is one like any other.
        created: where it was submitted, if that is known.
    """

    __slots__ = (
        "_abandoned_s",
        "_awaiter",
        "_call",
        "_context",
        "_deadline_s",
        "_done",
        "_family",
        "_function",
        "_gate",
        "_key",
        "_name",
        "_parent",
        "_queue",
        "_submitted_ns",
        "created",
        "subqueue",
    )

    def __init__(
        self,
        name: str,
        queue: JobQueue,
        call: Callable[[], object],
        awaiter: Awaiter | None,
        *,
        key: object = None,
        subqueue: Hashable = None,
        deadline_s: float | None = None,
        created: str = "",
        gate: Gate | None = None,
        parent: Job | None = None,
    ) -> None:
        self._name = name
        self._function: object = call.func if isinstance(call, functools.partial) else call
        self.subqueue = subqueue
        self.created = created
        self._key = key
        self._queue = queue
        self._gate = gate
        self._parent = parent
        self._family: Family | None = None
        self._call: Callable[[], object] | None = call
        self._awaiter = awaiter
        self._context = contextvars.copy_context()
        self._deadline_s = deadline_s
        self._submitted_ns = time.perf_counter_ns()
        self._abandoned_s: float | None = None
        self._done = False

    @property
    def name(self) -> str:
        """What logs call it: the name that it was given, or that of its function."""
        return self._name or callback_name(self._function)

    @property
    def done(self) -> bool:
        """Whether it has ended, and whatever depends on it, or will never begin."""
        return self._done

    def cancel(self) -> bool:
        """Take it back if it has not begun.

        Returns:
            Whether it was taken back; then it never runs.
        """
        return self._queue._take_back(self)

    def _admit(self) -> None:
        """It is about to be submitted."""
        if self._gate is not None:
            self._gate.enter()
        if self._parent is not None:
            if self._parent._family is None:
                self._parent._family = Family()
            self._parent._family.join(self)

    def _refuse(self) -> None:
        """Its queue did not take it."""
        if self._gate is not None:
            self._gate.leave()
        if self._parent is not None and self._parent._family is not None:
            self._parent._family.withdraw(self)

    def _ran(self, result: object, error: BaseException | None) -> None:
        """It has run, or never will: finish it, unless others depend on it still. Under no lock."""
        family = self._family
        if family is None:
            self._finish(result, error)
        elif family.ran(result, error):
            self._finish(*family.verdict(self.name))

    def _finish(self, result: object, error: BaseException | None) -> None:
        self._done = True
        self._call = None
        if self._family is not None:
            for each in self._family.unheard:
                self._queue._failed(self.name, each, "failed, and a job that it depends on failed too")
        if self._awaiter is not None:
            inbox, outcome = self._awaiter
            abandon = None if error is None else functools.partial(self._report, error, _UNHEARD)
            if not inbox.post(self._settle, outcome, result, error, abandon=abandon) and abandon is not None:
                abandon()
        elif error is not None and self._parent is None:
            self._report(error, "failed")
        parent = self._parent
        if parent is not None and parent._family is not None and parent._family.left(self, error):
            parent._finish(*parent._family.verdict(parent.name))
        if self._gate is not None:
            self._gate.leave()

    def _settle(self, outcome: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
        """Tell who waits, on its loop."""
        if outcome.done():
            if error is not None:
                self._report(error, _UNHEARD)
        elif error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    def _report(self, error: BaseException, how: str) -> None:
        """Log a failure that nobody else hears of. That it was dropped is told by whoever dropped it."""
        if not isinstance(error, (JobExpired, QueueStopped)):
            self._queue._failed(self.name, error, how)

    def _expired(self, now_s: float) -> bool:
        return self._deadline_s is not None and now_s >= self._deadline_s

    def _perform(self) -> tuple[object, BaseException | None]:
        call, self._call = self._call, None
        assert call is not None
        _here.job = self
        try:
            return self._context.run(call), None
        except StopIteration as error:  # a future refuses this one
            return None, _escaped(self.name, error)
        except Exception as error:  # the awaiter's to judge
            return None, error
        except BaseException as error:  # this one would end the awaiter's loop
            return None, _escaped(self.name, error)
        finally:
            _here.job = None


def _escaped(name: str, error: BaseException) -> Escaped:
    escaped = Escaped(f"the job {name} raised {error!r}, which must not reach a loop")
    escaped.__cause__ = error
    return escaped
