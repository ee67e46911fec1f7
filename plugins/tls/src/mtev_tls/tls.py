"""The service of this plugin: which contexts are in use, for listings and for taking up changed files."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Sequence
from typing import TypeVar

from .contexts import ClientTls, ServerTls
from .errors import MaterialError
from .settings import TlsSettings

__all__ = ["Tls"]

T = TypeVar("T", ServerTls, ClientTls)

_log = logging.getLogger("mtev.tls")

DEFAULT_EXPIRY_S = 5.0


class Tls:
    """Makes contexts, and knows those that are in use. Thread-safe.

    Attributes:
        check_period_s: how often those who use a context should have its files looked at (libmtev's
            `ssl_ctx_cache_expiry`); 0 for never.
    """

    def __init__(self) -> None:
        self.check_period_s = DEFAULT_EXPIRY_S
        self._lock = threading.Lock()
        self._known: weakref.WeakSet[ServerTls | ClientTls] = weakref.WeakSet()

    def server(self, settings: TlsSettings, *, offers: Sequence[str] | None = None) -> ServerTls:
        """The contexts of a listener, loaded. Blocks on the file system for moments.

        Args:
            settings: what `read_tls` made of `<sslconfig>`.
            offers: protocols that can be spoken there, for ALPN; None for whatever the settings say.

        Raises:
            MaterialError: a file cannot be read or used.
            EngineError: the settings ask for what the libraries here cannot do.
        """
        made = ServerTls(settings, offers=offers)
        made.load()
        return self._remember(made)

    def client(self, settings: TlsSettings, *, offers: Sequence[str] | None = None) -> ClientTls:
        """The context of one who connects, loaded; see `server`."""
        made = ClientTls(settings, offers=offers)
        made.load()
        return self._remember(made)

    def refresh(self) -> list[str]:
        """Have the files of every context looked at. Blocks on the file system for moments.

        Returns:
            A sentence for each context that was renewed or could not be; the log has them too.
        """
        told = []
        for each in self.contexts():
            told += refresh(each)
        return told

    def contexts(self) -> list[ServerTls | ClientTls]:
        """Those that somebody holds."""
        with self._lock:
            return sorted(self._known, key=lambda each: each.settings.where)

    def describe(self) -> list[dict[str, object]]:
        """What is in use, as plain data. No secrets."""
        return [each.describe() for each in self.contexts()]

    def _remember(self, made: T) -> T:
        with self._lock:
            self._known.add(made)
        return made


def refresh(context: ServerTls | ClientTls) -> list[str]:
    """Have the files of one context looked at, and say in the log what came of it. Blocks for moments.

    Returns:
        What was said.
    """
    try:
        if not context.refresh():
            return []
    except MaterialError as error:
        text = f"{error}; the old certificates stay in use"
        _log.error("%s", text)
        return [text]
    text = f"{context.settings.where}: the certificates were renewed; new connections get them"
    _log.info("%s", text)
    return [text]
