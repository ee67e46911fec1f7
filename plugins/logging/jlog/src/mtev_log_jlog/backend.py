"""The backend of type `jlog`: every line a record of a journal.

Rules, libmtev's unless marked:

1. `path` is the directory, with the subscribers in parentheses: `dir(a,b)` has those and no others; `dir(a,*)` and
   `dir(*)` leave others alone, temporary ones (`~...`) excepted; a path without parentheses means `dir(stratcon)`.
   Subscribers are added at the first record that is still there.
2. A journal that is missing is made. Opening and reopening forget temporary subscribers and remove segments that
   nobody needs.
3. A record is what the format gives, with its newline; its time is that of the write.
4. Ours: a batch of lines is one append, synced as `durability` says. Of one that fails, the whole records stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mtev_log import BackendSettings, IncompleteWrite, Record

from .codec import DEFAULT_SEGMENT_SIZE, Compression
from .errors import AppendFailed, NoSuchJournal, SubscriberExists
from .journal import MAX_SEGMENT_SIZE, Journal
from .writer import Durability, Writer

__all__ = ["JlogBackend", "JlogOptions", "read_compression", "read_options"]

_PATH = re.compile(r"(?P<directory>[^()]+)(?:\((?P<subscribers>[^()]*)\))?")
_OPTIONS = ("compression", "durability", "precommit", "segment_size")
_MAX_PRECOMMIT = 8 * 1024 * 1024
_COMPRESSIONS = {"none": None, "null": Compression.NULL, "lz4": Compression.LZ4}


@dataclass(frozen=True, slots=True)
class JlogOptions:
    """What a `<log>` says.

    Args:
        directory: the journal.
        subscribers: those that it is to have.
        keep_others: whether others stay.
        durability: when records are synced.
        segment_size: in bytes; 0 to leave it.
        compression: of a journal that has to be made.
    """

    directory: Path
    subscribers: tuple[str, ...] = ("stratcon",)
    keep_others: bool = False
    durability: Durability = Durability.NONE
    segment_size: int = 0
    compression: Compression | None = None


class JlogBackend:
    """Appends lines to a journal. Thread-compatible, as every backend.

    Args:
        settings: `path` and `config` as the README has them.

    Raises:
        ConfigurationError: they cannot be understood.
    """

    def __init__(self, settings: BackendSettings) -> None:
        self.options = read_options(settings)
        self.encode = settings.encoder(split=False)
        self._journal = Journal(self.options.directory)
        self._writer: Writer | None = None

    def open(self) -> None:
        """Open the journal, or make it, and see to its subscribers. Blocks on the file system.

        Raises:
            JournalError: what is there is no journal.
            OSError: it cannot be had; the directory above it is not made.
        """
        if self._writer is not None:
            return
        options = self.options
        try:
            meta = self._journal.metastore
        except NoSuchJournal:
            size = options.segment_size or DEFAULT_SEGMENT_SIZE
            Journal.create(options.directory, segment_size=size, compression=options.compression)
        else:
            if options.segment_size and meta.unit_limit != options.segment_size:
                self._journal.alter(segment_size=options.segment_size)
        self._see_to_subscribers()
        self._journal.clean()
        self._writer = self._journal.writer(options.durability)

    def write(self, records: Sequence[Record]) -> None:
        """Append. Blocks on the file system.

        Raises:
            IncompleteWrite: not everything could be written.
        """
        self.write_encoded(list(map(self.encode, records)), ())

    def write_encoded(self, lines: Sequence[bytes], times_ns: Sequence[int]) -> None:
        """Append lines that `encode` made. Blocks on the file system.

        Args:
            lines: the lines.
            times_ns: not needed: a journal has its own times.

        Raises:
            IncompleteWrite: as `write`.
        """
        if not lines:
            return
        assert self._writer is not None
        try:
            self._writer.append_many(lines)
        except AppendFailed as error:
            raise IncompleteWrite(error.written, str(error)) from error

    def flush(self) -> None:
        """Nothing is held back."""

    def reopen(self) -> None:
        """Open the journal anew, forget temporary subscribers, and clean up. Blocks on the file system."""
        self.close()
        self.open()

    def close(self) -> None:
        """Close the journal. Harmless to repeat."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _see_to_subscribers(self) -> None:
        wanted = self.options.subscribers
        there = self._journal.subscribers()
        for name in wanted:
            if name not in there:
                with suppress(SubscriberExists):  # another process was faster
                    self._journal.add_subscriber(name)
        for name in there:
            if name not in wanted and (not self.options.keep_others or name.startswith("~")):
                self._journal.remove_subscriber(name)


def read_options(settings: BackendSettings) -> JlogOptions:
    """What a `<log>` of type `jlog` says.

    Raises:
        ConfigurationError: it cannot be understood; with what is wrong, and what is expected.
    """
    settings.check_options(*_OPTIONS)
    found = _PATH.fullmatch(settings.path.strip())
    if found is None:
        raise settings.error(
            f"path='{settings.path}': expected the directory of a journal, with subscribers in parentheses if others "
            "than 'stratcon' read it, such as '/var/lib/acme/feed(shipper)'"
        )
    subscribers: tuple[str, ...] = ("stratcon",)
    keep_others = False
    if found["subscribers"] is not None:
        names = [name.strip() for name in found["subscribers"].split(",") if name.strip()]
        keep_others = "*" in names
        subscribers = tuple(dict.fromkeys(name for name in names if name != "*"))
        for name in subscribers:
            if len(name.encode()) > 120:
                raise settings.error(f"path: the subscriber '{name}' has more than 120 bytes")
    config = settings.config
    try:
        compression = read_compression(config.get("compression", "none"))
    except ValueError as error:
        raise settings.error(str(error)) from None
    durability = config.get("durability", Durability.NONE.value)
    if durability not in [each.value for each in Durability]:
        raise settings.error(f"durability='{durability}' is none of {', '.join(each.value for each in Durability)}")
    _number(settings, "precommit", 0, _MAX_PRECOMMIT)
    return JlogOptions(
        Path(found["directory"].strip()).absolute(),
        subscribers,
        keep_others,
        Durability(durability),
        _number(settings, "segment_size", 1, MAX_SEGMENT_SIZE),
        compression,
    )


def read_compression(text: str) -> Compression | None:
    """The compression of that name.

    Raises:
        ValueError: there is none.
    """
    if text not in _COMPRESSIONS:
        raise ValueError(f"compression='{text}' is none of {', '.join(_COMPRESSIONS)}")
    return _COMPRESSIONS[text]


def _number(settings: BackendSettings, name: str, least: int, most: int) -> int:
    text = settings.config.get(name, "").strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and least <= int(text) <= most):
        raise settings.error(f"{name}='{text}' is not a number of bytes from {least} to {most}")
    return int(text)
