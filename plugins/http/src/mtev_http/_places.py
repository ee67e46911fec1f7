"""Where handlers may run: pools of loops and job queues, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .errors import RouteError

if TYPE_CHECKING:
    from mtev_eventer import Eventer, JobQueue, Pool

__all__ = ["EventerPlaces", "Nowhere", "Places"]


class Places(Protocol):
    """Finds pools and job queues."""

    def pool(self, name: str) -> Pool:
        """The pool of a name.

        Raises:
            RouteError: there is none.
        """

    def jobq(self, name: str) -> JobQueue:
        """The job queue of a name.

        Raises:
            RouteError: there is none.
        """


class Nowhere(Places):
    """Has neither pools nor job queues."""

    def pool(self, name: str) -> Pool:
        raise RouteError(f"there is no pool '{name}': there is no eventer here")

    def jobq(self, name: str) -> JobQueue:
        raise RouteError(f"there is no job queue '{name}': there is no eventer here")


class EventerPlaces(Places):
    """Those of the eventer.

    Args:
        eventer: finds the eventer, which is there once it is configured.
    """

    def __init__(self, eventer: Callable[[], Eventer]) -> None:
        self._eventer = eventer

    def pool(self, name: str) -> Pool:
        try:
            return self._eventer().pool(name)
        except LookupError as error:
            raise RouteError(str(error.args[0])) from None

    def jobq(self, name: str) -> JobQueue:
        try:
            return self._eventer().jobq(name)
        except LookupError as error:
            raise RouteError(str(error.args[0])) from None
