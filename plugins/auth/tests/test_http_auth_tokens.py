"""Bearer tokens and their digests."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http_auth import LineError
from mtev_http_auth.accounts import parse_token
from mtev_http_auth.tokens import Token, Tokens, digest_of, new_token, parse_expiry, parse_label

DIGEST = hashlib.sha256(b"abc").hexdigest()


@given(
    st.lists(st.text(st.sampled_from("abcdefgh"), min_size=1, max_size=8), unique=True, min_size=1), st.text("abcdefgh")
)
def test_a_token_is_found_by_itself_and_nothing_else_is(known, asked):
    tokens = Tokens(Token(f"name-{each}", digest_of(each)) for each in known)
    found = tokens.find(asked)
    assert (found.name if found else None) == (f"name-{asked}" if asked in known else None)


def test_a_token_of_two_is_refused():
    with pytest.raises(LineError, match="'a' and 'b'"):
        Tokens([Token("a", b"x" * 32), Token("b", b"x" * 32)])


def test_new_tokens_are_long_and_different():
    assert len({new_token() for _ in range(100)}) == 100
    assert len(new_token()) >= 43


def test_a_line_is_read():
    assert parse_token(f"ci:{DIGEST.upper()}") == Token("ci", bytes.fromhex(DIGEST))
    assert parse_token(f"ci:{DIGEST}  expires=1970-01-02 auth=x.y-z") == Token(
        "ci", bytes.fromhex(DIGEST), 86400.0, "x.y-z"
    )


@pytest.mark.parametrize(
    "line",
    [
        DIGEST,
        "ci:abc",
        f":{DIGEST}",
        f"ci:{DIGEST} expires=tomorrow",
        f"ci:{DIGEST} expires=",
        f"ci:{DIGEST} auth=",
        f"ci:{DIGEST} auth=basic",
        f"ci:{DIGEST} auth=a/b",
        f"ci:{DIGEST} admin",
        f"a:b:{DIGEST}",
    ],
)
def test_a_line_that_means_something_else_is_refused(line):
    with pytest.raises(LineError) as caught:
        parse_token(line)
    assert DIGEST not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-01", 0), ("1970-01-01T01:00:00Z", 3600), ("1970-01-01T01:00:00+01:00", 0), ("1970-01-01T00:00:01", 1)],
)
def test_times_are_utc_unless_they_say_otherwise(text, seconds):
    assert parse_expiry(text) == seconds


def test_a_label_cannot_pretend_to_be_another_way():
    for text in ("basic", "certificate", "", "x" * 65, " a"):
        with pytest.raises(LineError):
            parse_label(text)
    assert parse_label("deployment") == "deployment"
