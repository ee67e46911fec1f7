"""A log stream as code uses it.

    stream = logs.stream("error/acme")
    stream.log("cannot reach the peer", peer=address, exception=error)
    if stream.material:                     # where even the arguments would cost too much
        stream.log(f"state: {expensive()}")

Rules:

1. A log call never raises. What goes wrong on the way is said on standard error.
2. `material` and the route are attributes, replaced whenever the graph changes: a call that leads nowhere costs one
   attribute test.
3. What is logged while the same thread is already logging (by a backend or a hook) is dropped and counted.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from mtev_kernel import ABORT, HookResult, HookSite

from .formats import printable
from .record import Flags, Record
from .sink import Sink

__all__ = ["Dispatch", "LogLineSite", "LogStream", "Stop", "format_exception"]


class LogStream:
    """A named place to log to. Obtained from `Logs.stream`; keep it: it stays valid when the configuration changes.

    Attributes:
        name: its name, which is also the *facility* of what is logged to it.
        material: whether a line that is logged here ends up anywhere.
    """

    __slots__ = ("_dispatch", "_route", "material", "name")

    def __init__(self, name: str, dispatch: Dispatch) -> None:
        self.name = name
        self.material = False
        self._dispatch = dispatch
        self._route: tuple[Stop, ...] = ()

    def __repr__(self) -> str:
        return f"<LogStream {self.name!r}{'' if self.material else ', not material'}>"

    def log(self, message: str, /, *, exception: BaseException | None = None, **fields: object) -> None:
        """Log a line. Thread-safe; never raises; may block while a backend writes.

        Args:
            message: the text, without a newline at its end.
            exception: logged with its traceback.
            fields: structured data, shown by the format `json` and seen by backends and hooks. The names `message`
                and `exception` are taken.
        """
        if not self.material:
            return
        try:
            frame = sys._getframe(1)
            thread = threading.current_thread()
            record = Record(
                time.time_ns(),
                self.name,
                printable(message),
                thread.native_id or 0,
                thread.name,
                frame.f_code.co_filename,
                frame.f_lineno,
                0,
                fields,
                format_exception(exception) if exception is not None else "",
            )
        except Exception as error:  # rule 1
            self._dispatch.trouble(self.name, error)
            return
        self.emit(record)

    def emit(self, record: Record) -> bool:
        """Send a record that was made elsewhere on its way. Thread-safe; never raises; may block as `log`.

        Returns:
            False when it was dropped because this thread is logging already.
        """
        dispatch = self._dispatch
        local = dispatch.local
        if local.busy:
            dispatch.nested += 1
            return False
        local.busy = True
        try:
            walk(self._route, record, dispatch.site)
        except Exception as error:  # rule 1
            dispatch.trouble(self.name, error)
        finally:
            local.busy = False
        return True

    def rerouted(self, route: tuple[Stop, ...]) -> None:
        """Replace the route; for `Logs`."""
        self._route = route
        self.material = bool(route)


@dataclass(frozen=True, slots=True)
class Stop:
    """One step of a line's way, ready to walk; see `graph.Hop`."""

    stream: LogStream
    flags: Flags
    sink: Sink | None
    size: int


LogLineSite: TypeAlias = HookSite[[LogStream, Record], HookResult | None]
"""The call site of the hook `mtev_log_line`."""


class _Local(threading.local):
    busy = False


class Dispatch:
    """What all streams of one service share.

    Args:
        site: called for every stream that a line passes, while somebody is attached.
        complain: says something on standard error.

    Attributes:
        nested: how many lines were dropped because their thread was logging already.
    """

    def __init__(self, site: LogLineSite, complain: Callable[[str], None]) -> None:
        self.site = site
        self.local = _Local()
        self.nested = 0
        self._complain = complain
        self._told: set[str] = set()

    def trouble(self, name: str, error: BaseException) -> None:
        """A log call failed in a way that is nobody's but ours or its arguments'; said once per kind of error."""
        kind = type(error).__name__
        if kind not in self._told:
            self._told.add(kind)
            self._complain(f"a line for log '{name}' was lost: {kind}: {printable(error)}; not said again for {kind}")


def walk(route: tuple[Stop, ...], record: Record, site: LogLineSite) -> None:
    """Take a record along a route: to every sink, unless the hook stops it on the way."""
    call = site.call
    if call is None:
        for stop in route:
            if stop.sink is not None:
                stop.sink.write((record.carrying(stop.flags),))
        return
    index = 0
    while index < len(route):
        stop = route[index]
        carried = record.carrying(stop.flags)
        if call(stop.stream, carried) is ABORT:
            index += stop.size
            continue
        if stop.sink is not None:
            stop.sink.write((carried,))
        index += 1


def format_exception(error: BaseException) -> str:
    """A traceback as text, without a newline at its end. Never raises."""
    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except Exception:  # an exception that cannot be shown is no reason to lose the line
        return f"{type(error).__name__} (it cannot be formatted)"
