"""The field Authorization."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http_auth.credentials import Basic, Bearer, Malformed, fit_user, parse_authorization

USERS = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters=":"), min_size=1, max_size=60)
PASSWORDS = st.text(st.characters(exclude_categories=("C",)), min_size=1, max_size=60)


def basic(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return f"Basic {base64.b64encode(raw).decode()}"


@given(USERS, PASSWORDS)
def test_user_and_password_are_read_as_they_were_written(user, password):
    assert parse_authorization([basic(f"{user}:{password}")]) == Basic(user, password)


def test_a_password_may_have_colons_and_the_scheme_any_case():
    assert parse_authorization([basic("ann:a:b").replace("Basic", "bAsIc  ")]) == Basic("ann", "a:b")


def test_a_token_is_read():
    assert parse_authorization(["Bearer abc.def-_~+/="]) == Bearer("abc.def-_~+/=")


@pytest.mark.parametrize("values", [[], ["Digest username=x"], ["Negotiate abc="], ["Cookie"]])
def test_what_is_not_ours_is_left_alone(values):
    assert parse_authorization(values) is None


@pytest.mark.parametrize(
    "text",
    [
        "Basic",
        "Basic ???",
        "Basic YW5u",  # no colon
        basic(":x"),
        basic("ann:"),
        basic(b"ann:\xff"),
        basic("an\nn:x"),
        basic("ann:x\0y"),
        basic("ann:x\r\ny"),
        basic(f"{'a' * 256}:x"),
        basic(f"a:{'x' * 1025}"),
        basic("ann:x") + " more",
        "Basic " + "YW5uOng=".replace("Y", "Y "),
        "Bearer",
        "Bearer a b",
        "Bearer " + "a" * 5000,
        'Bearer "x"',
        "Bearer täst",
        "",
        "\x00",
        "Ba sic=",
    ],
)
def test_what_cannot_be_understood_is_nobody(text):
    shown = parse_authorization([text])
    assert shown is None or isinstance(shown, Malformed)
    assert shown is not None or not text.lower().startswith(("basic", "bearer"))


def test_two_fields_are_one_too_many():
    assert isinstance(parse_authorization([basic("ann:x"), "Bearer abc"]), Malformed)


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=100), max_size=3))
def test_whatever_comes_is_read_without_an_accident(values):
    shown = parse_authorization(values)
    if isinstance(shown, Basic):
        assert fit_user(shown.user)


def test_secrets_are_not_shown_by_accident():
    shown = parse_authorization([basic("ann:hush")]), parse_authorization(["Bearer hush"])
    assert "hush" not in repr(shown)
