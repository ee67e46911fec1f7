"""How a request is told that it has to say who it is from: 401 with challenges, or to come back later. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mtev_http import Response, error_response

__all__ = ["NOTE", "Refusal", "challenge", "postponed"]

NOTE = "http.auth.refused"
"""Where a request's notes have the `Refusal`, when it showed something that was not accepted. Authenticators that come
later leave such a request alone: who shows something wrong is not to be taken for somebody else."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a request showed was not accepted.

    Args:
        reason: in words, without anything of what was shown.
        scheme: `basic`, `bearer`, or `""`.
        malformed: whether it could not even be understood.
        status: what to answer a request that is denied: 401; 429 for a peer that tries too often, 503 when too many do.
        retry_after_s: for 429 and 503: when to come back.
    """

    reason: str
    scheme: Literal["basic", "bearer", ""] = ""
    malformed: bool = False
    status: Literal[401, 429, 503] = 401
    retry_after_s: float = 0.0


def challenge(realm: str, refusal: Refusal | None, *, basic: bool, bearer: bool) -> Response | None:
    """The answer that asks who it is (RFC 9110, section 11.6.1).

    Args:
        realm: printable ASCII.
        refusal: what was wrong with what the request showed; None when it showed nothing.
        basic: whether a password would be taken from it.
        bearer: whether a token would be.

    Returns:
        A 401; None when neither would be.
    """
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    challenges = []
    if bearer:
        text = f'Bearer realm="{quoted}"'
        if refusal is not None and refusal.scheme == "bearer":
            text += f', error="{"invalid_request" if refusal.malformed else "invalid_token"}"'
        challenges.append(("WWW-Authenticate", text))
    if basic:
        challenges.append(("WWW-Authenticate", f'Basic realm="{quoted}", charset="UTF-8"'))
    if not challenges:
        return None
    return error_response(401, "authentication is required", headers=[*challenges, ("Cache-Control", "no-store")])


def postponed(refusal: Refusal) -> Response:
    """The answer to who has to come back later: 429 or 503."""
    message = "too many attempts" if refusal.status == 429 else "too many are being authenticated"
    headers = {"Retry-After": str(max(1, math.ceil(refusal.retry_after_s))), "Cache-Control": "no-store"}
    return error_response(refusal.status, message, headers=headers)
