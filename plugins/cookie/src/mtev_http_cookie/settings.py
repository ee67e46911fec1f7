"""What the `<config>` of the plugin says: libmtev's keys, and some of ours."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mtev_kernel import ConfigurationError

from .codec import KEY_BYTES, fit

__all__ = ["Settings", "read"]

_USER = "user_"
_KEYS = ("key", "max_age", "domain", "secure", "same_site", "reissue")
_LONGEST_AGE_S = 10 * 366 * 24 * 3600
_DOMAIN = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")


@dataclass(frozen=True, slots=True)
class Settings:
    """How logins work.

    Args:
        key: what cookies are signed with; None for a random one.
        max_age_s: how long a login lasts, in seconds.
        domain: hosts below which get the cookie too; `""` for the one host.
        secure: `on`, `off`, or `auto` for on where the request came over TLS: whether browsers keep it to TLS.
        same_site: `Lax` or `Strict`.
        reissue: when a cookie is renewed: `half` of its life has passed, `always` (libmtev), or `never`.
        users: users for tests, with their passwords.
    """

    key: bytes | None = field(default=None, repr=False)
    max_age_s: int = 86400
    domain: str = ""
    secure: str = "auto"
    same_site: str = "Lax"
    reissue: str = "half"
    users: Mapping[str, str] = field(default_factory=dict, repr=False)


def read(config: Mapping[str, str], where: str) -> Settings:
    """Read a `<config>`.

    Args:
        config: its names and values.
        where: what to say that it stands at.

    Raises:
        ConfigurationError: something in it cannot be meant. The message shows neither the key nor a password.
    """
    users: dict[str, str] = {}
    for name, value in config.items():
        if name.startswith(_USER):
            user = name.removeprefix(_USER)
            if not fit(user) or not value:
                raise _error(where, f"<{name}>: a user for tests needs a name and a password")
            users[user] = value
        elif name not in _KEYS:
            raise _error(where, f"<{name}> is not known; expected {', '.join(_KEYS)} or {_USER}NAME")
    domain = config.get("domain", "").strip().removeprefix(".").lower()
    if domain and not _DOMAIN.fullmatch(domain):
        raise _error(where, f"<domain>{domain}</domain> is no domain such as example.com")
    same_site = _choice(config, "same_site", ("lax", "strict"), where).capitalize()
    return Settings(
        _key(config["key"], where) if "key" in config else None,
        _age(config.get("max_age", ""), where),
        domain,
        _choice(config, "secure", ("auto", "on", "off"), where),
        same_site,
        _choice(config, "reissue", ("half", "always", "never"), where),
        users,
    )


def _key(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _error(where, f"<key> is not base64; expected that of {KEY_BYTES} random bytes: {_MAKE}") from None
    if len(key) != KEY_BYTES:
        raise _error(where, f"<key> has {len(key)} bytes; expected {KEY_BYTES} random ones in base64: {_MAKE}")
    return key


_MAKE = "openssl rand -base64 32"


def _age(text: str, where: str) -> int:
    text = text.strip()
    if not text:
        return Settings().max_age_s
    if not (text.isdecimal() and text.isascii() and len(text) <= 10 and 1 <= int(text) <= _LONGEST_AGE_S):
        raise _error(where, f"<max_age>{text[:40]}</max_age>: expected seconds, 1 to {_LONGEST_AGE_S}")
    return int(text)


def _choice(config: Mapping[str, str], name: str, choices: tuple[str, ...], where: str) -> str:
    """One of some words; the first one without any."""
    text = config.get(name, choices[0]).strip().lower()
    if text not in choices:
        raise _error(where, f"<{name}>{text[:40]}</{name}>: expected {', '.join(choices)}")
    return text


def _error(where: str, message: str) -> ConfigurationError:
    return ConfigurationError(f"the <config> of plugin 'http_hmac_cookie' (mtev-http-cookie): {message}", where)
