"""The error tree of mtev-eventer.

    MtevError
    └── EventerError
        ├── LoopStopped     the loop does not run (yet, or any more), or ended before the work was done
        ├── LoopDied        a loop's thread ended although nobody asked for it
        ├── QueueFull       the backlog of a job queue has no room
        ├── QueueStopped    the job queue does not run (yet, or any more)
        ├── JobExpired      a job did not end, or not even begin, in the time that it had; a TimeoutError too
        └── Escaped         a job or coroutine raised what must not reach a loop (SystemExit and the like)

None of them is retriable: what is stopped stays stopped until the eventer starts again.
"""

from __future__ import annotations

from mtev_kernel import MtevError

__all__ = ["Escaped", "EventerError", "JobExpired", "LoopDied", "LoopStopped", "QueueFull", "QueueStopped"]


class EventerError(MtevError):
    """Root of the errors of this distribution."""


class LoopStopped(EventerError):
    """The loop is not running, or it ended before the work was done."""


class LoopDied(EventerError):
    """The thread of a loop ended although nobody asked for it; what lived on that loop is lost."""


class QueueFull(EventerError):
    """The backlog of the job queue has no room; try later, or refuse the work that it was for."""


class QueueStopped(EventerError):
    """The job queue is not running, or it stopped before the job's turn came."""


class JobExpired(EventerError, TimeoutError):
    """The job did not end, or not even begin, in its time. One that runs goes on; its outcome is dropped."""


class Escaped(EventerError):
    """Work that was handed over raised what would end a loop, such as SystemExit; that is its `__cause__`."""
