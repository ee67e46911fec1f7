"""What `web.py` has found out, as tables and ratios."""

from __future__ import annotations

import argparse
import itertools
import statistics
from dataclasses import dataclass, field

PATHS = {"hello": "/hello", "items": "/api/items/42"}
NOISE = 0.15  # of a processor, taken by others


@dataclass
class Sample:
    """One run of wrk."""

    rate: float
    p50_us: float
    p99_us: float
    cpu_us: float
    requests: int
    noise: float


@dataclass
class Figures:
    """What was found out about one server."""

    rounds: dict[str, list[Sample | None]] = field(default_factory=dict)
    idle_mib: float | None = None
    connection_kib: dict[int, float] = field(default_factory=dict)
    start_ms: list[float] = field(default_factory=list)
    log_lines: int | None = None
    trouble: list[str] = field(default_factory=list)


def clean(samples: list[Sample | None]) -> list[Sample]:
    """Those that nobody disturbed, if there are three."""
    taken = [each for each in samples if each is not None]
    quiet = [each for each in taken if each.noise <= NOISE]
    return quiet if len(quiet) >= 3 else taken


def table(figures: dict[str, Figures], options: argparse.Namespace) -> None:
    for path in options.paths if options.rounds else ():
        print(f"\nGET {PATHS[path]}")
        print(f"{'server':22} {'req/s':>8} {'of app':>7} {'p50 us':>7} {'p99 us':>7} {'CPU us':>7} {'of app':>7}")
        for name, found in figures.items():
            samples = clean(found.rounds.get(path, []))
            if not samples:
                print(f"{name:22} no figures")
                continue
            rate, p50, p99, cpu = (
                statistics.median(getattr(each, column) for each in samples)
                for column in ("rate", "p50_us", "p99_us", "cpu_us")
            )
            faster, dearer = (compared(figures, name, "aiohttp-app", path, column) for column in ("rate", "cpu_us"))
            print(f"{name:22} {rate:8,.0f} {_shown(faster)} {p50:7.0f} {p99:7.0f} {cpu:7.1f} {_shown(dearer)}")
    counts = options.connections
    if options.memory or options.startup:
        columns = "".join(f"{f'KiB at {count}':>13}" for count in counts)
        print(f"\n{'server':22} {'idle MiB':>9}{columns} {'start ms':>9}")
        for name, found in figures.items():
            idle = f"{found.idle_mib:9.1f}" if found.idle_mib is not None else f"{'-':>9}"
            each = "".join(
                f"{found.connection_kib[count]:13.1f}" if count in found.connection_kib else f"{'-':>13}"
                for count in counts
            )
            start = f"{statistics.median(found.start_ms):9.0f}" if found.start_ms else f"{'-':>9}"
            print(f"{name:22} {idle}{each} {start}")


def _shown(ratio: float | None) -> str:
    return f"{'-':>7}" if ratio is None else f"{ratio:7.2f}"


def compared(figures: dict[str, Figures], name: str, other: str, path: str, column: str) -> float | None:
    """The median of one server's figure to another's, round by round; None where one has none."""
    if name not in figures or other not in figures:
        return None
    pairs = [
        (own, theirs)
        for own, theirs in zip(figures[name].rounds.get(path, []), figures[other].rounds.get(path, []), strict=False)
        if own is not None and theirs is not None
    ]
    quiet = [pair for pair in pairs if max(each.noise for each in pair) <= NOISE]
    pairs = quiet if len(quiet) >= 3 else pairs
    return statistics.median(getattr(own, column) / getattr(theirs, column) for own, theirs in pairs) if pairs else None


def ratios(figures: dict[str, Figures], options: argparse.Namespace) -> None:
    """What the issues ask for. Nothing is asserted: it says what is met and what is not."""
    print(f"\n{'ratio':46} {'req/s':>7} {'CPU':>7}  goal for req/s")
    for engine, path in itertools.product(options.engines, options.paths):
        own, on_aiohttp = f"ours-{engine}", engine == "aiohttp"
        for other, goal in (
            ("aiohttp-server", 0.9 if on_aiohttp else None),
            ("aiohttp-app", None if on_aiohttp else 2.5),
            ("granian-rsgi", None if on_aiohttp else 1.25),
            ("nginx", None),
        ):
            _line(figures, own, other, path, goal)
        _line(figures, f"{own}-log", own, path, 0.9)
        for other in ("aiohttp-server", "aiohttp-app", "starlette"):
            _line(figures, f"{other}-log", other, path, None)
    for engine in options.engines:
        goal = None if engine == "aiohttp" else 0.5
        ours_found, theirs = figures.get(f"ours-{engine}"), figures.get("aiohttp-app")
        if ours_found is None or theirs is None:
            continue
        for count in options.connections:
            if count in ours_found.connection_kib and theirs.connection_kib.get(count):
                ratio = ours_found.connection_kib[count] / theirs.connection_kib[count]
                _at_most(f"ours-{engine} / aiohttp-app, memory at {count}", ratio, goal)
        if ours_found.start_ms and theirs.start_ms:
            pairs = zip(ours_found.start_ms, theirs.start_ms, strict=False)  # one may have failed once
            ratio = statistics.median(own / their for own, their in pairs)
            _at_most(f"ours-{engine} / aiohttp-app, start", ratio, goal)


def _line(figures: dict[str, Figures], name: str, other: str, path: str, goal: float | None) -> None:
    rate, cpu = (compared(figures, name, other, path, column) for column in ("rate", "cpu_us"))
    if rate is not None:
        verdict = "" if goal is None else f"at least {goal}: {'met' if rate >= goal else 'missed'}"
        print(f"{f'{name} / {other}, {path}':46} {_shown(rate)} {_shown(cpu)}  {verdict}")


def _at_most(what: str, ratio: float, goal: float | None) -> None:
    verdict = "" if goal is None else f"at most {goal}: {'met' if ratio <= goal else 'missed'}"
    print(f"{what:46} {_shown(ratio)} {'':7}  {verdict}")


def troubles(figures: dict[str, Figures]) -> None:
    print()
    for name, found in figures.items():
        for line in found.trouble:
            print(f"{name}: {line}")
        samples = [each for rounds in found.rounds.values() for each in rounds if each is not None]
        asked = sum(each.requests for each in samples)
        if found.log_lines is not None and found.log_lines < asked:
            print(f"{name}: its access log has {found.log_lines} lines, and there were {asked} requests or more")
    noise = [
        each.noise
        for found in figures.values()
        for rounds in found.rounds.values()
        for each in rounds
        if each is not None
    ]
    if noise:
        over = sum(each > NOISE for each in noise)
        print(
            f"others took {statistics.median(noise):.0%} of a processor (median; at most {max(noise):.0%}); {over} of "
            f"{len(noise)} samples had more than {NOISE:.0%}"
        )
