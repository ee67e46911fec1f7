"""Putting other text in the place of ranges of a text."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from mtev_conf._writing.splices import Composition, Lifted, Splice, longest_increasing, shifts, spliced


def test_splices_in_any_order():
    text = "0123456789"
    splices = [
        Splice(8, 9, ["x", "y"]),
        Splice(2, 4, []),
        Splice(2, 2, ["a"]),
        Splice(10, 10, ["z"]),
        Splice(0, 0, ["b"]),
    ]
    assert spliced(text, splices)[0] == "b01a4567xy9z"


def test_an_inner_splice_counts_only_for_what_is_lifted_out():
    text = "0123456789"
    lifted = Lifted(4, 7, 1, str)
    splices = [
        Splice(2, 9, ["-"]),
        Splice(5, 6, ["five"]),
        Splice(4, 4, ["before"]),
        Splice(10, 10, ["<", lifted, ">"]),
    ]
    assert spliced(text, splices, [lifted]) == ("01-9<4five6>", [(2, 9, "-"), (10, 10, "<4five6>")])


def test_what_is_lifted_into_something_lifted():
    text = "0123456789"
    inner, outer = Lifted(1, 2, 2, str), Lifted(5, 8, 1, str.upper)
    splices = [Splice(1, 2, []), Splice(6, 7, ["a", inner]), Splice(5, 8, []), Splice(0, 0, [outer])]
    assert spliced(text, splices, [outer, inner])[0] == "5A170" + "234" + "89"


def test_a_composition():
    text = "0123456789"
    content = Composition(2)
    content.keep(2, 4)
    content.keep(4, 5)
    content.pending.append("new")
    content.keep(5, 6)
    content.keep(8, 9)
    content.keep(9, 9)
    assert [(splice.start, splice.end, [*splice.parts]) for splice in content.splices] == [(5, 5, ["new"]), (6, 8, [])]
    assert spliced(text, content.splices)[0] == "01234new589"


def test_shifts():
    text = "a\n  b\nc d\ne"
    changes = [(0, 1, "A"), (4, 4, "x\n  "), (5, 6, ""), (8, 8, "\n\n"), (11, 11, "!")]
    assert [*shifts(text, changes)] == [(1, 1), (2, -1), (3, 2)]


@given(st.lists(st.integers(0, 20), max_size=9, unique=True))
def test_the_longest_increasing_subsequence(numbers):
    found = longest_increasing(numbers)
    assert [number for number in numbers if number in found] == sorted(found)
    longest = max(
        length
        for length in range(len(numbers) + 1)
        if any([*chosen] == sorted(chosen) for chosen in combinations(numbers, length))
    )
    assert len(found) == longest
