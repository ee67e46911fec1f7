"""Where a browser goes after a login: a path of this service, and nothing that could lead elsewhere. Pure.

1. One slash at the beginning, and no second one: `//host` is another host.
2. No backslash anywhere: browsers take it for a slash.
3. No control characters and no blanks: browsers drop some of them, and `/<TAB>/host` becomes `//host`.
4. Not the login page itself, to which nobody wants to come back.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

__all__ = ["HOME", "LOGIN", "LOGOUT", "local_path", "login_url"]

HOME = "/"
LOGIN, LOGOUT = "/login", "/logout"

_LONGEST = 2048
_LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f-\xa0]*")
_KEPT = "".join(chr(code) for code in range(0x21, 0x7F))


def local_path(text: str) -> str:
    """The place to go to.

    Args:
        text: what a form or a query says, decoded once.

    Returns:
        The same, percent-encoded where it is not ASCII; `/` for anything that may lead elsewhere.
    """
    if len(text) > _LONGEST or not _LOCAL.fullmatch(text):
        return HOME
    try:
        encoded = quote(text, safe=_KEPT)
        parts = urlsplit(encoded)
    except ValueError:  # half of a surrogate pair, or brackets that are no address
        return HOME
    if parts.scheme or parts.netloc or parts.path in (LOGIN, LOGOUT):
        return HOME
    return encoded


def login_url(target: str) -> str:
    """The login page, told where to go afterwards.

    Args:
        target: a path and its query, as they were sent; `""` for the beginning.
    """
    place = local_path(target)
    return LOGIN if place == HOME else f"{LOGIN}?whereto={quote(place, safe='-_.~')}"
