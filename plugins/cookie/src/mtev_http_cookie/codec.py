"""The cookie of libmtev's http_hmac_cookie, byte for byte. Pure.

Before it is percent-encoded it is a row of fields, each with its length in one byte before it:

    "hmac_cookie" | nonce, 8 random bytes | user | auth | expiry, seconds since the epoch in decimal | signature

The signature is the HMAC-SHA256 of all that stands before its length. Everything but letters, digits and `-_.~` is
percent-encoded, in upper case.

    MtevError
    └── CookieError    a cookie cannot be used; the message says why, and nothing of what is in it
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes

from mtev_kernel import MtevError

__all__ = ["COOKIE", "KEY_BYTES", "CookieError", "Login", "decode", "encode", "fit"]

COOKIE = "mtevauth"
"""What the cookie is called."""

KEY_BYTES = 32

_HEADER = b"hmac_cookie"
_NONCE_BYTES = 8
_FIELDS = 5
_LONGEST_FIELD = 255
_LONGEST = 4096
_ENCODED = re.compile(r"(?:[A-Za-z0-9_.~-]|%[0-9A-Fa-f]{2})+")
_EXPIRY = re.compile(rb"[0-9]{1,20}")


class CookieError(MtevError):
    """A cookie cannot be used: it is malformed, expired, or not signed with our key."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who is logged in.

    Args:
        user: 1 to 255 bytes of UTF-8, printable.
        auth: how that was found out; up to 255 bytes, printable.
        expires_s: seconds since the epoch from which on it is worth nothing.
    """

    user: str
    auth: str
    expires_s: int


def fit(user: str) -> bool:
    """Whether a user can be in a cookie."""
    return user.isprintable() and 0 < len(user.encode()) <= _LONGEST_FIELD


def encode(login: Login, key: bytes, nonce: bytes | None = None) -> str:
    """Make the value of a cookie.

    Args:
        login: who is logged in.
        key: 32 bytes.
        nonce: 8 bytes; None for random ones, as always but in tests.

    Raises:
        ValueError: something of it is too long, or empty.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES) if nonce is None else nonce
    if not fit(login.user) or len(login.auth.encode()) > _LONGEST_FIELD or login.expires_s < 0:
        raise ValueError("the user has to have 1 to 255 printable bytes, the auth up to 255, the expiry to be positive")
    fields = (_HEADER, nonce, login.user.encode(), login.auth.encode(), b"%d" % login.expires_s)
    signed = b"".join(bytes([len(field)]) + field for field in fields)
    signature = hmac.digest(key, signed, "sha256")
    return quote_from_bytes(signed + bytes([len(signature)]) + signature, safe="")


def decode(text: str, key: bytes, now_s: float) -> Login:
    """Read the value of a cookie.

    Args:
        text: as it was sent.
        key: 32 bytes.
        now_s: seconds since the epoch.

    Raises:
        CookieError: it is malformed, not signed with this key, or has expired.
    """
    if len(text) > _LONGEST or not _ENCODED.fullmatch(text):
        raise CookieError("it is malformed")
    raw = unquote_to_bytes(text)
    fields, at = [], 0
    for _ in range(_FIELDS):
        field, at = _field(raw, at)
        fields.append(field)
    signature, end = _field(raw, at)
    header, _, user, auth, expiry = fields
    # The signature first: what is not signed is not looked at any further.
    if not hmac.compare_digest(signature, hmac.digest(key, raw[:at], "sha256")):
        raise CookieError("its signature is not ours")
    if header != _HEADER or end != len(raw) or not _EXPIRY.fullmatch(expiry):
        raise CookieError("it is malformed")
    try:
        login = Login(user.decode(), auth.decode(), int(expiry))
    except UnicodeDecodeError:
        raise CookieError("its user is not UTF-8") from None
    if login.expires_s <= now_s:
        raise CookieError("it has expired")
    if not fit(login.user) or not login.auth.isprintable():
        raise CookieError("its user cannot be one")
    return login


def _field(raw: bytes, at: int) -> tuple[bytes, int]:
    if at >= len(raw) or at + 1 + raw[at] > len(raw):
        raise CookieError("it is malformed")
    end = at + 1 + raw[at]
    return raw[at + 1 : end], end
