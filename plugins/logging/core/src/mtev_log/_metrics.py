"""Figures of the log, where there are statistics: what streams let pass, and how backends keep up.

mtev.log.lines.<stream>        lines that passed a stream with stats="on", as in libmtev
mtev.log.written.<stream>      records handed to a stream's backend
mtev.log.lost.<stream>         lines that were lost there
mtev.log.suppressed.<stream>   lines that rate limits and de-duplication held back in front of it
mtev.log.queued.<stream>       lines that wait now
mtev.log.failing.<stream>      1 while its backend does not work
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from .logs import Logs

__all__ = ["Metrics", "register_metrics"]

_OF_BACKENDS = {
    "written": "Records handed to the backend of a log.",
    "lost": "Lines that did not reach the backend of a log.",
    "suppressed": "Lines that rate limits and de-duplication held back.",
    "queued": "Lines that wait for the backend of a log.",
    "failing": "Whether the backend of a log does not work at the moment.",
}


class Metrics(Protocol):
    """What is needed of statistics."""

    def gauge(self, path: Sequence[str], observe: Callable[[], int | None], *, unit: str, summary: str) -> object: ...

    def remove(self, path: Sequence[str]) -> bool: ...


def register_metrics(stats: Metrics, logs: Logs) -> Callable[[], None]:
    """Show the figures of every stream that has some, and follow as they come and go.

    Returns:
        A function that ends the following.
    """
    shown: set[tuple[str, str]] = set()

    def follow() -> None:
        wanted = {("lines", name) for name in logs.counted}
        wanted |= {(figure, name) for name in logs.with_backend for figure in _OF_BACKENDS}
        for figure, name in shown - wanted:
            stats.remove(_path(figure, name))
        for figure, name in wanted - shown:
            unit = "" if figure == "failing" else "lines"
            summary = _OF_BACKENDS.get(figure, "Lines that passed a log.")
            stats.gauge(_path(figure, name), partial(logs.figure, name, figure), unit=unit, summary=summary)
        shown.clear()
        shown.update(wanted)

    follow()
    return logs.when_changed(follow)


def _path(figure: str, name: str) -> tuple[str, ...]:
    return "mtev", "log", figure, name.replace('"', "'")
