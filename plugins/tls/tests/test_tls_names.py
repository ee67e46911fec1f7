"""Names that clients ask for, and the patterns that choose a certificate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_tls.names import check_pattern, match

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)


@given(names, st.booleans())
def test_a_name_fits_itself_in_any_case_and_with_a_dot(name, dotted):
    patterns = {check_pattern(name): 1}
    assert match(name.upper() + ("." if dotted else ""), patterns) == 1


@given(labels, names)
def test_a_wildcard_stands_for_exactly_one_label(label, rest):
    patterns = {check_pattern(f"*.{rest}"): 1}
    assert match(f"{label}.{rest}", patterns) == 1
    assert match(f"{label}.{label}.{rest}", patterns) is (1 if f"{label}.{rest}" == rest else None)
    assert match(rest, patterns) is None or rest.partition(".")[2] == rest


def test_the_name_itself_comes_before_the_wildcard():
    assert match("www.example.org", {"*.example.org": 1, "www.example.org": 2}) == 2


@pytest.mark.parametrize(
    "text", ["", "*", "*.", "a..b", "-a.org", "a*.org", "*.*.org", "a b", "x" * 64, "a." * 130, "ü.org"]
)
def test_patterns_that_are_none(text):
    with pytest.raises(ValueError, match="is no name of a server"):
        check_pattern(text)


@given(st.text(max_size=20))
def test_whatever_a_client_sends_is_looked_up(name):
    assert match(name, {"localhost": 1}) in (None, 1)
