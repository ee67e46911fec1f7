"""The plugin: reads `<http_auth>`, follows its files, and answers the hooks of mtev-http."""

from __future__ import annotations

import asyncio
import threading

from mtev_conf import ChangeEvent, Configuration, Proposal
from mtev_http import Request, Response, hookspecs
from mtev_kernel import ConfigurationError, Context, Plugin, hookimpl

from .accounts import Identity
from .authenticator import Authenticator
from .hasher import Hasher
from .settings import STANZA, Settings, load, read_settings

__all__ = ["HttpAuthPlugin"]

_CHECK_PERIOD_S = 2.0


class HttpAuthPlugin(Plugin):
    """Says who requests are from: by password, token or certificate. Published under this class.

    Args:
        context: this plugin's view of the kernel.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._check = context.hooks.site(hookspecs.http_auth)
        self._authenticator = Authenticator(context.log, Hasher())
        self._settings = Settings()
        self._identities: tuple[Identity, ...] = ()
        context.services.publish(HttpAuthPlugin, self)
        self._lock = threading.Lock()  # a reload and a look at the files are on different threads

    def configure(self) -> None:
        """Read the stanza and its files.

        Raises:
            ConfigurationError: something cannot be used.
        """
        if self.context.config:
            raise ConfigurationError(
                f"the plugin 'http.auth' has its options in <{STANZA}>, but its <config> has "
                f"{', '.join(sorted(self.context.config))}",
                self.context.where,
            )
        self._apply(self.context.services.require(Configuration))
        settings = self._settings
        if not (settings.takes_passwords or settings.takes_tokens or settings.certificates):
            self.context.warn(f"<{STANZA}> names nobody: no <user>, <users>, <token>, <tokens> or <certificate>")
        if settings.plaintext:
            self.context.warn(
                f"<{STANZA} plaintext='allow'>: passwords and tokens are taken from connections without TLS, which "
                "everybody on the way can read"
            )

    def start(self) -> None:
        """Begin to verify."""
        self._authenticator.hasher.close()  # the one of the constructor, or of a start before
        self._authenticator.hasher = Hasher()
        attached = [
            each.attached for each in self.context.hooks.describe() if each.name == hookspecs.http_auth.__name__
        ]
        self._authenticator.others = any(each.plugin != self.context.name for found in attached for each in found)

    async def run(self) -> None:
        """Look at the files again and again."""
        while True:
            await asyncio.sleep(_CHECK_PERIOD_S)
            if self._settings.files:
                await asyncio.to_thread(self.refresh)

    def stop(self) -> None:
        """Verify nothing more."""
        self._authenticator.hasher.close()

    def refresh(self) -> bool:
        """Read the files of the stanza again if one of them has changed. Blocks on the file system.

        Returns:
            Whether there is something new. What cannot be used is logged, and the accounts before it stay.
        """
        with self._lock:
            settings = self._settings
            identities = tuple(source.identity() for source in settings.files)
            if identities == self._identities:
                return False
            self._identities = identities  # also when it cannot be used: it is reported once
            try:
                accounts, self._identities = load(settings)
            except ConfigurationError as error:
                self.context.log.error("%s; the accounts from before stay in force", error)
                self.context.degraded(str(error))
                return False
            self._authenticator.use(settings, accounts)
        self.context.healthy()
        self.context.log.info("read again: %d users, %d tokens", len(accounts.users), len(accounts.tokens))
        return True

    @hookimpl
    async def mtev_reload(self) -> None:
        """Look at the files now."""
        await asyncio.to_thread(self.refresh)

    @hookimpl
    async def http_authenticate(self, request: Request) -> None:
        """Find out who it is."""
        if not request.user and (check := self._check.call) is not None:
            await self._authenticator.authenticate(request, check)

    @hookimpl
    async def http_auth(self, request: Request, user: str, password: str) -> bool | None:
        """Whether that is the password of one of our users."""
        return await self._authenticator.check(request, user, password)

    @hookimpl
    def rest_auth_denied(self, request: Request) -> Response | None:
        """Ask who it is."""
        return self._authenticator.denied(request)

    @hookimpl
    def mtev_conf_changing(self, proposal: Proposal) -> None:
        """Refuse a document whose stanza cannot be followed."""
        if proposal.concerns(STANZA):
            try:
                load(read_settings(proposal.configuration))
            except ConfigurationError as error:
                proposal.refuse(error)

    @hookimpl
    def mtev_conf_changed(self, event: ChangeEvent) -> None:
        """Take what the new stanza says."""
        if event.concerns(STANZA):
            self._apply(event.configuration)
            self.context.healthy()

    def _apply(self, configuration: Configuration) -> None:
        settings = read_settings(configuration)
        with self._lock:
            accounts, self._identities = load(settings)
            self._settings = settings
            self._authenticator.use(settings, accounts)
        for source in settings.files:
            if source.readable_by_others():
                self.context.warn(f"{source.where}: everybody on this machine may read {source.path}; chmod o-r")
