"""Journals: records a second, appended in batches and read back.

Usage: python bench/journal.py [--rounds 5] [--records 100000] [--size 100]

Ours, with each durability, beside SQLite in WAL mode with a transaction for each batch (`synchronous` OFF and FULL are
what `none` and `batch` are here), in one interleaved run on the same disk. Ratios are to SQLite with the same promise,
round by round.
"""

from __future__ import annotations

import argparse
import platform
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from mtev_log_jlog import Compression, Journal


def journal(
    folder: Path, bodies: list[bytes], batch: int, durability: str, compression: Compression | None = None
) -> tuple[float, float]:
    """Seconds to append all, and to read all."""
    made = Journal.create(folder / "j", compression=compression)
    made.add_subscriber("reader")
    start = time.perf_counter()
    with made.writer(durability) as writer:
        for first in range(0, len(bodies), batch):
            writer.append_many(bodies[first : first + batch])
    written = time.perf_counter() - start
    start = time.perf_counter()
    with made.reader("reader") as reader:
        count = sum(1 for _ in reader)
        reader.commit()
    assert count == len(bodies)
    return written, time.perf_counter() - start


def sqlite(folder: Path, bodies: list[bytes], batch: int, synchronous: str) -> tuple[float, float]:
    """The same with a table."""
    database = sqlite3.connect(folder / "db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(f"PRAGMA synchronous={synchronous}")
    database.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, time_us INTEGER, body BLOB)")
    start = time.perf_counter()
    for first in range(0, len(bodies), batch):
        now = time.time_ns() // 1000
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO records (time_us, body) VALUES (?, ?)", [(now, body) for body in bodies[first : first + batch]]
        )
        database.execute("COMMIT")
    written = time.perf_counter() - start
    start = time.perf_counter()
    count = sum(1 for _ in database.execute("SELECT id, time_us, body FROM records ORDER BY id"))
    assert count == len(bodies)
    read = time.perf_counter() - start
    database.close()
    return written, read


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=100, help="bytes of a record")
    parser.add_argument("--batch", type=int, default=1000)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {options.rounds} rounds of {options.records} records of {options.size} "
        f"bytes in batches of {options.batch}"
    )
    bodies = [f"{number} ".encode().ljust(options.size, b"x") for number in range(options.records)]
    ways = {
        "sqlite OFF": lambda folder: sqlite(folder, bodies, options.batch, "OFF"),
        "journal none": lambda folder: journal(folder, bodies, options.batch, "none"),
        "journal none, lz4": lambda folder: journal(folder, bodies, options.batch, "none", Compression.LZ4),
        "sqlite FULL": lambda folder: sqlite(folder, bodies, options.batch, "FULL"),
        "journal batch": lambda folder: journal(folder, bodies, options.batch, "batch"),
    }
    peers = {"journal none": "sqlite OFF", "journal none, lz4": "sqlite OFF", "journal batch": "sqlite FULL"}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory(dir=".") as folder:
                found[name].append(way(Path(folder)))
    print(f"{'':20} {'append/s':>10} {'read/s':>10} {'of sqlite':>10} {'of sqlite':>10}")
    for name, rounds in found.items():
        written, read = (options.records / statistics.median(each[column] for each in rounds) for column in range(2))
        line = f"{name:20} {written:10.0f} {read:10.0f}"
        if name in peers:
            pairs = list(zip(rounds, found[peers[name]], strict=True))
            ratios = [statistics.median(other[column] / mine[column] for mine, other in pairs) for column in range(2)]
            line += f" {ratios[0]:10.2f} {ratios[1]:10.2f}"
        print(line)


if __name__ == "__main__":
    main()
