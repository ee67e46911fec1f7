"""The timers behind idle timeouts: one for each loop and timeout, while anybody is watched."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ._activity import Sweep, looking_period_s

if TYPE_CHECKING:
    from mtev_eventer import Loop, Timer

__all__ = ["Sweeps"]

_Key = tuple["Loop", float]


class Sweeps:
    """The sweeps of all listeners. `of` is to be called on the loop in question, `stop` from anywhere.

    A timer ends by itself at its first look that finds nobody, so nothing is left behind by a listener that is closed,
    or has another timeout now.
    """

    def __init__(self) -> None:
        self._known: dict[_Key, tuple[Sweep, Timer]] = {}

    def of(self, loop: Loop, timeout_s: float) -> Sweep:
        """The sweep of a loop and an idle timeout in seconds."""
        key = loop, timeout_s
        known = self._known.get(key)
        if known is not None:
            return known[0]
        sweep = Sweep(timeout_s)
        look = partial(self._look, key, sweep)
        self._known[key] = sweep, loop.every(looking_period_s(timeout_s), look, name="listener_idle")
        return sweep

    def stop(self) -> None:
        """Watch nobody any more."""
        while self._known:
            _, (_, timer) = self._known.popitem()
            timer.cancel()

    def _look(self, key: _Key, sweep: Sweep) -> None:
        sweep.look()
        known = self._known.get(key)
        if not len(sweep) and known is not None and known[0] is sweep:
            self._known.pop(key, None)  # `stop` may be at it on another thread
            known[1].cancel()
