"""mtev-eventer: named pools of event loops in threads, timers, job queues, and what they are busy with.

    eventer = context.services.require(Eventer)
    loop = eventer.default.choose()
    loop.spawn(serve, connection, name="serve 127.0.0.1:4711")
    answer = await loop.run(ask, question)
    digest = await eventer.jobq().run(hash_file, path)

Loops and queues take work from the eventer's `start` to its `stop`; pools and queues can be looked up before.
"""

from __future__ import annotations

from ._settings import EventerSettings, JobQueueSettings, PoolSettings
from .errors import Escaped, EventerError, JobExpired, LoopDied, LoopStopped, QueueFull, QueueStopped
from .eventer import Eventer
from .job import Job
from .jobqueue import JobQueue, JobQueueStatus
from .loop import Loop, Task
from .pool import Pool
from .profile import CallbackInfo, Timing
from .sockets import Address, SocketInfo, SocketTable
from .timer import Timer, TimerInfo

__all__ = [
    "Address",
    "CallbackInfo",
    "Escaped",
    "Eventer",
    "EventerError",
    "EventerSettings",
    "Job",
    "JobExpired",
    "JobQueue",
    "JobQueueSettings",
    "JobQueueStatus",
    "Loop",
    "LoopDied",
    "LoopStopped",
    "Pool",
    "PoolSettings",
    "QueueFull",
    "QueueStopped",
    "SocketInfo",
    "SocketTable",
    "Task",
    "Timer",
    "TimerInfo",
    "Timing",
]
