"""mtev-http-auth: who a request is from, by password, token or certificate.

from mtev_http_auth import hash_password

line = f"ann:{hash_password('correct horse')}"      # for a file of <users>
"""

from __future__ import annotations

from .errors import AuthError, CertificateRuleError, HashError, LineError
from .hashes import PasswordHash, hash_password

__all__ = ["AuthError", "CertificateRuleError", "HashError", "LineError", "PasswordHash", "hash_password"]
