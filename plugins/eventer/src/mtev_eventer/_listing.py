"""What the eventer is busy with, in the shapes of libmtev's REST and console. Pure: records in, data and lines out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence

from .jobqueue import JobQueue
from .jobstatus import JobQueueStatus
from .loop import Loop
from .profile import CallbackInfo
from .sockets import Address, SocketInfo, mask_bits
from .timer import TimerInfo

__all__ = [
    "callbacks_json",
    "callbacks_lines",
    "jobqs_json",
    "jobqs_lines",
    "loops_json",
    "loops_lines",
    "memory_json",
    "sockets_lines",
    "timers_json",
    "timers_lines",
]

_QUANTILES = (0.5, 0.99, 1.0)


def timers_json(timers: Iterable[TimerInfo]) -> list[dict[str, object]]:
    """`/eventer/timers.json`: times in milliseconds since the epoch."""
    return [{"callback": each.name, "whence": int(each.whence * 1000), "eventer_pool": each.pool} for each in timers]


def jobqs_json(queues: Iterable[JobQueueStatus]) -> dict[str, dict[str, object]]:
    """`/eventer/jobq.json`: an object for each queue, under its name."""
    return {
        each.name: {
            "concurrency": each.concurrency,
            "mode": each.mode,
            "desired_concurrency": each.desired_concurrency,
            "min_concurrency": each.min_concurrency,
            "max_concurrency": each.max_concurrency,
            "total_jobs": each.total_jobs,
            "backlog": each.backlog,
            "inflight": each.inflight,
            "timeouts": each.timeouts,
            "avg_wait_ms": each.avg_wait_ms,
            "avg_run_ms": each.avg_run_ms,
            "floor": each.floor,
            "max_backlog": each.max_backlog,
            "abandoned": each.abandoned,
            "subqueues": each.subqueues,
        }
        for each in queues
    }


def sockets_lines(sockets: Iterable[SocketInfo]) -> Iterator[str]:
    """`show eventer debug sockets`: a line for each; addresses stand where libmtev shows a pointer."""
    for each in sockets:
        bits = mask_bits(each.mask)
        flags = "".join(letter if bits & bit else "-" for letter, bit in (("r", 1), ("w", 2), ("e", 4)))
        ends = " <- ".join(_shown(end) for end in (each.local, each.remote) if end is not None)
        yield f"  [{id(each):#x}] fd: {each.fd} t@{_place(each.pool, each.loop)} [{flags}-] -> {each.callback}({ends})"


def timers_lines(timers: Iterable[TimerInfo], now: float | None = None) -> Iterator[str]:
    """`show eventer debug timers`: a line for each, with the time until it fires.

    Args:
        timers: the timers.
        now: in seconds since the epoch; None for the clock.
    """
    now = time.time() if now is None else now
    for each in timers:
        yield f"  fires: {each.whence - now:.6f}s t@{_place(each.pool, each.loop)} [---t] -> {each.name}"


def jobqs_lines(queues: Sequence[JobQueueStatus], wanted: str | None = None) -> Iterator[str]:
    """`show eventer debug jobq`: a block for each queue, or for the one that is wanted.

    Raises:
        LookupError: the one that is wanted is not there.
    """
    chosen = [each for each in queues if wanted in (None, each.name)]
    if not chosen:
        raise LookupError(f"no jobq found for '{wanted}'")
    for each in chosen:
        yield f"=== {each.name} ==="
        yield f" safety: {each.safety}"
        yield f" concurrency: {each.concurrency}/{each.desired_concurrency}"
        yield f" mode: {each.mode}"
        yield f" min/max: {each.min_concurrency}/{each.max_concurrency}"
        yield f" total jobs: {each.total_jobs}"
        yield f" backlog: {each.backlog}"
        yield f" inflight: {each.inflight}"
        yield f" timeouts: {each.timeouts}"
        yield f" avg_wait_ms: {each.avg_wait_ms:f}"
        yield f" avg_run_ms: {each.avg_run_ms:f}"
        yield f" floor: {each.floor}"
        yield f" abandoned: {each.abandoned}"


def callbacks_json(callbacks: Iterable[CallbackInfo]) -> list[dict[str, object]]:
    """`/eventer/callbacks.json`: times in seconds, None where there are none."""
    found: list[dict[str, object]] = []
    for each in callbacks:
        p50, p99, most = each.latency.quantiles(_QUANTILES)
        shown = {"mean": each.latency.mean, "p50": p50, "p99": p99, "max": most, "total": each.latency.sum}
        found.append(
            {
                "callback": each.name,
                "eventer_pool": each.pool,
                "count": each.latency.count,
                **{name: None if math.isnan(value) else value for name, value in shown.items()},
            }
        )
    return found


def callbacks_lines(callbacks: Iterable[CallbackInfo], part: str = "") -> Iterator[str]:
    """`show eventer debug callbacks`: a line for each whose name has a text in it."""
    yield f"{'count':>10} {'total ms':>12} {'mean us':>10} {'p99 us':>10}  callback"
    for each in callbacks:
        latency = each.latency
        if part in each.name and latency.count:
            times = f"{latency.sum * 1e3:>12.3f} {latency.mean * 1e6:>10.1f} {latency.quantile(0.99) * 1e6:>10.1f}"
            yield f"{latency.count:>10} {times}  {each.name} ({each.pool})"


def loops_json(loops: Iterable[Loop]) -> list[dict[str, object]]:
    """`/eventer/loops.json`."""
    return [
        {
            "loop": each.name,
            "eventer_pool": each.pool.name,
            "running": each.running,
            "connections": each.load,
            "heartbeat_age": each.heartbeat_age_s,
            "timeout": each.pool.timeout_s,
            "timers": len(each.timers()),
        }
        for each in loops
    ]


def loops_lines(loops: Iterable[Loop]) -> Iterator[str]:
    """`show eventer debug loops`: a line for each."""
    for each in loops:
        state = f"last sign of life {each.heartbeat_age_s:.2f} s ago" if each.running else "not running"
        yield f"{each.name}: {each.load} connections, {len(each.timers())} timers, {state}"


def memory_json(sockets: int, timers: int, queues: Iterable[JobQueue]) -> dict[str, object]:
    """`/eventer/memory.json`: libmtev counts its event objects there; these are the things that ours are."""
    statuses = [queue.status() for queue in queues]
    jobs = sum(status.backlog + status.inflight for status in statuses)
    return {
        "live_events": sockets + timers + jobs,
        "sockets": sockets,
        "timers": timers,
        "jobs": jobs,
        "total_jobs": sum(status.total_jobs for status in statuses),
    }


def _place(pool: str, loop: str) -> str:
    number = loop.rpartition("/")[2]
    return f"{pool}:{number}" if number else pool


def _shown(address: Address) -> str:
    if isinstance(address, tuple):
        host, port = address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return address or "unnamed"
