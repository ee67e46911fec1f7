"""A value that nobody is to see by accident: a password, a token, a key. Pure."""

from __future__ import annotations

import hmac
from typing import NoReturn, SupportsIndex, final

__all__ = ["MASK", "Secret"]

MASK = "***"
"""What stands in the place of a secret, wherever one would be shown."""


@final
class Secret:
    """A text that shows itself only when asked by name.

    It never changes. Printed, formatted, logged or inspected by a debugger's `repr` it is `***`. It cannot be pickled,
    is no JSON, is not hashable (a set or dictionary would compare it in a time that depends on it), and cannot be added
    to a text. A copy of it is itself, so that settings which hold one can be copied. It is true unless it is empty.

    Args:
        text: the secret.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself: for the one place that needs it, never to be kept or shown."""
        return self._text

    def matches(self, other: str) -> bool:
        """Whether a text is this secret, in a time that does not depend on where the two differ.

        Args:
            other: what somebody sent. Its length and the secret's may be told by the time that this takes.
        """
        return hmac.compare_digest(_bytes(self._text), _bytes(other))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self.matches(other._text)

    __hash__ = None  # type: ignore[assignment]  # says that it is on purpose; object's hash would be found otherwise

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, specification: str) -> str:
        return MASK

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            "a Secret cannot be pickled; send what reveal() gives, encrypted, if it has to leave the process"
        )


def _bytes(text: str) -> bytes:
    # The environment may hold bytes that are no text; they are kept as lone surrogates.
    return text.encode("utf-8", "surrogatepass")
