"""Four bytes, however they are cut up, choose a command; none of what was read is lost."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_listener._commands import Chosen, Command, CommandMatcher, CommandTable, Unknown, code_text
from mtev_listener.errors import RegistrationError


def table(*codes):
    made = CommandTable()
    for code in codes:
        made.add(Command(code, "protocol", "1.0"))
    return made


def cut(data, places):
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


CODES = st.binary(min_size=4, max_size=4)


@given(st.lists(CODES, unique=True, max_size=9), st.binary(max_size=40), st.lists(st.integers(0, 99), max_size=9))
def test_any_cut_of_the_bytes_gives_the_same_answer(codes, data, places):
    matcher = CommandMatcher(table(*codes))
    fed = b""
    for piece in cut(data, places):
        fed += piece
        answer = matcher.feed(piece)
        if len(fed) < 4:
            assert answer is None
            continue
        assert fed[:4] == data[:4]
        if data[:4] in codes:
            assert isinstance(answer, Chosen)
            assert answer.command.code == data[:4]
            assert answer.received == fed, "everything read so far goes to the chosen protocol"
        else:
            assert answer == Unknown(data[:4])
        return
    assert len(data) < 4


@given(CODES)
def test_codes_are_shown_as_big_endian_numbers(code):
    assert code_text(code) == f"0x{code.hex()}"


def test_a_code_is_shown_as_in_libmtev():
    assert code_text(b"GET ") == "0x47455420"


def test_a_code_belongs_to_one_command():
    with pytest.raises(RegistrationError, match="0x47455420 of 'mine' is taken by 'protocol'"):
        table(b"GET ").add(Command(b"GET ", "mine"))


@pytest.mark.parametrize("code", [b"", b"GET", b"GETTY"])
def test_a_code_has_four_bytes(code):
    with pytest.raises(RegistrationError, match="expected 4"):
        Command(code, "mine")


@pytest.mark.parametrize("name", ["", "two words", "with/version"])
def test_a_name_is_one_word(name):
    with pytest.raises(RegistrationError, match="expected a word"):
        Command(b"GET ", name)
