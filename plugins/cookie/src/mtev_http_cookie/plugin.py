"""The plugin: reads its `<config>`, offers the login, and answers the hooks of mtev-http."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress

from mtev_http import BadRequest, Request, Response, Rest, WebSocketUpgrade, error_response, hookspecs
from mtev_kernel import Context, Plugin, hookimpl

from .codec import Login
from .login import AUTH, TEST_AUTH, LoginRoutes, challenged
from .pages import denied_page
from .sessions import NOTE, Sessions
from .settings import Settings, read
from .whereto import LOGIN, LOGOUT, login_url

__all__ = ["HttpCookiePlugin"]

_REFUSED = "http.auth.refused"


class HttpCookiePlugin(Plugin):
    """Logs people in, and knows them by their cookie.

    Args:
        context: `config` may hold `key`, `max_age`, `domain`, `secure`, `same_site`, `reissue`, `user_NAME`.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._sessions = Sessions(Settings())
        self._settings = Settings()
        self._told = False

    def configure(self) -> None:
        """Read the options.

        Raises:
            ConfigurationError: one of them cannot be meant.
        """
        self._settings = settings = read(self.context.config, self.context.where)
        self._sessions = Sessions(settings)
        where = self.context.where
        if settings.key is None:
            self.context.warn(
                f"{where}: there is no <key>, so a random one is used: logins end with this process, and no other node "
                "knows them. Make one with: openssl rand -base64 32"
            )
        if settings.users:
            self.context.warn(
                f"{where}: {', '.join(f'<user_{name}>' for name in sorted(settings.users))}: for tests only: these "
                "passwords are in the configuration as they are; mtev-http-auth has users for everything else"
            )

    @hookimpl
    def mtev_rest_routes(self, rest: Rest) -> None:
        """Offer `/login` and `/logout`."""
        site = self.context.hooks.site(hookspecs.http_auth)
        LoginRoutes(self._sessions, self._settings.users, lambda: site.call, self.context.log).add(rest)

    @hookimpl(after=["http.auth"])
    async def http_authenticate(self, request: Request) -> None:
        """Find out who it is from the cookie."""
        if request.user or _REFUSED in request.notes:
            return
        login, reason = self._sessions.find(request)
        if login is None:
            if reason:
                self.context.log.debug("%s: the cookie does not count: %s", request.peer_text, reason)
            return
        request.user, request.auth = login.user, login.auth
        if self._sessions.is_due(login):
            request.notes[NOTE] = self._sessions.begin(login.user, login.auth)

    @hookimpl
    def http_response_starting(self, request: Request, response: Response) -> None:
        """Give the cookie out anew, where that is due."""
        login = request.notes.get(NOTE) if request.user else None
        if isinstance(login, Login) and not isinstance(response, WebSocketUpgrade):
            self._sessions.renew(request, response, login)

    @hookimpl(wrapper=True)
    def rest_auth_denied(self, request: Request) -> Generator[None, Response | None, Response | None]:
        """Send people to the login page, and everybody else away with 401."""
        worded = yield
        if request.path in (LOGIN, LOGOUT):
            self._tell()
            return worded
        if worded is not None and (worded.status != 401 or _REFUSED in request.notes):
            return worded
        if request.user:
            own = request.auth in (AUTH, TEST_AUTH)
            return denied_page(request.user, login_url(_target(request))) if own and _is_browser(request) else worded
        if _is_browser(request):
            return Response(302, headers={"Location": login_url(_target(request)), "Cache-Control": "no-store"})
        if worded is not None:
            return worded
        return challenged(error_response(401, "authentication is required", headers={"Cache-Control": "no-store"}))

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self.context.log.error(
                "the access lists deny %s itself, so nobody can log in; write a rule such as "
                '<rule type="allow" url="^/log(in|out)$"/> before those that ask for a user',
                LOGIN,
            )


def _target(request: Request) -> str:
    """Where to come back to: nowhere, for what is no page."""
    if request.method not in ("GET", "HEAD"):
        return ""
    with suppress(BadRequest):
        return request.raw_path + (f"?{request.raw_query}" if request.raw_query else "")
    return ""


def _is_browser(request: Request) -> bool:
    """Whether somebody sits there who can read a page."""
    for part in request.headers.get("accept", "").split(","):
        kind, *parameters = (each.strip().lower() for each in part.split(";"))
        if kind == "text/html":
            weights = [each[2:] for each in parameters if each.startswith("q=")]
            return not weights or weights[0].strip("0.") != ""
    return False
