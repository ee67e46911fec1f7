"""What the eventer shows over REST."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from ._listing import callbacks_json, jobqs_json, loops_json, memory_json, timers_json
from .eventer import Eventer

__all__ = ["RestViews", "add_views"]


class RestViews(Protocol):
    """What the eventer uses of mtev-http."""

    def view(self, base: str, expression: str, function: Callable[..., object], *, summary: str) -> object: ...


def add_views(rest: RestViews, eventer: Callable[[], Eventer]) -> None:
    """Add `/eventer/{sockets,timers,jobq,callbacks,loops,memory}.json`.

    Args:
        rest: where.
        eventer: gives the one to show.
    """

    def sockets(query: Mapping[str, str]) -> object:
        return eventer().sockets.describe()

    def timers(query: Mapping[str, str]) -> object:
        return timers_json(eventer().timers())

    def jobqs(query: Mapping[str, str]) -> object:
        return jobqs_json(queue.status() for queue in eventer().jobqs.values())

    def callbacks(query: Mapping[str, str]) -> object:
        return callbacks_json(eventer().callbacks())

    def loops(query: Mapping[str, str]) -> object:
        return loops_json(eventer().loops)

    def memory(query: Mapping[str, str]) -> object:
        return memory_json(len(eventer().sockets), len(eventer().timers()), eventer().jobqs.values())

    rest.view("/eventer/", r"^callbacks\.json$", callbacks, summary="how long callbacks take, the busiest first")
    rest.view("/eventer/", r"^loops\.json$", loops, summary="loops, what they carry, and whether they turn")
    rest.view("/eventer/", r"^memory\.json$", memory, summary="how many sockets, timers and jobs there are")
    rest.view("/eventer/", r"^sockets\.json$", sockets, summary="sockets in use, and what serves them")
    rest.view("/eventer/", r"^timers\.json$", timers, summary="pending timers, the next one first")
    rest.view("/eventer/", r"^jobq\.json$", jobqs, summary="job queues and how busy they are")
