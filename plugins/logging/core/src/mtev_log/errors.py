"""The error tree of mtev-log.

    MtevError
    └── LogError                 a stream or backend is used in a way that it cannot be
        └── GraphError           the streams cannot be connected like that
            └── OutletCycle      they would feed themselves; the message names the way round

What is wrong in the document is a `ConfigurationError` of the kernel. A log call raises none of these.
"""

from __future__ import annotations

from mtev_kernel import MtevError

__all__ = ["GraphError", "LogError", "OutletCycle"]


class LogError(MtevError):
    """Root of what mtev-log raises on purpose. Never raised by a log call."""


class GraphError(LogError):
    """The streams cannot be connected like that."""


class OutletCycle(GraphError):
    """Streams would feed themselves; `members` are the streams on the way round, the first one repeated at the end."""

    def __init__(self, members: tuple[str, ...]) -> None:
        super().__init__(f"the outlets form a cycle: {' -> '.join(members)}; remove one of them")
        self.members = members
