"""Tables: they fit, they lose nothing, and what they show cannot steer a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mtev_kernel.cli._terminal import printable, table

words = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=30)
notes = st.lists(words, max_size=12).map(" ".join)
rows = st.lists(st.tuples(st.tuples(words, words, words), notes), max_size=5)


def test_a_short_note_stands_behind_its_row_and_a_long_one_below():
    lines = table(("ID", "STATE", "ERROR"), [(("one", "found"), "short"), (("other", "refused"), "word " * 12)], 40)
    assert lines == [
        "ID     STATE    ERROR",
        "one    found    short",
        "other  refused",
        "    word word word word word word word",
        "    word word word word word",
    ]


def test_the_notes_column_is_named_only_when_there_are_notes():
    assert table(("ID", "STATE", "ERROR"), [(("one", "found"), "")], 40)[0] == "ID   STATE"


@given(rows, st.integers(40, 120))
def test_every_line_fits(rows, columns):
    assert all(len(line) <= columns for line in table(("A", "B", "C", "NOTE"), rows, columns))


@given(rows, st.integers(40, 200))
def test_nothing_is_lost(rows, columns):
    text = "".join("".join(table(("A", "B", "C", "NOTE"), rows, columns)).split())
    for _, note in rows:
        assert all(part in text for part in (note.split() if columns > 150 else ()))
    assert sum(map(len, text.split())) >= sum(len(cell) for cells, _ in rows for cell in cells)


@given(st.text())
def test_no_control_character_reaches_the_terminal(text):
    assert printable(text).isprintable()


def test_ordinary_text_is_left_alone():
    assert printable("Grüße, 世界") == "Grüße, 世界"
    assert printable("a\x1b[31mb\nc") == r"a\x1b[31mb\nc"
