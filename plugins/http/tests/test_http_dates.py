"""Dates of HTTP, there and back."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http._dates import format_date, parse_date


@given(st.integers(0, 253_402_300_799))
def test_what_is_written_is_read(at):
    assert parse_date(format_date(at)) == at
    assert format_date(at) == datetime.fromtimestamp(at, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_the_three_formats_of_the_rfc(text):
    assert parse_date(text) == 784_111_777


def test_a_year_of_two_digits_is_never_far_ahead():
    ahead = time.gmtime().tm_year + 60
    date = parse_date(f"Sunday, 06-Nov-{ahead % 100:02} 08:49:37 GMT")
    assert time.gmtime(date).tm_year == ahead - 100


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun",
        "Sun, 0\u0666 Nov 1994 08:49:37 GMT",
    ],
)
def test_what_is_no_date_is_none(text):
    assert parse_date(text) is None


@given(st.text(max_size=40))
def test_no_text_does_harm(text):
    parse_date(text)
