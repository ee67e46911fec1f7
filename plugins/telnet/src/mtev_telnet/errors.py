"""The console's error tree.

MtevError
└── ConsoleError            a command cannot be registered
    └── CommandExists       another owner registered those words before

ValueError
└── LineError               a line cannot be split; its text is what the operator sees
"""

from __future__ import annotations

from mtev_kernel import MtevError

__all__ = ["CommandExists", "ConsoleError", "LineError"]


class ConsoleError(MtevError):
    """A command is registered in a way that cannot work."""


class CommandExists(ConsoleError):
    """Somebody registered those words before; the message names both owners."""


class LineError(ValueError):
    """A command line cannot be split into words. Its text is shown to the operator as it stands.

    Args:
        message: libmtev's wording.
        offset: index of the character at fault.
    """

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset
