"""Whatever text stands where a value is expected: it is a value, or a `ValueError` that says so on one line, soon."""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mtev_conf import parse_boolean, parse_integer, parse_number
from mtev_conf._masking import hide_secrets, mask_used, shown_attribute, sounds_secret
from mtev_conf._values.condition import parse_condition
from mtev_conf._values.duration import MAX_DURATION_NS, parse_duration, parse_duration_s
from mtev_conf._values.expansion import MAX_EXPANDED_CHARS, expand, file_facility
from mtev_conf._values.secret import Secret
from mtev_conf._values.values import (
    MAX_SIZE_BYTES,
    join_path,
    nearest,
    parse_enumeration,
    parse_path,
    parse_size,
    quoted,
)

# All of Unicode, lone surrogates and NUL included; and what values are made of, so that texts come near to values.
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=200)
WORDS = st.sampled_from(
    ["0", "1", "9" * 30, "0x", "e", ".", "-", "+", " ", "\n", "\0", "\ud800", "true", "s", "ms", "min", "k", "MiB", "~",
     "/", "..", "{{", "}}}", "}", ":", ":{", "ENV", "FILE", "X", "A_KEY", "=", "!", "(", ")", "*", "|", "[", "]", "a",
     "\\", "://", "@", "'", '"', "password", "٣", "µ", "\u00a0"]
)  # fmt: skip
TEXTS = st.one_of(ANYTHING, st.lists(WORDS, max_size=20).map("".join))

LONG = [
    "9" * 1_000_000,
    "0" * 1_000_000,
    " " * 1_000_000,
    "1" + " " * 1_000_000 + "s",
    "1s" * 300_000,
    "1 " * 300_000,
    "1ns " * 200_000,
    "-" * 1_000_000,
    "1." * 300_000,
    "e" * 1_000_000,
    "1e" + "9" * 1_000_000,
    "0x" + "f" * 1_000_000,
    "\0" * 1_000_000,
    "\ud800" * 1_000_000,
    "{" * 1_000_000,
    "}" * 1_000_000,
    "{{ENV:" * 150_000,
    "{{ENV:a:{" * 100_000,
    "{{ENV:a:{" * 50_000 + "}}}" * 50_000,
    "{{ENV:a:{X}}}" * 70_000,
    "ENV:" + ":{" * 400_000 + "}",
    "ENV:" * 200_000 + ":{X}",
    "(" * 1_000_000,
    "X~" + "(" * 2_000,
    "X~" + "(" * 90 + "a*" + ")*" * 90 + "$",
    "X~(a|a)*$",
    "X~" + "(a?){9}" * 9 + "b",
    "X~(.*)(.*)(.*)(.*)(.*)(.*)b$",
    "X~" + "[" * 4_000,
    "X=" + "a" * 4_000,
    "~" * 1_000_000,
    "../" * 300_000,
    "://a:b@" * 100_000,
    "password=" * 100_000,
    "password='" * 100_000,
    "aA" * 400_000,
]


def expanded(text):
    used = []
    facilities = {"ENV": {"X": "x" * 3, "A_KEY": "k"}.get, "FILE": file_facility("/nonexistent")}
    value = expand(text, facilities, lambda message: None, used=used)
    assert len(value) <= max(len(text), MAX_EXPANDED_CHARS)
    assert all(0 <= each.start <= each.end <= len(value) for each in used)
    mask_used(value, used)
    return value


def condition(text):
    # The longest value that an environment can hold, and one that expressions find hard.
    held = parse_condition(text)
    for value in ("a" * 40 + "c", "a" * 131_000):
        assert held.holds({"X": value}) in (True, False)
    return held


PARSERS = {
    "boolean": (parse_boolean, lambda value: isinstance(value, bool)),
    "integer": (parse_integer, lambda value: isinstance(value, int)),
    "number": (parse_number, lambda value: isinstance(value, float)),
    "size": (parse_size, lambda value: 0 <= value <= MAX_SIZE_BYTES),
    "duration": (lambda text: parse_duration(text, "ns"), lambda value: 0 <= value <= MAX_DURATION_NS),
    "duration in ms": (lambda text: parse_duration(text, "ms"), lambda value: value >= 0),
    "duration in s": (parse_duration_s, lambda value: value >= 0.0),
    "enumeration": (lambda text: parse_enumeration(text, ["live", "off"]), lambda value: value in ("live", "off")),
    "path": (lambda text: join_path(text, "/etc"), lambda value: os.fsencode(value).startswith(b"/")),
    "path of a file": (lambda text: parse_path(text, "/etc", must_exist="file"), lambda value: "\0" not in value),
    "condition": (condition, lambda value: value.variable),
    "expansion": (expanded, lambda value: isinstance(value, str)),
    "masked text": (hide_secrets, lambda value: isinstance(value, str)),
    "masked attribute": (lambda text: shown_attribute(text, text, text), lambda value: isinstance(value, str)),
    "name": (sounds_secret, lambda value: isinstance(value, bool)),
    "nearest": (lambda text: nearest(text, ["live", "off"]), lambda value: value in ("live", "off", None)),
    "quoted": (quoted, lambda value: value.isprintable() and len(value) <= 63),
    "secret": (lambda text: Secret(text).matches(text), lambda value: value is True),
}


def read(name, text):
    parse, is_valid = PARSERS[name]
    try:
        value = parse(text)
    except UnicodeError:
        raise  # a ValueError by birth, but none that says what to write
    except ValueError as error:
        message = str(error)
        assert message
        assert len(message) < 2500
        assert message.isprintable()
    else:
        assert is_valid(value)


@pytest.mark.parametrize("name", PARSERS)
@settings(deadline=None, max_examples=100)
@given(TEXTS)
@example("")
@example("\0")
@example("\ud800")
@example("X~[[a]")
def test_any_text_is_a_value_or_an_error_that_says_so(name, text):
    read(name, text)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", PARSERS)
def test_long_and_hostile_texts_are_read_soon(name):
    for text in LONG:
        read(name, text)
