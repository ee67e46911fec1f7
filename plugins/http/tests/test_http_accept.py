"""Which form of an answer a client would rather have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http._accept import preferred

OFFERED = ("text/plain", "text/html", "application/json")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "text/plain"),
        ("", "text/plain"),
        ("*/*", "text/plain"),  # curl
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", "text/html"),  # browsers
        ("application/json", "application/json"),
        ("APPLICATION/JSON; charset=utf-8", "application/json"),
        ("text/*;q=0.5, application/json;q=0.4", "text/plain"),
        ("text/*, text/plain;q=0", "text/html"),
        ("text/html;q=0, */*;q=0.1", "text/plain"),
        ("text/html;level=1;q=0.2, text/plain;q=0.1", "text/html"),
        ("image/png", "text/plain"),
        ("text/html;q=2", "text/html"),  # no quality, so it does not count as one
        ("nonsense, , ;q=1, text/html", "text/html"),
    ],
)
def test_the_client_chooses(accept, chosen):
    assert preferred(accept, OFFERED) == chosen


@given(st.text("abc/*;,q=01. ", max_size=200))
def test_anything_may_stand_there(accept):
    assert preferred(accept, OFFERED) in OFFERED


def test_many_ranges_cost_little():
    assert preferred("a/b," * 10_000 + "text/html", OFFERED) == "text/plain"
