"""What the process itself uses: processor time, memory, descriptors, threads, and the garbage collector's work.

Names follow Prometheus' client libraries, so that dashboards made for others fit. Read from `/proc` where there is one;
what the system does not tell is left out.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .gauge import Observed
from .registry import Stats

__all__ = ["memory", "register_process"]

_PAGE_BYTES = resource.getpagesize()
_STARTED_S = time.time()


def register_process(stats: Stats, proc: Path = Path("/proc/self")) -> None:
    """Register gauges for the process; they cost something only when they are read.

    Args:
        stats: where.
        proc: where Linux tells of this process.
    """
    gauges: tuple[tuple[str, str, Callable[[], Observed], str], ...] = (
        ("cpu", "seconds", _cpu_s, "Processor time used, in user and system mode."),
        ("start_time", "seconds", lambda: _STARTED_S, "When this process began, in seconds since the epoch."),
        ("resident_memory", "bytes", lambda: _statm(proc, 1), "Memory that is really there."),
        ("virtual_memory", "bytes", lambda: _statm(proc, 0), "Memory that was asked for."),
        ("open_fds", "", lambda: _open_fds(proc), "Open descriptors."),
        ("max_fds", "", lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0], "How many descriptors there may be."),
        ("threads", "", threading.active_count, "Threads of Python."),
    )
    for name, unit, observe, summary in gauges:
        stats.gauge(("process", name), observe, unit=unit, summary=summary)
    for generation in range(3):
        for name, key in (("collections", "collections"), ("objects_collected", "collected")):
            stats.gauge(
                ("python", "gc", str(generation), name),
                partial(_collections, generation, key),
                tags={"generation": str(generation)},
                summary="Work of the garbage collector.",
            )
    stats.gauge(("python", "info"), lambda: sys.version.split()[0], summary="The version of Python.")


def memory(proc: Path = Path("/proc/self")) -> dict[str, object]:
    """What `/mtev/memory.json` shows. libmtev shows jemalloc's own figures there; this is what Python can tell."""
    return {
        "resident_bytes": _statm(proc, 1),
        "virtual_bytes": _statm(proc, 0),
        "allocated_blocks": sys.getallocatedblocks(),
        "gc": [dict(each) for each in gc.get_stats()],
        "gc_pending": list(gc.get_count()),
    }


def _collections(generation: int, key: str) -> int:
    count: int = gc.get_stats()[generation][key]
    return count


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def _statm(proc: Path, field: int) -> int | None:
    try:
        return int((proc / "statm").read_text(encoding="ascii").split()[field]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None


def _open_fds(proc: Path) -> int | None:
    try:
        return sum(1 for _ in (proc / "fd").iterdir()) - 1  # less the one that this very look takes
    except OSError:
        return None
