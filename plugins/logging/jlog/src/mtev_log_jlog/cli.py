"""`mtev-jlog`: looks at journals and changes them, as jlogctl does for libjlog; and reads and writes them.

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong, 3 `data` found damage that is still there.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from .backend import read_compression
from .codec import DEFAULT_SEGMENT_SIZE, Compression, Entry, Layout, Position, Safety
from .errors import JournalError
from .journal import Journal, Repair
from .writer import Durability

__all__ = ["main"]

DONE, FAILED, DAMAGED = 0, 1, 3
_BATCH = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: those after the command's name; None for those of the process.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except BrokenPipeError:
        # Whoever read the output has gone; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return 130
    except (JournalError, OSError, ValueError) as error:
        print(f"mtev-jlog: {error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mtev-jlog", description="Look at journals of libjlog and change them.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        made.add_argument("journal", metavar="JOURNAL", help="the directory")
        made.set_defaults(run=run)
        return made

    create = command("create", _create, "make a journal")
    create.add_argument("-s", "--segment-size", type=int, default=DEFAULT_SEGMENT_SIZE, metavar="BYTES")
    create.add_argument("-c", "--compression", default="none", help="none, null or lz4")
    meta = command("meta", _meta, "show what a journal says about itself, and what is in it")
    meta.add_argument("-f", "--field", metavar="NAME", help="the value of one line alone, such as 'segment size'")
    alter = command("alter", _alter, "change the segment size or libjlog's safety")
    alter.add_argument("-s", "--segment-size", type=int, metavar="BYTES")
    alter.add_argument("--safety", choices=("unsafe", "almost_safe", "safe"))
    subscriber = command("subscriber", _subscriber, "list, add, move and remove subscribers")
    what = subscriber.add_mutually_exclusive_group()
    what.add_argument("-l", "--list", action="store_true", help="list them; also without any option")
    what.add_argument("-a", "--add", metavar="NAME", help="add one")
    what.add_argument("-u", "--update", metavar="NAME", help="move one to -p")
    what.add_argument("-e", "--erase", metavar="NAME", help="remove one")
    what.add_argument("-s", "--show", metavar="NAME", help="where one is, the last record, and how many it has to read")
    subscriber.add_argument("-p", "--position", metavar="WHERE", help="begin, end, copy:NAME or segment:marker")
    command("clean", _clean, "remove the segments that no subscriber needs")
    data = command("data", _data, "look through the segments for damage, and repair it")
    data.add_argument("-d", "--analyse", action="store_true", help="what each segment holds; also without any option")
    data.add_argument("-r", "--repair", action="store_true", help="squeeze damage out; no writer may be at work")
    data.add_argument("-i", "--index", action="store_true", help="also how libjlog's index of each segment fits")
    repair = command("repair", _repair, "repair the metastore and checkpoints; no writer may be at work")
    repair.add_argument("-f", "--files", action="store_true", help="also the segments, as 'data --repair' does")
    read = command("read", _read, "write the records that a subscriber has not consumed to the standard output")
    read.add_argument("subscriber", metavar="SUBSCRIBER")
    read.add_argument("-f", "--follow", action="store_true", help="wait for more, until interrupted")
    read.add_argument("-c", "--commit", action="store_true", help="count them as consumed once they are written")
    read.add_argument("-n", "--count", type=int, metavar="N", help="no more than N records")
    read.add_argument("-v", "--verbose", action="store_true", help="with position and time before each")
    append = command("append", _append, "append each line of the standard input, without its newline, as a record")
    append.add_argument("--durability", choices=[each.value for each in Durability], default=Durability.BATCH.value)
    return parser


def _create(options: argparse.Namespace) -> int:
    Journal.create(
        options.journal, segment_size=options.segment_size, compression=read_compression(options.compression)
    )
    return DONE


def _meta(options: argparse.Namespace) -> int:
    journal = Journal(options.journal)
    meta = journal.metastore
    first, last = journal.bounds()
    kind = Layout(meta.magic).compression
    lines = {
        "magic": f"{meta.magic:08x}",
        "current segment": f"{meta.storage_log:08x}",
        "segment size": meta.unit_limit,
        "safety": Safety(meta.safety).name.lower(),
        "compression": "none" if kind is None else Compression(kind).name.lower(),
        "segments": len(journal.segments()),
        "first": first,
        "last": last,
    }
    if options.field is not None and options.field not in lines:
        raise ValueError(f"meta: there is no field '{options.field}'; there are {', '.join(lines)}")
    for name, value in lines.items():
        if options.field is None:
            print(f"{name}: {value}")
        elif name == options.field:
            print(value)
    return DONE


def _alter(options: argparse.Namespace) -> int:
    if options.segment_size is None and options.safety is None:
        raise ValueError("alter: say what to change: --segment-size, --safety")
    safety = None if options.safety is None else Safety[options.safety.upper()]
    Journal(options.journal).alter(segment_size=options.segment_size, safety=safety)
    return DONE


def _subscriber(options: argparse.Namespace) -> int:
    journal = Journal(options.journal)
    if options.add is not None:
        print(journal.add_subscriber(options.add, _place(options.position or "begin")))
    elif options.update is not None:
        if options.position is None:
            raise ValueError("subscriber --update: say where to, with --position")
        journal.set_position(options.update, journal.place(_place(options.position)))
    elif options.erase is not None:
        if not journal.remove_subscriber(options.erase):
            raise ValueError(f"the journal '{options.journal}' has no subscriber '{options.erase}'")
    elif options.show is not None:
        position = journal.place(f"copy:{options.show}")
        behind = sum(
            max(0, journal.report(log).records - (position.marker if log == position.log else 0))
            for log in journal.segments()
            if log >= position.log
        )
        print(f"position: {position}\nlast: {journal.bounds()[1]}\nto read: {behind}")
    else:
        for name, position in journal.subscribers().items():
            print(f"{position} {name}")
    return DONE


def _place(text: str) -> str | Position:
    return text if text in ("begin", "end") or text.startswith("copy:") else Position.parse(text)


def _clean(options: argparse.Namespace) -> int:
    for log in Journal(options.journal).clean():
        print(f"removed {log:08x}")
    return DONE


def _data(options: argparse.Namespace) -> int:
    journal = Journal(options.journal)
    if options.repair:
        return _tell(journal.repair())
    damaged = False
    for log in journal.segments():
        report = journal.report(log)
        damaged = damaged or bool(report.damaged_bytes)
        print(
            f"{log:08x}: {report.records} records, {report.size_bytes} bytes, {report.damaged_bytes} damaged, "
            f"{report.incomplete_bytes} incomplete, {report.pending} subscribers pending"
            + (f", index {report.index.value}" if options.index else "")
        )
    return DAMAGED if damaged else DONE


def _repair(options: argparse.Namespace) -> int:
    return _tell(Journal(options.journal).repair(segments=options.files))


def _tell(done: Repair) -> int:
    if done.metastore:
        print("metastore: made anew")
    for name in done.checkpoints:
        print(f"subscriber {name}: begins anew")
    for log, count in done.removed_bytes.items():
        print(f"{log:08x}: {count} bytes of damage removed")
    for log in done.indexes:
        print(f"{log:08x}: wrong index removed")
    if done == Repair(False, (), {}):
        print("nothing to repair")
    return DONE


def _read(options: argparse.Namespace) -> int:
    left = options.count
    with Journal(options.journal).reader(options.subscriber) as reader:
        while left is None or left > 0:
            limit = _BATCH if left is None else min(left, _BATCH)
            batch = reader.read(limit)
            if not batch:
                if not options.follow:
                    break
                time.sleep(0.1)
                continue
            for entry in batch:
                sys.stdout.buffer.write(_shown(entry, verbose=options.verbose))
            sys.stdout.buffer.flush()
            if options.commit:
                reader.commit()
            left = None if left is None else left - len(batch)
        if reader.damaged_bytes:
            print(f"mtev-jlog: {reader.damaged_bytes} bytes of damage were skipped", file=sys.stderr)
    return DONE


def _shown(entry: Entry, *, verbose: bool) -> bytes:
    body = entry.body if entry.body.endswith(b"\n") else entry.body + b"\n"
    if not verbose:
        return body
    return f"{entry.position} {entry.time_us // 1_000_000}.{entry.time_us % 1_000_000:06d} ".encode() + body


def _append(options: argparse.Namespace) -> int:
    with Journal(options.journal).writer(options.durability) as writer:
        batch: list[bytes] = []
        for line in sys.stdin.buffer:
            batch.append(line.removesuffix(b"\n"))
            if len(batch) >= _BATCH:
                writer.append_many(batch)
                batch = []
        writer.append_many(batch)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
