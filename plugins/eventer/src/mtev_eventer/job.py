"""A job: one call that waits for a worker of a job queue, or runs on one."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .errors import Escaped

if TYPE_CHECKING:
    from .jobqueue import JobQueue

__all__ = ["Deliver", "Job"]

Deliver = Callable[[object, BaseException | None], None]
"""Takes a job's result and error to its awaiter; called on a worker."""


class Job:
    """Something submitted to a queue. Thread-safe.

    Attributes:
        name: of its function, as logs show it.
    """

    __slots__ = ("_call", "_context", "_deliver", "_done", "_queue", "_submitted_ns", "name")

    def __init__(self, name: str, queue: JobQueue, call: Callable[[], object], deliver: Deliver | None) -> None:
        self.name = name
        self._queue = queue
        self._call: Callable[[], object] | None = call
        self._deliver = deliver
        self._context = contextvars.copy_context()
        self._submitted_ns = time.perf_counter_ns()
        self._done = False

    @property
    def done(self) -> bool:
        """Whether it has ended, or will never begin."""
        return self._done

    def cancel(self) -> bool:
        """Take it back if it has not begun.

        Returns:
            Whether it was taken back; then it never runs.
        """
        return self._queue._take_back(self)

    def _perform(self) -> tuple[object, BaseException | None]:
        call, self._call = self._call, None
        assert call is not None
        try:
            return self._context.run(call), None
        except StopIteration as error:  # a future refuses this one
            return None, _escaped(self.name, error)
        except Exception as error:  # the awaiter's to judge
            return None, error
        except BaseException as error:  # this one would end the awaiter's loop
            return None, _escaped(self.name, error)


def _escaped(name: str, error: BaseException) -> Escaped:
    escaped = Escaped(f"the job {name} raised {error!r}, which must not reach a loop")
    escaped.__cause__ = error
    return escaped
