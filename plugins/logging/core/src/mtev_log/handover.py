"""How lines are handed to a backend, as settings; and which threads may log at all."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum

__all__ = ["QUEUE_LINES", "Nesting", "Overflow", "SinkOptions"]

QUEUE_LINES = 50_000
"""How many lines a queue holds, unless a `<log>` says otherwise."""


class Overflow(Enum):
    """What becomes of a line when the queue is full."""

    DROP = "drop"
    DROP_OLDEST = "drop_oldest"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """How lines are handed to a backend.

    Args:
        queue_lines: how many may wait.
        overflow: what becomes of more.
        synchronous: never on a thread of its own.
    """

    queue_lines: int = QUEUE_LINES
    overflow: Overflow = Overflow.DROP
    synchronous: bool = False


class Nesting(threading.local):
    """Which thread this is, and whether it may log.

    Attributes:
        thread: the calling thread; None while what it logs is dropped.
    """

    def __init__(self) -> None:
        self.thread: threading.Thread | None = threading.current_thread()
