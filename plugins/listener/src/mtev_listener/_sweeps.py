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
        self._known: dict[_Key, Sweep] = {}
        self._timers: dict[_Key, Timer] = {}

    def of(self, loop: Loop, timeout_s: float) -> Sweep:
        """The sweep of a loop and an idle timeout in seconds."""
        key = loop, timeout_s
        sweep = self._known.get(key)
        if sweep is None:
            sweep = self._known[key] = Sweep(timeout_s)
            look = partial(self._look, key, sweep)
            self._timers[key] = loop.every(looking_period_s(timeout_s), look, name="listener_idle")
        return sweep

    def stop(self) -> None:
        """Watch nobody any more."""
        self._known.clear()
        while self._timers:
            self._timers.popitem()[1].cancel()

    def _look(self, key: _Key, sweep: Sweep) -> None:
        sweep.look()
        if not len(sweep) and self._known.get(key) is sweep:  # `stop` may be at it on another thread
            self._known.pop(key, None)
            timer = self._timers.pop(key, None)
            if timer is not None:
                timer.cancel()
