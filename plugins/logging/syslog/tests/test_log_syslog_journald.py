"""The journal of systemd: entries against an independent reader, and a journal that works, lags, or is away."""

from __future__ import annotations

import fcntl
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_log import BackendSettings, IncompleteWrite, Record
from mtev_log.testing import BackendConformance, line
from mtev_log_syslog import JournaldBackend
from mtev_log_syslog.entries import EntryHeader, encode_entry, field_name

TEXT = st.text(st.characters(codec=None), max_size=40)


def journald(path, **config):
    return JournaldBackend(BackendSettings("x", type="journald", path=str(path), config=config), service="acme")


def parse(entry):
    """An entry as the documentation of the native protocol has it: a stranger's way of reading it."""
    pairs = []
    while entry:
        name, newline, rest = entry.partition(b"\n")
        assert newline
        if b"=" in name:
            key, _, value = name.partition(b"=")
            entry = rest
        else:
            key, size = name, int.from_bytes(rest[:8], "little")
            value, entry = rest[8 : 8 + size], rest[8 + size + 1 :]
            assert rest[8 + size : 9 + size] == b"\n"
        pairs.append((key.decode("ascii"), value))
    return pairs


class TestJournald(BackendConformance):
    @pytest.fixture(autouse=True)
    def receiver(self, datagrams, tmp_path_factory):
        self.received = datagrams(socket.AF_UNIX, str(tmp_path_factory.mktemp("journal") / "socket"))

    def make(self, directory):
        return journald(self.received.address)

    def read(self, backend, directory):
        return [dict(parse(each))["MESSAGE"].decode() for each in self.received.all()]


@given(TEXT, st.dictionaries(TEXT, st.one_of(TEXT, st.binary(max_size=40), st.integers()), max_size=5))
def test_whatever_is_logged_the_entry_is_one(message, fields):
    header = EntryHeader(3, -1, "acme", 1)
    pairs = parse(encode_entry(header, Record(0, "x", message, fields=fields), lambda record: record.message))
    assert pairs[0] == ("MESSAGE", message.encode("utf-8", "backslashreplace"))
    assert len(pairs) == 7 + len(fields)
    for name, _ in pairs:
        assert name[0].isalpha()
        assert len(name) <= 64
        assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
    for (_, found), value in zip(pairs[7:], fields.values(), strict=True):
        expected = value if isinstance(value, bytes) else str(value).encode("utf-8", "backslashreplace")
        assert found == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("peer", "PEER"), ("peer.address", "PEER_ADDRESS"), ("_pid", "F_PID"), ("1st", "F1ST"), ("", "F"),
        ("message", "MESSAGE_"), ("ß", "SS"), ("é", "F_"), ("message_id", "MESSAGE_ID"), ("x" * 70, "X" * 64),
    ],
)  # fmt: skip
def test_names_of_fields(name, expected):
    assert field_name(name) == expected


def test_what_an_entry_holds(datagrams, tmp_path):
    receiver = datagrams(socket.AF_UNIX, str(tmp_path / "journal"))
    backend = journald(receiver.address, facility="local0", severity="err")
    backend.open()
    record = line("one\ntwo", peer="a", raw=b"\0\xff\n")
    backend.write([record])
    backend.close()
    (entry,) = receiver.all()
    assert parse(entry) == [
        ("MESSAGE", b"[notice/conformance] one\ntwo"),
        ("PRIORITY", b"3"),
        ("SYSLOG_FACILITY", b"16"),
        ("SYSLOG_IDENTIFIER", b"acme"),
        ("SYSLOG_PID", b"%d" % os.getpid()),
        ("SYSLOG_TIMESTAMP", b"2023-11-14T22:13:20.123456Z"),
        ("MTEV_STREAM", b"notice/conformance"),
        ("CODE_FILE", b"/src/acme/plugin.py"),
        ("CODE_LINE", b"7"),
        ("TID", b"4711"),
        ("THREAD_NAME", b"MainThread"),
        ("PEER", b"a"),
        ("RAW", b"\0\xff\n"),
    ]


def test_a_long_entry_travels_in_a_sealed_memory_file(datagrams, tmp_path):
    receiver = datagrams(socket.AF_UNIX, str(tmp_path / "journal"))
    backend = journald(receiver.address)
    backend.open()
    backend.write([line("before"), line("x" * 3_000_000), line("after")])
    backend.close()
    before, long, after = receiver.all()
    assert (dict(parse(before))["MESSAGE"][-6:], long, dict(parse(after))["MESSAGE"][-5:]) == (b"before", b"", b"after")
    (memory,) = receiver.descriptors
    try:
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        assert fcntl.fcntl(memory, fcntl.F_GET_SEALS) == seals
        entry = os.pread(memory, 1 << 23, 0)
    finally:
        os.close(memory)
    assert dict(parse(entry))["MESSAGE"] == b"[notice/conformance] " + b"x" * 3_000_000


def test_a_journal_that_is_away_and_comes_back(datagrams, tmp_path):
    backend = journald(tmp_path / "journal")
    backend.open()
    for act in (backend.reopen, lambda: backend.write([line("one")])):
        with pytest.raises(IncompleteWrite, match=r"/journal: \[Errno 2\] No such file") as caught:
            act()
        assert caught.value.written == 0
    receiver = datagrams(socket.AF_UNIX, str(tmp_path / "journal"))
    backend.reopen()
    backend.write([line("one")])
    backend.close()
    assert len(receiver.all()) == 1


def test_a_journal_that_reads_nothing(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "journal"))
        backend = journald(tmp_path / "journal", write_timeout="50ms")
        backend.open()
        for records in ([line(str(number)) for number in range(1000)], [line("x" * 3_000_000)]):
            with pytest.raises(IncompleteWrite, match="the receiver is too slow") as caught:
                backend.write(records)
            assert caught.value.written < len(records)


def test_a_socket_that_is_no_journal(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.bind(str(tmp_path / "journal"))
        stream.listen()
        backend = journald(tmp_path / "journal")
        backend.open()
        with pytest.raises(IncompleteWrite, match="it takes no datagrams"):
            backend.write([line("one")])
