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
from .deadlines import Deadlines
from .errors import Escaped, EventerError, JobExpired, LoopDied, LoopStopped, QueueFull, QueueStopped
from .eventer import Eventer
from .gate import Gate
from .job import Job
from .jobqueue import JobQueue
from .jobstatus import JobQueueStatus
from .loop import Loop, Task
from .pool import Pool
from .profile import CallbackInfo, Timing
from .recurrent import Recurrent
from .sockets import Address, SocketInfo, SocketTable
from .timer import Timer, TimerInfo
from .watch import Mask, Watch

__all__ = [
    "Address",
    "CallbackInfo",
    "Deadlines",
    "Escaped",
    "Eventer",
    "EventerError",
    "EventerSettings",
    "Gate",
    "Job",
    "JobExpired",
    "JobQueue",
    "JobQueueSettings",
    "JobQueueStatus",
    "Loop",
    "LoopDied",
    "LoopStopped",
    "Mask",
    "Pool",
    "PoolSettings",
    "QueueFull",
    "QueueStopped",
    "Recurrent",
    "SocketInfo",
    "SocketTable",
    "Task",
    "Timer",
    "TimerInfo",
    "Timing",
    "Watch",
]
