"""structlog's end of the line: events go to streams, with their keys as fields.

    import structlog
    from mtev_log.structlog import StreamLoggers, as_fields

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, as_fields], logger_factory=StreamLoggers(logs)
    )
    structlog.get_logger("acme").info("served", status=200)         # stream notice/acme

structlog itself is not imported, and not needed by mtev-log.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import MutableMapping

from ._line import format_exception, frozen_fields
from .formats import printable
from .logs import Logs
from .record import Record

__all__ = ["StreamLogger", "StreamLoggers", "as_fields"]

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "msg": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "err": logging.ERROR,
    "exception": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
_MAX_FRAMES = 30


def as_fields(
    logger: object, method: str, event: MutableMapping[str, object]
) -> tuple[tuple[object], dict[str, object]]:
    """The last processor: hands the event and its keys to a `StreamLogger` as they are.

    Args:
        logger: the wrapped logger; not used.
        method: the name of the method that was called; not used.
        event: the event's dictionary.
    """
    fields = dict(event)
    return (fields.pop("event", ""),), fields


class StreamLoggers:
    """The `logger_factory`: makes a logger for each name that `structlog.get_logger` is given.

    Args:
        logs: the streams.
    """

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    def __call__(self, *names: object) -> StreamLogger:
        """The logger of a name; without one, of the streams `error`, `notice` and `debug` themselves."""
        return StreamLogger(self._logs, printable(names[0]) if names else "")


class StreamLogger:
    """What structlog wraps. `error` and above go to `error/<name>`, `info` and `warning` to `notice/<name>`, `debug` to
    `debug/<name>`.

    Args:
        logs: the streams.
        name: what comes after the slash; dots become slashes. Without one, the stream has no slash.
    """

    def __init__(self, logs: Logs, name: str) -> None:
        path = f"/{name.replace('.', '/')}" if name else ""
        streams = {
            level: logs.stream(f"{stream}{path}")
            for level, stream in ((logging.ERROR, "error"), (logging.INFO, "notice"), (logging.DEBUG, "debug"))
        }
        self._streams = {
            level: next(streams[least] for least in streams if level >= least) for level in set(_LEVELS.values())
        }

    def __getattr__(self, method: str) -> _Method:
        """A method for each of structlog's levels."""
        level = _LEVELS.get(method)
        if level is None:
            raise AttributeError(f"a StreamLogger has no method '{method}'; it has {', '.join(_LEVELS)}")
        found = _Method(self, level)
        setattr(self, method, found)
        return found

    def send(self, level: int, event: object, fields: dict[str, object]) -> None:
        """Log an event. Never raises; waits as `LogStream.log` may.

        Args:
            level: the standard library's.
            event: the text.
            fields: everything else; of these, `exc_info` becomes the exception.
        """
        stream = self._streams[level]
        if not stream.material:
            return
        frame = sys._getframe(2)
        for _ in range(_MAX_FRAMES):
            if frame.f_back is None or not str(frame.f_globals.get("__name__", "")).startswith("structlog"):
                break
            frame = frame.f_back
        thread = threading.current_thread()
        stream.emit(
            Record(
                time.time_ns(),
                stream.name,
                printable(event),
                thread.native_id or 0,
                thread.name,
                frame.f_code.co_filename,
                frame.f_lineno,
                level,
                frozen_fields({key: value for key, value in fields.items() if key != "exc_info"}),
                _exception(fields.get("exc_info")),
            )
        )


class _Method:
    """One level of a logger."""

    __slots__ = ("_level", "_logger")

    def __init__(self, logger: StreamLogger, level: int) -> None:
        self._logger = logger
        self._level = level

    def __call__(self, event: object = "", /, **fields: object) -> None:
        self._logger.send(self._level, event, fields)


def _exception(info: object) -> str:
    if isinstance(info, tuple) and len(info) == 3:
        info = info[1]
    elif info and not isinstance(info, BaseException):
        info = sys.exc_info()[1]
    return format_exception(info) if isinstance(info, BaseException) else ""
