"""The error tree of mtev-stats.

    MtevError
    └── StatsError
        ├── RegistrationError   a path, a tag or a type that cannot be, or that contradicts what is registered
        └── MalformedHistogram  bytes or text that are no serialised histogram

None of them is retriable: whoever asked has to ask for something else.
"""

from __future__ import annotations

from mtev_kernel import MtevError

__all__ = ["MalformedHistogram", "RegistrationError", "StatsError"]


class StatsError(MtevError):
    """Root of the errors of this distribution."""


class RegistrationError(StatsError):
    """A metric cannot be registered like this; the message says what is wrong with it."""


class MalformedHistogram(StatsError):
    """What was to be read is not the serialised form of a histogram."""
