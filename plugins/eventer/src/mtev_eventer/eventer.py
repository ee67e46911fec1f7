"""The eventer: every pool, queue, timer and socket of one service. Several live side by side in a process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

from mtev_stats import Stats

from ._descriptors import raise_limit
from ._inbox import Inboxes
from ._monitor import Blocked, Monitor
from ._settings import EventerSettings
from .errors import EventerError, LoopDied
from .jobqueue import JobQueue
from .loop import Loop, LoopOptions
from .pool import Pool
from .profile import CallbackInfo, Profile, SlowReport
from .sockets import SocketTable
from .timer import TimerInfo

__all__ = ["Eventer"]

T = TypeVar("T")


class Eventer:
    """Pools of loops, job queues, and what they are busy with. Thread-safe but for `start` and `stop`.

    The constructor starts nothing, so pools and queues can be looked up while a service is being configured. They take
    work from `start` to `stop`; afterwards they may be started again.

    Args:
        settings: the pools and queues, and how they are.
        log: for what goes wrong; by default the logger `mtev.eventer`.
        died: told, on the dying thread, when a loop ends although nobody asked for it.
        blocked: told when a loop does not turn, and when it turns again; on the monitor's thread or the loop's.
        stats: where figures go; by default to metrics of its own.

    Attributes:
        settings: as above.
        stats: as above.
        sockets: the sockets in use, for listings.
    """

    def __init__(
        self,
        settings: EventerSettings | None = None,
        *,
        log: logging.Logger | None = None,
        died: Callable[[LoopDied], None] | None = None,
        blocked: Callable[[Blocked], None] | None = None,
        stats: Stats | None = None,
    ) -> None:
        self.settings = settings or EventerSettings()
        self.sockets = SocketTable()
        self.stats = Stats() if stats is None else stats
        self._log = log or logging.getLogger("mtev.eventer")
        self._blocked = blocked
        self._monitor: Monitor | None = None
        self.stats.tag(("mtev", "eventer"), {"mtev": "eventer"})
        inboxes = Inboxes()
        options = LoopOptions(
            implementation=self.settings.implementation,
            debugging=self.settings.debugging,
            stats=self.stats,
            sockets=self.sockets,
            inboxes=inboxes,
            log=self._log,
            died=died,
        )
        pools: dict[str, Pool] = {}
        names: set[str] = set()
        first = 0
        for each in self.settings.pools:
            slow = SlowReport("loop", each.name, self.settings.slow_loop_of(each.name))
            everything = self.stats.histogram(
                ("mtev", "eventer", "pool", each.name, "callbacks"),
                tags={"mtev-pool": each.name},
                summary="How long callbacks of a pool took.",
            )
            profile = Profile(each.name, everything, self.stats, slow, names, on=each.profile)
            timeout_s = each.timeout_s or self.settings.blocked_s
            pools[each.name] = Pool(each.name, each.concurrency, first, options, profile, timeout_s)
            first += each.concurrency
        self._pools: Mapping[str, Pool] = MappingProxyType(pools)
        self._jobqs: Mapping[str, JobQueue] = MappingProxyType(
            {
                each.name: JobQueue(
                    each,
                    inboxes,
                    SlowReport("jobq", each.name, self.settings.slow_job_of(each.name)),
                    self._log,
                    self.stats,
                    names,
                )
                for each in self.settings.queues
            }
        )

    @property
    def default(self) -> Pool:
        """The pool for everything that asks for no other."""
        return self._pools["default"]

    @property
    def pools(self) -> Mapping[str, Pool]:
        """Every pool by name, `default` first."""
        return self._pools

    def pool(self, name: str) -> Pool:
        """A pool by name.

        Raises:
            LookupError: there is none of that name; the message names those that there are.
        """
        return _one(self._pools, name, "pool", "loop_")

    @property
    def jobqs(self) -> Mapping[str, JobQueue]:
        """Every job queue by name, `default_queue` first."""
        return self._jobqs

    def jobq(self, name: str = "default_queue") -> JobQueue:
        """A job queue by name.

        Raises:
            LookupError: there is none of that name; the message names those that there are.
        """
        return _one(self._jobqs, name, "job queue", "jobq_")

    @property
    def loops(self) -> list[Loop]:
        """Every loop of every pool."""
        return [loop for pool in self._pools.values() for loop in pool.loops]

    def timers(self) -> list[TimerInfo]:
        """The pending timers of every loop, the next one first."""
        return sorted((info for loop in self.loops for info in loop.timers()), key=lambda info: info.whence)

    def callbacks(self) -> list[CallbackInfo]:
        """Every callback that was measured, those that took the most time in all first."""
        profiles = [pool.profile for pool in self._pools.values()] + [each.profile for each in self._jobqs.values()]
        found = [info for profile in profiles for info in profile.callbacks()]
        return sorted(found, key=lambda info: -info.latency.sum)

    def start(self) -> None:
        """Start every loop, and let the queues take jobs. Blocks until all loops turn, at most some seconds.

        After a failure, call `stop`.

        Raises:
            EventerError: a loop cannot be made or does not turn, or runs already.
        """
        raise_limit(self.settings.rlim_nofiles, self._log)
        for thread in [loop._start() for loop in self.loops]:
            thread.wait_up()
        for queue in self._jobqs.values():
            queue._start()
        self._refresh_reports()
        limits = [pool.timeout_s for pool in self._pools.values() if pool.timeout_s > 0]
        self._monitor = Monitor(
            self.loops, min(limits, default=4.0), self._tell_blocked, self._refresh_reports, self._log
        )
        self._monitor.start()
        names = ", ".join(each.name for each in self.loops)
        self._log.debug("the loops turn (%s): %s", self.settings.implementation, names)

    def drain(self, timeout_s: float = 5.0) -> bool:
        """Wait until no job waits or runs. Refuses nothing. Blocks.

        Args:
            timeout_s: how long to wait, in seconds.

        Returns:
            Whether it came to that; otherwise the log names what is left.
        """
        until = time.monotonic() + timeout_s
        left = [text for queue in self._jobqs.values() for text in queue._wait_calm(until)]
        for text in left:
            self._log.warning("after %g s of draining, %s", timeout_s, text)
        return not left

    def stop(self, timeout_s: float = 5.0) -> list[str]:
        """Stop everything: cancel timers and tasks, finish the jobs, end the threads. Blocks.

        Works after half a start, and is harmless to repeat. What refuses to end is named in the log and left behind on
        a daemon thread.

        Args:
            timeout_s: how long it may take in all, in seconds: up to half of it for tasks, and most of the rest for
                jobs.

        Returns:
            What was left behind, in words.

        Raises:
            EventerError: called on one of the eventer's own loops, which would wait for itself.
        """
        if any(loop.here for loop in self.loops):
            raise EventerError("an eventer cannot be stopped from one of its own loops; call request_stop instead")
        began = time.monotonic()
        if self._monitor is not None:
            self._monitor.stop()
            self._monitor = None
        threads = [thread for loop in self.loops if (thread := loop._live_thread()) is not None]
        for thread in threads:
            thread.begin_quiet(timeout_s * 0.4)
        for thread in threads:
            thread.wait_quiet(began + timeout_s * 0.5)
        left: list[str] = []
        for queue in self._jobqs.values():
            queue._close()
        for queue in self._jobqs.values():
            left += queue._stop(began + timeout_s * 0.8)
        until = began + timeout_s
        for thread in threads:
            thread.begin_end(max(until - time.monotonic(), 0.0) * 0.5)
        for thread in threads:
            left += thread.join(until)
        for text in left:
            self._log.error("stopping after %g s, %s; it is left behind", timeout_s, text)
        return left

    def _refresh_reports(self) -> None:
        """Find out who listens to reports of slow callbacks and jobs."""
        for report in self._reports():
            report.refresh()

    def _reports(self) -> Iterable[SlowReport]:
        for pool in self._pools.values():
            yield pool.profile.slow
        for queue in self._jobqs.values():
            yield queue.profile.slow

    def _tell_blocked(self, event: Blocked) -> None:
        if event.over:
            self._log.warning("the loop %s turns again, after %.2f s", event.loop, event.seconds)
        else:
            where = " < ".join(reversed(event.where)) or "nobody knows where"
            self._log.error("the loop %s has not turned for %.2f s; it is at %s", event.loop, event.seconds, where)
        if self._blocked is not None:
            self._blocked(event)


def _one(known: Mapping[str, T], name: str, kind: str, prefix: str) -> T:
    found = known.get(name)
    if found is None:
        raise LookupError(
            f"there is no {kind} '{name}'; there are {', '.join(known)}, "
            f"and <eventer><config> makes others with '{prefix}{name}'"
        )
    return found
