"""What `<eventer>` says, read into plain data. Pure: texts in, settings and remarks out.

Keys are libmtev's. A key is compared without regard to case; the names after `loop_` and `jobq_` are not.

Rules:

1. A value that means nothing is an error; a key that libmtev knows and we do not serve, or that nobody knows, is a
   warning. A file written for libmtev therefore still starts.
2. There is always a pool `default` and a queue `default_queue`; they come first, the others in order of appearance.
3. `loop_<name>` = `concurrency[,timeout_s]`. A concurrency of 0 or less means the default one.
4. `jobq_<name>` = `concurrency[,min[,max[,safety[,backlog[,order]]]]]`. An empty field counts as absent. A min of 0, a
   max of 0 and a backlog of 0 mean "no bound"; with a min and no max, the max is the min. Refused: a concurrency below
   1, min above max, and a concurrency outside of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from typing import Literal, TypeVar

from mtev_conf import parse_boolean, parse_integer, parse_number

__all__ = [
    "DEFAULT_BACKLOG",
    "EventerSettings",
    "JobQueueSettings",
    "PoolSettings",
    "Remark",
    "Settled",
    "default_concurrency",
    "parse_order",
    "read_settings",
]

DEFAULT_BACKLOG = 10_000
"""How many jobs may wait in a queue for which no backlog is stated."""

DEFAULT_BLOCKED_MS = 1000.0

_DEFAULT_QUEUE_THREADS = 5
_MOST_LOOPS = 1024
_MOST_THREADS = 4096
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_LIBMTEV_IMPLEMENTATIONS = ("epoll", "kqueue", "ports")
_KEYS = (
    "blocked_threshold",
    "concurrency",
    "debugging",
    "default_jobq_ordering",
    "default_queue_threads",
    "profile",
    "rlim_nofiles",
    "show_jobq_callbacks_threshold",
    "show_loop_callbacks_threshold",
    "ssl_ctx_cache_expiry",  # read by mtev-tls
)
_FOREIGN_KEYS = {"default_ca_chain": "nobody reads it in libmtev either"}
_FOREIGN_PREFIX = "ssl_dhparam"

T = TypeVar("T")
Order = Literal["fifo", "lifo"]
Safety = Literal["gc", "cs", "none"]


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """A pool of loops.

    Args:
        name: its name.
        concurrency: how many loops it has.
        timeout_s: after how long a silent loop counts as blocked, in seconds; 0 for `EventerSettings.blocked_s`.
        profile: whether to measure how long callbacks take.
    """

    name: str
    concurrency: int = 1
    timeout_s: float = 0.0
    profile: bool = True


@dataclass(frozen=True, slots=True)
class JobQueueSettings:
    """A job queue.

    Args:
        name: its name.
        concurrency: how many worker threads it may have; they start when they are needed.
        minimum: lower bound for `concurrency` when that is changed; 0 for none. Starts no thread.
        maximum: upper bound likewise; 0 for none.
        safety: libmtev's memory safety, which has no meaning in Python; shown in listings.
        backlog: how many jobs may wait; 0 for any number.
        order: which waiting job is next: the oldest (`fifo`) or the newest (`lifo`).
    """

    name: str
    concurrency: int = 1
    minimum: int = 0
    maximum: int = 0
    safety: Safety = "gc"
    backlog: int = DEFAULT_BACKLOG
    order: Order = "fifo"


@dataclass(frozen=True, slots=True)
class EventerSettings:
    """Everything that an `Eventer` is made from.

    Args:
        implementation: `uvloop` or `asyncio`.
        pools: the pools, `default` first.
        queues: the job queues, `default_queue` first.
        rlim_nofiles: how many open files to ask the system for; None to take all that it gives without asking.
        debugging: switch on the debug mode of every loop.
        slow_loop_ms: report callbacks that take as many whole milliseconds; 0 for all, negative for none.
        slow_job_ms: the same for jobs.
        slow_loops_ms: the same for pools of their own, by name.
        slow_jobs_ms: the same for queues of their own, by name.
        blocked_s: after how long a silent loop counts as blocked, in seconds; 0 for never.
    """

    implementation: Literal["uvloop", "asyncio"] = "uvloop"
    pools: tuple[PoolSettings, ...] = (PoolSettings("default"),)
    queues: tuple[JobQueueSettings, ...] = (JobQueueSettings("default_queue", _DEFAULT_QUEUE_THREADS),)
    rlim_nofiles: int | None = None
    debugging: bool = False
    slow_loop_ms: float = 0.0
    slow_job_ms: float = 0.0
    slow_loops_ms: Mapping[str, float] = field(default_factory=dict)
    slow_jobs_ms: Mapping[str, float] = field(default_factory=dict)
    blocked_s: float = DEFAULT_BLOCKED_MS / 1000

    def slow_loop_of(self, pool: str) -> float:
        """The threshold of a pool, in milliseconds."""
        return self.slow_loops_ms.get(pool, self.slow_loop_ms)

    def slow_job_of(self, queue: str) -> float:
        """The threshold of a queue, in milliseconds."""
        return self.slow_jobs_ms.get(queue, self.slow_job_ms)


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to tell the operator.

    Args:
        key: the key concerned, as it is written; `""` for the attribute `implementation`.
        text: what is wrong, or worth knowing, and what to do.
    """

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of reading.

    Args:
        settings: complete and valid; where there are errors, with defaults in the place of what is wrong.
        errors: what must not pass.
        warnings: what is without effect.
        notes: what has another effect than the words suggest.
    """

    settings: EventerSettings
    errors: tuple[Remark, ...]
    warnings: tuple[Remark, ...]
    notes: tuple[Remark, ...]


def default_concurrency(*, gil: bool, processors: int | None) -> int:
    """How many loops a pool has that states no number: one where a GIL lets only one run, else one per processor."""
    return 1 if gil else max(processors or 1, 1)


def read_settings(values: Mapping[str, str], implementation: str | None = None, *, concurrency: int = 1) -> Settled:
    """Read the keys of `<eventer><config>`.

    Args:
        values: the merged hash.
        implementation: the attribute of that name, None when there is none.
        concurrency: what `default_concurrency` says.
    """
    return _Reader(values, concurrency).read(implementation)


class _Reader:
    def __init__(self, values: Mapping[str, str], concurrency: int) -> None:
        self._errors: list[Remark] = []
        self._warnings: list[Remark] = []
        self._notes: list[Remark] = []
        self._concurrency = concurrency
        self._plain: dict[str, tuple[str, str]] = {}
        self._loops: dict[str, tuple[str, str]] = {}
        self._jobqs: dict[str, tuple[str, str]] = {}
        self._slow_loops: dict[str, tuple[str, str]] = {}
        self._slow_jobs: dict[str, tuple[str, str]] = {}
        self._profiles: dict[str, tuple[str, str]] = {}
        self._prefixes = {
            "loop_": self._loops,
            "jobq_": self._jobqs,
            "show_loop_callbacks_threshold_": self._slow_loops,
            "show_jobq_callbacks_threshold_": self._slow_jobs,
            "profile_": self._profiles,
        }
        for key, value in values.items():
            self._sort(key, value.strip())

    def read(self, implementation: str | None) -> Settled:
        engine = self._implementation(implementation)
        self._concurrency = self._integer("concurrency", 0, 0, _MOST_LOOPS) or self._concurrency
        ordering = self._order("default_jobq_ordering")
        threads = self._integer("default_queue_threads", _DEFAULT_QUEUE_THREADS, 1, _MOST_THREADS)
        pools = {"default": PoolSettings("default", self._concurrency)}
        for name, (key, value) in self._loops.items():
            pools[name] = self._pool(name, key, value)
        queues = {"default_queue": JobQueueSettings("default_queue", threads, order=ordering)}
        for name, (key, value) in self._jobqs.items():
            queues[name] = self._queue(name, key, value, ordering)
        pools = self._profiled(pools)
        settings = EventerSettings(
            implementation=engine,
            pools=tuple(pools.values()),
            queues=tuple(queues.values()),
            rlim_nofiles=self._integer("rlim_nofiles", 0, 256, 1 << 30) or None,
            debugging=self._plain.get("debugging", ("", "0"))[1] != "0",
            slow_loop_ms=self._number("show_loop_callbacks_threshold"),
            slow_job_ms=self._number("show_jobq_callbacks_threshold"),
            slow_loops_ms=self._thresholds(self._slow_loops, pools, "pool"),
            slow_jobs_ms=self._thresholds(self._slow_jobs, queues, "job queue"),
            blocked_s=self._number("blocked_threshold", DEFAULT_BLOCKED_MS, 0.0) / 1000,
        )
        return Settled(settings, tuple(self._errors), tuple(self._warnings), tuple(self._notes))

    def _sort(self, key: str, value: str) -> None:
        lower = key.lower()
        prefix = next((each for each in self._prefixes if lower.startswith(each)), "")
        if prefix:
            self._named(self._prefixes[prefix], key, key[len(prefix) :], value)
        elif lower in _KEYS:
            self._once(self._plain, lower, key, value)
        elif lower in _FOREIGN_KEYS:
            self._warnings.append(Remark(key, f"'{key}' has no effect: {_FOREIGN_KEYS[lower]}"))
        elif lower.startswith(_FOREIGN_PREFIX):
            self._warnings.append(Remark(key, f"'{key}' has no effect, as in libmtev"))
        else:
            near = get_close_matches(lower, (*_KEYS, *_FOREIGN_KEYS, "loop_", "jobq_"), n=1)
            patterns = {"loop_": "loop_<pool>", "jobq_": "jobq_<queue>"}
            self._warnings.append(
                Remark(
                    key,
                    f"'{key}' is not a key of the eventer and has no effect"
                    + (f"; did you mean '{patterns.get(near[0], near[0])}'?" if near else ""),
                )
            )

    def _named(self, found: dict[str, tuple[str, str]], key: str, name: str, value: str) -> None:
        if _NAME.fullmatch(name) is None:
            self._errors.append(
                Remark(key, f"'{key}': '{name}' cannot be a name; write 1 to 64 letters, digits, or any of _ . : -")
            )
        else:
            self._once(found, name, key, value)

    def _once(self, found: dict[str, tuple[str, str]], name: str, key: str, value: str) -> None:
        if name in found:
            self._errors.append(Remark(key, f"'{key}' says what '{found[name][0]}' says already; keep one of them"))
        found[name] = (key, value)

    def _implementation(self, text: str | None) -> Literal["uvloop", "asyncio"]:
        if text in _LIBMTEV_IMPLEMENTATIONS:
            self._notes.append(Remark("", f'implementation="{text}" is libmtev\'s; it means the default here, uvloop'))
        elif text == "asyncio":
            return "asyncio"
        elif text not in (None, "uvloop"):
            self._errors.append(
                Remark("", f'implementation="{text}" is not known; write uvloop or asyncio, or leave it out for uvloop')
            )
        return "uvloop"

    def _integer(self, name: str, default: int, minimum: int, maximum: int) -> int:
        key, text = self._plain.get(name, ("", ""))
        return self._parsed(key, lambda: parse_integer(text, minimum, maximum), default) if key else default

    def _number(self, name: str, default: float = 0.0, minimum: float | None = None) -> float:
        key, text = self._plain.get(name, ("", ""))
        return self._parsed(key, lambda: parse_number(text, minimum), default) if key else default

    def _parsed(self, key: str, parse: Callable[[], T], default: T) -> T:
        try:
            return parse()
        except ValueError as error:
            self._errors.append(Remark(key, f"{key}: {error}"))
            return default

    def _thresholds(
        self, found: Mapping[str, tuple[str, str]], known: Mapping[str, object], kind: str
    ) -> dict[str, float]:
        for name, (key, _) in found.items():
            if name not in known:
                self._errors.append(Remark(key, f"{key}: there is no {kind} '{name}'"))
        return {name: self._parsed(key, partial(parse_number, text), 0.0) for name, (key, text) in found.items()}

    def _profiled(self, pools: dict[str, PoolSettings]) -> dict[str, PoolSettings]:
        """The pools, each measured or not, as `profile` says for all and `profile_<pool>` for one."""
        key, text = self._plain.get("profile", ("", "on"))
        everywhere = self._parsed(key, lambda: parse_boolean(text), True)
        own: dict[str, bool] = {}
        for name, (key, text) in self._profiles.items():
            if name not in pools:
                self._errors.append(Remark(key, f"{key}: there is no pool '{name}'"))
            own[name] = self._parsed(key, partial(parse_boolean, text), True)
        return {name: replace(pool, profile=own.get(name, everywhere)) for name, pool in pools.items()}

    def _order(self, name: str) -> Order:
        key, text = self._plain.get(name, ("", "fifo"))
        order = parse_order(text)
        if order is None:
            self._errors.append(Remark(key, f"{key}: '{text}' is neither fifo nor lifo"))
        return order or "fifo"

    def _pool(self, name: str, key: str, value: str) -> PoolSettings:
        fields = [each.strip() for each in value.split(",")]
        pool = PoolSettings(name, self._concurrency)
        try:
            if len(fields) > 2:
                raise ValueError(f"'{value}' has {len(fields)} fields; write concurrency[,timeout]")
            if fields[0]:
                concurrency = parse_integer(fields[0], maximum=_MOST_LOOPS)
                pool = replace(pool, concurrency=concurrency if concurrency > 0 else self._concurrency)
            if len(fields) == 2 and fields[1]:
                pool = replace(pool, timeout_s=parse_number(fields[1], 0.0))
        except ValueError as error:
            self._errors.append(Remark(key, f"{key}: {error}"))
        return pool

    def _queue(self, name: str, key: str, value: str, ordering: Order) -> JobQueueSettings:
        try:
            return _queue(name, [each.strip() for each in value.split(",")], ordering)
        except ValueError as error:
            self._errors.append(Remark(key, f"{key}: {error}"))
            return JobQueueSettings(name, order=ordering)


def _queue(name: str, fields: Sequence[str], ordering: Order) -> JobQueueSettings:
    if len(fields) > 6:
        raise ValueError(f"{len(fields)} fields; write concurrency[,min[,max[,safety[,backlog[,order]]]]]")
    texts = [*fields, *[""] * (6 - len(fields))]
    if not texts[0]:
        raise ValueError("the concurrency is missing; write how many threads the queue may have")
    concurrency = parse_integer(texts[0], 1, _MOST_THREADS)
    minimum = parse_integer(texts[1], 0, _MOST_THREADS) if texts[1] else 0
    maximum = parse_integer(texts[2], 0, _MOST_THREADS) if texts[2] else minimum
    upper = maximum or math.inf
    if minimum > upper:
        raise ValueError(f"the min of {minimum} is above the max of {maximum}")
    if concurrency < minimum:
        raise ValueError(f"the concurrency of {concurrency} is below the min of {minimum}")
    if concurrency > upper:
        why = "" if texts[2] else " (which is the min where no max is given)"
        raise ValueError(f"the concurrency of {concurrency} is above the max of {maximum}{why}")
    safety: Safety
    match texts[3]:
        case "" | "gc":
            safety = "gc"
        case "cs":
            safety = "cs"
        case "none":
            safety = "none"
        case other:
            raise ValueError(f"the safety '{other}' is none of gc, cs, none")
    order = parse_order(texts[5]) if texts[5] else ordering
    if order is None:
        raise ValueError(f"the order '{texts[5]}' is neither fifo nor lifo")
    backlog = parse_integer(texts[4], 0) if texts[4] else DEFAULT_BACKLOG
    return JobQueueSettings(name, concurrency, minimum, maximum, safety, backlog, order)


def parse_order(text: str) -> Order | None:
    """Which job is next, in words of either case; None for what is neither `fifo` nor `lifo`."""
    match text.lower():
        case "fifo":
            return "fifo"
        case "lifo":
            return "lifo"
    return None
