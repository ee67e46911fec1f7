"""Filters: what passes, and which expressions are refused before they can do harm."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http_observer.entry import TEXT_LIMIT
from mtev_http_observer.filters import FilterError, filters_of_query, filters_of_words, matches

ROW = {"request_id": 12, "method": "GET", "uri": "/items/7", "status": "404"}
names = st.text(string.ascii_lowercase, min_size=1, max_size=8)
texts = st.text(max_size=20)


def passes(*fields):
    return matches(filters_of_query(fields), ROW)


@pytest.mark.parametrize(
    ("fields", "passed"),
    [
        ([], True),
        ([("eq_status", "404")], True),
        ([("eq_status", "40")], False),
        ([("re_status", "^4")], True),
        ([("re_uri", r"^/items/\d+$"), ("eq_method", "GET")], True),
        ([("re_uri", r"^/items/\d+$"), ("eq_method", "POST")], False),
        ([("eq_host", "")], False),
        ([("re_host", "")], False),
        ([("eq_request_id", "12")], True),
        ([("pretty", "1"), ("", "x")], True),
    ],
)
def test_all_filters_must_hold_and_the_field_must_be_there(fields, passed):
    assert passes(*fields) is passed


def test_the_console_writes_the_same_otherwise():
    assert filters_of_words(["status=404", "uri~^/items"]) == filters_of_query(
        [("eq_status", "404"), ("re_uri", "^/items")]
    )
    for word in ("status", "=404", "a b=c", "uri~("):
        with pytest.raises(FilterError, match=re.escape(word[-1])):
            filters_of_words([word])


def test_sixteen_filters_and_no_more():
    assert len(filters_of_query([("eq_uri", "x")] * 16)) == 16
    with pytest.raises(FilterError, match="17 filters; 16 at most"):
        filters_of_query([("eq_uri", "x")] * 17)


@pytest.mark.parametrize("expression", ["(", "[", "*", "a{2,1}", r"\400", "(?P<x", "x" * 257])
def test_what_does_not_compile_is_refused(expression):
    with pytest.raises(FilterError):
        filters_of_query([("re_uri", expression)])


@pytest.mark.parametrize(
    "expression",
    [
        "(a+)+$",
        "(a|a)*$",
        "(a?){50}",
        "((a?))+",
        "(?:a*){2}",
        r"(a)\1",
        "(?P<x>a)(?P=x)",
        "(a)(?(1)b|c)",
        ".*.*.*",
        "^.*.*.*.*",
        "a?" * 30,
        "(a|a)" * 30,
        "a{0,99}" * 3,
        "(?x)a # (",
        "(?#)a",
        "(?>a)",
        "x|^.*.*.*",
    ],
)
def test_what_could_take_too_long_is_refused(expression):
    with pytest.raises(FilterError, match="could take too long"):
        filters_of_query([("re_uri", expression)])


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "^/(items|parts|orders)/",
        ".*foo.*",
        "^/a/.*/b/.*/c/.*$",
        r"^/items/\d+$",
        "^(?:GET|HEAD)$",
        "(?i)firefox",
        "[*+?{(|)]",
        r"\(\+\)",
        "[]a]",
        "[^]]",
        r"[\]]",
        r"\d{3}",
        "(i)",
        "(?<!a)b",
        "curl/[0-9.]+",
        "(abc)+",
        "x{",
        "a*?b",
    ],
)
def test_what_people_write_is_accepted(expression):
    (accepted,) = filters_of_query([("re_uri", expression)])
    assert accepted.expression is not None
    assert accepted.expression.pattern == expression


@given(st.dictionaries(names, texts), st.dictionaries(names, texts, max_size=16))
def test_equality_is_equality(row, wanted):
    filters = filters_of_query([(f"eq_{name}", text) for name, text in wanted.items()])
    assert matches(filters, row) == all(row.get(name) == text for name, text in wanted.items())


@given(st.dictionaries(names, texts, min_size=1))
def test_an_escaped_text_finds_itself(row):
    for name, text in row.items():
        assert matches(filters_of_query([(f"re_{name}", f"^{re.escape(text)}$")]), {name: text}) or "\n" in text


@given(st.text("aab()|*+?{},12.^$[]\\", max_size=14))
def test_what_is_accepted_comes_to_an_end(expression):
    try:
        (accepted,) = filters_of_query([("re_uri", expression)])
    except (FilterError, FutureWarning):
        return
    for text in ("a" * TEXT_LIMIT, "ab" * (TEXT_LIMIT // 2), "a" * (TEXT_LIMIT - 1) + "!"):
        accepted.holds({"uri": text})
