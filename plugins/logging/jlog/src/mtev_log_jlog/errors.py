"""The error tree of mtev-log-jlog.

    MtevError
    └── JournalError                 a journal cannot do what it was asked for
        ├── NoSuchJournal            there is no journal, or something else is in its place
        ├── JournalExists            it cannot be created, for something is there already
        ├── NoSuchSubscriber         the journal has no subscriber of that name
        ├── SubscriberExists         it has one already
        ├── DamagedJournal           what is on the disk is no journal, or not a whole one
        └── AppendFailed             not every record could be written; says how many were

What the operating system refuses is an `OSError`, as usual.
"""

from __future__ import annotations

from mtev_kernel import MtevError

__all__ = [
    "AppendFailed",
    "DamagedJournal",
    "JournalError",
    "JournalExists",
    "NoSuchJournal",
    "NoSuchSubscriber",
    "SubscriberExists",
]


class JournalError(MtevError):
    """Root of what mtev-log-jlog raises on purpose."""


class NoSuchJournal(JournalError):
    """There is no journal there."""


class JournalExists(JournalError):
    """There is something there already."""


class NoSuchSubscriber(JournalError):
    """The journal has no subscriber of that name."""


class SubscriberExists(JournalError):
    """The journal has a subscriber of that name already."""


class DamagedJournal(JournalError):
    """What is on the disk is no journal, or not a whole one."""


class AppendFailed(JournalError):
    """Not every record could be written.

    Attributes:
        written: how many were, from the first one on; they are as durable as the writer makes them.
    """

    def __init__(self, written: int, reason: str) -> None:
        super().__init__(reason)
        self.written = written
