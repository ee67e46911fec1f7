"""How typed bytes become lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_telnet.lines import MAX_LINE, Control, Echoed, Line, LineAssembler

TYPED = st.lists(
    st.sampled_from(
        [
            b"a",
            b"show",
            b" ",
            b"\r",
            b"\n",
            b"\0",
            b"\x7f",
            b"\x08",
            b"\x03",
            b"\x04",
            b"\x15",
            b"\x1b[A",
            b"\xc3\xa9",
            b"\xff",
        ]
    )
    | st.binary(max_size=3)
).map(b"".join)


def feed(data, cuts=(), limit=MAX_LINE, echo=False):
    assembler = LineAssembler(limit)
    assembler.echo = echo
    events = []
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        for event in assembler.feed(data[begin:end]):
            if isinstance(event, Echoed) and events and isinstance(events[-1], Echoed):
                event = Echoed(events.pop().data + event.data)
            events.append(event)
    return events


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\0", b"\r"])
def test_every_line_end(end):
    assert feed(b"a" + end + b"b" + end + end) == [Line("a"), Line("b"), Line("")]


def test_utf8_and_what_is_not():
    assert feed("é\n".encode()) == [Line("é")]
    assert feed(b"\xff\n") == [Line("\ufffd")]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (b"ab\x7fc\n", "ac"),
        (b"ab\x08c\n", "ac"),
        ("aé\x7fb\n".encode(), "ab"),
        ("€\x7f\n".encode(), ""),
        (b"\x7f\x7fa\n", "a"),
        (b"\xa9\xa9\xa9\xa9\xa9\x7f\n", "\ufffd" * 4),
        (b"abc\x15d\n", "d"),
        (b"a\0b\n", "ab"),
        (b"a\x04b\n", "ab"),
        (b"a\tb\n", "a\tb"),
    ],
)
def test_keys_that_change_the_line(typed, line):
    assert feed(typed) == [Line(line)]


def test_ctrl_c_drops_the_line_and_ctrl_d_ends_an_empty_one():
    assert feed(b"dangerous\x03safe\n\x04") == [Control.INTERRUPT, Line("safe"), Control.END_OF_FILE]


def test_a_line_at_the_limit_and_one_beyond():
    assert feed(b"x" * MAX_LINE + b"\n") == [Line("x" * MAX_LINE)]
    assert feed(b"x" * (MAX_LINE + 1) + b"\nok\n") == [Control.TOO_LONG, Line("ok")]
    assert feed(b"x" * 3 * MAX_LINE + b"\x03ok\n") == [Control.INTERRUPT, Line("ok")]


def test_echo_is_what_a_terminal_would_show():
    assert feed(b"ab\x7f\x1b\t\x03c\r\0", echo=True) == [
        Echoed(b"ab\b \b^[\t^C"),
        Control.INTERRUPT,
        Echoed(b"c\r\n"),
        Line("c"),
    ]


@given(TYPED, st.data(), st.booleans(), st.sampled_from([4, MAX_LINE]))
def test_any_cut_gives_the_same(typed, data, echo, limit):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(typed)), max_size=8)))
    assert feed(typed, cuts, limit, echo) == feed(typed, (), limit, echo)


@given(st.lists(st.binary(max_size=64), max_size=50))
def test_memory_is_bounded(pieces):
    assembler = LineAssembler(16)
    for piece in pieces:
        assembler.feed(piece)
        assert len(assembler._line) <= 16
