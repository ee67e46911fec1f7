"""What it costs to record one time: ours beside prometheus_client, hdrhistogram, circllhist, DDSketch, OpenTelemetry.

Usage: python bench/histogram.py [--rounds 9]

Peers that are not installed are left out, with a sentence. Figures are nanoseconds per record, the call of a function
that does nothing subtracted; the ratio is to prometheus_client, taken round by round.
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import timeit
from collections.abc import Callable

from mtev_stats import Counter, Histogram

NUMBER = 100
Record = Callable[[int], object]


def ours():
    histogram = Histogram()
    keep.append(histogram)
    return histogram.local()


def ours_any_thread():
    histogram = Histogram()
    keep.append(histogram)
    return lambda ns: histogram.record(ns * 1e-9)


def ours_counter():
    counter = Counter()
    return lambda ns: counter.add()


def ours_counter_cell():
    cell = Counter().local()

    def count(ns):
        cell.n += 1

    return count


def prometheus():
    import prometheus_client

    histogram = prometheus_client.Histogram("h", "h", registry=prometheus_client.CollectorRegistry())
    return lambda ns: histogram.observe(ns * 1e-9)


def prometheus_counter():
    import prometheus_client

    counter = prometheus_client.Counter("c", "c", registry=prometheus_client.CollectorRegistry())
    return lambda ns: counter.inc()


def hdr():
    from hdrh.histogram import HdrHistogram

    return HdrHistogram(1, 3_600_000_000_000, 2).record_value


def circllhist():
    from circllhist import Circllhist

    histogram = Circllhist()
    return lambda ns: histogram.insert_intscale(ns, -9)


def ddsketch():
    from ddsketch import DDSketch

    return DDSketch().add


def otel(*, exponential: bool = False):
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

    views = [View(instrument_name="h", aggregation=ExponentialBucketHistogramAggregation())] if exponential else []
    provider = MeterProvider(metric_readers=[InMemoryMetricReader()], views=views)
    keep.append(provider)
    histogram = provider.get_meter("bench").create_histogram("h")
    return lambda ns: histogram.record(ns * 1e-9)


def nothing():
    return lambda ns: None


CASES: dict[str, Callable[[], Record]] = {
    "a function that does nothing": nothing,
    "mtev-stats Histogram.local()": ours,
    "mtev-stats Histogram.record()": ours_any_thread,
    "prometheus_client Histogram": prometheus,
    "hdrhistogram, 2 digits": hdr,
    "circllhist": circllhist,
    "ddsketch": ddsketch,
    "OpenTelemetry, explicit buckets": otel,
    "OpenTelemetry, exponential": lambda: otel(exponential=True),
    "mtev-stats Counter.local()": ours_counter_cell,
    "mtev-stats Counter.add()": ours_counter,
    "prometheus_client Counter": prometheus_counter,
}
keep: list[object] = []


def available():
    for name, make in CASES.items():
        try:
            yield name, make()
        except (ImportError, OSError) as error:
            print(f"{name}: left out ({error})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    source = random.Random(1)
    values = [int(source.lognormvariate(9.5, 1.5)) + 1 for _ in range(1000)]
    cases = dict(available())
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, record in cases.items():
            timer = timeit.Timer("for value in values: record(value)", globals={"values": values, "record": record})
            times[name].append(timer.timeit(NUMBER) / NUMBER / len(values) * 1e9)
    base = times["a function that does nothing"]
    net = {name: [each - floor for each, floor in zip(took, base, strict=True)] for name, took in times.items()}
    print(f"Python {platform.python_version()}, {rounds} rounds, ns per record net of the loop and the call")
    for name, took in net.items():
        if name == "a function that does nothing":
            continue
        peer = "prometheus_client Counter" if "Counter" in name else "prometheus_client Histogram"
        ratio = ""
        if peer in net:
            ratio = f"{statistics.median(each / other for each, other in zip(took, net[peer], strict=True)):8.3f}"
        print(f"{name:34} {statistics.median(took):10.1f} {ratio}")


if __name__ == "__main__":
    main()
