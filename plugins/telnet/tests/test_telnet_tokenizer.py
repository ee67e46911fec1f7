"""How a command line is split into words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_telnet import LineError, quote, tokenize


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        (" \t\r\n", []),
        ("show version", ["show", "version"]),
        ("  show\t\tversion\r\n", ["show", "version"]),
        (r'"a b"', ["a b"]),
        (r'"\n\r\t\a\b\v\f\0\\\"\ "', ['\n\r\t\a\b\v\f\0\\" ']),
        (r'"\q"', [r"\q"]),
        (r"'a \n b'", [r"a \n b"]),
        ("''", [""]),
        ('""', [""]),
        (r"a\ b", ["a b"]),
        (r"\ a", [" a"]),
        (r"a\nb", [r"a\nb"]),
        ("it\"s o'clock", ['it"s', "o'clock"]),
        ('"a"b', ["a", "b"]),
        ("\"a\"'b'", ["a", "b"]),
        ("a\xa0b", ["a\xa0b"]),
        ("# no; comments | $here", ["#", "no;", "comments", "|", "$here"]),
    ],
)
def test_words(line, words):
    assert tokenize(line) == words


@pytest.mark.parametrize(("line", "offset"), [('"', 0), ("a 'b", 2), (r'say "hello\"', 4), ('"a" "', 4)])
def test_an_open_quote_is_reported_where_it_stands(line, offset):
    with pytest.raises(LineError) as caught:
        tokenize(line)
    assert str(caught.value) == f"Error at offset: {offset}"
    assert caught.value.offset == offset


def test_the_number_of_words_is_limited():
    assert len(tokenize("x " * 2048)) == 2048
    with pytest.raises(LineError, match=r"^Command length too long\.$"):
        tokenize("x " * 2049)


@given(st.lists(st.text()))
def test_quoted_words_come_back(words):
    line = quote(words)
    assert not set("\r\n") & set(line), "a quoted line is one line"
    assert tokenize(line) == words


@given(st.text(alphabet="ab \\\"'\n0", max_size=40))
def test_any_text_is_words_or_an_error_inside_it(line):
    try:
        words = tokenize(line)
    except LineError as error:
        fault = line[error.offset]
    else:
        fault = ""
        assert tokenize(quote(words)) == words
    assert fault in ("", "'", '"')
