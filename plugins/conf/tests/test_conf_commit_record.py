"""The commit record says what it was told, and notices when it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf._disk.commit_record import (
    ANYTHING,
    Delete,
    DeleteDirectory,
    Put,
    PutTree,
    decode_record,
    digest,
    encode_record,
    is_temporary,
    temporary_name,
)

names = st.text(st.characters(exclude_characters="/\0", exclude_categories=()), min_size=1, max_size=20).filter(
    lambda name: name not in {".", ".."}
)
folders = st.lists(names, max_size=3).map(lambda parts: Path("/", *parts))
digests = st.binary(min_size=16, max_size=16)
temporaries = st.integers(0, 999_999_999).map(lambda number: temporary_name("0123456789abcdef", number))
steps = st.one_of(
    st.builds(
        lambda f, t, n, new, old: Put(f / t, f / n, new, old),
        folders,
        temporaries,
        names,
        digests,
        st.one_of(st.none(), st.just(ANYTHING), digests),
    ),
    st.builds(lambda f, t, n: PutTree(f / t, f / n), folders, temporaries, names),
    st.builds(lambda f, n, old: Delete(f / n, old), folders, names, st.one_of(st.just(ANYTHING), digests)),
    st.builds(lambda f, n: DeleteDirectory(f / n), folders, names),
)


@given(st.lists(steps, max_size=5), folders)
def test_a_record_is_read_as_it_was_written(steps, folder):
    assert decode_record(encode_record(steps, folder), folder) == tuple(steps)


@given(st.lists(steps, min_size=1, max_size=3), st.data())
def test_no_changed_byte_of_a_record_goes_unnoticed(steps, data):
    record = encode_record(steps, Path("/etc"))
    place = data.draw(st.integers(0, len(record) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda value: value != record[place]))
    with pytest.raises(ValueError):
        decode_record(record[:place] + bytes([other]) + record[place + 1 :], Path("/etc"))
    with pytest.raises(ValueError):
        decode_record(record[:place], Path("/etc"))


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{}",
        "not json",
        '["put", "x", "y"]',
        '["erase", "x"]',
        '["put-tree", "/etc/passwd", "x"]',
        '["put-tree", "other/.mtev-0123456789abcdef-0.tmp", "x"]',
        '["delete", "x", "abcd"]',
        '["delete", "x", null]',
    ],
)
def test_a_record_may_not_ask_for_what_no_save_does(line):
    body = f"{line}\n".encode()
    record = b"mtev-conf-commit 1 " + digest(body).hex().encode() + b"\n" + body
    with pytest.raises(ValueError):
        decode_record(record, Path("/etc"))


def test_temporary_names_are_hidden_and_no_elements():
    name = temporary_name("0123456789abcdef", 7)
    assert name.startswith(".")
    assert "#" not in name
    assert is_temporary(name, "0123456789abcdef")
    assert not is_temporary(name, "fedcba9876543210")
    assert not is_temporary("app.conf", "0123456789abcdef")
