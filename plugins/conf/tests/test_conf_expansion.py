"""Substitution from the environment."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf._expansion import MAX_EXPANDED_CHARS, expand

ENVIRON = {"HOME": "/root", "EMPTY": "", "HOST": "db:5432", "LOOP": "{{ENV::{HOME}}}", "WHOLE": "ENV:a:{HOME}"}


def run(text, environ=ENVIRON):
    notices = []
    return expand(text, {"ENV": environ.get}, notices.append), notices


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{{ENV:none:{HOME}}}", "/root"),
        ("a{{ENV:none:{HOME}}}b{{ENV:c:{NOPE}}}d", "a/rootbcd"),
        ("{{ENV::{NOPE}}}", ""),
        ("x{{ENV:fallback:{EMPTY}}}y", "xy"),
        ("ENV:default:{HOME}", "/root"),
        ("ENV:default:{EMPTY}", ""),
        ("ENV:127.0.0.1:8080:{NOPE}", "127.0.0.1:8080"),
        ("ENV::{NOPE}", ""),
        ("ENV:a:{b:{NOPE}", "a"),
    ],
)
def test_values_are_put_in(text, expected):
    assert run(text)[0] == expected


@pytest.mark.parametrize(
    "text",
    [
        " ENV:default:{HOME}",
        "ENV:default:{HOME} ",
        "env:default:{HOME}",
        "{{ENV:x:{HOME}}",
        "{{ENV:x{HOME}}}",
        "{{ENV}}",
        "{ENV:x:{HOME}}",
        "{{",
        "{{:",
    ],
)
def test_what_has_another_shape_stays(text):
    assert run(text) == (text, [])


def test_a_malformed_whole_value_stays_and_is_reported():
    text, notices = run("ENV:{HOME}")
    assert text == "ENV:{HOME}"
    assert "ENV:default:{VARIABLE}" in notices[0]
    text, notices = run("ENV:d:{" + "k" * 128 + "}")
    assert text.startswith("ENV:d:")
    assert "127 characters" in notices[0]


def test_a_failed_opening_does_not_hide_the_next_one():
    assert run("{{ not {{ENV:x:{HOME}}}")[0] == "{{ not /root"
    assert run("{{{ENV:x:{HOME}}}}")[0] == "{/root}"


def test_an_unknown_facility_gives_its_fallback_and_is_reported():
    text, notices = run("{{hwloc:4:{cores}}} loops")
    assert text == "4 loops"
    assert "facility 'hwloc'" in notices[0]
    assert "known: ENV" in notices[0]


def test_what_was_put_in_is_not_expanded_again():
    assert run("x{{ENV::{LOOP}}}")[0] == "x{{ENV::{HOME}}}"
    assert run("{{ENV::{WHOLE}}}")[0] == "ENV:a:{HOME}"


def test_the_result_is_limited():
    environ = {"BIG": "x" * 100_000}
    with pytest.raises(ValueError, match="expands to more than"):
        run("{{ENV::{BIG}}}" * 20, environ)
    assert len(run("{{ENV::{BIG}}}" * 10, environ)[0]) == 1_000_000 < MAX_EXPANDED_CHARS


NAMES = st.text("ABC_", min_size=1, max_size=3)
PLAIN = st.text("xyz /.-", max_size=6)


@given(
    st.dictionaries(NAMES, st.text("v{}:", max_size=8), max_size=4),
    st.lists(st.one_of(PLAIN, st.tuples(PLAIN, NAMES)), max_size=6),
)
def test_pieces_are_replaced_one_by_one(environ, pieces):
    written = "".join(each if isinstance(each, str) else f"{{{{ENV:{each[0]}:{{{each[1]}}}}}}}" for each in pieces)
    expected = "".join(each if isinstance(each, str) else environ.get(each[1], each[0]) for each in pieces)
    assert run(written, environ) == (expected, [])


@given(st.text("ab{}:ENV", max_size=60))
def test_any_text_is_expanded_as_a_naive_reading_of_the_rules_says(text):
    environ = {"a": "1", "b": "", "E": "{{ENV:x:{a}}}"}
    notices = []
    result = expand(text, {"ENV": environ.get}, notices.append)
    naive = _naive(text, environ)
    if text.startswith("ENV:") and text.endswith("}"):
        match = re.fullmatch(r"ENV:(.*?):\{(.*)\}", naive, re.DOTALL)
        naive = environ.get(match[2], match[1]) if match else naive
    assert result == naive


def _naive(text, environ):
    match = re.search(r"\{\{([^:{}]*):([^:]*):\{(.*?)\}\}\}", text, re.DOTALL)
    if match is None:
        return text
    value = environ.get(match[3]) if match[1] == "ENV" else None
    put_in = match[2] if value is None else value
    return text[: match.start()] + put_in + _naive(text[match.end() :], environ)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["{{:" * 300_000, "{" * 900_000, "{{a" * 300_000, "{{:{{{" * 150_000, ":{" * 400_000])
def test_hostile_texts_end_soon(text):
    assert run(text)[0] == text
