"""Log lines: what a call costs the caller, and how many lines a second reach the file.

Usage: python bench/log.py [--rounds 5] [--lines 30000]

Every variant logs the same text ("request %d took %d us path %s", with the time before it) to a file on disk, in one
interleaved run, each with its own file. `caller` is the time of one call in bursts of 20 with a pause between them,
which is how services log: median and 99th percentile. `total` is lines a second, all of them in a tight loop, until the
last one is in the file. Ratios are to the FileHandler of the standard library, round by round. Peers that are
installed take part: structlog with orjson, loguru, picologging.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import logging
import logging.handlers
import os
import platform
import queue
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mtev_conf import Configuration
from mtev_kernel import HookSite
from mtev_log import Logs
from mtev_log.configuration import read_streams
from mtev_log_file import FileBackend
from mtev_log_file.rotation import ATTRIBUTES

PATTERN = "request %d took %d us path %s"
BRACES = "request {} took {} us path {}"
PATH = "/api/items/42"
BURST = 20
PAUSE_S = 0.0005


@dataclass
class Variant:
    """One way to log."""

    log: Callable[[int], object]
    disabled: Callable[[int], object]
    finish: Callable[[], object]


def ours(path: Path, *, form: str = "plain", rotate: bool = False, structured: bool = False) -> Variant:
    """A stream with a file behind it."""
    logs = Logs(HookSite("mtev_log_line"))
    logs.register_backend("file", FileBackend, attributes=ATTRIBUTES)
    rotation = "rotate_bytes='2000000' retain_bytes='4000000'" if rotate else ""
    document = Configuration.parse(
        f"<app><logs><log name='bench' type='file' path='{path}' format='{form}' timestamps='on' queue_lines='1000000' "
        f"{rotation}/></logs></app>"
    )
    logs.configure(read_streams(document)[0])
    logs.open()
    stream, quiet = logs.stream("bench"), logs.stream("debug/bench")
    if structured:
        return Variant(
            lambda n: stream.log("request", number=n, took=17, path=PATH),
            lambda n: quiet.log("request", number=n, took=17, path=PATH),
            logs.close,
        )
    return Variant(lambda n: stream.log(PATTERN, n, 17, PATH), lambda n: quiet.log(PATTERN, n, 17, PATH), logs.close)


def stdlib(path: Path, *, queued: bool = False, rotate: bool = False) -> Variant:
    """`logging` with its usual handlers."""
    handler: logging.Handler
    if rotate:
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=2_000_000, backupCount=2)
    else:
        handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("[%(asctime)s.%(msecs)03d] %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger = logging.Logger(f"bench{path}")
    logger.setLevel(logging.INFO)
    if not queued:
        logger.addHandler(handler)
        return Variant(
            lambda n: logger.info(PATTERN, n, 17, PATH), lambda n: logger.debug(PATTERN, n, 17, PATH), handler.close
        )
    waiting: queue.SimpleQueue[object] = queue.SimpleQueue()
    logger.addHandler(logging.handlers.QueueHandler(waiting))  # type: ignore[arg-type]  # its hint names one class of queues; any will do
    listener = logging.handlers.QueueListener(waiting, handler)  # type: ignore[arg-type]  # its hint names one class of queues; any will do
    listener.start()

    def finish() -> None:
        listener.stop()
        handler.close()

    return Variant(lambda n: logger.info(PATTERN, n, 17, PATH), lambda n: logger.debug(PATTERN, n, 17, PATH), finish)


def with_structlog(path: Path) -> Variant:
    """structlog, JSON by orjson, to a file of bytes."""
    structlog, orjson = importlib.import_module("structlog"), importlib.import_module("orjson")
    file = path.open("ab")
    logger = structlog.wrap_logger(
        structlog.BytesLogger(file),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    ).bind()
    return Variant(
        lambda n: logger.info("request", number=n, took=17, path=PATH),
        lambda n: logger.debug("request", number=n, took=17, path=PATH),
        file.close,
    )


def with_loguru(path: Path) -> Variant:
    """loguru, to a file."""
    logger = importlib.import_module("loguru").logger
    logger.remove()
    sink = logger.add(path, format="[{time:YYYY-MM-DD HH:mm:ss.SSSSSS}] {message}", level="INFO")
    return Variant(
        lambda n: logger.info(BRACES, n, 17, PATH),
        lambda n: logger.debug(BRACES, n, 17, PATH),
        lambda: logger.remove(sink),
    )


def with_picologging(path: Path) -> Variant:
    """picologging's FileHandler."""
    picologging = importlib.import_module("picologging")
    handler = picologging.FileHandler(str(path))
    handler.setFormatter(picologging.Formatter("[%(asctime)s] %(message)s"))
    logger = picologging.Logger("bench", picologging.INFO)
    logger.addHandler(handler)
    return Variant(
        lambda n: logger.info(PATTERN, n, 17, PATH), lambda n: logger.debug(PATTERN, n, 17, PATH), handler.close
    )


