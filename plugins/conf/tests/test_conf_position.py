"""Positions that count the elements of one name."""

from __future__ import annotations

import pytest
from lxml import etree

from mtev_conf._editing.paths import path_of
from mtev_conf._operating.position import position_of_nth

PARENT = etree.fromstring("<p xmlns:m='urn:m'><!-- c --><a/><b/><a/><m:a/><c/></p>")


@pytest.mark.parametrize(
    ("name", "number", "position"),
    [("a", 1, 0), ("a", 2, 2), ("a", 3, 3), ("b", 1, 1), ("m:a", 2, 4), ("d", 1, 5), ("*", 4, 3), ("*", 6, 5)],
)
def test_it_is_before_the_present_one_of_that_number_or_behind_the_last(name, number, position):
    assert position_of_nth(PARENT, name, number) == position


def test_what_is_to_stand_there_does_not_count():
    first, second = PARENT.findall("a")
    assert position_of_nth(PARENT, "a", 2, without=first) == 2
    assert position_of_nth(PARENT, "a", 1, without=second) == 0


@pytest.mark.parametrize(("name", "number"), [("a", 0), ("a", -1), ("a", 4), ("d", 2), ("*", 7)])
def test_there_are_no_gaps(name, number):
    with pytest.raises(ValueError, match="nothing can become"):
        position_of_nth(PARENT, name, number)


def test_it_has_that_path_then():
    for number in (1, 2, 3):
        parent = etree.fromstring(etree.tostring(PARENT))
        fresh = etree.Element("a")
        elements = list(parent.iterchildren(etree.Element))
        elements[position_of_nth(parent, "a", number)].addprevious(fresh)
        assert path_of(fresh) == f"/p/a[{number}]"
