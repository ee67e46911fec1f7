"""The error tree of mtev-log.

    MtevError
    └── LogError                 a stream or backend is used in a way that it cannot be
        ├── FilterError          a filter is malformed; the message shows where
        ├── GraphError           the streams cannot be connected like that
        │   └── OutletCycle      they would feed themselves; the message names the way round
        └── IncompleteWrite      a backend wrote only some of a batch; raised by backends, for their sink

What is wrong in the document is a `ConfigurationError` of the kernel. A log call raises none of these.
"""

from __future__ import annotations

from mtev_kernel import MtevError

__all__ = ["FilterError", "GraphError", "IncompleteWrite", "LogError", "OutletCycle"]


class LogError(MtevError):
    """Root of what mtev-log raises on purpose. Never raised by a log call."""


class FilterError(LogError):
    """A filter is malformed.

    Attributes:
        text: the filter.
        at: where the fault is, in characters from 0.
        problem: what it is.
    """

    def __init__(self, text: str, at: int, problem: str) -> None:
        shown = "".join(character if character.isprintable() else " " for character in text)
        start = max(0, at - 60)
        super().__init__(f"filter: {problem}\n    {shown[start : start + 120]}\n    {' ' * (at - start)}^")
        self.text = text
        self.at = at
        self.problem = problem


class GraphError(LogError):
    """The streams cannot be connected like that."""


class OutletCycle(GraphError):
    """Streams would feed themselves; `members` are the streams on the way round, the first one repeated at the end."""

    def __init__(self, members: tuple[str, ...]) -> None:
        super().__init__(f"the outlets form a cycle: {' -> '.join(members)}; remove one of them")
        self.members = members


class IncompleteWrite(LogError):
    """A backend wrote some records of a batch and knows which: the rest is kept, and tried again.

    Args:
        written: how many records, from the first one on, were written whole.
        reason: why the next one was not.
    """

    def __init__(self, written: int, reason: str) -> None:
        super().__init__(reason)
        self.written = written
