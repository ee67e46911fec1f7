"""Bearer tokens, of which only digests are kept. Pure.

A token is random and long, so that a plain SHA-256 of it protects it as well as a slow hash does a password.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from .errors import LineError

__all__ = ["AUTH", "Token", "Tokens", "digest_of", "new_token", "parse_digest", "parse_expiry", "parse_label"]

AUTH = "bearer"

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token.

    Args:
        name: the user that it stands for.
        digest: SHA-256 of it.
        expires_s: seconds since the epoch from which on it is worth nothing; None for never.
        auth: what `request.auth` becomes.
    """

    name: str
    digest: bytes
    expires_s: float | None = None
    auth: str = AUTH

    def __repr__(self) -> str:
        return f"<Token of {self.name!r}>"


class Tokens:
    """Tokens by their digests.

    Args:
        known: all of them.

    Raises:
        LineError: two have the same digest: then one of them was copied, and who it stands for is not clear.
    """

    def __init__(self, known: Iterable[Token] = ()) -> None:
        self._known: dict[bytes, Token] = {}
        for token in known:
            other = self._known.setdefault(token.digest, token)
            if other is not token:
                raise LineError(f"the tokens of '{other.name}' and '{token.name}' are the same; make one for each")

    def __len__(self) -> int:
        return len(self._known)

    def find(self, token: str) -> Token | None:
        """What is known of a token, whether it has expired or not; None when nothing is.

        Looked up by its digest, of which nobody can choose a part: how long that takes says nothing of a token.
        """
        digest = digest_of(token)
        found = self._known.get(digest)
        return found if found is not None and hmac.compare_digest(found.digest, digest) else None


def digest_of(token: str) -> bytes:
    """The digest to keep of a token."""
    return hashlib.sha256(token.encode("ascii", "backslashreplace")).digest()


def new_token() -> str:
    """A new random token of 256 bits."""
    return secrets.token_urlsafe(32)


def parse_digest(text: str) -> bytes:
    """Read a digest.

    Raises:
        LineError: it is not 64 hexadecimal digits.
    """
    if not _DIGEST.fullmatch(text):
        raise LineError("expected the SHA-256 of a token in 64 hexadecimal digits; 'mtev-http-auth token' makes both")
    return bytes.fromhex(text)


def parse_expiry(text: str) -> float:
    """Read a time such as `2027-01-01` or `2027-01-01T12:00:00Z`; UTC where it has no zone.

    Returns:
        Seconds since the epoch.

    Raises:
        LineError: it is no time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise LineError(f"expires: '{text[:40]}' is no time; expected one such as 2027-01-01T12:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_label(text: str) -> str:
    """Read what `request.auth` is to become.

    Raises:
        LineError: it is not up to 64 letters, digits, `_`, `.` and `-`; or it means something else.
    """
    if not _LABEL.fullmatch(text):
        raise LineError(f"auth: '{text[:40]}' is not 1 to 64 letters, digits, '_', '.' and '-'")
    if text in ("basic", "certificate"):
        raise LineError(f"auth: '{text}' means something else; choose another word")
    return text
