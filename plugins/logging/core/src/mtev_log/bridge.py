"""The standard library's `logging`, led into the streams.

While it is installed, one handler on the root logger sends every record to a stream named after its level and logger:
`error/<logger>` from ERROR on, `notice/<logger>` from INFO on, `debug/<logger>` below.

Rules:

1. Installing adds the handler, and takes over the levels of the loggers `root` and `mtev`; removing puts them back.
   Handlers of others are left alone (the command line's own keeps silent while there is another one).
2. The level is INFO, or DEBUG while `debug` or a stream below it is material, so that calls that lead nowhere stay
   cheap. Loggers with a level of their own keep it.
3. The handler takes no lock of its own: streams are thread-safe, and with the handler's lock a backend that logs could
   wait for itself.
4. What a thread logs while it is logging is dropped, warnings and errors excepted: those go to standard error, once for
   each place in the source.
5. Warnings (the module `warnings`) are captured, as by `logging.captureWarnings`, unless somebody did so before.
6. Loggers beyond `MAX_LOGGERS` share the streams `error`, `notice` and `debug`.

Handlers of loggers other than root, and `propagate = False`, mean what they always do.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable

from ._line import format_exception, frozen
from .formats import printable
from .logs import Logs
from .record import Record
from .stream import LogStream

__all__ = ["MAX_LOGGERS", "Bridge", "LogHandler"]

MAX_LOGGERS = 2000
"""How many combinations of logger and level get a stream of their own."""

_MAX_PLACES = 200
_STANDARD = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"))


class Bridge:
    """Leads the root logger into the streams of a service.

    Args:
        logs: the streams.
    """

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._handler = _Handler(logs)
        self._levels: list[tuple[logging.Logger, int]] = []
        self._installed = False
        self._captures = False
        self._forget: Callable[[], None] = lambda: None

    def install(self) -> None:
        """Begin. Harmless to repeat."""
        if self._installed:
            return
        self._installed = True
        self._levels = [(logger, logger.level) for logger in (logging.getLogger(), logging.getLogger("mtev"))]
        logging.getLogger("mtev").setLevel(logging.NOTSET)
        logging.getLogger().addHandler(self._handler)
        self._forget = self._logs.when_changed(self._set_level)
        self._set_level()
        before = warnings.showwarning
        logging.captureWarnings(True)
        self._captures = warnings.showwarning is not before

    def remove(self) -> None:
        """Put everything back as it was before `install`. Harmless to repeat, and without it."""
        if not self._installed:
            return
        self._installed = False
        if self._captures:
            logging.captureWarnings(False)
        self._forget()
        logging.getLogger().removeHandler(self._handler)
        for logger, level in self._levels:
            logger.setLevel(level)

    def _set_level(self) -> None:
        material = (
            stream.material for name, stream in self._logs.streams.items() if name == "debug" or name[:6] == "debug/"
        )
        logging.getLogger().setLevel(logging.DEBUG if any(material) else logging.INFO)


class LogHandler(logging.Handler):
    """A handler of the standard library that sends its records to one stream.

        logging.getLogger("audit").addHandler(LogHandler(logs.stream("audit")))

    Args:
        stream: the stream.
        level: records below it are left out.
    """

    def __init__(self, stream: LogStream, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._stream = stream

    def handle(self, record: logging.LogRecord) -> bool:
        """Send a record, without the lock that handlers have: streams are thread-safe."""
        if not self.filter(record):
            return False
        try:
            self.emit(record)
        except Exception:  # a log call never raises; this is how handlers of the library say so
            self.handleError(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        if self._stream.material:
            self._stream.emit(_converted(record, self._stream.name))


class _Handler(logging.Handler):
    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs
        self._streams: dict[tuple[str, str], LogStream] = {}
        self._places: set[tuple[str, int]] = set()

    def handle(self, record: logging.LogRecord) -> bool:
        """Send a record to its stream; see rule 3 for why this is not `Handler.handle`."""
        if not self.filter(record):
            return False
        try:
            self.emit(record)
        except Exception as error:  # a log call never raises
            self._logs.complain(f"a line of the logger '{record.name}' was lost: {printable(error)}")
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record to its stream."""
        if self._logs.busy:
            self._nested(record)
            return
        stream = self._stream(record)
        if stream.material:
            stream.emit(_converted(record, stream.name))

    def _stream(self, record: logging.LogRecord) -> LogStream:
        level = "error" if record.levelno >= logging.ERROR else "notice" if record.levelno >= logging.INFO else "debug"
        key = (level, record.name)
        stream = self._streams.get(key)
        if stream is None:
            name = f"{level}/{record.name.removeprefix('mtev.').replace('.', '/')}"
            if len(self._streams) >= MAX_LOGGERS:
                return self._logs.stream(level)
            try:
                stream = self._logs.stream(name)
            except ValueError:  # a logger may have any name, a stream may not
                stream = self._logs.stream(level)
            self._streams[key] = stream
        return stream

    def _nested(self, record: logging.LogRecord) -> None:
        place = (record.pathname, record.lineno)
        if record.levelno < logging.WARNING or place in self._places or len(self._places) >= _MAX_PLACES:
            self._logs.count_nested()
            return
        self._places.add(place)
        self._logs.complain(f"logged while logging, not said again: {record.name}: {_message(record)}")


def _converted(record: logging.LogRecord, facility: str) -> Record:
    fields = {key: frozen(value) for key, value in vars(record).items() if key not in _STANDARD}
    exception = record.exc_text or ""
    if not exception and record.exc_info and record.exc_info[1] is not None:
        exception = format_exception(record.exc_info[1])
    if record.stack_info:
        exception = f"{exception}\n{record.stack_info}".lstrip("\n")
    own_thread = record.thread is None or record.thread == threading.get_ident()
    return Record(
        time_ns=int(record.created * 1_000_000) * 1000,
        facility=facility,
        message=_message(record),
        thread_id=threading.get_native_id() if own_thread else record.thread or 0,
        thread_name=record.threadName or "",
        file=record.pathname,
        line=record.lineno,
        level=record.levelno,
        fields=fields,
        exception=exception,
    )


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # the arguments do not fit the text; better an odd line than none
        return f"{printable(record.msg)} {printable(record.args)} (cannot be formatted: {printable(error)})"
