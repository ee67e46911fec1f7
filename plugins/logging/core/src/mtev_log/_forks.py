"""What becomes of sinks when the process forks. The one thing here that is global, for forking is.

Before a fork every sink is held, so that no backend is copied in the middle of a write; in the child its queue is
emptied, because the parent will write it, and its thread is forgotten, because it is not there.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["Forked", "watch"]

_HOLD_S = 1.0


class Forked(Protocol):
    """What takes part."""

    def hold(self, timeout_s: float) -> bool: ...
    def release(self) -> None: ...
    def after_fork(self) -> None: ...


_watched: weakref.WeakSet[Forked] = weakref.WeakSet()
_held: list[Forked] = []


def watch(sink: Forked) -> None:
    """Let a sink take part for as long as it lives."""
    _watched.add(sink)


def _before() -> None:
    _held.extend(sink for sink in list(_watched) if sink.hold(_HOLD_S))


def _in_parent() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    _held.clear()
    for sink in list(_watched):
        sink.after_fork()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
