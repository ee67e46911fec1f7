"""OCSP stapling: a response of the certificate's authority, sent along with the certificate.

The response is a file in DER, as `openssl ocsp -respout` writes it. It is stapled while it is about our certificate,
says that it is good, and is not outdated. Whoever renews it replaces the file.
"""

from __future__ import annotations

import datetime
import logging
from typing import TYPE_CHECKING

from cryptography.x509 import ocsp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from .material import Material

__all__ = ["Staple"]

_log = logging.getLogger("mtev.tls")


class Staple:
    """The response to staple.

    Args:
        material: its file.
        chain: our certificate and those above.

    Raises:
        MaterialError: it is no OCSP response, or not about our certificate.
    """

    def __init__(self, material: Material, chain: Sequence[x509.Certificate]) -> None:
        self._material = material
        self._der = material.read_binary()
        self._outdated_said = False
        try:
            response = ocsp.load_der_ocsp_response(self._der)
        except ValueError as error:
            raise material.error(f"it is no OCSP response in DER: {error}") from error
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise material.error(f"the authority gave no answer: {response.response_status.name.lower()}")
        if response.serial_number != chain[0].serial_number:
            raise material.error("it is about another certificate")
        if response.certificate_status is not ocsp.OCSPCertStatus.GOOD:
            raise material.error(f"it says that our certificate is {response.certificate_status.name.lower()}")
        self._until = response.next_update_utc

    def current(self) -> bytes:
        """What to staple now; nothing when it is outdated, which is said once."""
        if self._until is not None and datetime.datetime.now(datetime.UTC) > self._until:
            if not self._outdated_said:
                self._outdated_said = True
                _log.warning("%s", self._material.error("it is outdated; nothing is stapled until the file is renewed"))
            return b""
        return self._der
