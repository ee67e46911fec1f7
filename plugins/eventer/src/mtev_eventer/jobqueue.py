"""Job queues: named pools of worker threads for work that would block a loop.

Rules:

1. Threads start when jobs need them, at most `concurrency`. One that had nothing to do for a while ends, unless the
   `floor` keeps it.
2. A job waits in the backlog, which is bounded. `try_run` and `submit_nowait` refuse when it is full. `run` lets its
   caller wait: the job stands outside until there is room, and moves up without anybody being woken. Jobs of one queue
   may belong to subqueues, which share the threads fairly (see `_schedule`).
3. A waiting job that is cancelled, or whose time is up, is gone at once, and its place free. A running one cannot be
   interrupted: its awaiter goes on without it, its outcome is dropped, and the log tells when it has ended after all.
4. A job sees a copy of the context variables of whoever submitted it.
5. A job that has submitted dependent jobs is done when they are; it keeps no thread meanwhile.
6. What becomes of a job is told under no lock: whoever is told may submit and cancel at will.
7. What would end a loop (SystemExit and the like) reaches the awaiter as `Escaped`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from ._inbox import Inboxes
from ._names import position
from ._schedule import Schedule
from ._settings import JobQueueSettings, Order
from .errors import EventerError, JobExpired, QueueFull, QueueStopped
from .job import Awaiter, Job, current_job
from .jobstatus import JobQueueStatus, register_status
from .profile import Profile, SlowReport, Timing, key_of, whence

if TYPE_CHECKING:
    from mtev_stats import Recorder, Stats

    from .gate import Gate

__all__ = ["JobQueue"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_IDLE_S = 5.0
"""After how long without a job a worker ends."""


class JobQueue:
    """A named, bounded queue of jobs with its worker threads. Thread-safe.

    Args:
        settings: how it is.
        inboxes: the eventer's.
        slow: reports jobs that took long.
        log: for what goes wrong.
        stats: where figures go.
        names: names of callbacks that the eventer knows.

    Attributes:
        name: its name.
        settings: those that it began with.
        profile: how long its jobs take.
    """

    def __init__(
        self,
        settings: JobQueueSettings,
        inboxes: Inboxes,
        slow: SlowReport,
        log: logging.Logger,
        stats: Stats,
        names: set[str],
    ) -> None:
        self.name = settings.name
        self.settings = settings
        self._inboxes = inboxes
        self._log = log
        path, tags = ("mtev", "eventer", "jobq", settings.name), {"mtev-jobq": settings.name}
        latency = stats.histogram((*path, "latency"), tags=tags, summary="How long jobs of a queue ran.")
        self._waits = stats.histogram((*path, "wait"), tags=tags, summary="How long jobs of a queue waited.")
        self.profile = Profile(f"q:{settings.name}", latency, stats, slow, names)
        self._desired = settings.concurrency
        self._minimum = settings.minimum
        self._maximum = settings.maximum
        self._floor = 0
        lock = threading.RLock()  # re-entrant, because a finalizer may submit in the middle of a change
        self._work = threading.Condition(lock)
        self._calm = threading.Condition(lock)
        self._open = False
        self._waiting: Schedule[Job] = Schedule(settings.backlog, lifo=settings.order == "lifo")
        self._running: dict[Job, threading.Thread] = {}
        self._threads: dict[threading.Thread, None] = {}
        self._total_jobs = 0
        self._timeouts = 0
        self._avg_wait_ns = 0.0
        self._avg_run_ns = 0.0
        self._abandoned = 0
        register_status(stats, path, tags, self.status)

    @property
    def concurrency(self) -> int:
        """How many worker threads it may have."""
        return self._desired

    def set_concurrency(self, concurrency: int) -> int:
        """Change how many worker threads it may have; those beyond that end when they are idle.

        Args:
            concurrency: at least 1; kept between the queue's minimum and maximum.

        Returns:
            What it has come to.

        Raises:
            ValueError: it is below 1.
        """
        if concurrency < 1:
            raise ValueError(f"the job queue '{self.name}' cannot have {concurrency} threads; at least 1")
        with self._work:
            self._desired = min(max(concurrency, self._minimum), self._maximum or concurrency)
            for _ in range(self._waiting.inside):
                self._call_worker(None)
            self._work.notify_all()
            return self._desired

    def set_order(self, order: Order) -> None:
        """Change which waiting job is next: the oldest (`fifo`) or the newest (`lifo`). No job is lost by it."""
        with self._work:
            self._waiting.lifo = order == "lifo"

    def set_min_max(self, minimum: int, maximum: int) -> None:
        """Change the bounds of its concurrency; 0 for none.

        Raises:
            ValueError: they contradict each other.
        """
        if minimum < 0 or maximum < 0 or (maximum and minimum > maximum):
            raise ValueError(f"the job queue '{self.name}' cannot have a min of {minimum} and a max of {maximum}")
        with self._work:
            self._minimum, self._maximum = minimum, maximum
        self.set_concurrency(self._desired)

    def set_floor(self, floor: int) -> None:
        """Change how many idle threads stay. Raises the minimum to it, and the maximum, as libmtev does; starts none.

        Raises:
            ValueError: it is negative.
        """
        if floor < 0:
            raise ValueError(f"the job queue '{self.name}' cannot have a floor of {floor}")
        with self._work:
            self._floor = floor
            self._minimum = max(self._minimum, floor)
            if self._maximum:
                self._maximum = max(self._maximum, floor)
        self.set_concurrency(self._desired)

    @property
    def total_jobs(self) -> int:
        """How many jobs have run."""
        return self._total_jobs

    @property
    def backlog(self) -> int:
        """How many jobs wait, those outside of a full backlog included."""
        with self._work:
            return len(self._waiting)

    @property
    def inflight(self) -> int:
        """How many jobs are running."""
        return len(self._running)

    async def run(
        self,
        function: Callable[[*Ts], T],
        *args: *Ts,
        timeout_s: float | None = None,
        subqueue: Hashable = None,
        name: str = "",
    ) -> T:
        """Run a function on a worker thread and wait for its outcome, from any loop.

        When the backlog is full this waits for room too. Cancelling the caller takes the job back if it has not begun;
        if it has, the caller goes on at once and the job runs to its end.

        Args:
            function: called on a worker; may block.
            *args: its arguments.
            timeout_s: how long to wait for its outcome in all, in seconds; None for as long as it takes.
            subqueue: jobs of different subqueues take turns. A job that is submitted from within a job of this queue
                belongs to the subqueue of that one where none is given.
            name: what it is called in logs; by default the name of the function.

        Returns:
            What it returned.

        Raises:
            JobExpired: it did not end in time. What had not begun never does.
            QueueStopped: the queue is not running, or stopped before the job's turn came.
            Escaped: it raised SystemExit or the like.
            Exception: whatever else it raised.
        """
        call = functools.partial(function, *args)
        return await self._await(call, may_wait=True, timeout_s=timeout_s, subqueue=subqueue, name=name)

    async def try_run(
        self,
        function: Callable[[*Ts], T],
        *args: *Ts,
        timeout_s: float | None = None,
        subqueue: Hashable = None,
        name: str = "",
    ) -> T:
        """The same as `run`, but refused when the backlog is full.

        Raises:
            QueueFull: the backlog has no room.
            Exception: as `run`.
        """
        call = functools.partial(function, *args)
        return await self._await(call, may_wait=False, timeout_s=timeout_s, subqueue=subqueue, name=name)

    def submit_nowait(
        self,
        function: Callable[[*Ts], object],
        *args: *Ts,
        timeout_s: float | None = None,
        subqueue: Hashable = None,
        name: str = "",
        gate: Gate | None = None,
    ) -> Job:
        """Have a function run on a worker thread, without waiting for it. A failure is logged. Never blocks.

        Args:
            function: called on a worker; may block.
            *args: its arguments.
            timeout_s: after how many seconds it is not begun any more; None for never.
            subqueue: as for `run`.
            name: as for `run`.
            gate: entered now, and left when the job has ended, in whatever way.

        Raises:
            QueueFull: the backlog has no room.
            QueueStopped: the queue is not running.
        """
        job = self._make(functools.partial(function, *args), None, timeout_s, subqueue, name, gate)
        self._enter(job, may_wait=False)
        return job

    def submit_dependent(
        self,
        function: Callable[[*Ts], object],
        *args: *Ts,
        timeout_s: float | None = None,
        subqueue: Hashable = None,
        name: str = "",
    ) -> Job:
        """The same, from within a job of this queue or another: that job is not done before this one is. Never blocks.

        Who awaits that job gets its result when all are done; if it succeeds and some that depend on it fail, an
        `ExceptionGroup` with their failures. Giving it up gives them up too.

        Args:
            function: as for `submit_nowait`; so are all others.
            *args: its arguments.
            timeout_s: after how many seconds it is not begun any more.
            subqueue: which jobs it takes turns with.
            name: what it is called in logs.

        Raises:
            EventerError: the caller is no job.
            QueueFull: the backlog has no room.
            QueueStopped: the queue is not running.
        """
        parent = current_job()
        if parent is None:
            raise EventerError(
                f"a dependent job of '{self.name}' can be submitted only from within a job; use submit_nowait elsewhere"
            )
        job = self._make(functools.partial(function, *args), None, timeout_s, subqueue, name, parent=parent)
        self._enter(job, may_wait=False)
        return job

    async def _await(
        self, call: Callable[[], T], *, may_wait: bool, timeout_s: float | None, subqueue: Hashable, name: str
    ) -> T:
        here = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = here.create_future()
        job = self._make(call, (self._inboxes.of(here), outcome), timeout_s, subqueue, name)
        self._enter(job, may_wait=may_wait)
        try:
            return await outcome if timeout_s is None else await self._in_time(job, outcome, timeout_s)
        except asyncio.CancelledError:
            self._give_up(job)
            raise

    async def _in_time(self, job: Job, outcome: asyncio.Future[T], timeout_s: float) -> T:
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                return await outcome
        except TimeoutError:
            if not limit.expired():
                raise  # the function's own
            if not outcome.cancelled():
                return outcome.result()  # it came at the very last moment
            fate = "it never began" if self._give_up(job) else f"{self._activity(job)}, and its outcome will be dropped"
            raise JobExpired(
                f"the job {job.name} of '{self.name}' did not end within {timeout_s:g} s: {fate}"
            ) from None

    def _make(
        self,
        call: Callable[[], object],
        awaiter: Awaiter | None,
        timeout_s: float | None,
        subqueue: Hashable,
        name: str,
        gate: Gate | None = None,
        parent: Job | None = None,
    ) -> Job:
        around = current_job()
        if subqueue is None and around is not None and around._queue is self:
            subqueue = around.subqueue
        return Job(
            name,
            self,
            call,
            awaiter,
            key=name or key_of(call),
            subqueue=subqueue,
            deadline_s=None if timeout_s is None else time.monotonic() + timeout_s,
            created=whence(4) if self.profile.slow.wanted else "",
            gate=gate,
            parent=parent,
        )

    def _give_up(self, job: Job) -> bool:
        """The awaiter of a job does not want it any more; whether it never ran."""
        if job.cancel():
            return True
        if job._family is not None:
            for child in list(job._family.children):
                child._queue._give_up(child)
        with self._work:
            if job in self._running and job._abandoned_s is None:
                job._abandoned_s = time.monotonic()
                self._abandoned += 1
        return False

    def _activity(self, job: Job) -> str:
        return "it is still running" if job in self._running else "jobs that it depends on are not done"

    def status(self) -> JobQueueStatus:
        """How it is at this moment."""
        with self._work:
            return JobQueueStatus(
                name=self.name,
                concurrency=len(self._threads),
                desired_concurrency=self._desired,
                min_concurrency=self._minimum,
                max_concurrency=self._maximum,
                safety=self.settings.safety,
                mode="LIFO" if self._waiting.lifo else "FIFO",
                total_jobs=self._total_jobs,
                backlog=len(self._waiting),
                inflight=len(self._running),
                timeouts=self._timeouts,
                avg_wait_ms=self._avg_wait_ns / 1e6,
                avg_run_ms=self._avg_run_ns / 1e6,
                floor=self._floor,
                max_backlog=self._waiting.bound,
                abandoned=self._abandoned,
                subqueues=self._waiting.subqueues,
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
            dropped = self._waiting.clear()
            busy = set(self._running.values())
            threads = [each for each in self._threads if each not in busy]
        for job in dropped:
            reason = f"the job queue '{self.name}' stopped before the turn of {job.name} came"
            job._ran(None, QueueStopped(reason))
        for thread in threads:
            thread.join(max(until - time.monotonic(), 0.1))
            if thread.is_alive():
                left.append(f"thread '{thread.name}' hangs {position(thread)}".rstrip())
        return left

    def _is_calm(self) -> bool:
        return not len(self._waiting) and not self._running

    def _left(self) -> list[str]:
        left = [
            f"job {job.name} of queue '{self.name}' is still running {position(thread)}".rstrip()
            for job, thread in self._running.items()
        ]
        names = [each.name for each in self._waiting]
        if names:
            shown = ", ".join(sorted(set(names))[:5])
            left.append(f"{len(names)} jobs of queue '{self.name}' were not begun ({shown})")
        return left

    # Submitting

    def _enter(self, job: Job, *, may_wait: bool) -> None:
        job._admit()
        try:
            with self._work:
                if not self._open:
                    raise QueueStopped(
                        f"the job queue '{self.name}' is not running; it runs from the eventer's start to its stop"
                    )
                if not may_wait and self._waiting.full:
                    raise QueueFull(f"the job queue '{self.name}' is full: {self._waiting.bound} jobs wait already")
                if self._waiting.add(job, job.subqueue):
                    self._call_worker(job)
        except EventerError:
            job._refuse()
            raise

    def _call_worker(self, job: Job | None) -> None:
        alive = len(self._threads)
        if alive >= self._desired or alive >= self._waiting.inside + len(self._running):
            self._work.notify()
            return
        thread = threading.Thread(target=self._worker, name=f"q:{self.name}", daemon=True)
        self._threads[thread] = None
        try:
            thread.start()
        except RuntimeError as error:
            del self._threads[thread]
            if not self._threads and job is not None:
                self._waiting.remove(job)
                raise EventerError(f"a worker of the job queue '{self.name}' cannot be started: {error}") from error
            self._log.warning("another worker of the job queue '%s' cannot be started: %s", self.name, error)

    def _take_back(self, job: Job) -> bool:
        with self._work:
            if not self._waiting.remove(job):
                return False
            self._drop()
            self._work.notify()  # another one may have moved up
        job._ran(None, None)
        return True

    def _drop(self) -> None:
        """A job that was waiting is given up."""
        self._timeouts += 1
        if self._is_calm():
            self._calm.notify_all()

    # Working

    def _worker(self) -> None:
        timings: dict[object, Timing] = {}
        record_wait = self._waits.local()
        while (job := self._next()) is not None:
            if job in self._running:
                self._perform(job, timings, record_wait)
            else:
                self._expire(job)
            del job  # an idle worker must keep nobody's arguments alive

    def _next(self) -> Job | None:
        """The next job, under way or, if its time is up, not; None when this worker is to end."""
        me = threading.current_thread()
        with self._work:
            while True:
                if len(self._threads) > self._desired:
                    self._leave(me)
                    return None
                job = self._waiting.take(len(self._threads))
                if job is None:
                    if not self._open:
                        self._leave(me)
                        return None
                    idle_s = _IDLE_S if len(self._threads) > self._floor else None
                    if not self._work.wait(idle_s) and not self._waiting.inside and len(self._threads) > self._floor:
                        self._leave(me)
                        return None
                elif job._expired(time.monotonic()):
                    self._waiting.done(job.subqueue)
                    self._drop()
                    return job
                else:
                    self._running[job] = me
                    return job

    def _leave(self, me: threading.Thread) -> None:
        del self._threads[me]
        if self._waiting.inside:
            self._work.notify()  # what this one was woken for is another one's now

    def _expire(self, job: Job) -> None:
        if job._awaiter is None and job._parent is None:
            self._log.warning("job %s of queue '%s' was not begun in time, and dropped", job.name, self.name)
        job._ran(None, JobExpired(f"the job {job.name} of '{self.name}' was not begun in its time"))

    def _perform(self, job: Job, timings: dict[object, Timing], record_wait: Recorder) -> None:
        began_ns = time.perf_counter_ns()
        wait_ns = began_ns - job._submitted_ns
        result, error = job._perform()
        run_ns = time.perf_counter_ns() - began_ns
        with self._work:
            del self._running[job]
            self._waiting.done(job.subqueue)
            self._total_jobs += 1
            self._avg_wait_ns = 0.8 * self._avg_wait_ns + 0.2 * wait_ns
            self._avg_run_ns = 0.8 * self._avg_run_ns + 0.2 * run_ns
            abandoned_s = job._abandoned_s
            if abandoned_s is not None:
                self._abandoned -= 1
            if self._is_calm():
                self._calm.notify_all()
        record_wait(wait_ns)
        timing = timings.get(job._key)
        if timing is None:
            timing = timings[job._key] = self.profile.timing(job.name)
        timing.took(run_ns, job.created)
        job._ran(result, error)  # last, so that who awaits it finds it counted
        if abandoned_s is not None:
            late_s = time.monotonic() - abandoned_s
            self._log.warning(
                "job %s of queue '%s' ended %.2f s after its awaiter had given it up", job.name, self.name, late_s
            )

    def _failed(self, name: str, error: BaseException, how: str) -> None:
        self._log.error("job %s of queue '%s' %s: %r", name, self.name, how, error, exc_info=error)
