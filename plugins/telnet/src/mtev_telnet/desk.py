"""What all sessions of a console share: the commands, the hook, the threads, and how many sessions there may be."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass, field

from mtev_kernel import HookResult, HookSite

from .hookspecs import Session
from .tree import State
from .workers import Workers

__all__ = ["Desk", "SessionCounter"]


class SessionCounter:
    """Live sessions of each listener. Thread-safe: listeners may share it across loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: Counter[str] = Counter()
        self._full: set[str] = set()

    def enter(self, listener: str, limit: int) -> bool:
        """Count one more session, unless the listener has as many as it may."""
        with self._lock:
            if self._live[listener] >= limit:
                return False
            self._live[listener] += 1
            return True

    def leave(self, listener: str) -> None:
        """Count one session less."""
        with self._lock:
            self._live[listener] -= 1
            self._full.discard(listener)

    def first_refusal(self, listener: str) -> bool:
        """Whether this is the first refusal since a session of that listener ended; so that logs do not fill."""
        with self._lock:
            first = listener not in self._full
            self._full.add(listener)
            return first


@dataclass(frozen=True, slots=True)
class Desk:
    """What all sessions of a console share.

    Args:
        root: the top level of the command tree.
        prompt: what the top level asks with.
        dispatch: the call site of `mtev_console_dispatch`.
        counter: live sessions.
        log: the plugin's logger.
        workers: threads for commands that may block.
    """

    root: State
    prompt: str
    dispatch: HookSite[[Session, str], HookResult | None]
    counter: SessionCounter
    log: logging.Logger
    workers: Workers = field(default_factory=Workers)
