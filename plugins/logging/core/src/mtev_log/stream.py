"""A log stream as code uses it.

    stream = logs.stream("error/acme")
    stream.log("cannot reach the peer", peer=address, exception=error)
    stream.log("%d of %d", done, total)     # put together by the writer, not here
    if stream.material:                     # where even the arguments would cost too much
        stream.log(f"state: {expensive()}")

Rules:

1. A log call never raises. What goes wrong on the way is said on standard error.
2. `material` and the plan are attributes, replaced whenever the graph changes: a call that leads nowhere costs one
   attribute test.
3. Where it leads somewhere, the caller appends one tuple to the queue of each sink, and that is all: no lock, no
   formatting. Only while a hook is attached does the line become a record here.
4. What is logged while the same thread is already logging (by a backend or a hook) is dropped and counted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from mtev_kernel import ABORT, HookResult, HookSite

from ._line import (
    NO_FIELDS,
    PLAIN_TYPES,
    Intake,
    Later,
    Line,
    Plan,
    Step,
    Way,
    format_exception,
    frozen,
    frozen_fields,
    record_of,
)
from .filters import Filter
from .formats import encode_plain, encoder, printable
from .handover import Nesting
from .record import Flags, Record

__all__ = ["Dispatch", "LogLineSite", "LogPlainSite", "LogStream", "Route", "Stop", "route_of"]

_getframe = sys._getframe
_time_ns = time.time_ns
_NOWHERE = Way(None)


class LogStream:
    """A named place to log to. Obtained from `Logs.stream`; keep it: it stays valid when the configuration changes.

    Attributes:
        name: its name, which is also the *facility* of what is logged to it.
        material: whether a line that is logged here ends up anywhere.
    """

    __slots__ = ("_dispatch", "_plan", "_route", "material", "name")

    def __init__(self, name: str, dispatch: Dispatch) -> None:
        self.name = name
        self.material = False
        self._dispatch = dispatch
        self._plan = Plan(name)
        self._route = Route(self._plan)

    def __repr__(self) -> str:
        return f"<LogStream {self.name!r}{'' if self.material else ', not material'}>"

    def log(
        self, message: str, /, *arguments: object, exception: BaseException | bool | None = None, **fields: object
    ) -> None:
        """Log a line. Thread-safe; never raises; waits only where a sink's policy for a full queue is `block`, and
        before the service has started.

        Args:
            message: the text, without a newline at its end.
            arguments: if there are any, the text is `message % arguments`.
            exception: logged with its traceback; True for the one that is being handled.
            fields: structured data, shown by the formats `json`, `logfmt` and `flatbuffer`, and seen by filters,
                backends and hooks. Values that could change later are copied. The name `exception` is taken.
        """
        if not self.material:
            return
        dispatch = self._dispatch
        thread = dispatch.nesting.thread
        if thread is None:
            dispatch.nested += 1
            return
        try:
            plan = self._plan
            frame = _getframe(1)
            for argument in arguments:
                if type(argument) not in PLAIN_TYPES:
                    arguments = tuple(map(frozen, arguments))
                    break
            line: Line = (
                plan,
                _time_ns(),
                message if type(message) is str else printable(message),
                arguments,
                frozen_fields(fields) if fields else NO_FIELDS,
                thread,
                frame.f_code,
                frame.f_lineno,
                "" if exception is None else _traceback(exception),
            )
            if (
                dispatch.line.call is not None
                or dispatch.plain.call is not None
                or dispatch.flatbuffer.call is not None
            ):
                self._hooked(record_of(line))
                return
            for sink in plan.sinks:
                if len(sink.queue) >= sink.limit and not sink.make_room():
                    continue
                sink.queue.append(line)
                if sink.asleep:
                    sink.wake()
        except Exception as error:  # rule 1
            dispatch.trouble(self.name, error)

    __call__ = log

    def log_later(self, line: Later) -> None:
        """Log a line that is put together by whoever writes it: for what is logged often, and knows its own form.

        Args:
            line: `str(line)` is the text, and `line.fields()` the structured data, each asked for when it is needed, on
                another thread; so nothing that they are made of may change.
        """
        if not self.material:
            return
        dispatch = self._dispatch
        thread = dispatch.nesting.thread
        if thread is None:
            dispatch.nested += 1
            return
        try:
            frame = _getframe(1)
            made: Line = (self._plan, _time_ns(), "%s", (line,), line, thread, frame.f_code, frame.f_lineno, "")
            if (
                dispatch.line.call is not None
                or dispatch.plain.call is not None
                or dispatch.flatbuffer.call is not None
            ):
                self._hooked(record_of(made))
                return
            _put(made)
        except Exception as error:  # rule 1
            dispatch.trouble(self.name, error)

    def emit(self, record: Record) -> bool:
        """Send a record that was made elsewhere on its way. Thread-safe; never raises; may wait as `log` may.

        Args:
            record: the line; nothing that it holds may change any more.

        Returns:
            False when it was dropped because this thread is logging already.
        """
        dispatch = self._dispatch
        if dispatch.nesting.thread is None:
            dispatch.nested += 1
            return False
        try:
            if (
                dispatch.line.call is not None
                or dispatch.plain.call is not None
                or dispatch.flatbuffer.call is not None
            ):
                self._hooked(record)
                return True
            _put((self._plan, record))
        except Exception as error:  # rule 1
            dispatch.trouble(self.name, error)
        return True

    def rerouted(self, route: Route) -> None:
        """Replace the route; for `Logs`."""
        self._route = route
        self._plan = route.plan
        self.material = bool(route.plan.sinks)

    def _hooked(self, record: Record) -> None:
        """Walk the streams one by one, for hooks want to see every one of them."""
        dispatch = self._dispatch
        nesting = dispatch.nesting
        thread, nesting.thread = nesting.thread, None
        try:
            lines = list(_walk(self._route, record, dispatch))
        finally:
            nesting.thread = thread
        for line in lines:
            _put(line)


@dataclass(frozen=True, slots=True)
class Stop:
    """One step of a line's way, ready to walk; see `graph.Hop`.

    Args:
        stream: the stream that it passes.
        flags: those in effect there.
        sink: the sink that takes it there, if one does.
        size: how many stops to skip when it stops here.
        filter: what it has to pass to get here.
        steps: what it meets here: the gate and the count of the stream.
    """

    stream: LogStream
    flags: Flags
    sink: Intake | None
    size: int
    filter: Filter | None = None
    steps: tuple[Step, ...] = ()


LogLineSite: TypeAlias = HookSite[[LogStream, Record], HookResult | None]
"""The call site of the hook `mtev_log_line`."""

LogPlainSite: TypeAlias = HookSite[[LogStream, Record, bytes], HookResult | None]
"""The call site of the hook `mtev_log_plain`, and of `mtev_log_flatbuffer`."""


class Dispatch:
    """What all streams of one service share.

    Args:
        line: called for every stream that a line passes, while somebody is attached.
        plain: likewise, with the line in the plain format.
        flatbuffer: likewise, with the line as a FlatBuffer.
        complain: says something on standard error.

    Attributes:
        nesting: which threads may log.
        nested: how many lines were dropped because their thread was logging already.
    """

    __slots__ = ("_complain", "_told", "flatbuffer", "line", "nested", "nesting", "plain")

    def __init__(
        self, line: LogLineSite, plain: LogPlainSite, flatbuffer: LogPlainSite, complain: Callable[[str], None]
    ) -> None:
        self.line = line
        self.plain = plain
        self.flatbuffer = flatbuffer
        self.nesting = Nesting()
        self.nested = 0
        self._complain = complain
        self._told: set[str] = set()

    def trouble(self, name: str, error: BaseException) -> None:
        """A log call failed in a way that is nobody's but ours or its arguments'; said once per kind of error."""
        kind = type(error).__name__
        if kind not in self._told:
            self._told.add(kind)
            self._complain(f"a line for log '{name}' was lost: {kind}: {printable(error)}; not said again for {kind}")


@dataclass(frozen=True, slots=True)
class Route:
    """The stops of a line, and what follows from them.

    Args:
        plan: for lines that hooks do not look at.
        stops: for those that they do.
        ways: for each stop with a sink, how a line gets there that has passed the filters already.
    """

    plan: Plan
    stops: tuple[Stop, ...] = ()
    ways: tuple[Way, ...] = ()


def route_of(name: str, stops: tuple[Stop, ...]) -> Route:
    """The route along some stops. A stop that leads to several sinks is counted on the way to the first one only."""
    ways: dict[Intake, list[Way]] = {}
    passed: list[Way] = []
    counted: set[int] = set()
    above: list[tuple[int, tuple[Step, ...]]] = []  # where a subtree ends, and the steps down to its root
    for index, stop in enumerate(stops):
        while above and above[-1][0] <= index:
            above.pop()
        steps = above[-1][1] if above else ()
        if stop.filter is not None:
            steps = (*steps, Step(passes=stop.filter.passes))
        steps = (*steps, *stop.steps)
        above.append((index + stop.size, steps))
        if stop.sink is None:
            passed.append(_NOWHERE)
            continue
        fresh = tuple(step for step in steps if step.count is None or id(step) not in counted)
        counted.update(id(step) for step in fresh if step.count is not None)
        ways.setdefault(stop.sink, []).append(Way(stop.flags, fresh))
        passed.append(Way(None, tuple(step for step in fresh if step.passes is None)))
    plan = Plan(name, tuple(ways), {sink: tuple(each) for sink, each in ways.items()})
    return Route(plan, stops, tuple(passed))


def _walk(route: Route, record: Record, dispatch: Dispatch) -> Iterator[Line]:
    """The lines for the sinks that a record reaches, along the streams and past the hooks."""
    stops = route.stops
    index = 0
    while index < len(stops):
        stop = stops[index]
        carried = record.carrying(stop.flags)
        if _stops(stop, carried, dispatch):
            index += stop.size
            continue
        if stop.sink is not None:
            plan = Plan(route.plan.facility, (stop.sink,), {stop.sink: (route.ways[index],)})
            yield plan, carried
        index += 1


def _stops(stop: Stop, record: Record, dispatch: Dispatch) -> bool:
    if stop.filter is not None and not stop.filter.passes(record):
        return True
    line, plain, flatbuffer = dispatch.line.call, dispatch.plain.call, dispatch.flatbuffer.call
    if line is not None and line(stop.stream, record) is ABORT:
        return True
    if plain is not None and plain(stop.stream, record, encode_plain(record)) is ABORT:
        return True
    return flatbuffer is not None and flatbuffer(stop.stream, record, encoder("flatbuffer")(record)) is ABORT


def _put(line: Line) -> None:
    for sink in line[0].sinks:
        if len(sink.queue) >= sink.limit and not sink.make_room():
            continue
        sink.queue.append(line)
        if sink.asleep:
            sink.wake()


def _traceback(exception: BaseException | bool) -> str:
    error = sys.exc_info()[1] if exception is True else exception
    return format_exception(error) if isinstance(error, BaseException) else ""
