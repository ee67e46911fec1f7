"""Substitution from the environment, from files and by whoever interpolates."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf._values.expansion import (
    MAX_EXPANDED_CHARS,
    MAX_FILE_BYTES,
    StopSubstitution,
    Used,
    expand,
    file_facility,
)

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


def test_what_was_put_in_cannot_complete_a_form_that_the_text_began():
    environ = {"A": "x:{SECRET}", "B": "x:{SECRET", "SECRET": "hunter2", "KEY": "SECRET"}
    assert run("ENV:{{ENV::{A}}}", environ)[0] == "ENV:x:{SECRET}"
    assert run("ENV:{{ENV::{B}}}}", environ)[0] == "ENV:x:{SECRET}"
    # Here the whole form is written out, and only its parts come from elsewhere.
    assert run("ENV:{{ENV::{A}}}:{NOPE}", environ)[0] == "x:{SECRET}"
    assert run("ENV:none:{{{ENV::{KEY}}}}", environ)[0] == "hunter2"


def uses(text, environ=ENVIRON, **more):
    used = []
    expanded = expand(text, {"ENV": environ.get}, lambda message: None, used=used, **more)
    return expanded, used


def test_what_was_used_is_told_with_its_place_in_the_result():
    text, used = uses("a{{ENV:none:{HOME}}}b{{ENV:c:{NOPE}}}d{{ENV::{EMPTY}}}{{ENV::{NOPE}}}{{X:f:{k}}}")
    assert text == "a/rootbcdf"
    assert used == [
        Used("ENV", "HOME", True, True, 1, 6),
        Used("ENV", "NOPE", False, True, 7, 8),
        Used("ENV", "EMPTY", True, False, 9, 9),
        Used("ENV", "NOPE", False, False, 9, 9),
        Used("X", "k", False, True, 9, 10),
    ]
    assert [each.missing for each in used] == [False, False, False, True, False]


def test_the_parts_of_the_whole_form_are_told_as_well():
    assert uses("ENV:8080:{HOME}") == ("/root", [Used("ENV", "HOME", True, True, 0, 5)])
    assert uses("ENV::{NOPE}") == ("", [Used("ENV", "NOPE", False, False, 0, 0)])
    assert uses("ENV:{{ENV::{HOST}}}/x:{NOPE}") == (
        "db:5432/x",
        [Used("ENV", "HOST", True, False, 0, 7), Used("ENV", "NOPE", False, True, 0, 9)],
    )
    assert uses("ENV:{{ENV::{HOST}}}/x:{HOME}") == (
        "/root",
        [Used("ENV", "HOST", True, False), Used("ENV", "HOME", True, True, 0, 5)],
    )
    assert uses("ENV:d:{{{ENV:x:{NOPE}}}}", {"x": "1"}) == (
        "1",
        [Used("ENV", "NOPE", False, True), Used("ENV", "x", True, True, 0, 1)],
    )


def test_facilities_that_are_not_registered_are_asked_of_interpolate():
    asked = []

    def interpolate(facility, key, form):
        asked.append((facility, key, form))
        return {"cores": "8"}.get(key)

    notices = []
    used = []
    text = expand(
        "{{hwloc:4:{cores}}}/{{hwloc:2:{pus}}}/{{ENV:x:{HOME}}}",
        {"ENV": ENVIRON.get},
        notices.append,
        used=used,
        interpolate=interpolate,
    )
    assert text == "8/2//root"
    assert asked == [("hwloc", "cores", "{{hwloc:4:{cores}}}"), ("hwloc", "pus", "{{hwloc:2:{pus}}}")]
    assert [each.found for each in used] == [True, False, True]
    assert len(notices) == 1
    assert "{pus}" in notices[0]


def test_interpolate_can_end_the_substitution():
    def interpolate(facility, key, form):
        raise StopSubstitution

    written = "{{ENV::{HOME}}} {{stop:x:{k}}} {{ENV::{HOME}}}"
    assert uses(written, interpolate=interpolate)[0] == "/root {{stop:x:{k}}} {{ENV::{HOME}}}"
    assert uses("ENV:{{stop:x:{k}}}:{HOME}", interpolate=interpolate)[0] == "ENV:{{stop:x:{k}}}:{HOME}"


def from_file(base, text):
    return expand(text, {"FILE": file_facility(str(base))}, lambda message: None)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n\r\n", "hunter2"),
        (b"two\nlines\n", "two\nlines"),
        (b" kept ", " kept "),
        ("schl\u00fcssel".encode(), "schl\u00fcssel"),
        (b"", ""),
        (b"x" * MAX_FILE_BYTES, "x" * MAX_FILE_BYTES),
    ],
)
def test_the_content_of_a_file_is_put_in_without_its_last_line_breaks(tmp_path, content, value):
    (tmp_path / "secret").write_bytes(content)
    assert from_file(tmp_path, "<{{FILE:none:{secret}}}>") == f"<{value}>"
    assert from_file("/nowhere", f"{{{{FILE:none:{{{tmp_path}/secret}}}}}}") == value


def test_a_file_that_is_not_there_gives_the_fallback(tmp_path):
    (tmp_path / "file").write_text("x")
    assert from_file(tmp_path, "{{FILE:none:{secret}}}") == "none"
    assert from_file(tmp_path, "{{FILE:none:{file/below}}}") == "none"


def test_a_document_sees_one_content(tmp_path):
    facility = file_facility(str(tmp_path))
    assert facility("a") is None
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("1")
    assert (facility("a"), facility("b")) == (None, "1")
    (tmp_path / "b").write_text("2")
    assert facility("b") == "1"
    assert file_facility(str(tmp_path))("b") == "2"


def test_what_cannot_be_put_in_is_named_and_its_content_not_shown(tmp_path):
    (tmp_path / "large").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    (tmp_path / "binary").write_bytes(b"hunter\xff")
    (tmp_path / "nul").write_bytes(b"hunter\0")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "pipe")
    for key, reason in [
        ("large", "is larger than 65536 bytes"),
        ("binary", "is not UTF-8 text (at byte 6)"),
        ("nul", "holds a NUL character"),
        ("circle", "cannot be read"),
        ("pipe", "is not a regular file"),
        (".", "is not a regular file"),
        ("/dev/null", "is not a regular file"),
        ("n" * 300, "cannot be read: File name too long"),
    ]:
        with pytest.raises(ValueError) as caught:
            from_file(tmp_path, f"{{{{FILE:none:{{{key}}}}}}}")
        assert reason in str(caught.value)
        assert "FILE: '/" in str(caught.value)
        assert "hunter" not in str(caught.value)
    for key in ("", "~/secret", "a\0b"):
        with pytest.raises(ValueError, match="path|'~'"):
            file_facility(str(tmp_path))(key)


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


FORMS = st.sampled_from(["ENV:", ":{", "}}}", "}", "{{ENV:", "{{ENV::{N}}}", "{{ENV:b:{E}}}", "a", "b", "{", "N"])


@given(st.one_of(st.text("ab{}:ENV", max_size=60), st.lists(FORMS, max_size=9).map("".join)))
def test_any_text_is_expanded_as_a_naive_reading_of_the_rules_says(text):
    environ = {"a": "1", "b": "", "E": "{{ENV:x:{a}}}", "N": "x:{a}"}
    notices = []
    result = expand(text, {"ENV": environ.get}, notices.append)
    values = []

    def put_in(match):
        value = environ.get(match[3]) if match[1] == "ENV" else None
        values.append(match[2] if value is None else value)
        return "*"  # not among the characters of the text

    def filled(written):
        return "".join(values.pop(0) if each == "*" else each for each in written)

    written = re.sub(r"\{\{([^:{}]*):([^:]*):\{(.*?)\}\}\}", put_in, text, flags=re.DOTALL)
    whole = re.fullmatch(r"ENV:(.*?):\{(.*)\}", written, re.DOTALL)
    if whole is None:
        assert result == filled(written)
        return
    default, key = filled(whole[1]), filled(whole[2])
    assert result == environ.get(key, default)


@given(st.lists(st.one_of(PLAIN, st.tuples(PLAIN, NAMES)), max_size=6), st.dictionaries(NAMES, PLAIN, max_size=4))
def test_each_use_is_where_it_says(pieces, environ):
    written = "".join(each if isinstance(each, str) else f"{{{{ENV:{each[0]}:{{{each[1]}}}}}}}" for each in pieces)
    text, used = uses(written, environ)
    asked = [each for each in pieces if not isinstance(each, str)]
    assert [(each.key, each.found, text[each.start : each.end]) for each in used] == [
        (key, key in environ, environ.get(key, fallback)) for fallback, key in asked
    ]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["{{:" * 300_000, "{" * 900_000, "{{a" * 300_000, "{{:{{{" * 150_000, ":{" * 400_000])
def test_hostile_texts_end_soon(text):
    assert run(text)[0] == text
