"""A loop: an asyncio event loop on a named thread, and the ways to give it work.

All of them may be used from any thread. `run` awaits an outcome. `call`, `spawn`, `after`, `every`, `watch` and `recur`
do not, so what fails in them is logged under the name that it was given, and the loop goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, TypeVarTuple

from ._bridge import Crossing
from ._host import FAILED
from ._inbox import Inboxes
from ._names import callback_name
from ._tasks import TimedCoroutine, timed_tasks
from ._thread import LoopThread, new_loop
from .deadlines import Deadlines
from .errors import EventerError, LoopDied, LoopStopped
from .gate import Gate
from .profile import Profile, Timing, key_of, whence
from .recurrent import DEFAULT_PERIOD_S, Recurrent, RecurrentTable
from .sockets import SocketInfo, SocketTable, ends_of
from .timer import Timer, TimerInfo, TimerTable
from .watch import Mask, Watch, WatchTable

if TYPE_CHECKING:
    from mtev_stats import Recorder, Stats

    from .pool import Pool

__all__ = ["Loop", "LoopOptions", "Task"]

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
Ts = TypeVarTuple("Ts")


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """What the loops of an eventer have in common.

    Args:
        implementation: `uvloop` or `asyncio`.
        debugging: switch on the debug mode of every loop.
        stats: where figures go.
        sockets: the table of sockets in use.
        inboxes: the eventer's.
        log: for what goes wrong.
        died: told when a loop died, on its thread.
    """

    implementation: str
    debugging: bool
    stats: Stats
    sockets: SocketTable
    inboxes: Inboxes
    log: logging.Logger
    died: Callable[[LoopDied], None] | None


class Task:
    """Something that `Loop.spawn` set going. Thread-safe.

    Attributes:
        name: what it is called in logs.
    """

    __slots__ = ("_cancelled", "_done", "_gate", "_task", "_thread", "name")

    def __init__(self, name: str, thread: LoopThread, gate: Gate | None = None) -> None:
        self.name = name
        self._thread = thread
        self._gate = gate
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        self._done = False

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._done

    def cancel(self) -> None:
        """Cancel it; returns at once. What has not begun never begins. Harmless to repeat."""
        if not self._done:
            self._cancelled = True
            self._thread.inbox.post(self._cancel)

    def _begin(
        self, run: Callable[[], Coroutine[object, object, None]], function: object, context: contextvars.Context
    ) -> None:
        if self._cancelled:
            self._ended()
            return
        self._thread.expect(self._ended)
        self._task = self._thread.task(run(), name=self.name, function=function, context=context)
        self._task.add_done_callback(self._finished)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._thread.settled(self._ended)
        if not task.cancelled():
            task.exception()  # logged where it was contained
        self._ended()

    def _ended(self) -> None:
        if not self._done:
            self._done = True
            if self._gate is not None:
                self._gate.leave()


class Loop:
    """One loop of a pool. Thread-safe.

    Args:
        name: `e:<pool>/<number>`; the thread is called so too.
        pool: the pool that it belongs to.
        options: what it has in common with others.

    Attributes:
        name: as above.
        pool: as above.
    """

    def __init__(self, name: str, pool: Pool, options: LoopOptions) -> None:
        self.name = name
        self.pool = pool
        self._options = options
        self._profile: Profile = pool.profile
        self._timings: dict[object, Timing] = {}
        self._lag: Recorder = options.stats.histogram(
            ("mtev", "eventer", "threads", name, "lag"),
            tags={"mtev-pool": pool.name, "mtev-thread": name},
            summary="How long a loop takes to turn to something new.",
        ).local()
        self._beat_s = 0.0
        self._lock = threading.Lock()
        self._thread: LoopThread | None = None
        self._load = 0
        self._timers = TimerTable()
        self._watches = WatchTable(options.sockets)
        self._recurrents = RecurrentTable()

    @property
    def load(self) -> int:
        """How many connections live on it, as far as those who put them there tell."""
        return self._load

    def enter(self) -> None:
        """Count one more connection for `load`."""
        with self._lock:
            self._load += 1

    def leave(self) -> None:
        """Count one connection less."""
        with self._lock:
            self._load -= 1

    @property
    def asyncio_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop itself, for protocols and transports. Use it on its own thread only.

        Raises:
            LoopStopped: it is not running.
        """
        return self._running().loop

    @property
    def here(self) -> bool:
        """Whether the caller runs on this loop."""
        return self._thread is not None and self._thread.here

    @property
    def heartbeat_age_s(self) -> float:
        """For how long it has given no sign of life, in seconds; 0 when it does not run.

        It is asked for one about once a second, or more often where it may block for less.
        """
        return max(time.monotonic() - self._beat_s, 0.0) if self.running and self._beat_s else 0.0

    def timing(self, name: str) -> Timing | None:
        """Where to record how long a callback of some name takes, or None while the pool is not profiled.

        For those who run callbacks on this loop themselves, such as protocols. Ask once for each name, keep it, and use
        it on the loop only: `timing.took(nanoseconds)`.
        """
        return self._timing_of(name, name) if self._profile.on else None

    @property
    def running(self) -> bool:
        """Whether it takes work."""
        thread = self._thread
        return thread is not None and not thread.ended and not thread.stopping

    async def run(self, function: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        """Run a coroutine function on this loop and wait for its outcome.

        Cancelling the caller cancels it and waits until it has ended. It sees a copy of the caller's context variables.
        On the loop itself this is a plain `await`.

        Args:
            function: called on this loop.
            *args: its arguments.

        Returns:
            What it returned.

        Raises:
            LoopStopped: the loop is not running, or ends before.
            Escaped: it called `sys.exit`.
            BaseException: whatever else it raised.
        """
        thread = self._running()
        here = asyncio.get_running_loop()
        if here is thread.loop:
            return await function(*args)
        return await Crossing(functools.partial(function, *args), self._options.inboxes.of(here), thread).wait()

    def call(self, function: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call a plain function on this loop, soon, after what was asked for before. It must be quick.

        Raises:
            LoopStopped: the loop is not running.
        """
        thread = self._thread
        if thread is None or not thread.inbox.post(self._call, contextvars.copy_context(), function, args):
            raise self._stopped()

    def spawn(
        self, function: Callable[[*Ts], Awaitable[object]], *args: *Ts, name: str, gate: Gate | None = None
    ) -> Task:
        """Let a coroutine function run on this loop. A failure is logged. Cancelled when the loop stops.

        Args:
            function: called on this loop.
            *args: its arguments.
            name: what it is called in logs.
            gate: entered now, and left when the task has ended, in whatever way.

        Raises:
            LoopStopped: the loop is not running, or about to stop.
        """
        thread = self._running(new_work=True)
        task = Task(name, thread, gate)
        run = functools.partial(self._guarded, name, functools.partial(function, *args))
        context = contextvars.copy_context()
        if gate is not None:
            gate.enter()
        if not thread.inbox.post(task._begin, run, function, context, abandon=task._ended):
            task._ended()
            raise self._stopped()
        return task

    def after(self, delay_s: float, function: Callable[[*Ts], object], *args: *Ts, name: str) -> Timer:
        """Call a function on this loop after a while. A failure is logged. Cancelled when the loop stops.

        Args:
            delay_s: from now, in seconds, 0 to `LONGEST_S`.
            function: plain or `async`; a plain one must be quick.
            *args: its arguments.
            name: what the timer is called in logs and listings.

        Raises:
            LoopStopped: the loop is not running, or about to stop.
            ValueError: the delay is out of range.
        """
        return self._timer(name, _bound(function, args), delay_s, None)

    def every(self, period_s: float, function: Callable[[*Ts], object], *args: *Ts, name: str) -> Timer:
        """Call a function on this loop again and again, the first time after one period. Runs never overlap.

        Args:
            period_s: from beat to beat, in seconds, above 0 and up to `LONGEST_S`.
            function: plain or `async`; a plain one must be quick. A run that fails is logged, and the next one comes.
            *args: its arguments.
            name: what the timer is called in logs and listings.

        Raises:
            LoopStopped: the loop is not running, or about to stop.
            ValueError: the period is out of range.
        """
        return self._timer(name, _bound(function, args), period_s, period_s)

    def watch(
        self, file: int | _HasFileno, function: Callable[[Mask], object], *, name: str, mask: Mask = Mask.READ
    ) -> Watch:
        """Call a function on this loop whenever a descriptor is ready. Cancelled when the loop stops; never closed.

        For descriptors that no transport serves. It is listed among the sockets.

        Args:
            file: the descriptor, or what has one. Cancel the watch before you close it.
            function: plain or `async`, given what is ready. If it fails, that is logged, and ends the watch.
            name: what it is called in logs, listings and profiles.
            mask: what to wait for.

        Raises:
            LoopStopped: the loop is not running, or about to stop.
            ValueError: it is closed, a file on a disk, or watched already.
        """
        self._running(new_work=True)
        local, remote = ends_of(file)
        fd = file if isinstance(file, int) else file.fileno()
        info = SocketInfo(name, fd, mask=str(mask), pool=self.pool.name, local=local, remote=remote, loop=self.name)
        watch = Watch(info, function, mask, self, self._whence())
        if not self._watches.add(watch):
            raise self._stopped()
        return watch

    def recur(
        self, function: Callable[[*Ts], object], *args: *Ts, name: str, period_s: float = DEFAULT_PERIOD_S
    ) -> Recurrent:
        """Call a plain function on this loop in its turn, again and again. Cancelled when the loop stops.

        Args:
            function: called at once, again in the next pass if it returned something true, and otherwise after the
                period or a wake-up. It must be quick. A failure is logged, and counts as nothing to do.
            *args: its arguments.
            name: what it is called in logs and profiles.
            period_s: how long it is left alone at most, in seconds, above 0.

        Raises:
            LoopStopped: the loop is not running, or about to stop.
            ValueError: the period is not above 0.
            TypeError: the function is `async`.
        """
        self._running(new_work=True)
        recurrent = self._recurrents.add(name, _bound(function, args), period_s, self, self._whence())
        if recurrent is None:
            raise self._stopped()
        return recurrent

    def wake(self) -> None:
        """Have all recurrent functions of this loop called at once (libmtev: `eventer_wakeup`). Returns at once."""
        self._recurrents.wake_all()

    def deadlines(
        self, timeout_s: float, expired: Callable[[K], object], *, name: str, tolerance_s: float | None = None
    ) -> Deadlines[K]:
        """The same time-out for many things, at a fraction of a timer's cost: see `Deadlines`.

        Args:
            timeout_s: the time that each has, in seconds, above 0.
            expired: called on this loop with each whose time is up; plain and quick.
            name: what it is called in logs, listings and profiles.
            tolerance_s: how late one may be noticed, in seconds; None for a quarter of the time-out, at most 1 s.

        Raises:
            ValueError: the time-out is not above 0.
        """
        return Deadlines(name, timeout_s, expired, self, tolerance_s)

    def timers(self) -> list[TimerInfo]:
        """The pending timers, the next one first."""
        return self._timers.describe(self.pool.name, self.name)

    def __repr__(self) -> str:
        return f"<Loop {self.name}{'' if self.running else ', not running'}>"

    # What `Eventer` does with it, on its own thread

    def _start(self) -> LoopThread:
        with self._lock:
            if self._thread is not None and self._thread.alive:
                raise EventerError(f"the loop '{self.name}' cannot start: its last thread has not ended yet")
            loop = new_loop(self._options.implementation)
            loop.set_debug(self._options.debugging)
            self._beat_s = time.monotonic()
            self._timers = TimerTable()
            self._recurrents = RecurrentTable()
            self._apply_profile(loop)
            self._thread = LoopThread(
                self.name,
                loop,
                self._options.inboxes,
                self._options.log,
                self._options.died,
                self._quieted,
                self._measured,
            )
            self._thread.start()
            return self._thread

    def _quieted(self) -> None:
        self._timers.cancel_all()
        self._recurrents.cancel_all()
        self._watches.cancel_all()

    def _switch_profile(self) -> None:
        """Go by the pool's profile, which was switched on or off."""
        thread = self._thread
        if thread is not None:
            thread.inbox.post(self._apply_profile, thread.loop)

    def _apply_profile(self, loop: asyncio.AbstractEventLoop) -> None:
        profile = self._profile
        factory = timed_tasks(lambda name: self._timing_of(name, name), profile.slow) if profile.on else None
        loop.set_task_factory(factory)

    def _live_thread(self) -> LoopThread | None:
        with self._lock:
            return self._thread if self._thread is not None and self._thread.alive else None

    # What the monitor needs of it (`Watched`)

    @property
    def ident(self) -> int | None:
        """The number of its thread."""
        thread = self._thread
        return thread.ident if thread is not None else None

    def limit_s(self) -> float:
        """After how many seconds without a sign of life it counts as blocked; 0 for never."""
        return self.pool.timeout_s

    def ping(self, answered: Callable[[], None]) -> bool:
        """Have it give a sign of life; False when it has ended."""
        thread = self._thread
        return thread is not None and thread.inbox.post(answered)

    def answered(self, lag_ns: int) -> None:
        """It gave one. On the loop only."""
        self._beat_s = time.monotonic()
        self._lag(lag_ns)

    # What timers, watches and the like need of it (`LoopHost`)

    def post(self, run: Callable[[], None]) -> bool:
        """Have something that contains its own failures run on this loop; False when it has ended."""
        thread = self._thread
        return thread is not None and thread.inbox.post(run)

    def perform(self, name: str, function: Callable[[], object], created: str) -> object:
        """Call a function here and now, contain its failure, and return its result, or `FAILED`. On the loop only."""
        timing = self.timing(name)
        began = time.perf_counter_ns()
        try:
            return function()
        except (Exception, SystemExit) as error:  # it must not end the loop, and nobody else is there to see it
            self._failed(name, error)
            return FAILED
        finally:
            if timing is not None:
                timing.took(time.perf_counter_ns() - began, created)

    def follow(self, name: str, awaitable: Awaitable[object], ended: Callable[[], None], title: str) -> None:
        """Let something be awaited, contain its failure, and say when it has ended. On the loop only."""

        async def wait() -> None:
            await awaitable

        def finished(_: asyncio.Task[None]) -> None:
            if isinstance(awaitable, Coroutine):
                awaitable.close()  # cancelled before its first step, it would complain of never having been awaited
            ended()

        task = self._running().task(self._guarded(name, wait), name=name, function=wait, title=title)
        task.add_done_callback(finished)

    def _call(self, context: contextvars.Context, function: Callable[..., object], args: tuple[object, ...]) -> None:
        if not self._profile.on:
            self._contained(context, function, args)
            return
        timing = self._timings.get(getattr(function, "__code__", None)) or self._timing_of(key_of(function), function)
        began = time.perf_counter_ns()
        self._contained(context, function, args)
        timing.took(time.perf_counter_ns() - began)

    def _contained(
        self, context: contextvars.Context, function: Callable[..., object], args: tuple[object, ...]
    ) -> None:
        try:
            context.run(function, *args)
        except (Exception, SystemExit) as error:  # as in `perform`
            self._failed(callback_name(function), error)

    def _measured(self, coroutine: Coroutine[Any, Any, Any], function: object, title: str) -> Coroutine[Any, Any, Any]:
        """Have the steps of a coroutine measured that is for a function."""
        if not self._profile.on:
            return coroutine
        timing = self._timing_of(title, title) if title else self._timing_of(key_of(function), function)
        return TimedCoroutine(coroutine, timing, whence(3) if self._profile.slow.wanted else "")

    def _timing_of(self, key: object, named: object) -> Timing:
        """The timing that goes by a key; made for a name, or for a function, when it is first asked for."""
        timing = self._timings.get(key)
        if timing is None:
            name = named if isinstance(named, str) else callback_name(named)
            timing = self._timings[key] = self._profile.timing(name)
        return timing

    def _whence(self) -> str:
        return whence(3) if self._profile.slow.wanted else ""

    def _timer(self, name: str, function: Callable[[], object], delay_s: float, period_s: float | None) -> Timer:
        self._running(new_work=True)
        timer = self._timers.set(name, function, delay_s, period_s, self, self._whence())
        if timer is None:
            raise self._stopped()
        return timer

    def _running(self, *, new_work: bool = False) -> LoopThread:
        thread = self._thread
        if thread is None or thread.ended or (new_work and thread.stopping):
            raise self._stopped()
        return thread

    def _stopped(self) -> LoopStopped:
        return LoopStopped(f"the loop '{self.name}' is not running; loops run from the eventer's start to its stop")

    def _failed(self, name: str, error: BaseException) -> None:
        self._options.log.error("%s on %s failed: %r", name, self.name, error, exc_info=error)

    async def _guarded(self, name: str, function: Callable[[], Awaitable[object]]) -> None:
        try:
            await function()
        except (Exception, SystemExit) as error:  # as in _contained
            self._options.log.error("task '%s' on %s failed: %r", name, self.name, error, exc_info=error)


def _bound(function: Callable[..., object], args: tuple[object, ...]) -> Callable[[], object]:
    return functools.partial(function, *args) if args else function
