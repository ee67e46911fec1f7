"""One log line as data, before any format is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["NO_FLAGS", "Flags", "Record"]


@dataclass(frozen=True, slots=True)
class Flags:
    """Which prefixes a line gets in the plain format.

    Args:
        timestamps: the local time, in microseconds.
        facility: the name of the stream that it was logged to.
        debug: the thread and the place in the source.
    """

    timestamps: bool = False
    facility: bool = False
    debug: bool = False

    def union(self, other: Flags) -> Flags:
        """The flags that either of two has."""
        return Flags(self.timestamps or other.timestamps, self.facility or other.facility, self.debug or other.debug)


NO_FLAGS = Flags()
"""No prefix at all."""


@dataclass(slots=True)
class Record:
    """A line on its way to the backends. Several of them may hold the same object: do not change it.

    Args:
        time_ns: when it was logged, in nanoseconds since the epoch.
        facility: the name of the stream that it was logged to.
        message: the text, as a rule without a newline at its end; it may hold several lines.
        thread_id: the thread's number, as the operating system counts.
        thread_name: the thread's name; `""` when unknown.
        file: path of the source file.
        line: line in that file.
        level: level of the standard library's `logging`; 0 for what was logged to a stream directly.
        fields: structured data; any value is allowed.
        exception: a formatted traceback, or `""`.
        flags: which prefixes the plain format gives it at the backend that receives it.
    """

    time_ns: int
    facility: str
    message: str
    thread_id: int = 0
    thread_name: str = ""
    file: str = ""
    line: int = 0
    level: int = 0
    fields: Mapping[str, object] = field(default_factory=dict)
    exception: str = ""
    flags: Flags = NO_FLAGS

    def carrying(self, flags: Flags) -> Record:
        """The same line with other flags; itself when it has these."""
        if flags is self.flags:
            return self
        return Record(
            self.time_ns,
            self.facility,
            self.message,
            self.thread_id,
            self.thread_name,
            self.file,
            self.line,
            self.level,
            self.fields,
            self.exception,
            flags,
        )
