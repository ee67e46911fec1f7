"""How messages stand in a stream of bytes (RFC 6587). Pure.

`octet-counting`
    The length in bytes, a space, the message; what RFC 5425 asks for too.
`newline`
    The message and a newline. Messages hold none, see `text`.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["FRAMINGS", "Framing", "by_newline", "by_octet_count"]

Framing = Callable[[bytes], bytes]
"""Puts a frame round a message."""


def by_octet_count(message: bytes) -> bytes:
    """A message with its length before it (section 3.4.1)."""
    return b"%d %b" % (len(message), message)


def by_newline(message: bytes) -> bytes:
    """A message with a newline after it (section 3.4.2)."""
    return message + b"\n"


FRAMINGS: dict[str, Framing] = {"octet-counting": by_octet_count, "newline": by_newline}
"""By the names that the option has."""
