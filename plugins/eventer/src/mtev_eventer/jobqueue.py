"""Job queues: named pools of worker threads for work that would block a loop.

Rules:

1. Threads start when jobs need them, at most `concurrency`; they stay until the queue stops.
2. A job waits in the backlog, which is bounded. `submit_nowait` refuses when it is full. `run` lets its caller wait:
   the job stands outside until there is room, first come first served, and moves up without anybody being woken.
3. A waiting job that is cancelled is gone at once, and its place free. A running one cannot be interrupted: its awaiter
   goes on without it, and its outcome is dropped; a failure is logged.
4. A job sees a copy of the context variables of whoever submitted it.
5. What would end a loop (SystemExit and the like) reaches the awaiter as `Escaped`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

from ._inbox import Inbox, Inboxes
from ._names import callback_name, position
from ._settings import JobQueueSettings
from ._slow import SlowLog
from .errors import EventerError, QueueFull, QueueStopped
from .job import Job

__all__ = ["JobQueue", "JobQueueStatus"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@dataclass(frozen=True, slots=True)
class JobQueueStatus:
    """A job queue at one moment.

    Args:
        name: its name.
        concurrency: threads alive.
        desired_concurrency: how many it may have.
        min_concurrency, max_concurrency: bounds for that; 0 for none.
        safety: libmtev's memory safety; without effect.
        mode: `FIFO` or `LIFO`.
        total_jobs: how many have run.
        backlog: how many wait, those outside of a full backlog included.
        inflight: how many are running.
        timeouts: how many were given up by their awaiters before they ran.
        avg_wait_ms, avg_run_ms: smoothed averages of waiting and running, in milliseconds.
    """

    name: str
    concurrency: int
    desired_concurrency: int
    min_concurrency: int
    max_concurrency: int
    safety: str
    mode: str
    total_jobs: int
    backlog: int
    inflight: int
    timeouts: int
    avg_wait_ms: float
    avg_run_ms: float


class JobQueue:
    """A named, bounded queue of jobs with its worker threads. Thread-safe.

    Args:
        settings: how it is.
        inboxes: the eventer's.
        slow_ms: see `SlowLog`.
        log: for what goes wrong.

    Attributes:
        name: its name.
        settings: as above.
    """

    def __init__(self, settings: JobQueueSettings, inboxes: Inboxes, slow_ms: float, log: logging.Logger) -> None:
        self.name = settings.name
        self.settings = settings
        self._inboxes = inboxes
        self._slow = SlowLog("jobq", settings.name, slow_ms)
        self._log = log
        lock = threading.RLock()  # re-entrant, because a finalizer may submit in the middle of a change
        self._work = threading.Condition(lock)
        self._calm = threading.Condition(lock)
        self._open = False
        self._waiting: OrderedDict[Job, None] = OrderedDict()
        self._outside: OrderedDict[Job, None] = OrderedDict()
        self._running: dict[Job, threading.Thread] = {}
        self._threads: dict[threading.Thread, None] = {}
        self._total_jobs = 0
        self._timeouts = 0
        self._avg_wait_ns = 0.0
        self._avg_run_ns = 0.0

    @property
    def concurrency(self) -> int:
        """How many worker threads it may have."""
        return self.settings.concurrency

    @property
    def total_jobs(self) -> int:
        """How many jobs have run."""
        return self._total_jobs

    @property
    def backlog(self) -> int:
        """How many jobs wait, those outside of a full backlog included."""
        with self._work:
            return len(self._waiting) + len(self._outside)

    @property
    def inflight(self) -> int:
        """How many jobs are running."""
        return len(self._running)

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run a function on a worker thread and wait for its outcome, from any loop.

        When the backlog is full this waits for room too. Cancelling the caller takes the job back if it has not begun;
        if it has, the caller goes on at once and the job runs to its end.

        Args:
            function: called on a worker; may block.
            *args: its arguments.

        Returns:
            What it returned.

        Raises:
            QueueStopped: the queue is not running, or stopped before the job's turn came.
            Escaped: it raised SystemExit or the like.
            Exception: whatever else it raised.
        """
        here = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = here.create_future()
        name = callback_name(function)
        deliver = functools.partial(self._deliver, name, self._inboxes.of(here), outcome)
        job = Job(name, self, functools.partial(function, *args), deliver)
        self._enter(job, may_wait=True)
        try:
            return await outcome
        except asyncio.CancelledError:
            job.cancel()
            raise

    def submit_nowait(self, function: Callable[[*Ts], object], *args: *Ts) -> Job:
        """Have a function run on a worker thread, without waiting for it. A failure is logged. Never blocks.

        Args:
            function: called on a worker; may block.
            *args: its arguments.

        Raises:
            QueueFull: the backlog has no room.
            QueueStopped: the queue is not running.
        """
        job = Job(callback_name(function), self, functools.partial(function, *args), None)
        self._enter(job, may_wait=False)
        return job

    def status(self) -> JobQueueStatus:
        """How it is at this moment."""
        settings = self.settings
        with self._work:
            return JobQueueStatus(
                name=self.name,
                concurrency=len(self._threads),
                desired_concurrency=settings.concurrency,
                min_concurrency=settings.minimum,
                max_concurrency=settings.maximum,
                safety=settings.safety,
                mode=settings.order.upper(),
                total_jobs=self._total_jobs,
                backlog=len(self._waiting) + len(self._outside),
                inflight=len(self._running),
                timeouts=self._timeouts,
                avg_wait_ms=self._avg_wait_ns / 1e6,
                avg_run_ms=self._avg_run_ns / 1e6,
            )

    def __repr__(self) -> str:
        return f"<JobQueue {self.name}>"

    # What `Eventer` does with it

    def _start(self) -> None:
        with self._work:
            self._open = True

    def _wait_calm(self, until: float) -> list[str]:
        """Wait until nothing waits and nothing runs.

        Args:
            until: how long to wait, on the monotonic clock.

        Returns:
            What is left, in words.
        """
        with self._calm:
            self._calm.wait_for(self._is_calm, max(until - time.monotonic(), 0.0))
            return self._left()

    def _close(self) -> None:
        """Refuse new jobs; those that are there go on."""
        with self._work:
            self._open = False
            self._work.notify_all()

    def _stop(self, until: float) -> list[str]:
        """Wait for the jobs, drop those that wait still, and join the threads. After `_close`.

        Args:
            until: how long to wait, on the monotonic clock.

        Returns:
            What is left behind, in words.
        """
        left = self._wait_calm(until)
        with self._work:
            dropped = [*self._waiting, *self._outside]
            self._waiting.clear()
            self._outside.clear()
            busy = set(self._running.values())
            threads = [each for each in self._threads if each not in busy]
        for job in dropped:
            job._done = True
            job._call = None
            if job._deliver is not None:
                reason = f"the job queue '{self.name}' stopped before the turn of {job.name} came"
                job._deliver(None, QueueStopped(reason))
        for thread in threads:
            thread.join(max(until - time.monotonic(), 0.1))
            if thread.is_alive():
                left.append(f"thread '{thread.name}' hangs {position(thread)}".rstrip())
        return left

    def _is_calm(self) -> bool:
        return not self._waiting and not self._running

    def _left(self) -> list[str]:
        left = [
            f"job {job.name} of queue '{self.name}' is still running {position(thread)}".rstrip()
            for job, thread in self._running.items()
        ]
        names = [each.name for each in (*self._waiting, *self._outside)]
        if names:
            shown = ", ".join(sorted(set(names))[:5])
            left.append(f"{len(names)} jobs of queue '{self.name}' were not begun ({shown})")
        return left

    # Submitting

    def _enter(self, job: Job, *, may_wait: bool) -> None:
        limit = self.settings.backlog
        with self._work:
            if not self._open:
                raise QueueStopped(
                    f"the job queue '{self.name}' is not running; it runs from the eventer's start to its stop"
                )
            if self._outside or (limit and len(self._waiting) >= limit):
                if not may_wait:
                    raise QueueFull(f"the job queue '{self.name}' is full: {limit} jobs wait already")
                self._outside[job] = None
                return
            self._waiting[job] = None
            self._call_worker(job)

    def _call_worker(self, job: Job) -> None:
        alive = len(self._threads)
        if alive >= self.settings.concurrency or alive >= len(self._waiting) + len(self._running):
            self._work.notify()
            return
        thread = threading.Thread(target=self._worker, name=f"q:{self.name}", daemon=True)
        self._threads[thread] = None
        try:
            thread.start()
        except RuntimeError as error:
            del self._threads[thread]
            if not self._threads:
                self._waiting.pop(job, None)
                raise EventerError(f"a worker of the job queue '{self.name}' cannot be started: {error}") from error
            self._log.warning("another worker of the job queue '%s' cannot be started: %s", self.name, error)

    def _take_back(self, job: Job) -> bool:
        with self._work:
            if job in self._waiting:
                del self._waiting[job]
                self._move_up()
            elif job in self._outside:
                del self._outside[job]
            else:
                return False
            self._timeouts += 1
            job._done = True
            job._call = None
            if self._is_calm():
                self._calm.notify_all()
            return True

    def _move_up(self) -> None:
        if self._outside:
            job, _ = self._outside.popitem(last=False)
            self._waiting[job] = None
            self._work.notify()

    # Working

    def _worker(self) -> None:
        while (job := self._next()) is not None:
            self._perform(job)
            del job  # an idle worker must keep nobody's arguments alive

    def _next(self) -> Job | None:
        me = threading.current_thread()
        with self._work:
            while not self._waiting:
                if not self._open:
                    del self._threads[me]
                    return None
                self._work.wait()
            job, _ = self._waiting.popitem(last=self.settings.order == "lifo")
            self._running[job] = me
            self._move_up()
            return job

    def _perform(self, job: Job) -> None:
        began_ns = time.perf_counter_ns()
        result, error = job._perform()
        run_ns = time.perf_counter_ns() - began_ns
        with self._work:
            del self._running[job]
            job._done = True
            self._total_jobs += 1
            self._avg_wait_ns = 0.8 * self._avg_wait_ns + 0.2 * (began_ns - job._submitted_ns)
            self._avg_run_ns = 0.8 * self._avg_run_ns + 0.2 * run_ns
            if self._is_calm():
                self._calm.notify_all()
        if job._deliver is not None:
            job._deliver(result, error)
        elif error is not None:
            self._failed(job.name, error, "failed")
        self._slow.took(lambda: job.name, run_ns)

    def _deliver(
        self, name: str, inbox: Inbox, outcome: asyncio.Future[T], result: T, error: BaseException | None
    ) -> None:
        def settle() -> None:
            if outcome.done():
                gone()
            elif error is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)

        def gone() -> None:
            if error is not None and not isinstance(error, QueueStopped):
                self._failed(name, error, "failed after its awaiter had gone")

        if not inbox.post(settle, gone):
            gone()

    def _failed(self, name: str, error: BaseException, how: str) -> None:
        self._log.error("job %s of queue '%s' %s: %r", name, self.name, how, error, exc_info=error)
