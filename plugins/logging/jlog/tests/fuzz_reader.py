"""Damages journals as bytes say, and holds reading and repair to what they promise.

The tests do it with bytes of hypothesis. By hand, guided by coverage and for as long as you like, in an environment
that has atheris (`uv pip install atheris`):

    python plugins/logging/jlog/tests/fuzz_reader.py -max_total_time=600 [CORPUS]

Without atheris, with random bytes: `python .../fuzz_reader.py --random SECONDS`.
"""

from __future__ import annotations

import random
import shutil
import struct
import sys
import tempfile
import time
import zlib
from pathlib import Path

from mtev_log_jlog import Compression, DamagedJournal, Journal, JournalError, NoSuchJournal
from mtev_log_jlog.codec import LAST_SEGMENT, MAGICS, Layout, checkpoint_name
from mtev_log_jlog.records import scan

KINDS = (None, Compression.NULL, Compression.LZ4)
TIME_US = 1_700_000_000_123_456  # the same for the same bytes
LENGTHS = (0, 1, 16, 2**20, 2**28, 2**28 + 1, 2**31, 2**32 - 1)


class Choices:
    """Decisions, made by bytes; all 0 when those are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> bool:
        return self._at < len(self._data)

    def bytes(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        self._at += count
        return found.ljust(count, b"\0")

    def below(self, limit: int) -> int:
        return int.from_bytes(self.bytes(1 if limit <= 256 else 2), "big") % limit if limit > 1 else 0


def build(path: Path, choices: Choices) -> tuple[Journal, list[bytes]]:
    """A sound journal with the subscribers `begin` and `middle`, with indexes and a buffer as libjlog leaves them."""
    kind = KINDS[choices.below(3)]
    journal = Journal.create(path, segment_size=100 + choices.below(256), compression=kind)
    journal.add_subscriber("begin")
    journal.add_subscriber("middle")
    # Far apart: a body has no checksum, and must not become another one by a flipped bit.
    bodies = [b"%08x" % zlib.crc32(bytes([number])) + b"x" * choices.below(50) for number in range(choices.below(24))]
    with journal.writer() as writer:
        writer.append_many(bodies, time_us=TIME_US)
    with journal.reader("middle") as reader:
        reader.read(1 + choices.below(8))
        reader.commit()
    layout = Layout.of(kind)
    for log in journal.segments():
        if choices.below(2):
            offsets = scan(layout, (path / f"{log:08x}").read_bytes()).offsets
            index = struct.pack(f"={len(offsets)}Q", *offsets) + (
                bytes(8) if log < journal.metastore.storage_log else b""
            )
            (path / f"{log:08x}.idx").write_bytes(index)
    if choices.below(3) == 1:
        (left,) = layout.encode([b"left"], 1)
        (path / "pre_commit").write_bytes(struct.pack("=I", len(left)) + left + bytes(9))
        bodies.append(b"left")
    return journal, bodies


def harm(path: Path, choices: Choices) -> set[str]:
    """Do something to a file. Returns the names of those that were touched; `order` when segments changed places."""
    names = sorted(each.name for each in path.iterdir())
    if not names:
        return set()
    name = names[choices.below(len(names))]
    file = path / name
    data = file.read_bytes()
    at = choices.below(len(data) + 1)
    match choices.below(12):
        case 0:
            data = data[:at] + bytes([(data[at] if at < len(data) else 0) ^ 1 << choices.below(8)]) + data[at + 1 :]
        case 1:
            data = data[:at]
        case 2:
            data = data[:at] + choices.bytes(1 + choices.below(40)) + data[at:]
        case 3:
            data = data[:at] + data[at + 1 + choices.below(40) :]
        case 4:
            count = 1 + choices.below(64)
            data = data[:at] + bytes(count) + data[at + count :]
        case 5:
            other = names[choices.below(len(names))]
            file.write_bytes((path / other).read_bytes())
            (path / other).write_bytes(data)
            return {name, other, "order"}
        case 6:
            file.unlink()
            return {name}
        case 7:
            extra = (f"{choices.below(40):08x}", f"{LAST_SEGMENT:08x}", "00000003.idx", "cp.ff")[choices.below(4)]
            (path / extra).write_bytes(data)
            return {extra, "order"}
        case 8:
            word = struct.pack("=I", MAGICS[choices.below(len(MAGICS))])
            at -= at % 4 if choices.below(2) else 0
            data = data[:at] + word + data[at + 4 :]
        case 9:
            word = struct.pack("=I", LENGTHS[choices.below(len(LENGTHS))])
            at -= at % 4
            data = data[:at] + word + data[at + 4 :]
        case 10:
            header = (MAGICS[choices.below(3)], 1, 2, *(LENGTHS[choices.below(len(LENGTHS))] for _ in range(2)))
            data = data[:at] + struct.pack("=5I", *header) + data[at:]
        case _:
            data = choices.bytes(choices.below(64))
    file.write_bytes(data)
    return {name}


def read_all(journal: Journal, subscriber: str, *, size: int, errors: bool) -> list[bytes]:
    """What a subscriber gets. Ends within as many steps as there can be records, or with AssertionError."""
    bodies: list[bytes] = []
    with journal.reader(subscriber) as reader:
        for step in range(size // 16 + 200):
            before = reader.position
            try:
                batch = reader.read(1 + step % 7)
            except DamagedJournal:
                assert errors, "a repaired journal has damage"
                if reader.position == before:
                    return bodies
                continue
            if not batch:
                return bodies
            bodies += [entry.body for entry in batch]
    raise AssertionError("reading does not end")


def check(data: bytes, folder: Path) -> None:
    """Make a journal in a folder, damage it, read it, repair it, and go on with it.

    Raises:
        AssertionError: it is not as promised. And whatever else is raised that should not be.
    """
    choices = Choices(data)
    path = folder / "j"
    journal, bodies = build(path, choices)
    touched: set[str] = set()
    for _ in range(6):
        if choices.left:
            touched |= harm(path, choices)
    size = sum(each.stat().st_size for each in path.iterdir())
    commits = choices.below(2)
    for act in (lambda: read_all(journal, "begin", size=size, errors=True), journal.subscribers, journal.bounds):
        try:
            act()
            for log in journal.segments():
                journal.report(log)
        except JournalError:
            pass
    if commits:
        try:
            with journal.writer() as writer:
                writer.append(b"between")
                bodies.append(b"between")
        except JournalError:
            pass
    try:
        journal.repair()
    except NoSuchJournal:
        return  # nothing is left of it
    again = journal.repair()
    assert again == type(again)(False, (), {}, ()), again
    for log in journal.segments():
        report = journal.report(log)
        assert not report.damaged_bytes, report
        assert report.index.value != "wrong", report
    try:
        with journal.writer() as writer:
            writer.append(b"the end")
    except JournalError:
        assert journal.metastore.storage_log == LAST_SEGMENT
        return
    for subscriber in journal.subscribers():
        found = read_all(journal, subscriber, size=size + 100, errors=False)
        if checkpoint_name(subscriber) not in touched and "order" not in touched:
            assert found, "the end is missing"
            assert found[-1] == b"the end"
        if "order" not in touched:
            # Where the other two come is up to what the damage has left of metastore and buffer.
            known = [body for body in found if body in bodies and body not in (b"left", b"between")]
            places = [bodies.index(body) for body in known]
            assert places == sorted(set(places)), "records are out of order"


def main() -> None:
    """Run by hand."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))

    def one(data: bytes) -> None:
        shutil.rmtree(folder / "j", ignore_errors=True)
        check(data, folder)

    try:
        if "--random" in sys.argv:
            end = time.monotonic() + float(sys.argv[-1])
            count = 0
            while time.monotonic() < end:
                data = random.randbytes(random.randrange(20, 150))
                try:
                    one(data)
                except BaseException:
                    print("failed after", count, data.hex(), file=sys.stderr)
                    raise
                count += 1
            print(count, "journals")
            return
        import atheris  # by hand only: no dependency of the tests

        atheris.instrument_all()
        atheris.Setup(sys.argv, one)
        atheris.Fuzz()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
