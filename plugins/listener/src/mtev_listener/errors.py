"""The error tree of mtev-listener.

    MtevError
    └── ListenerError
        ├── BindError           an address cannot be listened on; retriable when somebody else may release it
        └── RegistrationError   a listener type or a command is malformed, or taken

What is wrong with the configuration itself is a `ConfigurationError` of the kernel.
"""

from __future__ import annotations

from mtev_kernel.errors import MtevError

__all__ = ["BindError", "ListenerError", "RegistrationError"]


class ListenerError(MtevError):
    """Root of the errors of this distribution."""


class BindError(ListenerError):
    """An address cannot be listened on.

    Args:
        message: opens with `file:line`; names the element, the address and the reason.
        retriable: whether it may succeed later without anybody changing the configuration.
    """

    def __init__(self, message: str, *, retriable: bool) -> None:
        super().__init__(message)
        self.retriable = retriable


class RegistrationError(ListenerError):
    """A listener type or a command cannot be registered: its name or code is malformed, or taken."""
