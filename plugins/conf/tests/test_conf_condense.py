"""Scripts without what they take back again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf import Configuration
from mtev_conf._editing.changes import Change, inverse, same_meaning
from mtev_conf._editing.condense import condensed

SET = Change("set", "/a/@x", "1", "2")
ADD = Change("add", "/a/b[1]", new="<b/>", index=0)
MOVE = Change("move", "/a/b[1]", "0", "/a/b[2]", 1)


@pytest.mark.parametrize(
    ("script", "left"),
    [
        ([], []),
        ([SET], [SET]),
        ([SET, *inverse([SET])], []),
        ([SET, ADD, MOVE, *inverse([SET, ADD, MOVE])], []),
        ([ADD, Change("remove", "/a/b[1]", old="<b></b>", index=0)], []),
        ([ADD, Change("remove", "/a/b[1]", old="<b c='1'/>", index=0)], None),
        ([ADD, Change("remove", "/a/b[2]", old="<b/>", index=0)], None),
        ([ADD, ADD], None),
        ([SET, Change("set", "/a/@x", "2", "3")], [Change("set", "/a/@x", "1", "3")]),
        ([SET, Change("set", "/a/@x", "2", "3"), Change("set", "/a/@x", "3", "1")], []),
        ([SET, Change("unset", "/a/@x", "2")], [Change("unset", "/a/@x", "1")]),
        ([Change("set", "/a/@x", None, "2"), Change("set", "/a/@x", "2", "3"), Change("unset", "/a/@x", "3")], []),
        ([Change("unset", "/a/@x", "1"), Change("set", "/a/@x", None, "2")], [SET]),
        ([Change("text", "/a", "x", "y"), Change("text", "/a", "y", "z")], [Change("text", "/a", "x", "z")]),
        ([SET, Change("set", "/a/@y", "1", "2"), Change("set", "/a/@x", "2", "1")], None),
    ],
)
def test_what_is_taken_back_is_left_out(script, left):
    assert condensed(script) == (script if left is None else left)


STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "unset", "add", "remove", "text"]), st.integers(0, 3), st.integers(0, 2)),
    max_size=8,
)


def run(configuration, steps):
    for kind, position, value in steps:
        children = configuration.root.sections("*")
        with configuration.transaction() as change:
            if kind == "add":
                change.add(configuration.root, "b", {"v": str(value)}, index=min(position, len(children)))
            elif position < len(children):
                child = children[position]
                if kind == "set":
                    change.set(child, "x", str(value))
                elif kind == "unset":
                    change.unset(child, "x")
                elif kind == "remove":
                    change.remove(child)
                else:
                    change.text(child, str(value))


@given(STEPS)
def test_it_does_the_same(steps):
    made = Configuration.parse("<a><b/><b/></a>", "a.conf", {})
    run(made, steps)
    script = made.since(1)
    short = condensed(script)
    assert len(short) <= len(script)
    other = Configuration.parse("<a><b/><b/></a>", "a.conf", {})
    other.apply(short)
    assert same_meaning(other.root._element, made.root._element)
    assert condensed([*script, *inverse(script)]) == []
