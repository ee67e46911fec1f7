"""Reading `<http_auth>`. Fails closed: what is not understood is refused, with file and line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

from mtev_conf import Configuration, Section

from .accounts import Accounts, Identity, Source, accounts_of, parse_token, parse_user, user_name
from .certificates import SOURCES, CertificateRule
from .errors import AuthError
from .hashes import PasswordHash, parse_hash
from .tokens import AUTH, Token, parse_digest, parse_expiry, parse_label

__all__ = ["STANZA", "Settings", "load", "read_settings"]

STANZA = "http_auth"

_COMMON = ("id", "require_env")
_SETTINGS = ("realm", "plaintext", "cache_ttl_ms", "attempts", "attempt_period_ms")
_ELEMENTS = {
    "user": ("name", "password"),
    "users": ("file",),
    "token": ("name", "sha256", "expires", "auth"),
    "tokens": ("file",),
    "certificate": ("from", "match", "user", "issuer"),
}
_REALM = re.compile(r"[\x20-\x7e]{1,100}")
_DAY_MS = 24 * 3600 * 1000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """What `<http_auth>` says.

    Args:
        realm: what clients show beside their prompt; printable ASCII.
        plaintext: whether passwords and tokens are taken over plain connections from elsewhere.
        cache_ttl_s: for how long a password that was verified is not verified again, in seconds; 0 for never.
        attempts: how many wrong ones a peer has in a row.
        attempt_period_s: how long it takes until it has another one, in seconds.
        users: those in the stanza, with their places.
        user_files: files of users.
        tokens: those in the stanza, with their places.
        token_files: files of tokens.
        certificates: rules in order.
    """

    realm: str = "mtev"
    plaintext: bool = False
    cache_ttl_s: float = 300.0
    attempts: int = 10
    attempt_period_s: float = 5.0
    users: Sequence[tuple[tuple[str, PasswordHash], str]] = ()
    user_files: Sequence[Source] = ()
    tokens: Sequence[tuple[Token, str]] = ()
    token_files: Sequence[Source] = ()
    certificates: Sequence[CertificateRule] = field(default=())

    @property
    def files(self) -> Sequence[Source]:
        """All files."""
        return (*self.user_files, *self.token_files)

    @property
    def takes_passwords(self) -> bool:
        """Whether anybody can have a password."""
        return bool(self.users or self.user_files)

    @property
    def takes_tokens(self) -> bool:
        """Whether there can be tokens."""
        return bool(self.tokens or self.token_files)


def read_settings(configuration: Configuration) -> Settings:
    """Read the stanza. Opens no files.

    Raises:
        ConfigurationError: something in it is not understood, or it stands there twice.
    """
    stanzas = [each for each in configuration.sections(f"//{STANZA}") if each.enabled]
    if not stanzas:
        return Settings()
    if len(stanzas) > 1:
        raise stanzas[1].error(f"there is one at {stanzas[0].where} already; write everything in one")
    stanza = stanzas[0]
    _known(stanza, _SETTINGS)
    found: dict[str, list[Section]] = {name: [] for name in _ELEMENTS}
    for child in stanza.sections("*"):
        if child.name not in _ELEMENTS:
            raise child.error(f"not known in <{STANZA}>; expected {', '.join(f'<{name}>' for name in _ELEMENTS)}")
        _known(child, _ELEMENTS[child.name])
        for stray in child.sections("*"):
            raise stray.error(f"not expected in <{child.name}>, which holds nothing")
        if child.enabled:
            found[child.name].append(child)
    plain = Settings()
    realm = stanza.attributes.get("realm", plain.realm)
    if not _REALM.fullmatch(realm):
        raise stanza.error("realm: expected 1 to 100 printable ASCII characters")
    plaintext = stanza.choice("plaintext", ("refuse", "allow"), "refuse") if "plaintext" in stanza.attributes else ""
    return Settings(
        realm,
        plaintext == "allow",
        _milliseconds(stanza, "cache_ttl_ms", plain.cache_ttl_s, 0),
        stanza.integer("attempts", plain.attempts, minimum=1, maximum=10_000),
        _milliseconds(stanza, "attempt_period_ms", plain.attempt_period_s, 1),
        [(_told(each, _user), each.where) for each in found["user"]],
        [_source(each) for each in found["users"]],
        [(_told(each, _token), each.where) for each in found["token"]],
        [_source(each) for each in found["tokens"]],
        [_told(each, _certificate) for each in found["certificate"]],
    )


def load(settings: Settings) -> tuple[Accounts, tuple[Identity, ...]]:
    """Read the files, and put everybody together. Blocks on the file system.

    Returns:
        Who there is, and the states of `settings.files` that this comes from.

    Raises:
        ConfigurationError: a file cannot be read, a line cannot be used, or somebody is there twice.
    """
    # Before they are read: a file that changes in between is read again.
    identities = tuple(source.identity() for source in settings.files)
    users = chain(settings.users, *(source.read(parse_user) for source in settings.user_files))
    tokens = chain(settings.tokens, *(source.read(parse_token) for source in settings.token_files))
    return accounts_of(users, tokens, settings.certificates), identities


def _user(section: Section) -> tuple[str, PasswordHash]:
    name, hashed = _required(section, "name", "password")
    return user_name(name), parse_hash(hashed.strip())


def _token(section: Section) -> Token:
    name, digest = _required(section, "name", "sha256")
    own = section.attributes
    expires_s = parse_expiry(own["expires"]) if "expires" in own else None
    return Token(
        user_name(name), parse_digest(digest.strip()), expires_s, parse_label(own["auth"]) if "auth" in own else AUTH
    )


def _certificate(section: Section) -> CertificateRule:
    own = section.attributes
    source = own.get("from", "cn")
    if source not in SOURCES:
        raise section.error(f"from='{source}' is none of {', '.join(SOURCES)}")
    if source in ("subject", "fingerprint") and "user" not in own and "match" not in own:
        raise section.error(f"from='{source}' needs a match, or the user that it stands for")
    if "user" in own and "match" not in own:
        raise section.error("every certificate would be that user; say in match which ones are meant")
    return CertificateRule(source, _pattern(section, "match"), own.get("user", ""), _pattern(section, "issuer"))


def _source(section: Section) -> Source:
    _required(section, "file")
    return Source(section.filename("file"), section.where)


def _required(section: Section, *names: str) -> Iterator[str]:
    own = section.attributes
    for name in names:
        if not own.get(name):
            raise section.error(f"the attribute '{name}' is required")
    return iter([own[name] for name in names])


def _pattern(section: Section, name: str) -> re.Pattern[str] | None:
    text = section.attributes.get(name)
    if text is None:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        raise section.error(f"{name}='{text}' is not a regular expression: {error}") from None


def _told(section: Section, read: Callable[[Section], T]) -> T:
    """Say where an error is."""
    try:
        return read(section)
    except AuthError as error:
        raise section.error(str(error)) from None


def _known(section: Section, names: Sequence[str]) -> None:
    for name in section.attributes:
        if name not in names and name not in _COMMON:
            raise section.error(f"the attribute '{name}' is not known; expected {', '.join(names)}")


def _milliseconds(section: Section, name: str, default_s: float, minimum: int) -> float:
    value = section.integer(name, None, minimum=minimum, maximum=_DAY_MS)
    return default_s if value is None else value / 1000
