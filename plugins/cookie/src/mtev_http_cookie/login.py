"""The routes `/login` and `/logout`.

Forms are taken from pages of this service only: another site could log somebody in as its own user, and read what he
then leaves there. Browsers say where a form comes from (`Sec-Fetch-Site`, `Origin`); what is no browser says nothing,
and has nobody to be deceived.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from mtev_http import Documentation, HttpError, Parameter, Request, Response, Rest

from .codec import fit
from .pages import login_page, logout_page
from .sessions import NOTE, Sessions
from .whereto import LOGIN, local_path

__all__ = ["AUTH", "TEST_AUTH", "LoginRoutes", "challenged"]

AUTH = "hmac_cookie"
"""What `request.auth` is for whoever logged in."""

TEST_AUTH = "hmac_cookie_test"
"""The same for users for tests (libmtev)."""

_REFUSED = "http.auth.refused"  # where mtev-http-auth leaves word of what it did not accept
_BODY_LIMIT_BYTES = 16 * 1024
_PASSWORD_LIMIT_BYTES = 1024
_PROBLEMS = {
    401: "The user or the password is wrong.",
    429: "There were too many attempts. Wait a little.",
    503: "The service is busy. Try again.",
}

Check = Callable[[Request, str, str], Awaitable[bool | None]]


class LoginRoutes:
    """Answers `/login` and `/logout`.

    Args:
        sessions: gives out cookies.
        users: users for tests, with their passwords.
        check: finds the hook `http_auth`, with whoever is attached to it; None where nobody is.
        log: for logins, and those that failed.
    """

    def __init__(
        self, sessions: Sessions, users: Mapping[str, str], check: Callable[[], Check | None], log: logging.Logger
    ) -> None:
        self._sessions = sessions
        self._users = users
        self._check = check
        self._log = log

    def add(self, rest: Rest) -> None:
        """Add the routes. Access control applies to them, as in libmtev."""
        whereto = Parameter("whereto", "a path of this service to go to afterwards")
        page = Documentation("A form for people.", parameters=[whereto], content_type="text/html")
        form = Documentation("Fields: `username`, `password`, `whereto`.", content_type="text/html")
        rest.add("GET", "/", "^login$", self.ask, summary="the login page", documentation=page)
        rest.add(
            "POST",
            "/",
            "^login$",
            self.log_in,
            summary="logs in: gives out a cookie",
            documentation=form,
            body_limit_bytes=_BODY_LIMIT_BYTES,
        )
        leave = Documentation("A form for people.", content_type="text/html")
        rest.add("GET", "/", "^logout$", self.ask_to_leave, summary="the logout page", documentation=leave)
        rest.add(
            "POST",
            "/",
            "^logout$",
            self.log_out,
            summary="logs out: takes the cookie back",
            documentation=leave,
            body_limit_bytes=_BODY_LIMIT_BYTES,
        )

    def ask(self, request: Request) -> Response:
        """Show the login page."""
        return login_page(local_path(request.query.get("whereto", "")), user=request.user)

    async def log_in(self, request: Request) -> Response:
        """Check a password, give out a cookie, and go on."""
        _refuse_other_sites(request)
        fields = (await request.form()).fields
        user, password = fields.get("username", ""), fields.get("password", "")
        whereto = local_path(fields.get("whereto", ""))
        if not fit(user) or not 0 < len(password.encode("utf-8", "surrogateescape")) <= _PASSWORD_LIMIT_BYTES:
            return login_page(whereto, "Enter a user and a password.", 400)
        auth = await self._auth_of(request, user, password)
        if not auth:
            status = getattr(request.notes.get(_REFUSED), "status", 401)
            self._log.warning("%s: a login failed", request.peer_text)
            return challenged(login_page(whereto, _PROBLEMS.get(status, _PROBLEMS[401]), status))
        self._log.info("%s: %s has logged in", request.peer_text, ascii(user))
        request.notes.pop(NOTE, None)  # a cookie that was due belongs to whoever was here before
        response = Response(303, headers={"Location": whereto, "Cache-Control": "no-store"})
        self._sessions.put(request, response, self._sessions.begin(user, auth))
        return response

    def ask_to_leave(self, request: Request) -> Response:
        """Show the logout page."""
        return logout_page(request.user)

    def log_out(self, request: Request) -> Response:
        """Take the cookie back."""
        _refuse_other_sites(request)
        request.notes.pop(NOTE, None)
        response = Response(303, headers={"Location": LOGIN, "Cache-Control": "no-store"})
        self._sessions.take_back(request, response)
        return response

    async def _auth_of(self, request: Request, user: str, password: str) -> str:
        """How it was found out that this is the user; `""` when it is not."""
        check = self._check()
        found = await check(request, user, password) if check is not None else None
        if found is not None:
            return AUTH if found is True else ""
        expected = self._users.get(user)
        given = password.encode("utf-8", "surrogateescape")
        fits = hmac.compare_digest((expected or "").encode("utf-8", "surrogateescape"), given)
        return TEST_AUTH if fits and expected else ""


def challenged(response: Response) -> Response:
    """Give a 401 the field that it has to have (RFC 9110, section 15.5.2)."""
    if response.status == 401:
        response.headers.add("WWW-Authenticate", f'Cookie form-action="{LOGIN}", cookie-name="mtevauth"')
    return response


def _refuse_other_sites(request: Request) -> None:
    """Refuse a form of another site.

    Raises:
        HttpError: 403, it is one.
    """
    headers = request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        own = site.lower() in ("same-origin", "none")
    elif origin is not None:
        try:
            own = urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
        except ValueError:
            own = False
    else:
        own = True
    if not own:
        raise HttpError(403, "the form is of another site")
