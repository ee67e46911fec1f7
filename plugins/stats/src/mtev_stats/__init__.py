"""mtev-stats: histograms, counters and gauges of a running service.

    stats = context.services.require(Stats)
    requests = stats.counter(("acme", "requests"), unit="requests", summary="Requests that were answered.")
    latency = stats.histogram(("acme", "latency"), summary="From a request to its answer.")

    requests.add()
    latency.record(0.0123)

Recording is local to a thread and takes no lock; what the threads have is added up when somebody reads. For hot paths
there are cells of one thread: `counter.local()` and `histogram.local()`.
"""

from __future__ import annotations

from .counter import Counter, CounterCell
from .errors import MalformedHistogram, RegistrationError, StatsError
from .gauge import Gauge
from .histogram import Histogram, Recorder
from .registry import Stats, as_part
from .snapshot import Snapshot

__all__ = [
    "Counter",
    "CounterCell",
    "Gauge",
    "Histogram",
    "MalformedHistogram",
    "Recorder",
    "RegistrationError",
    "Snapshot",
    "Stats",
    "StatsError",
    "as_part",
]
