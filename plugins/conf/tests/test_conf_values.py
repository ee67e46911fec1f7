"""Values: what is read, and that everything else is an error that says what to write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf import parse_boolean, parse_integer, parse_number
from mtev_conf._values.values import (
    MAX_SIZE_BYTES,
    join_path,
    nearest,
    parse_enumeration,
    parse_path,
    parse_size,
    quoted,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("ON", True),
        (" yes ", True),
        ("1", True),
        ("False", False),
        ("off", False),
        ("NO", False),
        ("0", False),
    ],
)
def test_booleans_are_read_in_any_case(text, value):
    assert parse_boolean(text) is value


@pytest.mark.parametrize("text", ["", "2", "tru", "enabled", "y", "on off"])
def test_what_is_no_boolean_is_refused(text):
    with pytest.raises(ValueError, match="is not a boolean; write true, on"):
        parse_boolean(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("10", 10), ("-3", -3), ("+4", 4), ("0x1F", 31), ("-0x10", -16), (" 8 ", 8), ("07", 7)],
)
def test_integers_are_read(text, value):
    assert parse_integer(text) == value


@pytest.mark.parametrize("text", ["", "8o", "1_000", "1.0", "0X10", "٣", "0x", "--1", "9" * 65])
def test_what_is_no_integer_is_refused(text):
    with pytest.raises(ValueError, match="is not an integer"):
        parse_integer(text)


@pytest.mark.parametrize("text", ["010", "0644", "08", "-010"])
def test_a_leading_zero_is_refused_because_libmtev_reads_it_in_two_ways(text):
    with pytest.raises(ValueError, match="octal or decimal"):
        parse_integer(text)


def test_ranges_are_checked_and_named():
    assert parse_integer("65535", 0, 65535) == 65535
    with pytest.raises(ValueError, match="'65536' is too large; at most 65535"):
        parse_integer("65536", 0, 65535)
    with pytest.raises(ValueError, match="'-1' is too small; at least 0"):
        parse_integer("-1", 0, 65535)
    with pytest.raises(ValueError, match="too small"):
        parse_number("0.5", minimum=1.0)


@given(st.integers(-(10**40), 10**40))
def test_every_integer_is_read_back(value):
    assert parse_integer(str(value)) == value
    assert parse_integer(f"{'-' if value < 0 else ''}0x{abs(value):x}") == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_read_back(value):
    assert parse_number(repr(value)) == value


@pytest.mark.parametrize("text", ["", "nan", "inf", "1e999", "1,5", "five", "0x10"])
def test_what_is_no_finite_number_is_refused(text):
    with pytest.raises(ValueError, match="is not a number"):
        parse_number(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        (" 12 B ", 12),
        ("64k", 65536),
        ("64K", 65536),
        ("1m", 1048576),
        ("10MiB", 10485760),
        ("10 mib", 10485760),
        ("2G", 2147483648),
        ("1TiB", 1099511627776),
        ("007", 7),
    ],
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "k", "-1", "+1", "1.5M", "1e3", "0x10", "1 k k", "1p", "1kk", "1 000", "٣", "1ki"]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="is not a size; write whole bytes"):
        parse_size(text)


def test_ambiguous_sizes_say_what_to_write_instead():
    with pytest.raises(ValueError, match=r"'10 MB' is ambiguous: 1,000 or 1,024\? Write 10MiB"):
        parse_size("10 MB")
    with pytest.raises(ValueError, match="Write 1KiB"):
        parse_size("1kB")


def test_sizes_are_limited():
    assert parse_size("8191P".replace("P", "T")) == 8191 << 40
    assert parse_size(str(MAX_SIZE_BYTES)) == MAX_SIZE_BYTES
    for text in (str(MAX_SIZE_BYTES + 1), "9" * 64 + "T"):
        with pytest.raises(ValueError, match="too large"):
            parse_size(text)
    with pytest.raises(ValueError, match="'2k' is too large; at most 1024 is expected"):
        parse_size("2k", maximum=1024)
    with pytest.raises(ValueError, match="'1k' is too small; at least 4096 is expected"):
        parse_size("1k", minimum=4096)


@given(st.integers(0, 2**20), st.sampled_from(["", "k", "M", "g", "T"]), st.booleans())
def test_every_size_is_read_back(number, letter, long):
    unit = letter + "iB" if long and letter else letter
    assert parse_size(f"{number}{unit}") == number * 1024 ** ["", "k", "m", "g", "t"].index(letter.lower())


POLICIES = ("live", "restart-plugin", "restart-process")


def test_one_of_some_words_is_read_as_it_is_spelled():
    assert [parse_enumeration(f" {each}\n", POLICIES) for each in POLICIES] == list(POLICIES)
    assert parse_enumeration("", ["", "x"]) == ""


@pytest.mark.parametrize(
    ("text", "near"), [("Live", "live"), ("livee", "live"), ("restart_plugin", "restart-plugin"), ("x", None)]
)
def test_another_word_is_refused_with_the_nearest(text, near):
    with pytest.raises(ValueError) as caught:
        parse_enumeration(text, POLICIES)
    advice = f"; did you mean '{near}'?" if near else ""
    assert str(caught.value) == f"'{text}' is none of live, restart-plugin, restart-process{advice}"


def test_a_long_list_of_words_is_cut():
    with pytest.raises(ValueError, match=r"is none of w0, w1, .*, w19, …$"):
        parse_enumeration("zzz", [f"w{number}" for number in range(1000)])


def test_the_nearest_name_has_the_case_of_the_known_one():
    assert nearest("PORTS", ["Port", "address"]) == "Port"
    assert nearest("something", ["Port", "address"]) is None
    assert nearest("x" * 100_000, ["x" * 100_000]) is None


def test_paths_start_from_the_folder_of_their_file():
    assert join_path("certs/a.pem", "/etc/app") == "/etc/app/certs/a.pem"
    assert join_path("\n  ../a.pem\n", "/etc/app") == "/etc/app/../a.pem"
    assert join_path("/a.pem", "/etc/app") == "/a.pem"
    assert join_path("./~a", "/etc/app") == "/etc/app/./~a"
    assert join_path("with blank", "/etc/app") == "/etc/app/with blank"
    assert join_path("undecodable\udcff", "/etc") == "/etc/undecodable\udcff"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ", "the path is empty"),
        ("~/a", "which only a shell replaces; write the whole path, or './~/a'"),
        ("~bob/a", "begins with '~'"),
        ("a\0b", r"'a\\x00b' holds a NUL"),
        ("a\ud800b", r"'a\\ud800b' holds a character that no path can hold"),
    ],
)
def test_what_is_no_path_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        join_path(text, "/etc")


def test_paths_are_checked_when_asked(tmp_path):
    (tmp_path / "file").write_text("x")
    base = str(tmp_path)
    assert parse_path("nope", base) == f"{base}/nope"
    assert parse_path("file", base, must_exist="file", readable=True) == f"{base}/file"
    assert parse_path(".", base, must_exist="directory", readable=True) == f"{base}/."
    assert parse_path("/dev/null", base, must_exist="file") == "/dev/null"
    for text, must_exist, readable, message in [
        ("nope", "file", False, "/nope' does not exist; create it or correct the path"),
        ("nope", "directory", False, "does not exist"),
        ("nope", "", True, "does not exist"),
        ("file/below", "file", False, "cannot be reached: Not a directory"),
        ("x" * 300, "file", False, "cannot be reached: File name too long"),
        ("file", "directory", False, "is not a folder"),
        (".", "file", False, "is a folder"),
    ]:
        with pytest.raises(ValueError, match=message):
            parse_path(text, base, must_exist=must_exist, readable=readable)


def test_a_file_that_this_process_may_not_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "key").write_text("x")
    monkeypatch.setattr("os.access", lambda *arguments, **more: False)  # root may read everything
    with pytest.raises(ValueError, match="key' cannot be read by this process; let the user"):
        parse_path("key", str(tmp_path), readable=True)


def test_messages_show_texts_on_one_line_and_cut():
    assert quoted("a\nb\0\ud800é") == "'a\\nb\\x00\\ud800é'"
    assert quoted("x" * 61) == f"'{'x' * 60}…'"
    assert len(quoted("\0" * 10_000_000)) == 63
