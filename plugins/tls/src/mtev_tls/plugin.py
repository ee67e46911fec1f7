"""The plugin: publishes `Tls`, and shows over REST and on the console which certificates are in use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from mtev_conf import Configuration, parse_number
from mtev_kernel import Context, HookResult, Plugin, hookimpl
from mtev_stats import Stats

from ._figures import show_certificates
from .peer import date
from .tls import DEFAULT_EXPIRY_S, Tls

__all__ = ["TlsPlugin"]


class _Rest(Protocol):
    def view(
        self, base: str, expression: str, function: Callable[[Mapping[str, str]], object], *, summary: str
    ) -> object: ...


class _Console(Protocol):
    def command(
        self, words: str, function: Callable[[Sequence[str]], Iterable[str]], *, summary: str, threaded: bool = False
    ) -> object: ...


class TlsPlugin(Plugin):
    """Publishes `Tls`; see the package's text.

    Args:
        context: this plugin's view of the kernel.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._tls = Tls()
        self._take_back: Callable[[], None] | None = None
        context.services.publish(Tls, self._tls)

    def configure(self) -> None:
        """Read how often files are looked at: libmtev's `ssl_ctx_cache_expiry`, which stands in `<eventer><config>`.

        Raises:
            ConfigurationError: it is no number of seconds.
        """
        sections = [each for each in self.context.services.require(Configuration).sections("eventer") if each.enabled]
        if not sections:
            return
        text = sections[-1].hash().get("ssl_ctx_cache_expiry")
        if text is None:
            self._tls.check_period_s = DEFAULT_EXPIRY_S
            return
        try:
            self._tls.check_period_s = parse_number(text.strip(), 0.0, 86400.0)
        except ValueError as error:
            raise sections[-1].error(f"ssl_ctx_cache_expiry: {error}") from None

    def start(self) -> None:
        """Show when certificates expire among the statistics."""
        self._take_back = show_certificates(self.context.services.require(Stats), self._tls)

    def stop(self) -> None:
        """Show it no more."""
        if self._take_back is not None:
            self._take_back()
            self._take_back = None

    async def run(self) -> None:
        """Have the files of every context looked at, again and again."""
        while self._tls.check_period_s > 0:
            await asyncio.sleep(self._tls.check_period_s)
            await asyncio.to_thread(self._tls.refresh)

    @hookimpl(optional=True)
    def mtev_rest_routes(self, rest: _Rest) -> HookResult | None:
        """Offer `/tls/certificates.json`."""
        rest.view(
            "/tls/",
            r"^certificates\.json$",
            lambda query: self._tls.describe(),
            summary="certificates in use, when they expire, and whether changed files could be taken up",
        )
        return None

    @hookimpl(optional=True)
    def mtev_console_commands(self, console: _Console) -> HookResult | None:
        """Offer `show tls` and `tls refresh`."""
        console.command("show tls", self._show, summary="certificates in use, and when they expire")
        console.command(
            "tls refresh", self._refresh, summary="take up certificates that were replaced, at once", threaded=True
        )
        return None

    def _show(self, arguments: Sequence[str]) -> Iterable[str]:
        if arguments:
            raise ValueError("show tls: takes no arguments")
        for each in self._tls.contexts():
            settings = each.settings
            yield f"{settings.where} {settings.side} verify={settings.verify} reloads={each.reloads}"
            for entry in each.certificates:
                days = (entry.facts.not_after - time.time()) / 86400
                names = ", ".join(entry.names) or "default"
                yield f"  {names}: {entry.facts.subject} until {date(entry.facts.not_after)} ({days:.0f} days)"
            if each.fault:
                yield f"  {each.fault}"

    def _refresh(self, arguments: Sequence[str]) -> Iterable[str]:
        if arguments:
            raise ValueError("tls refresh: takes no arguments")
        yield from self._tls.refresh() or ["nothing has changed"]
