"""Figures of the certificates in use, so that whoever watches is told in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mtev_stats import as_part

if TYPE_CHECKING:
    from mtev_stats import Stats

    from .tls import Tls

__all__ = ["show_certificates"]

_CERTIFICATES = ("mtev", "tls", "certificates")
_LONGEST = 120


def show_certificates(stats: Stats, tls: Tls) -> Callable[[], None]:
    """Show when each certificate in use expires, and how many contexts cannot take up their changed files.

    Which certificates there are is found out anew whenever somebody reads.

    Args:
        stats: where.
        tls: whose.

    Returns:
        A function that takes it back.
    """

    def look() -> None:
        stats.remove(_CERTIFICATES)
        for context in tls.contexts():
            for each in context.certificates:
                name = _plain(f"{context.settings.where} {', '.join(each.names) or 'default'}")
                stats.gauge(
                    (*_CERTIFICATES, name, "not_after"),
                    tags={
                        "mtev-certificate": name,
                        "mtev-side": context.settings.side,
                        "mtev-subject": _plain(each.facts.subject),
                    },
                    unit="seconds",
                    summary="When a certificate in use expires, since the epoch.",
                    kind="n",
                ).set(each.facts.not_after)

    stats.gauge(
        ("mtev", "tls", "faults"),
        lambda: sum(1 for context in tls.contexts() if context.fault),
        summary="TLS contexts whose changed files cannot be used; the old certificates stay in use.",
        kind="I",
    )
    forget = stats.before_read(("mtev", "tls"), look)

    def take_back() -> None:
        forget()
        stats.remove(("mtev", "tls"))

    return take_back


def _plain(text: str) -> str:
    """A text as a metric's name and its tags can have it."""
    return as_part(text)[:_LONGEST] or "none"
