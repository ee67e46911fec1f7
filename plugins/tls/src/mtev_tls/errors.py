"""The error tree of mtev-tls.

    MtevError
    └── TlsError
        ├── MaterialError   a certificate, key, authority or revocation list cannot be read or used
        └── EngineError     what is asked for needs a library or an OpenSSL that is not here

A MaterialError may be mended by replacing the file; `ServerTls.refresh` tries again by itself. What goes wrong on a
connection is the standard library's `ssl.SSLError`.
"""

from __future__ import annotations

from mtev_kernel import MtevError

__all__ = ["EngineError", "MaterialError", "TlsError"]


class TlsError(MtevError):
    """Root of the errors of this distribution."""


class MaterialError(TlsError):
    """A file or text with certificates or keys cannot be read, is malformed, or does not fit the others."""


class EngineError(TlsError):
    """The configuration asks for something that the libraries here cannot do; the message says what to install."""
