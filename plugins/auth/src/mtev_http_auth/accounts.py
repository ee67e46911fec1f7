"""Who there is: users with hashes of their passwords, tokens, rules for certificates; from the stanza and from files.

A file has a line for each: `NAME:HASH` for users, `NAME:DIGEST [expires=TIME] [auth=WORD]` for tokens. Empty lines and
lines that begin with `#` are left out.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from mtev_kernel import ConfigurationError

from .certificates import CertificateRule
from .credentials import USER_LIMIT, fit_user
from .errors import AuthError, LineError
from .hashes import PasswordHash, parse_hash
from .tokens import AUTH, Token, Tokens, parse_digest, parse_expiry, parse_label

__all__ = ["Accounts", "Identity", "Source", "accounts_of", "parse_token", "parse_user", "user_name"]

T = TypeVar("T")

Identity = tuple[int, int, int] | None
"""Inode, size in bytes and time of change in nanoseconds of a file; None for one that is not there."""

_LARGEST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """A file of users or tokens.

    Args:
        path: absolute.
        where: `file:line` of the element that names it.
    """

    path: str
    where: str

    def identity(self) -> Identity:
        """The state of the file. Blocks for moments."""
        try:
            status = os.stat(self.path)  # noqa: PTH116  # a plain call on a plain string
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def readable_by_others(self) -> bool:
        """Whether anybody on this machine may read it. Blocks for moments."""
        try:
            return bool(os.stat(self.path).st_mode & stat.S_IROTH)  # noqa: PTH116  # as above
        except OSError:
            return False

    def read(self, parse: Callable[[str], T]) -> Iterator[tuple[T, str]]:
        """What its lines say, each with its `file:line`. Blocks on the file system.

        Raises:
            ConfigurationError: it cannot be read, or `parse` refuses a line.
        """
        try:
            with open(self.path, "rb") as file:
                data = file.read(_LARGEST_BYTES + 1)
            text = data.decode("utf-8")
        except OSError as error:
            raise self._error(f"{self.path} cannot be read: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise self._error(f"{self.path} is not UTF-8") from None
        if len(data) > _LARGEST_BYTES:
            raise self._error(f"{self.path} has more than {_LARGEST_BYTES} bytes")
        for number, line in enumerate(text.splitlines(), start=1):
            line = line.strip()
            if line and not line.startswith("#"):
                where = f"{self.path}:{number}"
                try:
                    yield parse(line), where
                except AuthError as error:
                    raise ConfigurationError(f"plugin 'http.auth' (mtev-http-auth): {error}", where) from None

    def _error(self, problem: str) -> ConfigurationError:
        return ConfigurationError(f"plugin 'http.auth' (mtev-http-auth): {problem}", self.where)


@dataclass(frozen=True, slots=True)
class Accounts:
    """Everybody who is known, at one moment. Immutable.

    Attributes:
        users: the hashes of passwords by user.
        tokens: the tokens.
        certificates: the rules for certificates, in order.
        decoy: what the password of somebody who is not known is verified against, so that it takes as long; None where
            there are no users.
    """

    users: Mapping[str, PasswordHash] = field(default_factory=dict)
    tokens: Tokens = field(default_factory=Tokens)
    certificates: Sequence[CertificateRule] = ()
    decoy: PasswordHash | None = None


def accounts_of(
    users: Iterable[tuple[tuple[str, PasswordHash], str]],
    tokens: Iterable[tuple[Token, str]],
    certificates: Sequence[CertificateRule],
) -> Accounts:
    """Put everybody together.

    Args:
        users: names and hashes, with the `file:line` of each.
        tokens: with the `file:line` of each.
        certificates: rules in order.

    Raises:
        ConfigurationError: a user is there twice, or two tokens are the same.
    """
    known: dict[str, PasswordHash] = {}
    places: dict[str, str] = {}
    for (name, hashed), where in users:
        if name in known:
            raise ConfigurationError(f"the user '{name}' is at {places[name]} already; keep one of them", where)
        known[name], places[name] = hashed, where
    listed = list(tokens)
    try:
        all_tokens = Tokens(token for token, _ in listed)
    except LineError as error:
        raise ConfigurationError(str(error), listed[-1][1]) from None
    decoy = None
    if known:
        # Most of them cost the same; somebody who is not known costs what most do.
        common = Counter(each.cost for each in known.values()).most_common(1)[0][0]
        decoy = next(each for each in known.values() if each.cost == common).decoy()
    return Accounts(known, all_tokens, tuple(certificates), decoy)


def user_name(text: str) -> str:
    """Check what a user is called.

    Raises:
        LineError: it is empty, too long, or has a colon or something unprintable in it.
    """
    if not fit_user(text):
        raise LineError(f"a user has 1 to {USER_LIMIT} printable characters, and no colon; this one is {text[:40]!a}")
    return text


def parse_user(line: str) -> tuple[str, PasswordHash]:
    """Read `NAME:HASH`.

    Raises:
        AuthError: it is something else.
    """
    name, colon, hashed = line.partition(":")
    if not colon:
        raise LineError("expected NAME:HASH; 'mtev-http-auth hash NAME' makes such a line")
    return user_name(name.strip()), parse_hash(hashed.strip())


def parse_token(line: str) -> Token:
    """Read `NAME:DIGEST [expires=TIME] [auth=WORD]`.

    Raises:
        AuthError: it is something else.
    """
    head, *options = line.split()
    name, colon, digest = head.rpartition(":")
    if not colon:
        raise LineError("expected NAME:DIGEST; 'mtev-http-auth token NAME' makes such a line")
    expires_s, auth = None, AUTH
    for option in options:
        key, _, value = option.partition("=")
        if key == "expires":
            expires_s = parse_expiry(value)
        elif key == "auth":
            auth = parse_label(value)
        else:
            raise LineError(f"'{key[:20]}' is not known; expected expires=TIME or auth=WORD")
    return Token(user_name(name), parse_digest(digest), expires_s, auth)
