"""The short way from lines to a backend that wants bytes only: no record is made on it.

It is for lines as most are: from a log call, on one way that has no steps, in the plain format. Whatever else comes is
left to records, and the bytes are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ._line import Intake, Line, Plan, record_of
from .backend import Backend
from .formats import PlainEncoder
from .record import NO_FLAGS, Flags

__all__ = ["QuickEncoder"]


class QuickEncoder:
    """Turns lines into what an encoder would make of their records. One thread at a time.

    Args:
        encode: the encoder.
        write: takes such bytes, with the time of each line in nanoseconds since the epoch.

    Attributes:
        flags: those of the last line.
    """

    __slots__ = ("_encode", "flags", "write")

    def __init__(self, encode: PlainEncoder, write: Callable[[list[bytes], list[int]], None]) -> None:
        self._encode = encode
        self.write = write
        self.flags = NO_FLAGS

    @classmethod
    def of(cls, backend: Backend) -> QuickEncoder | None:
        """One for a backend, or None where there is no short way to it."""
        encode, write = getattr(backend, "encode", None), getattr(backend, "write_encoded", None)
        return cls(encode, write) if isinstance(encode, PlainEncoder) and write is not None else None

    def lines(self, lines: Sequence[Line], sink: Intake) -> list[bytes] | None:
        """The bytes of some lines, one for each; None when one of them has to go the long way. Never raises.

        Args:
            lines: what was taken off the queue.
            sink: whose queue.
        """
        encode = self._encode
        encoded: list[bytes] = []
        add = encoded.append
        known: Plan | None = None
        flags = self.flags
        stamp, from_ns, until_ns = "", 0, 0
        facility, timestamps = "", False
        for line in lines:
            if len(line) == 2:
                return None
            plan, time_ns, message, arguments, _, _, _, _, exception = line
            if plan is not known:
                found = way_without_steps(plan, sink)
                if found is None or found.debug:
                    return None
                known, flags, timestamps = plan, found, found.timestamps
                facility = f"[{plan.facility}] " if flags.facility else ""
            if arguments:
                try:
                    message = message % arguments
                except Exception:  # the long way says what is wrong
                    add(encode(record_of(line, flags)))
                    continue
            if exception or "\n" in message:
                add(encode(record_of(line, flags)))
                continue
            if timestamps:
                if not from_ns <= time_ns < until_ns:
                    stamp, from_ns, until_ns = encode.second(time_ns)
                text = f"{stamp}{(time_ns - from_ns) // 1000:06d}] {facility}{message}\n"
            else:
                text = f"{facility}{message}\n"
            try:
                add(text.encode())
            except UnicodeEncodeError:
                add(encode(record_of(line, flags)))
        self.flags = flags
        return encoded


def way_without_steps(plan: Plan, sink: Intake) -> Flags | None:
    """The flags at the end of the only way to a sink, if it has no steps and sets them; else None."""
    ways = plan.ways.get(sink, ())
    return ways[0].flags if len(ways) == 1 and not ways[0].steps else None
