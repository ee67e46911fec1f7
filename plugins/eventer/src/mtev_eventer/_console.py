"""What the eventer shows on the console, and lets an operator change there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from mtev_conf import parse_boolean, parse_integer

from ._listing import callbacks_lines, jobqs_lines, loops_lines, sockets_lines, timers_lines
from ._settings import parse_order
from .eventer import Eventer
from .jobqueue import JobQueue
from .profile import SlowReport

__all__ = ["Commands", "ConsoleCommands"]

_JOBQ = "QUEUE [concurrency|min|max|floor N | mode fifo|lifo]"
_PROFILE = "[POOL on|off]"
_THRESHOLD = "[loop|jobq NAME MILLISECONDS]"


class ConsoleCommands(Protocol):
    """What the eventer uses of mtev-telnet."""

    def command(
        self, words: str, function: Callable[[Sequence[str]], Iterable[str]], *, summary: str, usage: str = ""
    ) -> object: ...


class Commands:
    """The commands. Each takes its arguments, and gives lines.

    Args:
        eventer: gives the one that they are for.
    """

    def __init__(self, eventer: Callable[[], Eventer]) -> None:
        self._eventer = eventer

    def add_to(self, console: ConsoleCommands) -> None:
        """Add them to a console."""
        show = "show eventer debug "
        console.command(
            show + "callbacks", self._callbacks, summary="how long callbacks take, the busiest first", usage="[PART]"
        )
        console.command(show + "loops", self._loops, summary="loops, what they carry, and whether they turn")
        console.command(show + "sockets", self._sockets, summary="sockets in use, and what serves them")
        console.command(show + "timers", self._timers, summary="pending timers, the next one first")
        console.command(show + "jobq", self._jobqs, summary="job queues and how busy they are", usage="[QUEUE]")
        console.command(
            "mtev jobq",
            self._change_jobq,
            summary="a job queue's threads and order, to look at or to change",
            usage=_JOBQ,
        )
        console.command(
            "mtev eventer profile",
            self._profile,
            summary="whether the callbacks of each pool are measured, to look at or to change",
            usage=_PROFILE,
        )
        console.command(
            "mtev eventer threshold",
            self._threshold,
            summary="how slow a callback has to be to be reported, to look at or to change; below 0 none is",
            usage=_THRESHOLD,
        )

    def _sockets(self, arguments: Sequence[str]) -> Iterable[str]:
        _none(arguments)
        return sockets_lines(self._eventer().sockets.entries())

    def _timers(self, arguments: Sequence[str]) -> Iterable[str]:
        _none(arguments)
        return timers_lines(self._eventer().timers())

    def _loops(self, arguments: Sequence[str]) -> Iterable[str]:
        _none(arguments)
        return loops_lines(self._eventer().loops)

    def _jobqs(self, arguments: Sequence[str]) -> Iterable[str]:
        if len(arguments) > 1:
            raise ValueError("at most one argument is allowed: the name of a job queue")
        queues = [queue.status() for queue in self._eventer().jobqs.values()]
        return jobqs_lines(queues, arguments[0] if arguments else None)

    def _callbacks(self, arguments: Sequence[str]) -> Iterable[str]:
        if len(arguments) > 1:
            raise ValueError("at most one argument is allowed: a part of a callback's name")
        return callbacks_lines(self._eventer().callbacks(), arguments[0] if arguments else "")

    def _change_jobq(self, arguments: Sequence[str]) -> Iterable[str]:
        match list(arguments):
            case [name]:
                queue = self._eventer().jobq(name)
            case [name, "mode", text]:
                queue = self._eventer().jobq(name)
                order = parse_order(text)
                if order is None:
                    raise ValueError(f"mtev jobq: '{text}' is neither fifo nor lifo")
                queue.set_order(order)
            case [name, "concurrency" | "min" | "max" | "floor" as what, text]:
                queue = self._eventer().jobq(name)
                _resize(queue, what, parse_integer(text, 0))
            case _:
                raise ValueError(f"mtev jobq: expected {_JOBQ}")
        status = queue.status()
        return (
            f"{queue.name}: {status.mode} concurrency {status.concurrency}/{status.desired_concurrency} "
            f"min {status.min_concurrency} max {status.max_concurrency} floor {status.floor}",
        )

    def _profile(self, arguments: Sequence[str]) -> Iterable[str]:
        match list(arguments):
            case []:
                pools = list(self._eventer().pools.values())
            case [name, text]:
                pools = [self._eventer().pool(name)]
                pools[0].set_profile(on=parse_boolean(text))
            case _:
                raise ValueError(f"mtev eventer profile: expected {_PROFILE}")
        return [f"{pool.name}: profile {'on' if pool.profile.on else 'off'}" for pool in pools]

    def _threshold(self, arguments: Sequence[str]) -> Iterable[str]:
        eventer = self._eventer()
        match list(arguments):
            case []:
                reports = [("loop", pool.name, pool.profile.slow) for pool in eventer.pools.values()]
                reports += [("jobq", queue.name, queue.profile.slow) for queue in eventer.jobqs.values()]
            case ["loop" | "jobq" as kind, name, text]:
                profile = (eventer.pool(name) if kind == "loop" else eventer.jobq(name)).profile
                profile.slow.threshold_ms = parse_integer(text)
                reports = [(kind, name, profile.slow)]
            case _:
                raise ValueError(f"mtev eventer threshold: expected {_THRESHOLD}")
        return [_reported(*each) for each in reports]


def _reported(kind: str, name: str, slow: SlowReport) -> str:
    if slow.threshold_ms < 0:
        return f"{kind} {name}: no callback is reported"
    heard = "" if slow.wanted else f"; nobody listens to debug/eventer/callbacks/{kind}/{name}"
    return f"{kind} {name}: callbacks of {slow.threshold_ms:g} ms and more are reported{heard}"


def _resize(queue: JobQueue, what: str, number: int) -> None:
    status = queue.status()
    match what:
        case "concurrency":
            queue.set_concurrency(number)
        case "min":
            queue.set_min_max(number, status.max_concurrency)
        case "max":
            queue.set_min_max(status.min_concurrency, number)
        case _:
            queue.set_floor(number)


def _none(arguments: Sequence[str]) -> None:
    if arguments:
        raise ValueError("no arguments allowed to this command.")
