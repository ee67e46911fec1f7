"""require_env expressions."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf._values.condition import MAX_CONDITION_CHARS, parse_condition

ENVIRON = {"SET": "value", "EMPTY": "", "URL": "a=b"}


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("SET", True),
        ("EMPTY", True),
        ("NOPE", False),
        ("!SET", False),
        ("!NOPE", True),
        ("SET=value", True),
        ("SET=valu", False),
        ("!SET=other", True),
        ("NOPE=", True),
        ("!NOPE=x", True),
        ("EMPTY=", True),
        ("SET~al", True),
        ("SET~^al", False),
        ("!SET~^al", True),
        ("NOPE~^$", True),
        ("URL~^a=b$", True),
        ("URL=a=b", True),
        ("SET=~", False),
        ("SET~", True),
    ],
)
def test_conditions(expression, holds):
    assert parse_condition(expression).holds(ENVIRON) is holds


@pytest.mark.parametrize("expression", ["", "!", "=x", "~x", "!!SET", "SET!=x", "TWO WORDS", " SET", "SET =x"])
def test_malformed_conditions_say_what_to_write(expression):
    with pytest.raises(ValueError, match=r"write VAR, VAR=text or VAR~regex"):
        parse_condition(expression)


@pytest.mark.parametrize("expression", ["SET~(", "SET~[a", "!SET~*"])
def test_an_invalid_regular_expression_is_an_error(expression):
    with pytest.raises(ValueError, match="is not a regular expression"):
        parse_condition(expression)


def test_a_condition_is_limited():
    with pytest.raises(ValueError, match="more than 4095"):
        parse_condition("A=" + "x" * MAX_CONDITION_CHARS)


VARIABLES = st.text("AB_", min_size=1, max_size=2)
VALUES = st.text("xy=~", max_size=4)


@given(VARIABLES, VALUES, st.sampled_from(["", "=", "~"]), st.dictionaries(VARIABLES, VALUES))
def test_negation_is_the_opposite_and_operators_mean_what_they_say(variable, operand, operator, environ):
    expression = variable + operator + (operand if operator else "")
    holds = parse_condition(expression).holds(environ)
    assert parse_condition("!" + expression).holds(environ) is not holds
    value = environ.get(variable, "")
    naive = {"": variable in environ, "=": value == operand, "~": bool(re.search(operand, value))}[operator]
    assert holds is naive


@given(st.text(max_size=100), st.dictionaries(VARIABLES, VALUES))
def test_no_expression_brings_anything_but_an_answer_or_a_value_error(expression, environ):
    try:
        condition = parse_condition(expression)
    except ValueError:
        return
    assert condition.holds(environ) in (True, False)
