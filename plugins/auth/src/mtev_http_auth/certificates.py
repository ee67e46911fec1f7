r"""Which user a client's certificate stands for. Pure.

1. Only a certificate that was verified counts.
2. Rules are asked in order; the first that yields a fit user decides.
3. Expressions have to match the whole of a value, unlike those of access lists: `ops\.example\.com` shall not be
   found in a name that somebody chose to contain it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mtev_tls import CertificateFacts, TlsPeer

from .credentials import fit_user
from .errors import CertificateRuleError

__all__ = ["AUTH", "SOURCES", "CertificateRule", "user_of"]

AUTH = "certificate"

SOURCES = ("cn", "san", "subject", "fingerprint")
"""What of a certificate a rule may look at."""


@dataclass(frozen=True, slots=True)
class CertificateRule:
    r"""A `<certificate>`.

    Args:
        source: one of `SOURCES`. Of alternative names each is tried in turn; they look like `DNS:www.example.org`.
        match: an expression that the whole value has to match; None for any value.
        user: what the user is called, with `\1` for the first group; `""` for the first group where there is one, else
            the whole value.
        issuer: an expression that the whole issuer has to match, in one line such as `/O=Acme/CN=Root`; None for any.

    Raises:
        CertificateRuleError: `user` refers to a group that `match` does not have.
    """

    source: str = "cn"
    match: re.Pattern[str] | None = None
    user: str = ""
    issuer: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        if self.user:
            if self.match is None and "\\" in self.user:
                raise CertificateRuleError(f"user='{self.user}' refers to a group, and there is no match")
            try:
                re.compile(f"{self.match.pattern if self.match else ''}|").sub(self.user, "")
            except (re.error, IndexError) as error:
                raise CertificateRuleError(f"user='{self.user}': {error}") from None

    def apply(self, facts: CertificateFacts) -> str:
        """The user that a verified certificate stands for by this rule; `""` for none."""
        if self.issuer is not None and self.issuer.fullmatch(facts.issuer) is None:
            return ""
        for value in self._values(facts):
            user = self._user(value)
            if fit_user(user):
                return user
        return ""

    def _values(self, facts: CertificateFacts) -> Sequence[str]:
        match self.source:
            case "san":
                return facts.sans
            case "subject":
                return (facts.subject,)
            case "fingerprint":
                return (facts.fingerprint,)
            case _:
                return (facts.cn,)

    def _user(self, value: str) -> str:
        if not value or self.match is None:
            return (self.user or value) if value else ""
        found = self.match.fullmatch(value)
        if found is None:
            return ""
        if self.user:
            return found.expand(self.user)
        return (found[1] or "") if self.match.groups else found[0]


def user_of(peer: TlsPeer | None, rules: Sequence[CertificateRule]) -> str:
    """The user that the certificate of a connection stands for.

    Args:
        peer: the TLS session; None over a plain connection.
        rules: in order.

    Returns:
        The user; `""` when there is no certificate, it was not verified, or no rule knows it.
    """
    if peer is None or peer.certificate is None or not peer.verified:
        return ""
    return next(filter(None, (rule.apply(peer.certificate) for rule in rules)), "")
