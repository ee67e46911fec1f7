"""What is written down of a peer's certificate."""

from __future__ import annotations

import ssl

from hypothesis import given
from hypothesis import strategies as st

from mtev_tls import CertificateFacts, TlsPeer
from mtev_tls.peer import facts_of, one_line

DECODED = {
    "subject": (
        (("countryName", "CH"),),
        (("organizationName", "Acme/Co"), ("commonName", "first")),
        (("commonName", "host"),),
    ),
    "issuer": ((("commonName", "CA"),),),
    "version": 3,
    "serialNumber": "0A",
    "notBefore": "Jan  5 09:34:43 2018 GMT",
    "notAfter": "Jan  5 09:34:43 2028 GMT",
    "subjectAltName": (("DNS", "host"), ("IP Address", "127.0.0.1"), ("email", "a@b"), ("URI", "spiffe://x")),
}  # fmt: skip


def test_what_a_certificate_says():
    assert facts_of(DECODED, b"der") == CertificateFacts(
        cn="host",
        subject=r"/C=CH/O=Acme\/Co/CN=first/CN=host",
        issuer="/CN=CA",
        sans=("DNS:host", "IP:127.0.0.1", "email:a@b", "URI:spiffe://x"),
        not_before=ssl.cert_time_to_seconds("Jan  5 09:34:43 2018 GMT"),
        not_after=ssl.cert_time_to_seconds("Jan  5 09:34:43 2028 GMT"),
        serial="0A",
        fingerprint="5050d80d22ecd471ea55df7034042c1e041341ff4066e7f6ff38e20b720df8ea",
    )


def test_a_certificate_that_says_nothing():
    assert facts_of({}, None) == CertificateFacts()


@given(st.lists(st.tuples(st.sampled_from(["commonName", "organizationName", "x"]), st.text(max_size=8)), max_size=4))
def test_a_name_cannot_pretend_to_be_several(pairs):
    line = one_line(pairs)
    unescaped = line.replace("\\\\", "").replace("\\/", "")
    assert unescaped.count("/") == len(pairs)
    assert line.isprintable()


def test_the_common_name_counts_only_when_it_was_verified():
    facts = CertificateFacts(cn="alice")
    assert TlsPeer(certificate=facts, verified=True).cn == "alice"
    assert TlsPeer(certificate=facts, error="its issuer is not known").cn == ""
    assert TlsPeer().cn == ""
    assert str(TlsPeer("TLSv1.3", "X", certificate=facts, error="why")) == "TLSv1.3 X CN 'alice' (why)"
