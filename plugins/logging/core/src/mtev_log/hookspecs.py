"""The hook points of mtev-log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtev_kernel import HookResult, hookspec

if TYPE_CHECKING:
    from .logs import Logs
    from .record import Record
    from .stream import LogStream

__all__ = ["mtev_log_flatbuffer", "mtev_log_line", "mtev_log_plain", "mtev_log_streams"]


@hookspec
def mtev_log_line(stream: LogStream, record: Record) -> HookResult | None:
    """A line passes a stream, on its way from the one that it was logged to along the outlets.

    Args:
        stream: the stream that it passes. Called for every one of them, whether it writes or only passes on.
        record: the line, with the flags in effect there.

    Returns:
        ABORT to stop it here: this stream neither writes it nor passes it on.

    Note:
        libmtev's hook of the same name. Called on the thread that logs, for every line: be quick, do not block. What
        an implementation logs itself is dropped, but for warnings of the standard library, which go to standard error.
        Lines that rate limits and de-duplication hold back later are seen too.
    """


@hookspec
def mtev_log_plain(stream: LogStream, record: Record, text: bytes) -> HookResult | None:
    """A line passes a stream, as `mtev_log_line` has it, and here is what it looks like in the plain format.

    Args:
        stream: the stream that it passes.
        record: the line, with the flags in effect there.
        text: prefixes, text and newline.

    Returns:
        ABORT to stop it here.

    Note:
        libmtev's hook of the same name; as `mtev_log_line`, after it.
    """


@hookspec
def mtev_log_flatbuffer(stream: LogStream, record: Record, buffer: bytes) -> HookResult | None:
    """A line passes a stream, as `mtev_log_line` has it, and here it is as a FlatBuffer in libmtev's schema.

    Args:
        stream: the stream that it passes.
        record: the line, with the flags in effect there.
        buffer: the format `flatbuffer`; without framing.

    Returns:
        ABORT to stop it here.

    Note:
        libmtev's hook of the same name; as `mtev_log_line`, after `mtev_log_plain`.
    """


@hookspec
def mtev_log_streams(logs: Logs) -> HookResult | None:
    """The log has started: get the streams that you log to. Called once.

    Args:
        logs: the streams.

    Note:
        For plugins that work without the log too: declare the implementation `optional`. Others require the service
        `Logs`.
    """
