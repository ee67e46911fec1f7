"""mtev-log-jlog: the journal, as libjlog has it on the disk. As a log type: `<log type="jlog">`, see the README.

journal = Journal.create("/var/lib/acme/feed")
journal.add_subscriber("shipper")
with journal.writer(durability="batch") as writer:
    writer.append_many([b"one", b"two"])
with journal.reader("shipper") as reader:
    for entry in reader:
        print(entry.position, entry.body)
    reader.commit()
"""

from __future__ import annotations

from .codec import Compression, Entry, Metastore, Position, Safety
from .errors import (
    AppendFailed,
    DamagedJournal,
    JournalError,
    JournalExists,
    NoSuchJournal,
    NoSuchSubscriber,
    SubscriberExists,
)
from .journal import Journal, Repair, SegmentReport
from .reader import Reader
from .writer import Durability, Writer

__all__ = [
    "AppendFailed",
    "Compression",
    "DamagedJournal",
    "Durability",
    "Entry",
    "Journal",
    "JournalError",
    "JournalExists",
    "Metastore",
    "NoSuchJournal",
    "NoSuchSubscriber",
    "Position",
    "Reader",
    "Repair",
    "Safety",
    "SegmentReport",
    "SubscriberExists",
    "Writer",
]
