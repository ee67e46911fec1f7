"""The TLS context of a client of syslog (RFC 5425): TLS 1.2 or later, and the receiver's certificate is checked."""

from __future__ import annotations

import ssl
from pathlib import Path

from .options import TlsOptions

__all__ = ["client_context"]


def client_context(options: TlsOptions) -> ssl.SSLContext:
    """A context as the options say. Reads their files.

    Raises:
        OSError: a file is missing or holds something else; the message names it.
    """
    ca_chain = options.ca_chain
    try:
        context = ssl.create_default_context(cafile=None if ca_chain is None else str(ca_chain))
    except OSError as error:
        raise _unusable("ca_chain", ca_chain, error) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.certificate_file is not None:
        try:
            context.load_cert_chain(options.certificate_file, options.key_file, password=_no_password)
        except OSError as error:
            raise _unusable("certificate_file", options.certificate_file, error, options.key_file) from error
    return context


def _no_password() -> str:
    raise OSError("the key is encrypted; a service cannot ask for a password")


def _unusable(key: str, path: Path | None, error: OSError, key_file: Path | None = None) -> OSError:
    beside = "" if key_file is None else f" with key_file='{key_file}'"
    return OSError(f"{key}='{path}'{beside} cannot be used: {error}")
