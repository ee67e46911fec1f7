"""The error tree of mtev-http-auth.

    MtevError
    └── AuthError
        ├── HashError              a password hash cannot be used
        ├── LineError              a line of a file of users or tokens cannot be used
        ├── CertificateRuleError   a rule for certificates cannot be used
        └── Busy                   too many passwords are being verified; internal

None of their messages has a password, a hash or a token in it.
"""

from __future__ import annotations

from mtev_kernel import MtevError

__all__ = ["AuthError", "Busy", "CertificateRuleError", "HashError", "LineError"]


class AuthError(MtevError):
    """Root of the errors of this distribution."""


class HashError(AuthError):
    """A password hash is of a scheme that is refused or not installed, or is malformed."""


class LineError(AuthError):
    """A line of a file of users or tokens cannot be used."""


class CertificateRuleError(AuthError):
    """A rule for certificates cannot be used."""


class Busy(AuthError):
    """Too many passwords are waiting to be verified."""

    retriable = True