def contenders() -> dict[str, Callable[[Path], Variant]]:
    """Those that are installed."""
    found: dict[str, Callable[[Path], Variant]] = {
        "logging FileHandler": stdlib,
        "logging QueueHandler": lambda path: stdlib(path, queued=True),
        "logging RotatingFileHandler": lambda path: stdlib(path, rotate=True),
        "mtev-log plain": ours,
        "mtev-log plain, rotated": lambda path: ours(path, rotate=True),
        "mtev-log json, fields": lambda path: ours(path, form="json", structured=True),
        "mtev-log logfmt, fields": lambda path: ours(path, form="logfmt", structured=True),
    }
    peers = {
        "structlog, orjson": (with_structlog, ("structlog", "orjson")),
        "loguru": (with_loguru, ("loguru",)),
        "picologging FileHandler": (with_picologging, ("picologging",)),
    }
    for name, (make, needs) in peers.items():
        if all(importlib.util.find_spec(need) for need in needs):
            found[name] = make
    return found


def measure(make: Callable[[Path], Variant], path: Path, lines: int) -> tuple[float, float, float, float]:
    """Median and 99th percentile of a call in bursts (ns), lines a second in all, a disabled call (ns)."""
    clock = time.perf_counter_ns
    variant = make(path)
    log = variant.log
    calls = []
    for burst in range(lines // 10 // BURST):
        for number in range(BURST):
            start = clock()
            log(burst * BURST + number)
            calls.append(clock() - start)
        time.sleep(PAUSE_S)
    variant.finish()
    variant = make(path)
    log = variant.log
    gc.collect()
    start = clock()
    for number in range(lines):
        log(number)
    variant.finish()
    total = lines / (clock() - start) * 1e9
    variant = make(path)
    disabled = variant.disabled
    start = clock()
    for number in range(lines):
        disabled(number)
    quiet = (clock() - start) / lines
    variant.finish()
    calls.sort()
    return statistics.median(calls), calls[len(calls) * 99 // 100], total, quiet


def guards(lines: int) -> tuple[float, float]:
    """An attribute test alone, and the guarded call of a stream that leads nowhere (ns)."""
    stream = Logs(HookSite("mtev_log_line")).stream("nowhere")

    class Plain:
        __slots__ = ("on",)

    plain = Plain()
    plain.on = False
    clock = time.perf_counter_ns
    start = clock()
    for _ in range(lines):
        if plain.on:
            raise AssertionError
    attribute = (clock() - start) / lines
    start = clock()
    for _ in range(lines):
        if stream.material:
            stream.log("x")
    return attribute, (clock() - start) / lines


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lines", type=int, default=30_000)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} processors, {options.rounds} rounds of {options.lines}"
    )
    makers = contenders()
    rounds: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in makers}
    with tempfile.TemporaryDirectory() as directory:
        for turn in range(options.rounds):
            for index, (name, make) in enumerate(makers.items()):
                folder = Path(directory, f"{turn}-{index}")
                folder.mkdir()
                rounds[name].append(measure(make, folder / "x.log", options.lines))
    base, queued = rounds["logging FileHandler"], rounds["logging QueueHandler"]
    print(f"{'':28} {'caller ns':>10} {'p99':>8} {'of Queue':>9} {'lines/s':>9} {'of File':>8} {'disabled ns':>12}")
    for name, found in rounds.items():
        median, p99, total, quiet = (statistics.median(each[column] for each in found) for column in range(4))
        of_queue = statistics.median(each[0] / other[0] for each, other in zip(found, queued, strict=True))
        of_file = statistics.median(each[2] / other[2] for each, other in zip(found, base, strict=True))
        print(f"{name:28} {median:10.0f} {p99:8.0f} {of_queue:9.3f} {total:9.0f} {of_file:8.2f} {quiet:12.1f}")
    pairs = [guards(1_000_000) for _ in range(options.rounds)]
    attribute, guarded = (statistics.median(each[column] for each in pairs) for column in range(2))
    ratio = statistics.median(guarded / attribute for attribute, guarded in pairs)
    print(f"attribute test {attribute:.1f} ns, guarded call that leads nowhere {guarded:.1f} ns: {ratio:.2f}")


if __name__ == "__main__":
    main()
