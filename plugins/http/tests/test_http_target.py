"""Paths and queries: decoded once, and refused where they could be read in two ways."""

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http import BadRequest
from mtev_http._target import MAX_QUERY_FIELDS, decode_path, parse_query, split_target

printable = st.text(st.characters(exclude_categories=["Cs", "Cc"]))


@given(printable)
def test_a_quoted_path_is_decoded_to_what_it_was(text):
    assert decode_path("/" + quote(text)) == "/" + text


@given(st.binary())
def test_no_path_decodes_to_control_characters_or_raises_anything_else(data):
    raw = data.decode("utf-8", "surrogateescape")
    try:
        decoded = decode_path(raw)
    except BadRequest:
        return
    assert not any(ord(character) < 0x20 or character == "\x7f" for character in decoded)


@given(st.text(st.characters(codec="utf-8")))
def test_what_is_decoded_is_not_decoded_again(text):
    assert decode_path("/" + quote("%41")) == "/%41"


@given(st.lists(st.tuples(printable, printable)))
def test_a_query_keeps_every_field_in_order(pairs):
    pairs = [(name, value) for name, value in pairs if name or value]
    query = parse_query(urlencode(pairs))
    assert list(query.pairs) == pairs
    for name, _ in pairs:
        assert query.all(name) == [value for each, value in pairs if each == name]
        assert query[name] == query.all(name)[0]


def test_plus_is_a_space_in_a_query_only():
    assert decode_path("/a+b") == "/a+b"
    assert parse_query("q=a+b%2B")["q"] == "a b+"


def test_empty_pieces_vanish_and_a_name_may_stand_alone():
    assert parse_query("&a&&b=&c=1=2&").pairs == (("a", ""), ("b", ""), ("c", "1=2"))


def test_raw_utf8_is_read_and_raw_nonsense_is_refused():
    assert decode_path("/käse".encode().decode("utf-8", "surrogateescape")) == "/käse"
    with pytest.raises(BadRequest):
        decode_path("/\udcff")


@pytest.mark.parametrize(
    "raw", ["/%", "/%0", "/%zz", "/%00", "/%0A", "/%7f", "/%ff", "/%c0%ae", "/%ed%a0%80", "/a\x00"]
)
def test_a_doubtful_path_is_refused(raw):
    with pytest.raises(BadRequest):
        decode_path(raw)


@pytest.mark.parametrize("raw", ["a=%", "%zz", "a=%00", "a=%ff"])
def test_a_doubtful_query_is_refused(raw):
    with pytest.raises(BadRequest):
        parse_query(raw)


def test_a_query_may_hold_lines_but_not_any_number_of_fields():
    assert parse_query("text=a%0D%0Ab")["text"] == "a\r\nb"
    parse_query("&".join(["a=1"] * MAX_QUERY_FIELDS))
    with pytest.raises(BadRequest, match="more than"):
        parse_query("&".join(["a=1"] * (MAX_QUERY_FIELDS + 1)))


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("/a/b", ("/a/b", "")),
        ("/a?b?c", ("/a", "b?c")),
        ("//a/b", ("//a/b", "")),
        ("http://host:80/a?b", ("/a", "b")),
        ("HTTPS://host", ("/", "")),
        ("http://host?b", ("/", "b")),
        ("*", ("*", "")),
    ],
)
def test_targets(target, parts):
    assert split_target(target) == parts


@pytest.mark.parametrize("target", ["", "a", "host:80", "ftp://host/", "/a#b", "**"])
def test_other_targets_are_refused(target):
    with pytest.raises(BadRequest):
        split_target(target)
