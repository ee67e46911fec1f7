"""A line between the call that logged it and the writer: what the caller could gather cheaply, and no more.

A line is a tuple, for nothing is cheaper to make. There are two kinds:

    (plan, time_ns, message, arguments, fields, thread, code, line, exception)     from a log call
    (plan, record)                                                                 from elsewhere, complete

Where a `Later` is logged, it is both the only argument and the fields.

`plan` is the stream's at the time of the call, so that a line goes where it was meant to go whatever changes meanwhile.
What `arguments` and `fields` hold cannot change any more: `frozen` has seen to it.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CodeType, MappingProxyType
from typing import Protocol, TypeAlias
from uuid import UUID

from .filters import Predicate
from .formats import printable
from .gates import GateSettings
from .record import NO_FLAGS, Flags, Record

__all__ = [
    "NO_FIELDS",
    "PLAIN_TYPES",
    "Counts",
    "Intake",
    "Later",
    "Line",
    "Plan",
    "Step",
    "Way",
    "format_exception",
    "frozen",
    "frozen_fields",
    "record_of",
]

PLAIN_TYPES = frozenset((str, int, float, bool, bytes, type(None), UUID))
"""Types whose values nobody can change."""

NO_FIELDS: Mapping[str, object] = MappingProxyType({})
"""What a line without fields has: one for all, so that queues do not fill with empty ones."""

_MAX_DEPTH = 8


class Later(Protocol):
    """A line that is put together by whoever writes it; see `LogStream.log_later`."""

    def __str__(self) -> str:
        """The text."""

    def fields(self) -> Mapping[str, object]:
        """The structured data; called only where somebody wants it. Nothing that it holds may change."""


class Counts(Protocol):
    """What counts the lines that pass a stream."""

    def add(self, n: int = 1) -> None: ...


class Intake(Protocol):
    """Where lines are appended; see `sink.Sink`."""

    queue: deque[Line]
    limit: int
    asleep: bool

    def make_room(self) -> bool: ...
    def wake(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Step:
    """What a line meets on its way to a sink; what is None is not there.

    Args:
        passes: the filter of the edge.
        gate: the stream whose rate limit and de-duplication it meets, and these.
        count: counts the lines that come this far.
    """

    passes: Predicate | None = None
    gate: tuple[str, GateSettings] | None = None
    count: Counts | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """One way from a stream to a sink.

    Args:
        flags: those in effect at its end; None to leave a record those that it has.
        steps: what stands in between, in order; empty on the fast path.
    """

    flags: Flags | None
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Where a line that is logged to a stream goes.

    Args:
        facility: the stream's name.
        sinks: every sink that it may reach, each once.
        ways: how it gets to each of them.
    """

    facility: str
    sinks: tuple[Intake, ...] = ()
    ways: Mapping[Intake, tuple[Way, ...]] = field(default_factory=dict)


Line: TypeAlias = (
    tuple[Plan, int, str, tuple[object, ...], Mapping[str, object] | Later, threading.Thread, CodeType, int, str]
    | tuple[Plan, Record]
)


def record_of(line: Line, flags: Flags | None = None) -> Record:
    """A line as a record. Never raises, if `arguments` and `fields` are frozen.

    Args:
        line: the line.
        flags: those in effect; None to leave a record those that it has, and a line none.
    """
    if len(line) == 2:
        return line[1] if flags is None else line[1].carrying(flags)
    plan, time_ns, message, arguments, fields, thread, code, number, exception = line
    if arguments:
        try:
            message = message % arguments
        except Exception as error:  # the arguments do not fit the text: better an odd line than none
            message = f"{message} {arguments!r} (cannot be formatted: {error})"
    if not isinstance(fields, dict | MappingProxyType):
        fields = _fields_of(fields)
    return Record(
        time_ns,
        plan.facility,
        message,
        thread.native_id or 0,
        thread.name,
        code.co_filename,
        number,
        0,
        fields,
        exception,
        NO_FLAGS if flags is None else flags,
    )


def _fields_of(fields: Mapping[str, object] | Later) -> Mapping[str, object]:
    if isinstance(fields, Mapping):
        return fields
    try:
        return fields.fields()
    except Exception as error:  # the line is worth more than what is wrong with it
        return {"fields_failed": printable(error)}


def frozen_fields(fields: dict[str, object]) -> dict[str, object]:
    """Fields whose values cannot change any more; the same mapping where that is so already."""
    for value in fields.values():
        if type(value) not in PLAIN_TYPES:
            return {key: frozen(each) for key, each in fields.items()}
    return fields


def frozen(value: object, depth: int = 0) -> object:
    """A value that cannot change any more and looks the same in a log. Never raises.

    Containers are copied, at most eight deep; anything that is not data becomes text.
    """
    kind = type(value)
    if kind in PLAIN_TYPES:
        return value
    if depth < _MAX_DEPTH:
        try:
            if isinstance(value, Mapping):
                return {
                    key if type(key) in PLAIN_TYPES else printable(key): frozen(each, depth + 1)
                    for key, each in value.items()
                }
            if isinstance(value, list | tuple):
                return [frozen(each, depth + 1) for each in value]
            if isinstance(value, bytearray | memoryview):
                return bytes(value)
        except Exception:  # whatever it does when it is looked at, the line is written
            return printable(value)
    return printable(value)


def format_exception(error: BaseException) -> str:
    """A traceback as text, causes and contexts included, without a newline at its end. Never raises."""
    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except Exception:  # an exception that cannot be shown is no reason to lose the line
        return f"{type(error).__name__} (it cannot be formatted)"
