"""A journal holds every record that it has confirmed, whatever happened while it was written."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys
import threading

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mtev_conf._disk import journal as _journal
from mtev_conf._disk.durable import Files
from mtev_conf._disk.journal import MAX_RECORD_BYTES, Damaged, Journal, JournalFull, Records, decode, encode_record
from mtev_kernel.errors import ConfigurationError

awkward = st.sampled_from([b"", b"\0" * 20, b"\xffJR\x01" * 5])
payloads = st.lists(st.one_of(st.binary(max_size=40), awkward), max_size=5)


def failing(error, **times):
    """The real disk, but each of the named operations fails for so many times."""
    files = Files()
    for name, count in times.items():
        real, left = getattr(files, name), [count]

        def operation(*arguments, _real=real, _left=left):
            if _left[0]:
                _left[0] -= 1
                raise OSError(error, os.strerror(error))
            return _real(*arguments)

        setattr(files, name, operation)
    return files


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.conf.journal"


@pytest.fixture
def journal(path):
    with Journal(str(path)) as journal:
        journal.create(b"header")
        yield journal


def broken(path, data):
    """A file with this content, and how it is refused."""
    path.write_bytes(data)
    return pytest.raises(ConfigurationError, match=f"^{path}: ")


# --- the format ------------------------------------------------------------------------------------------------------


@given(payloads)
def test_records_are_read_as_they_were_written(payloads):
    data = b"".join(map(encode_record, payloads))
    assert decode(data) == (payloads, len(data))


@given(payloads, st.binary(max_size=60), st.integers(0))
@example([b"a"], b"\0" * 50, 50)
@example([b"a"], b"", 0)
def test_a_torn_record_at_the_end_is_cut(payloads, last, cut):
    whole = b"".join(map(encode_record, payloads))
    torn = encode_record(last)
    torn = torn[: cut % len(torn)]
    assert decode(whole + torn) == (payloads, len(whole))


@given(payloads, st.binary(max_size=5000), st.sampled_from([8, 512]), st.data())
def test_a_record_of_which_only_some_pages_were_written_is_cut(payloads, last, page, data):
    whole = b"".join(map(encode_record, payloads))
    torn = encode_record(last.replace(b"\0", b"x"))
    pages = [torn[place : place + page] for place in range(0, len(torn), page)]
    lost = data.draw(st.sets(st.sampled_from(range(len(pages))), min_size=1))
    torn = b"".join(b"\0" * len(each) if number in lost else each for number, each in enumerate(pages))
    assert decode(whole + torn) == (payloads, len(whole))


@given(st.lists(st.binary(max_size=20), min_size=2, max_size=5), st.data())
def test_a_changed_byte_is_never_taken_for_a_record(payloads, data):
    encoded = [encode_record(each) for each in payloads]
    whole = b"".join(encoded)
    place = data.draw(st.integers(0, len(whole) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
    changed = whole[:place] + bytes([value]) + whole[place + 1 :]
    begins = [sum(map(len, encoded[:number])) for number in range(len(encoded) + 1)]
    hit = max(number for number, begin in enumerate(begins) if begin <= place)
    if hit == len(payloads) - 1:
        assert decode(changed) == (payloads[:-1], begins[-2])
    else:
        with pytest.raises(Damaged) as caught:
            decode(changed)
        assert (caught.value.offset, caught.value.following) == (begins[hit], begins[hit + 1])


@given(st.binary(max_size=200))
def test_what_is_no_journal_has_no_records_and_never_a_crash(data):
    try:
        records, size_bytes = decode(data)
    except Damaged as error:
        assert 0 <= error.offset < error.following < len(data)
    else:
        assert b"".join(map(encode_record, records)) == data[:size_bytes]


def test_a_record_has_a_limit():
    with pytest.raises(ValueError, match=f"at most {MAX_RECORD_BYTES} are allowed"):
        encode_record(bytes(MAX_RECORD_BYTES + 1))


# --- the file ---------------------------------------------------------------------------------------------------------


def test_what_is_appended_is_read_again(path, journal):
    for record in (b"one", b"", b"three" * 1000):
        journal.append(record)
    expected = Records(b"header", (b"one", b"", b"three" * 1000))
    assert journal.read() == Journal(str(path)).read() == expected
    assert journal.size_bytes == path.stat().st_size
    journal.close()
    with Journal(str(path)) as again:
        assert again.open() == expected
        again.append(b"four")
        assert again.read().records[-1] == b"four"
    assert again.size_bytes == 0


def test_a_record_is_synced_before_it_is_confirmed(path):
    log = []

    class Watching(Files):
        def write(self, descriptor, data):
            log.append(("write", path.exists()))
            return super().write(descriptor, data[:10])

        def fsync(self, descriptor):
            log.append(("fsync", path.exists()))
            super().fsync(descriptor)

        def rename(self, source, target):
            log.append(("rename", path.exists()))
            super().rename(source, target)

        def sync_directory(self, path_):
            log.append(("sync_directory", path.exists()))
            super().sync_directory(path_)

        def unlink(self, path_):
            super().unlink(path_)
            log.append(("unlink", path.exists()))

    with Journal(str(path), files=Watching()) as journal:
        journal.create(b"header")
        assert log == [("write", False)] * 3 + [("fsync", False), ("rename", False), ("sync_directory", True)]
        log.clear()
        journal.append(b"0123456789")
        assert log == [("write", True)] * 3 + [("fsync", True)]
        log.clear()
        journal.remove()
        assert log == [("unlink", False), ("sync_directory", False)]


def test_the_mode_is_the_owners_alone_unless_told_otherwise(path):
    for mode in (0o600, 0o640):
        before = os.umask(0o077)
        try:
            with Journal(str(path), mode=mode) as journal:
                journal.create(b"", replace=True)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_one_that_exists_is_only_replaced_on_request(path, journal):
    journal.append(b"one")
    with pytest.raises(ConfigurationError, match="exists already; its changes have to be written back"):
        Journal(str(path)).create(b"second")
    with pytest.raises(ConfigurationError, match=r"in use by (this process itself, process \d+ |another process)"):
        Journal(str(path)).create(b"second", replace=True)
    assert journal.read() == Records(b"header", (b"one",))
    journal.create(b"second", replace=True)
    assert journal.read() == Records(b"second", ())
    journal.append(b"two")
    assert Journal(str(path)).read() == Records(b"second", (b"two",))
    assert list(path.parent.iterdir()) == [path]


def test_only_one_may_have_it_open(path, journal):
    script = "import sys; from mtev_conf._disk.journal import Journal; print(Journal(sys.argv[1]).open())"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert re.search(rf"the journal is in use by (process {os.getpid()} \(|another process)", done.stderr)
    journal.close()
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert "header" in done.stdout


def test_it_is_gone_when_it_is_removed(path, journal):
    assert journal.exists()
    journal.remove()
    assert not journal.exists()
    journal.remove()
    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory"):
        journal.read()
    with pytest.raises(ConfigurationError, match="cannot be opened: No such file or directory"):
        journal.open()
    with pytest.raises(ConfigurationError, match="not open"):
        journal.append(b"")
    journal.create(b"again")
    assert journal.read() == Records(b"again", ())


def test_a_torn_end_is_told_and_cut_when_it_is_opened(path, journal):
    journal.append(b"one")
    journal.close()
    whole = path.read_bytes()
    torn = encode_record(b"two")[:-1]
    path.write_bytes(whole + torn)
    found = Records(b"header", (b"one",), len(torn))
    assert journal.read() == found
    assert path.read_bytes() == whole + torn
    assert journal.open() == found
    assert path.read_bytes() == whole
    journal.append(b"two")
    assert journal.read() == Records(b"header", (b"one", b"two"))


def test_damage_is_an_error_that_says_where(path, journal):
    for record in (b"one", b"two"):
        journal.append(record)
    journal.close()
    data = path.read_bytes().replace(b"one", b"0ne")
    begin, following = len(encode_record(b"header")), len(encode_record(b"header") + encode_record(b"one"))
    for attempt in (journal.open, journal.read):
        with broken(path, data) as caught:
            attempt()
        assert f"record at byte {begin} is damaged, and whole ones follow from byte {following}. " in str(caught.value)
        assert path.read_bytes() == data


def test_what_is_no_journal_is_left_alone(path, tmp_path):
    journal = Journal(str(path))
    for data in (b"", b"<app/>", encode_record(b"header")[:-1], b"\0" * 100):
        for attempt in (journal.read, journal.open):
            with broken(path, data) as caught:
                attempt()
            assert "not a journal" in str(caught.value)
            assert path.read_bytes() == data
    path.unlink()
    os.mkfifo(path)
    for attempt in (journal.read, journal.open):
        with pytest.raises(ConfigurationError, match="the journal is not a file"):
            attempt()


def test_it_has_a_limit(path):
    room = len(encode_record(b"header") + encode_record(b"0123456789"))
    with Journal(str(path), limit_bytes=room) as journal:
        journal.create(b"header")
        with pytest.raises(JournalFull, match=r"save the configuration"):
            journal.append(b"0123456789-")
        journal.append(b"0123456789")
        with pytest.raises(JournalFull):
            journal.append(b"")
        assert journal.read().records == (b"0123456789",)
    with pytest.raises(ConfigurationError, match=f"has {room} bytes; at most {room - 1}"):
        Journal(str(path), limit_bytes=room - 1).read()


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["write", "fsync"])
def test_a_record_that_does_not_fit_leaves_nothing(path, operation):
    class Torn(Files):
        def write(self, descriptor, data):
            if armed and operation == "write" and len(data) < 16:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(descriptor, data[:16])

        def fsync(self, descriptor):
            if armed and operation == "fsync":
                armed.pop()
                raise OSError(errno.ENOSPC, "No space left on device")
            super().fsync(descriptor)

    armed = []
    with Journal(str(path), files=Torn()) as journal:
        journal.create(b"header")
        journal.append(b"one")
        before = path.read_bytes()
        armed.append(True)
        with pytest.raises(ConfigurationError, match="cannot be kept: No space left on device; free some space"):
            journal.append(b"a longer one")
        assert path.read_bytes() == before
        armed.clear()
        journal.append(b"two")
        assert journal.read() == Records(b"header", (b"one", b"two"))


def test_a_journal_whose_end_cannot_be_cut_is_closed(path):
    with Journal(str(path)) as journal:
        journal.create(b"header")
    with Journal(str(path), files=failing(errno.EIO, fsync=1, truncate=1)) as journal:
        journal.open()
        with pytest.raises(ConfigurationError, match="Input/output error") as caught:
            journal.append(b"one")
        assert "is closed, because its end cannot be cut off" in caught.value.__cause__.__notes__[0]
        with pytest.raises(ConfigurationError, match="not open"):
            journal.append(b"two")


def test_an_interrupt_leaves_nothing(path):
    class Interrupted(Files):
        def fsync(self, descriptor):
            if path.exists() and not struck:
                struck.append(True)
                raise KeyboardInterrupt
            super().fsync(descriptor)

    struck = []
    with Journal(str(path), files=Interrupted()) as journal:
        journal.create(b"header")
        with pytest.raises(KeyboardInterrupt):
            journal.append(b"one")
        journal.append(b"two")
        assert journal.read() == Records(b"header", (b"two",))


@pytest.mark.parametrize("operation", ["create", "chmod", "write", "fsync", "rename", "sync_directory"])
@pytest.mark.parametrize("replace", [False, True])
def test_a_journal_that_cannot_be_begun_is_none(path, operation, replace):
    if replace:
        with Journal(str(path)) as journal:
            journal.create(b"first")
    before = path.read_bytes() if replace else None
    journal = Journal(str(path), files=failing(errno.EROFS, **{operation: 1}))
    with pytest.raises(ConfigurationError, match="cannot be begun: Read-only file system; .* mounted read-only"):
        journal.create(b"second", replace=replace)
    left = {each: each.read_bytes() for each in path.parent.iterdir()}
    if operation == "sync_directory":
        assert left == {}  # what was to be replaced is gone as well; it had been written back
    else:
        assert left == ({path: before} if replace else {})
    journal.create(b"second", replace=True)
    journal.append(b"one")
    journal.close()
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_removed_is_noted_or_told(path):
    journal = Journal(str(path), files=failing(errno.EIO, fsync=1, unlink=1))
    with pytest.raises(ConfigurationError) as caught:
        journal.create(b"header")
    assert "an empty journal is left" in caught.value.__cause__.__notes__[0]
    with Journal(str(path)) as again:
        again.create(b"header")
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(ConfigurationError, match="cannot be removed: Input/output error"):
        Journal(str(path), files=failing(errno.EIO, unlink=1)).remove()
    assert path.exists()


def test_who_replaces_or_removes_the_file_is_noticed(path, journal):
    data = path.read_bytes()
    path.unlink()
    with pytest.raises(ConfigurationError, match="replaced or removed by somebody else"):
        journal.append(b"one")
    path.write_bytes(data)
    journal.open()
    path.rename(path.with_suffix(".old"))
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match="replaced or removed by somebody else"):
        journal.append(b"one")
    assert path.read_bytes() == data


def test_no_descriptor_is_left_open(path):
    def count():
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a listing is all that is wanted

    before = count()
    with Journal(str(path), files=failing(errno.EIO, fsync=1)) as journal:
        with pytest.raises(ConfigurationError):
            journal.create(b"header")
        assert count() == before
        journal.create(b"header")
        journal.create(b"header", replace=True)
        journal.open()
        journal.read()
        assert count() == before + 1
    assert count() == before
    with broken(path, b"nonsense"):
        journal.open()
    assert count() == before


def test_threads_append_one_after_another(journal):
    def append(name):
        for number in range(25):
            journal.append(b"%s %d" % (name, number))

    threads = [threading.Thread(target=append, args=(name,)) for name in (b"a", b"b", b"c")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    records = journal.read().records
    assert len(records) == 75
    for name in (b"a", b"b", b"c"):
        assert [each for each in records if each[:1] == name] == [b"%s %d" % (name, number) for number in range(25)]


# --- death ------------------------------------------------------------------------------------------------------------


def test_dying_at_any_operation_loses_nothing_that_was_confirmed(path):
    class Died(BaseException):
        pass

    class Dying(Files):
        def __init__(self, left):
            self.left = left

        def __getattribute__(self, name):
            if not name.startswith("_") and name != "left":
                self.left -= 1
                if self.left < 0:
                    raise Died
            return super().__getattribute__(name)

        def write(self, descriptor, data):
            return os.write(descriptor, data[: max(1, len(data) // 2)])

    wanted = [b"one", b"two", b"three"]
    last = 0
    while True:
        confirmed = []
        files = Dying(last)
        try:
            with Journal(str(path), files=files) as journal:
                journal.create(b"header")
                for record in wanted:
                    journal.append(record)
                    confirmed.append(record)
                journal.remove()
        except Died:
            pass
        if path.exists():
            with Journal(str(path)) as journal:
                found = journal.open()
                assert found.header == b"header"
                assert list(found.records[: len(confirmed)]) == confirmed
                assert list(found.records) == wanted[: len(found.records)]
                journal.append(b"more")
                assert journal.read().records == (*found.records, b"more")
                journal.remove()
        else:
            assert confirmed in ([], wanted)
        if files.left >= 0:
            break
        last += 1
    assert last > 30


def test_the_module_offers_what_it_says():
    assert all(hasattr(_journal, name) for name in _journal.__all__)
