"""Conditions of requests, in the order of RFC 9110, section 13.2.2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http import Headers
from mtev_http._conditional import check_tag, evaluate, range_applies
from mtev_http._dates import format_date

NOW = 1_700_000_000
OLD, NEW = format_date(NOW - 60), format_date(NOW + 60)


def judge(
    fields: dict[str, str], method: str = "GET", tag: str | None = '"a"', changed: float | None = NOW + 0.5
) -> int:
    return evaluate(method, Headers(list(fields.items())), tag, changed)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 200),
        ({"If-None-Match": '"a"'}, 304),
        ({"If-None-Match": 'W/"a"'}, 304),
        ({"If-None-Match": '"b", "a"'}, 304),
        ({"If-None-Match": '"b" ,, "a"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"b"'}, 200),
        ({"If-None-Match": '"b"', "If-Modified-Since": NEW}, 200),
        ({"If-None-Match": "a"}, 200),
        ({"If-None-Match": '"a" "b"'}, 200),
        ({"If-Modified-Since": NEW}, 304),
        ({"If-Modified-Since": format_date(NOW)}, 304),
        ({"If-Modified-Since": OLD}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Match": '"a"'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": 'W/"a"'}, 412),
        ({"If-Match": '"b"'}, 412),
        ({"If-Match": "nonsense"}, 412),
        ({"If-Match": '"a"', "If-Unmodified-Since": OLD}, 200),
        ({"If-Unmodified-Since": OLD}, 412),
        ({"If-Unmodified-Since": NEW}, 200),
        ({"If-Unmodified-Since": "yesterday"}, 200),
        ({"If-Match": '"a"', "If-None-Match": '"a"'}, 304),
    ],
)
def test_conditions_of_a_get(fields, status):
    assert judge(fields) == status


def test_what_changes_something_is_412_where_reading_is_304():
    assert judge({"If-None-Match": "*"}, "PUT") == 412
    assert judge({"If-None-Match": '"a"'}, "HEAD") == 304
    assert judge({"If-Modified-Since": NEW}, "PUT") == 200


def test_a_weak_tag_matches_weakly_only():
    assert judge({"If-None-Match": '"a"'}, tag='W/"a"') == 304
    assert judge({"If-Match": 'W/"a"'}, tag='W/"a"') == 412


def test_without_a_tag_or_a_date_there_is_nothing_to_compare():
    assert judge({"If-None-Match": '"a"'}, tag=None) == 200
    assert judge({"If-Match": '"a"'}, tag=None) == 412
    assert judge({"If-Modified-Since": NEW}, changed=None) == 200


@pytest.mark.parametrize(
    ("condition", "applies"),
    [
        (None, True),
        ('"a"', True),
        ('W/"a"', False),
        ('"b"', False),
        (format_date(NOW), True),
        (OLD, False),
        ("x", False),
    ],
)
def test_if_range(condition, applies):
    headers = Headers([] if condition is None else [("If-Range", condition)])
    assert range_applies(headers, '"a"', NOW + 0.5) is applies


def test_a_tag_is_checked_where_it_is_made():
    assert check_tag('W/"x"') == 'W/"x"'
    for wrong in ("x", '"x', 'w/"x"', '"a"b"', '"\n"', ""):
        with pytest.raises(ValueError, match="no entity tag"):
            check_tag(wrong)


@given(
    st.dictionaries(
        st.sampled_from(["If-Match", "If-None-Match", "If-Range", "If-Modified-Since"]), st.text(max_size=60)
    )
)
def test_no_text_does_harm(fields):
    assert judge(fields) in (200, 304, 412)
    range_applies(Headers(list(fields.items())), '"a"', NOW)
