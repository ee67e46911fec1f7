"""What the eventer is busy with, in the shapes of libmtev's REST and console. Pure: records in, data and lines out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from .jobqueue import JobQueueStatus
from .sockets import Address, SocketInfo, mask_bits
from .timer import TimerInfo

__all__ = ["jobqs_json", "jobqs_lines", "sockets_lines", "timers_json", "timers_lines"]


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


def _place(pool: str, loop: str) -> str:
    number = loop.rpartition("/")[2]
    return f"{pool}:{number}" if number else pool


def _shown(address: Address) -> str:
    if isinstance(address, tuple):
        host, port = address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return address or "unnamed"
