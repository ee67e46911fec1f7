"""What a client accepts, and what it gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http._negotiation import choose_encoding, choose_type

OFFERED = ("gzip", "deflate")


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", "deflate"),
        ("deflate, gzip", "gzip"),
        ("gzip;q=0.5, deflate", "deflate"),
        ("gzip;q=0", None),
        ("gzip;q=0, deflate;q=0.1", "deflate"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("gzip;q=0, *", "deflate"),
        ("br", None),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("gzip;q=2", None),
        ("gzip;q=abc", None),
        ("gzip; q=0.001", "gzip"),
        (",,gzip,", "gzip"),
        ("br," * 100 + "gzip", None),
    ],
)
def test_encodings(header, chosen):
    assert choose_encoding(header, OFFERED) == chosen


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "text/html"),
        ("text/*", "text/html"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("application/json;q=0.1, text/html", "text/html"),
        ("*/*;q=0.5, application/json;q=0", "text/html"),
        ("image/png", None),
        ("text/html;level=1", "text/html"),
    ],
)
def test_types(header, chosen):
    assert choose_type(header, ("application/json", "text/html")) == chosen


@given(st.text(max_size=60))
def test_no_text_does_harm(text):
    assert choose_encoding(text, OFFERED) in (None, *OFFERED)
    assert choose_type(text, ("a/b",)) in (None, "a/b")
