"""CORS: what a page of another site may do, as a browser would read it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http._cors import CorsPolicy
from mtev_http._headers import check_header

CONSOLE = "https://console.example.net"
ALLOW = ("OPTIONS", "GET", "HEAD", "PUT")


def test_a_page_that_is_listed_may_read():
    policy = CorsPolicy([CONSOLE], exposed=["ETag"], credentials=True)
    assert policy.answer(CONSOLE) == [
        ("Access-Control-Allow-Origin", CONSOLE),
        ("Vary", "Origin"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", "ETag"),
    ]
    for stranger in ("https://evil.example", "null", CONSOLE + ".evil.example", "http://console.example.net"):
        assert policy.answer(stranger) == [("Vary", "Origin")]


def test_everybody_may_read_without_credentials_only():
    assert CorsPolicy(["*"]).answer(CONSOLE) == [("Access-Control-Allow-Origin", "*")]
    assert CorsPolicy(["*"]).answer("null") == [("Vary", "Origin")]
    with pytest.raises(ValueError, match="any page act as the user"):
        CorsPolicy(["*"], credentials=True)


def test_a_preflight_allows_what_was_asked_for_and_nothing_else():
    policy = CorsPolicy([CONSOLE], headers=["X-Mine"], max_age_s=60)
    assert policy.preflight(CONSOLE, "PUT", "x-mine, content-type", ALLOW) == [
        ("Access-Control-Allow-Origin", CONSOLE),
        ("Vary", "Origin"),
        ("Access-Control-Allow-Methods", "PUT"),
        ("Access-Control-Allow-Headers", "x-mine, content-type"),
        ("Access-Control-Max-Age", "60"),
    ]
    refused = [("Vary", "Origin")]
    assert policy.preflight("https://evil.example", "PUT", "", ALLOW) == refused
    assert policy.preflight(CONSOLE, "DELETE", "", ALLOW) == refused
    assert policy.preflight(CONSOLE, "PUT", "x-other", ALLOW) == refused
    assert CorsPolicy([CONSOLE], methods=["DELETE"]).preflight(CONSOLE, "PUT", "", ALLOW) == refused
    assert CorsPolicy([CONSOLE], headers=["*"]).preflight(CONSOLE, "PUT", "x-other", ALLOW) != refused


def test_a_policy_may_hold_for_some_paths():
    policy = CorsPolicy([CONSOLE], url=re.compile("^/api/"))
    assert policy.concerns("/api/x")
    assert not policy.concerns("/mtev/api/x")


@given(st.text(max_size=30), st.sampled_from(ALLOW) | st.text(max_size=10), st.text(max_size=60))
def test_whatever_a_browser_says_the_answer_can_be_sent(origin, method, headers):
    for policy in (CorsPolicy([CONSOLE], headers=["*"]), CorsPolicy(["*"], headers=["*"])):
        for name, value in (*policy.answer(origin), *policy.preflight(origin, method, headers, ALLOW)):
            check_header(name, value)
