"""Finds out who a request is from.

1. Whoever found out before keeps the last word: a request whose `user` is set is left alone.
2. What a request shows in Authorization counts alone. When it is not accepted, the request stays without a user, also
   where its certificate would have given it one.
3. Without Authorization, or with a scheme that is not ours, the client's certificate counts.
4. Passwords and tokens that came over a plain connection from elsewhere are not even looked at, unless the stanza says
   so: they are known to whoever listened.
5. A password costs an attempt of its peer, unless it was verified lately or is being verified right now.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from mtev_http import Request, Response

from . import certificates
from .accounts import Accounts
from .challenges import NOTE, Refusal, challenge, postponed
from .complaints import Complaints
from .credentials import Basic, Bearer, Malformed, fit_password, fit_user, parse_authorization
from .errors import Busy
from .hasher import Hasher
from .settings import Settings
from .throttle import Throttle, address_of
from .verified import Verified

__all__ = ["Authenticator", "PasswordCheck"]

PasswordCheck = Callable[[Request, str, str], Awaitable[bool | None]]
"""The hook `http_auth`, with whoever is attached to it."""

_AUTHORIZATION = b"authorization"
_BUSY_S = 2.0
_WRONG = "the user or the password is wrong"


@dataclass(frozen=True, slots=True)
class _State:
    """What is in force; replaced as a whole."""

    settings: Settings = field(default_factory=Settings)
    accounts: Accounts = field(default_factory=Accounts)
    verified: Verified = field(default_factory=lambda: Verified(0.0))


class Authenticator:
    """Thread-safe: used from every loop.

    Args:
        log: for what is not accepted.
        hasher: verifies passwords.
        clock: seconds that do not go back.
        now: seconds since the epoch, for the expiry of tokens.

    Attributes:
        others: whether other plugins know users too.
        hasher: verifies passwords; replaced when the plugin starts again.
    """

    def __init__(
        self,
        log: logging.Logger,
        hasher: Hasher,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.others = False
        self.hasher = hasher
        self._complaints = Complaints(log)
        self._clock = clock
        self._now = now
        self._state = _State()
        self._throttle = Throttle(self._state.settings.attempts, self._state.settings.attempt_period_s)

    def use(self, settings: Settings, accounts: Accounts) -> None:
        """Put settings and accounts in force; what was verified before is forgotten."""
        before = self._state.settings
        if (before.attempts, before.attempt_period_s) != (settings.attempts, settings.attempt_period_s):
            self._throttle = Throttle(settings.attempts, settings.attempt_period_s)
        self._state = _State(settings, accounts, Verified(settings.cache_ttl_s))

    async def authenticate(self, request: Request, check: PasswordCheck) -> None:
        """Set the user of a request, or leave a note why what it shows is not accepted.

        Args:
            request: without a user.
            check: the hook `http_auth`.
        """
        state = self._state
        match parse_authorization(_shown(request)):
            case Basic(user, password) if self._takes_passwords(state):
                await self._basic(state, request, user, password, check)
            case Bearer(token) if state.settings.takes_tokens:
                self._bearer(state, request, token)
            case Malformed(scheme, reason):
                self._refuse(request, Refusal(reason, scheme, malformed=True))
            case _:
                if user := certificates.user_of(request.tls, state.accounts.certificates):
                    request.user, request.auth = user, certificates.AUTH

    async def check(self, request: Request, user: str, password: str) -> bool | None:
        """Whether that is the password of one of our users; None for somebody who is not.

        Takes as long for those who are not known as for those who are.
        """
        state = self._state
        if state.accounts.decoy is None or not fit_user(user) or not fit_password(password):
            return None
        if self._exposed(state, request):
            self._refuse(request, Refusal("a password came over a plain connection", "basic"))
            return False
        known = state.accounts.users.get(user)
        against = known or state.accounts.decoy
        key = state.verified.key_of(user, password, str(against))
        counted = not self.hasher.under_way(key)  # asked first: what is not under way any more is known already
        if state.verified.knows(key, self._clock()):
            return True
        address = address_of(request.peer)
        throttle = self._throttle
        if counted and (wait_s := throttle.take(address, self._clock())) > 0:
            self._refuse(request, Refusal("it tries too often", "basic", status=429, retry_after_s=wait_s))
            return False
        try:
            fits = await self.hasher.verify(key, against, password, lambda: state.verified.add(key, self._clock()))
        except Busy as error:
            if counted:
                throttle.give_back(address)
            self._refuse(request, Refusal(str(error), "basic", status=503, retry_after_s=_BUSY_S))
            return False
        if known is None:
            return None
        if fits and counted:
            throttle.give_back(address)
        return fits

    def denied(self, request: Request) -> Response | None:
        """How a request that access control denied is told so; None to leave that to others."""
        if request.user:
            return None
        state = self._state
        refusal = request.notes.get(NOTE)
        assert refusal is None or isinstance(refusal, Refusal), "the note is ours"
        if refusal is not None and refusal.status != 401:
            return postponed(refusal)
        safe = not self._exposed(state, request)
        basic, bearer = safe and self._takes_passwords(state), safe and state.settings.takes_tokens
        return challenge(state.settings.realm, refusal, basic=basic, bearer=bearer)

    async def _basic(self, state: _State, request: Request, user: str, password: str, check: PasswordCheck) -> None:
        if self._exposed(state, request):
            self._refuse(request, Refusal("a password came over a plain connection", "basic"))
            return
        if await check(request, user, password) is True:
            request.user, request.auth = user, "basic"
        elif NOTE not in request.notes:
            whose = f" of user {user[:64]!a}" if user in state.accounts.users else ""
            self._refuse(request, Refusal(_WRONG, "basic"), f"the password{whose} is wrong" if whose else _WRONG)

    def _bearer(self, state: _State, request: Request, token: str) -> None:
        if self._exposed(state, request):
            self._refuse(request, Refusal("a token came over a plain connection", "bearer"))
            return
        found = state.accounts.tokens.find(token)
        if found is not None and (found.expires_s is None or self._now() < found.expires_s):
            request.user, request.auth = found.name, found.auth
            return
        reason = "the token is not known" if found is None else f"the token of {found.name[:64]!a} has expired"
        if (wait_s := self._throttle.take(address_of(request.peer), self._clock())) > 0:
            self._refuse(request, Refusal("it tries too often", "bearer", status=429, retry_after_s=wait_s))
        else:
            self._refuse(request, Refusal(reason, "bearer"))

    def _refuse(self, request: Request, refusal: Refusal, said: str = "") -> None:
        request.notes[NOTE] = refusal
        self._complaints.say(
            self._clock(), f"{request.peer_text}: {said or refusal.reason}; the request goes on without a user"
        )

    def _takes_passwords(self, state: _State) -> bool:
        return self.others or state.settings.takes_passwords

    def _exposed(self, state: _State, request: Request) -> bool:
        return not state.settings.plaintext and request.tls is None and not _is_local(request.peer)


def _shown(request: Request) -> Sequence[str]:
    """The fields Authorization, without making the map of all fields."""
    return [
        value.decode("latin-1")
        for name, value in request.raw_headers
        if len(name) == len(_AUTHORIZATION) and name.lower() == _AUTHORIZATION
    ]


def _is_local(peer: tuple[str, int] | str | None) -> bool:
    """Whether a peer is on this machine, so that nobody in between could listen."""
    if not isinstance(peer, tuple):
        return True
    try:
        address = ipaddress.ip_address(peer[0].partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback
