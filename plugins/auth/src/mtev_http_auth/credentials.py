"""What a request shows to say who it is from: the field Authorization (RFC 7617, RFC 6750). Pure.

1. No field: nothing is shown, and nothing is wrong.
2. More than one field is malformed: whoever checks another one than we do could be told something else.
3. A scheme that is not known here is none of ours: it may be another plugin's.
4. What is malformed, is not decided in favour of anybody.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .hashes import PASSWORD_LIMIT_BYTES

__all__ = ["USER_LIMIT", "Basic", "Bearer", "Malformed", "Shown", "fit_user", "parse_authorization"]

USER_LIMIT = 255
"""The longest user, in characters; no more than fits libmtev's cookie."""

_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?: +(.*))?", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_TOKEN_LIMIT = 4096
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Basic:
    """A user and a password."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "<Basic ***>"


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token."""

    token: str

    def __repr__(self) -> str:
        return "<Bearer ***>"


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something that cannot be understood.

    Args:
        scheme: `basic`, `bearer`, or `""` when not even that is clear.
        reason: in words, without any of it.
    """

    scheme: Literal["basic", "bearer", ""]
    reason: str


Shown = Basic | Bearer | Malformed | None


def fit_user(user: str) -> bool:
    """Whether a text can be a user: 1 to 255 printable characters without a colon (RFC 7617)."""
    return 0 < len(user) <= USER_LIMIT and user.isprintable() and ":" not in user


def parse_authorization(values: Sequence[str]) -> Shown:
    """Read the fields Authorization of a request.

    Args:
        values: of all of them, bytes beyond ASCII read as Latin-1.

    Returns:
        What is shown; None when there is nothing, or of a scheme that is not ours.
    """
    if not values:
        return None
    if len(values) > 1:
        return Malformed("", "there is more than one field Authorization")
    match = _FIELD.fullmatch(values[0].strip())
    if match is None:
        return Malformed("", "the field Authorization is malformed")
    scheme, rest = match[1].lower(), (match[2] or "").strip()
    if scheme == "basic":
        return _basic(rest)
    if scheme == "bearer":
        if len(rest) > _TOKEN_LIMIT or not _TOKEN.fullmatch(rest):
            return Malformed("bearer", "the token is malformed")
        return Bearer(rest)
    return None


def _basic(text: str) -> Basic | Malformed:
    try:
        user, colon, password = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return Malformed("basic", "user and password are no base64 of UTF-8")
    if not colon or not fit_user(user):
        return Malformed("basic", "user and password are malformed")
    if not password or len(password.encode()) > PASSWORD_LIMIT_BYTES or _CONTROL.search(password):
        return Malformed("basic", f"the password is not 1 to {PASSWORD_LIMIT_BYTES} bytes without control characters")
    return Basic(user, password)
