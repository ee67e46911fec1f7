"""Cookies on requests and responses: who is logged in by one, and when it is given out anew."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator

from mtev_http import Request, Response

from .codec import COOKIE, KEY_BYTES, CookieError, Login, decode, encode
from .settings import Settings

__all__ = ["NOTE", "Sessions"]

NOTE = "http.cookie.login"
"""Where a request's notes have the `Login` that its response is to carry."""

_FIELD = b"cookie"
_MOST_COOKIES = 4


class Sessions:
    """Thread-safe, and without a state: all there is to know is in the cookies.

    Args:
        settings: how logins work; without a key, a random one is made.
        now: seconds since the epoch.
    """

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._key = settings.key or secrets.token_bytes(KEY_BYTES)
        self._now = now

    def find(self, request: Request) -> tuple[Login | None, str]:
        """Who is logged in by the cookie of a request.

        Returns:
            The first login that counts, and `""`; or None, and why the last cookie did not count, `""` for no cookie.
        """
        reason = ""
        for number, text in enumerate(_cookies(request)):
            if number == _MOST_COOKIES:
                return None, "there are too many cookies of that name"
            try:
                return decode(text, self._key, self._now()), ""
            except CookieError as error:
                reason = str(error)
        return None, reason

    def is_due(self, login: Login) -> bool:
        """Whether a cookie that was just used is to be given out anew."""
        match self._settings.reissue:
            case "always":
                return True
            case "never":
                return False
            case _:
                return login.expires_s - self._now() < self._settings.max_age_s / 2

    def begin(self, user: str, auth: str) -> Login:
        """A login that begins now.

        Args:
            user: who; fit for a cookie.
            auth: how that was found out.
        """
        return Login(user, auth, int(self._now()) + self._settings.max_age_s)

    def put(self, request: Request, response: Response, login: Login) -> None:
        """Have a response carry a login, as a cookie."""
        self._set(request, response, encode(login, self._key), self._settings.max_age_s)

    def renew(self, request: Request, response: Response, login: Login) -> None:
        """The same with a response of somebody else: not with one that caches may give to others."""
        caching = response.headers.get("cache-control", "").lower()
        if "public" in caching or "s-maxage" in caching:
            return
        if not caching:
            response.headers.set("Cache-Control", "private")
        self.put(request, response, login)

    def take_back(self, request: Request, response: Response) -> None:
        """Have a browser forget its cookie."""
        self._set(request, response, "", 0)

    def _set(self, request: Request, response: Response, value: str, max_age_s: int) -> None:
        settings = self._settings
        secure = settings.secure == "on" or (settings.secure == "auto" and request.tls is not None)
        text = f"{COOKIE}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite={settings.same_site}"
        text += "; Secure" if secure else ""
        text += f"; Domain={settings.domain}" if settings.domain else ""
        response.headers.add("Set-Cookie", text)


def _cookies(request: Request) -> Iterator[str]:
    """The values of our cookie, without making the map of all fields."""
    for name, value in request.raw_headers:
        if len(name) == len(_FIELD) and name.lower() == _FIELD:
            for part in value.decode("latin-1").split(";"):
                key, _, text = part.strip().partition("=")
                if key == COOKIE:
                    yield text
