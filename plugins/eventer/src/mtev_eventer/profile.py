"""How long callbacks take: a name and a histogram for each, and a report of those that took too long.

How it works. A loop has a `Timing` for each name, made at the first use and kept by whoever runs the callback. It
records on the loop's own thread, without a lock; the statistics add up what the loops have. The pool's histogram is not
recorded at all: it consists of the same counts.

Rules:

1. Nothing is looked up by text where a callback runs: code objects lead to timings.
2. A report of a slow callback (libmtev: `show_loop_callbacks_threshold`) costs one comparison while nobody listens. Who
   listens is found out once a second.
3. Names can be brought in from outside, so their number is bounded. Beyond it everything goes by `_other`.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TYPE_CHECKING

from mtev_stats import Histogram

if TYPE_CHECKING:
    from mtev_stats import Snapshot, Stats

__all__ = ["CallbackInfo", "Profile", "SlowReport", "Timing", "key_of", "whence"]

NEVER_NS = 1 << 63
_MOST_NAMES = 2000
_OTHER = "_other"
_PATIENCE = 12

_log = logging.getLogger("mtev.eventer")


@dataclass(frozen=True, slots=True)
class CallbackInfo:
    """A callback as listings show it.

    Args:
        name: its name.
        pool: the pool that it ran in, or `q:` and the job queue.
        latency: how long it took each time.
    """

    name: str
    pool: str
    latency: Snapshot


class SlowReport:
    """Reports callbacks that took too long, to the stream of their pool or queue.

    The logger's name follows libmtev's stream, `eventer/callbacks/loop/<pool>` and `eventer/callbacks/jobq/<queue>`, so
    that mtev-log, which puts the level in front, shows the line in the same place.

    Args:
        kind: `loop` or `jobq`.
        name: of the pool or queue.
        threshold_ms: least duration in whole milliseconds; 0 reports everything, a negative number nothing.

    Attributes:
        ns: the least duration to report, in nanoseconds; more than any while nobody would read it.
    """

    __slots__ = ("_log", "_threshold_ms", "ns")

    def __init__(self, kind: str, name: str, threshold_ms: float) -> None:
        self._log = logging.getLogger(f"eventer/callbacks/{kind}/{name}")
        self._threshold_ms = threshold_ms
        self.ns = NEVER_NS
        self.refresh()

    @property
    def threshold_ms(self) -> float:
        """As above; may be changed."""
        return self._threshold_ms

    @threshold_ms.setter
    def threshold_ms(self, threshold_ms: float) -> None:
        self._threshold_ms = threshold_ms
        self.refresh()

    @property
    def wanted(self) -> bool:
        """Whether anybody reads reports, as of the last look."""
        return self.ns != NEVER_NS

    def refresh(self) -> None:
        """Find out whether anybody reads reports."""
        heard = self._threshold_ms >= 0 and self._log.isEnabledFor(logging.DEBUG)
        self.ns = int(self._threshold_ms * 1_000_000) if heard else NEVER_NS

    def tell(self, name: str, duration_ns: int, created: str = "") -> None:
        """Report a callback: libmtev's line, and where it was created."""
        self._log.debug("%s [%dns]%s", name, duration_ns, f" created at {created}" if created else "")


class Timing:
    """One callback on one loop, or on one worker of a queue. Used on that thread only.

    Attributes:
        name: of the callback.
    """

    __slots__ = ("_record", "_slow", "name")

    def __init__(self, name: str, record: Callable[[int], None], slow: SlowReport) -> None:
        self.name = name
        self._record = record
        self._slow = slow

    def took(self, ns: int, created: str = "") -> None:
        """Record that it ran once, and report it if that was slow.

        Args:
            ns: how long it took, in nanoseconds, at least 0.
            created: where it was created, if that is known.
        """
        self._record(ns)
        if ns >= self._slow.ns:
            self._slow.tell(self.name, ns, created)


class Profile:
    """The callbacks of one pool or job queue. Thread-safe but for what `Timing` says.

    Args:
        place: the pool's name, or `q:` and the queue's.
        everything: what is to consist of the times of all of them.
        stats: where the figures of each go.
        slow: reports what took long.
        names: names that are known to the eventer, shared by its pools and queues.
        on: whether to measure at all.

    Attributes:
        on: as above; what begins afterwards goes by it.
        slow: as above.
    """

    def __init__(
        self, place: str, everything: Histogram, stats: Stats, slow: SlowReport, names: set[str], *, on: bool = True
    ) -> None:
        self.on = on
        self.slow = slow
        self._place = place
        self._everything = everything
        self._stats = stats
        self._names = names
        self._lock = threading.Lock()
        self._own: dict[str, Histogram] = {}

    def timing(self, name: str) -> Timing:
        """A new timing for a callback, for one thread. Keep it: each has counts of its own."""
        with self._lock:
            if name not in self._names and len(self._names) >= _MOST_NAMES:
                if _OTHER not in self._names:
                    _log.warning("there are %d names of callbacks; further ones are '%s'", _MOST_NAMES, _OTHER)
                name = _OTHER
            self._names.add(name)
            own = self._own.get(name)
            if own is None:
                own = self._own[name] = Histogram()
            everywhere = self._stats.histogram(
                ("mtev", "eventer", "callbacks", name, "latency"),
                tags={"mtev-callback": name},
                summary="How long a callback took.",
            )
        return Timing(name, own.local(everywhere, self._everything), self.slow)

    def callbacks(self) -> list[CallbackInfo]:
        """Every callback that was ever measured here."""
        with self._lock:
            own = list(self._own.items())
        return [CallbackInfo(name, self._place, histogram.snapshot()) for name, histogram in own]


def key_of(function: object) -> object:
    """What all functions have in common that are made by the same code: to find their timing without their name."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__code__", None) or type(function)


def whence(depth: int) -> str:
    """Where something is created: `file.py:12`, of the first frame that is neither asyncio's nor the eventer's.

    Args:
        depth: how many frames to leave out at least, the caller's being 1.
    """
    frame: FrameType | None = sys._getframe(depth)
    for _ in range(_PATIENCE):
        if frame is None:
            return ""
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in ("asyncio", "anyio", "mtev_eventer", "threading", "uvloop"):
            return _place(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return ""


def _place(code: CodeType, line: int) -> str:
    return f"{code.co_filename.rpartition('/')[2]}:{line}"
