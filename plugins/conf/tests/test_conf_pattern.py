"""Regular expressions in bounded time: what Python says, however it is found out."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mtev_conf._values import pattern as _pattern
from mtev_conf._values.condition import parse_condition
from mtev_conf._values.pattern import BoundedPattern

ATOMS = st.sampled_from(
    ["a", "b", ".", r"\.", "[ab]", "[^a]", "[]a]", r"[^\]b]", r"\w", r"\D", "^", "$", r"\b", r"\B", r"\A", r"\Z",
     "(?i:A)", "(?m:^b$)", "(?s:.)", "(?#c)", "", r"\x61", r"\141", "{", "{a", "a{,", "}", "]", "-"]
)  # fmt: skip
TIMES = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{0}", "{1,}", "{,2}", "{1,3}", "{,}", "{2}?"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.tuples(inner, inner).map("({0[0]}|{0[1]})".format),
        st.tuples(st.sampled_from(["(", "(?:", "(?i:", "(?-i:"]), inner, TIMES).map("{0[0]}{0[1]}){0[2]}".format),
    ),
    max_leaves=8,
)


@settings(max_examples=500)
@given(st.sampled_from(["", "(?i)", "(?ms)"]), EXPRESSIONS, st.text("abAB1.\n{}]-", max_size=8))
@example("", "((a?)*)*b", "aaaa")
def test_both_ways_to_find_agree_with_python(flags, expression, text):
    expected = re.search(flags + expression, text) is not None
    pattern = BoundedPattern(flags + expression)
    assert pattern.found_in(text) is expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pattern, "_MAX_EFFORT", -1)  # never leave it to Python
        assert pattern.found_in(text) is expected


ONLY_PYTHON = [
    (r"(a|b)\1", "abb", "aba"),
    ("(?P<x>a|b)(?P=x)", "abb", "aba"),
    ("(?=.*b)a", "ab", "ac"),
    ("a(?!b)", "ac", "ab"),
    ("(?<=a)b", "ab", "cb"),
    ("(?<!a)b", "cb", "ab"),
    ("(a)?(?(1)b|c)$", "ab", "a"),
    ("(?>a+)b", "aab", "aac"),
    ("a++b", "aab", "aac"),
    (r"(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)\11", "abcdefghijkk", "abcdefghijkl"),
    ("(?P<größe>a)(?P=größe)", "aa", "ab"),
]


@pytest.mark.parametrize(("expression", "met", "unmet"), ONLY_PYTHON)
def test_what_only_python_can_do_works_on_texts_of_a_usual_length(expression, met, unmet):
    assert BoundedPattern(expression).found_in(met)
    assert not BoundedPattern(expression).found_in(unmet)


LONG = [
    ("(a+)+$", "a" * 50 + "b"),
    ("^(a|a)*$", "a" * 1000 + "b"),
    ("(a|aa)+$", "a" * 1000 + "b"),
    (r"^(\w+\.?)+@", "www.example.com." * 100),
    (".*.*.*.*.*x", "y" * 10_000),
    ("(|)" * 30 + "x", "y"),
    ("(a?){30}x", "a" * 30),
    ("(?:(?:(?:a*)*)*)*x", "a" * 500),
    (".*a.*b.*c.*d", "abc" * 5000),
    ("(?:(?:){65535}){65535}x", "y"),
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("expression", "text"), LONG)
def test_what_would_take_python_years_is_found_out_soon(expression, text):
    assert not BoundedPattern(expression).found_in(text)
    assert BoundedPattern(expression.replace("$", "").replace("@", "")).found_in(text + "abcdx")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("expression", "length"),
    [
        ("(?=(a+)+$)b", 100),
        (r"(a+)+\1$", 100),
        ("(?>(?>a+)+)b", 10_000),
        ("(a{0,60000}){0,60000}x", 300),
        ("((a{60000}){60000}){60000}x", 1),
        ("(a+)+x", 1_000_000),
    ],
)
def test_what_cannot_be_found_out_soon_is_refused(expression, length):
    with pytest.raises(ValueError, match=rf"in a text of {length} characters could take too long.*write a simpler"):
        BoundedPattern(expression).found_in("a" * length)


@pytest.mark.parametrize(
    ("expression", "found", "not_found"),
    [
        ("^[[:digit:]]+$", "123", "12a"),
        ("^[^[:digit:]x]+$", "abc", "abx"),
        ("^[]a[:space:]]+$", "]a \t", "b"),
        (r"^[\]_[:upper:][:lower:]]+$", "]_aB", "0"),
        ("^[[:punct:]]+$", "[]{}~!^-\\", "a"),
        ("^[[:alnum:]-]+$", "a-1", "a_1"),
        ("^[[a]+$", "[a", ":"),
        ("^[a&&b||~~]+$", "a&b|~", "c"),
        ("(?#[)^[a]$", "a", "["),
        (r"\[[:x]$", "[:", "[["),
    ],
)
def test_sets_with_classes_of_pcre_and_with_brackets(expression, found, not_found):
    assert BoundedPattern(expression).found_in(found)
    assert not BoundedPattern(expression).found_in(not_found)


def test_a_class_that_nobody_knows_is_refused():
    with pytest.raises(
        ValueError, match=r"is not a regular expression: \[:digits:\] is none of the classes alnum, alpha"
    ):
        BoundedPattern("[[:digits:]]")


def test_expressions_that_are_none_are_refused():
    with pytest.raises(ValueError, match="has more than 10000 characters"):
        BoundedPattern("[" * 1_000_000)
    for expression in ("(", "[a", "*", "a{2,1}", r"\q", r"\1", "(" * 3000 + ")" * 3000):
        with pytest.raises(ValueError, match="is not a regular expression"):
            BoundedPattern(expression)
    for expression in ("(?x)a b", "(?x:a b)", "(?ix-s:a b)"):
        with pytest.raises(ValueError, match="has the flag x; write it without"):
            BoundedPattern(expression)


def test_nesting_is_limited():
    assert not BoundedPattern("(" * 99 + "a+" + ")*" * 99 + "x").found_in("a" * 50)
    with pytest.raises(ValueError, match="has groups nested deeper than 100"):
        BoundedPattern("(" * 101 + "a+" + ")*" * 101 + "x")


def test_conditions_are_bounded():
    condition = parse_condition("X~^(a+)+$")
    assert condition.holds({"X": "a" * 60})
    assert not condition.holds({"X": "a" * 60 + "b"})
    with pytest.raises(ValueError, match="write a simpler expression"):
        parse_condition(r"X~^(a+)+\1$").holds({"X": "a" * 60 + "b"})
