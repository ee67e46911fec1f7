"""Which user a certificate stands for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http_auth import CertificateRuleError
from mtev_http_auth.certificates import CertificateRule, user_of
from mtev_tls import CertificateFacts, TlsPeer

FACTS = CertificateFacts(
    cn="ann",
    subject="/O=Acme/CN=ann",
    issuer="/O=Acme/CN=Root",
    sans=("DNS:www.example.com", "email:ann@example.com"),
    fingerprint="ab" * 32,
)


def peer(facts=FACTS, verified=True):
    return TlsPeer(certificate=facts, verified=verified)


def rule(source="cn", match=None, user="", issuer=None):
    return CertificateRule(source, match and re.compile(match), user, issuer and re.compile(issuer))


@pytest.mark.parametrize(
    ("rules", "user"),
    [
        ([rule()], "ann"),
        ([], ""),
        ([rule(match="an")], ""),  # the whole value, not a part
        ([rule(match="a(n)n")], "n"),
        ([rule(match="(x)?ann")], ""),
        ([rule(match="ann", user="operator")], "operator"),
        ([rule("san", r"DNS:(\w+)\.example\.com")], "www"),
        ([rule("san", r"email:(?P<who>\w+)@example\.com", r"mail-\g<who>")], "mail-ann"),
        ([rule("subject", ".*/CN=(.*)")], "ann"),
        ([rule("fingerprint", "ab" * 32, "robot")], "robot"),
        ([rule("fingerprint", "ac" * 32, "robot"), rule()], "ann"),
        ([rule(issuer=".*/CN=Root")], "ann"),
        ([rule(issuer="CN=Root")], ""),
        ([rule(match="a", user="first"), rule(match="ann", user="second"), rule(user="", match="ann")], "second"),
    ],
)
def test_the_first_rule_that_knows_it_decides(rules, user):
    assert user_of(peer(), rules) == user


def test_what_was_not_verified_is_nobody():
    assert user_of(None, [rule()]) == ""
    assert user_of(TlsPeer(), [rule()]) == ""
    assert user_of(peer(verified=False), [rule()]) == ""


@given(st.text(max_size=300))
def test_a_name_that_cannot_be_a_user_is_nobody(cn):
    user = user_of(peer(CertificateFacts(cn=cn)), [rule()])
    assert user in ("", cn)
    assert user == "" or (user.isprintable() and ":" not in user and len(user) <= 255)


@pytest.mark.parametrize(
    ("match", "user"), [(None, r"\1"), ("a", r"\1"), ("(a)", r"\2"), ("(a)", r"\g<b>"), ("a", "\\")]
)
def test_a_user_of_a_group_that_is_not_there_is_refused(match, user):
    with pytest.raises(CertificateRuleError):
        rule(match=match, user=user)
