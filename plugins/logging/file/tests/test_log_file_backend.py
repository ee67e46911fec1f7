"""The file backend: appending, rotation by others, failures, modes."""

from __future__ import annotations

import os
import resource
import signal
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_kernel import ConfigurationError
from mtev_log import BackendSettings, IncompleteWrite
from mtev_log.testing import BackendConformance, line
from mtev_log_file import FILE_MODE, FileBackend
from mtev_log_file.backend import CHECK_S


class TestFile(BackendConformance):
    format = "plain"

    def make(self, directory):
        path = str(directory / "out.log")
        return FileBackend(BackendSettings("out", type="file", path=path, format=self.format))

    def read(self, backend, directory):
        return [each for each in (directory / "out.log").read_bytes().decode("utf-8", "replace").split("\n") if each]


class TestFileAsJson(TestFile):
    format = "json"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now

    def pass_check(self):
        self.now += CHECK_S


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "x.log"


@pytest.fixture
def backend(path, clock):
    path.parent.mkdir()
    made = FileBackend(BackendSettings("x", type="file", path=str(path)), clock)
    made.open()
    yield made
    made.close()


def texts(path):
    return path.read_text().replace("[notice/conformance] ", "")


def test_it_appends_to_what_is_there(path, clock):
    path.parent.mkdir()
    path.write_text("old\n")
    made = FileBackend(BackendSettings("x", type="file", path=str(path)), clock)
    made.open()
    made.write([line("new")])
    made.close()
    assert texts(path) == "old\nnew\n"


def test_several_lines_each_get_a_prefix(backend, path):
    backend.write([line("one\ntwo")])
    assert path.read_text() == "[notice/conformance] one\n[notice/conformance] two\n"


def test_a_new_file_is_for_its_owner_and_group_only(path):
    path.parent.mkdir()
    old = os.umask(0)
    try:
        made = FileBackend(BackendSettings("x", path=str(path)))
        made.open()
        made.close()
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == FILE_MODE == 0o640


def test_an_existing_file_keeps_its_mode(path):
    path.parent.mkdir()
    path.touch()
    path.chmod(0o604)
    made = FileBackend(BackendSettings("x", path=str(path)))
    made.open()
    made.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_after_a_rotation_lines_go_to_the_new_file(backend, path, clock):
    backend.write([line("one")])
    path.rename(path.with_suffix(".1"))
    backend.write([line("two")])
    clock.pass_check()
    backend.write([line("three")])
    assert texts(path.with_suffix(".1")) == "one\ntwo\n"
    assert texts(path) == "three\n"


def test_after_a_rotation_that_made_a_new_file(backend, path, clock):
    path.rename(path.with_suffix(".1"))
    path.write_text("")
    clock.pass_check()
    backend.write([line("one")])
    assert texts(path) == "one\n"


def test_reopen_does_not_wait_for_the_next_check(backend, path):
    path.rename(path.with_suffix(".1"))
    backend.reopen()
    backend.write([line("one")])
    assert texts(path) == "one\n"


def test_a_vanished_directory_is_a_failure_and_its_return_a_recovery(backend, path, clock):
    path.unlink()
    path.parent.rmdir()
    clock.pass_check()
    for call in (lambda: backend.write([line("kept by the sink")]), backend.reopen):
        with pytest.raises(IncompleteWrite, match="No such file or directory") as caught:
            call()
        assert caught.value.written == 0
    path.parent.mkdir()
    backend.reopen()
    backend.write([line("back")])
    assert texts(path) == "back\n"


def test_a_half_written_line_is_ended_before_the_next(backend, path):
    # A limit on the size of files stands for a full disk.
    old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        backend.write([line("whole")])
        size = path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, old_limit[1]))
        with pytest.raises(IncompleteWrite, match="File too large") as caught:
            backend.write([line("cut short")])
        assert caught.value.written == 0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    backend.write([line("next")])
    assert path.read_text().split("\n") == ["[notice/conformance] whole", "[noti", "[notice/conformance] next", ""]


@settings(deadline=None)
@given(st.lists(st.text("abc", max_size=8), min_size=1, max_size=20), st.data())
def test_of_a_batch_that_fails_the_whole_lines_are_known(tmp_path_factory, texts, data):
    path = tmp_path_factory.mktemp("file") / "x.log"
    made = FileBackend(BackendSettings("x", path=str(path), config={}))
    made.open()
    records = [line(text) for text in texts]
    size = sum(len(f"[notice/conformance] {text}\n") for text in texts)
    limit = data.draw(st.integers(1, size - 1))
    old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old_limit[1]))
        with pytest.raises(IncompleteWrite) as caught:
            made.write(records)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    made.write(records[caught.value.written :])
    made.close()
    wanted = [f"[notice/conformance] {text}" for text in texts]
    written = path.read_text().splitlines()
    if len(written) > len(wanted):  # the one that was cut short is ended, and comes again
        del written[caught.value.written]
    assert written == wanted


def test_a_relative_path_outlives_a_change_of_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = FileBackend(BackendSettings("x", path="here.log"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    made.open()
    made.close()
    assert (tmp_path / "here.log").exists()


def test_what_is_no_regular_file_will_do():
    made = FileBackend(BackendSettings("x", path="/dev/null"))
    made.open()
    made.reopen()
    made.write([line("gone")])
    made.close()


def test_a_missing_directory_is_an_error_at_the_start(tmp_path):
    with pytest.raises(FileNotFoundError):
        FileBackend(BackendSettings("x", path=str(tmp_path / "no" / "x.log"))).open()


def test_settings_that_cannot_be_used_are_refused_with_their_place():
    with pytest.raises(ConfigurationError, match="app.conf:7: <log>: 'x': type='file' needs to know where to write"):
        FileBackend(BackendSettings("x", type="file", where="app.conf:7"))
    settings = BackendSettings("x", type="file", path="p", config={"a": "1", "b": "2"}, own=frozenset("b"))
    with pytest.raises(ConfigurationError, match="has no option 'b'"):
        FileBackend(settings)
    FileBackend(BackendSettings("x", path="p", config={"inherited": "1"}))


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "b\nc", "\N{SNOWMAN}"]), max_size=3), max_size=6), st.data())
def test_whatever_is_rotated_when_no_line_is_lost(tmp_path_factory, batches, data):
    directory = tmp_path_factory.mktemp("rotated")
    clock = Clock()
    path = directory / "x.log"
    made = FileBackend(BackendSettings("x", path=str(path)), clock)
    made.open()
    for number, batch in enumerate(batches):
        if data.draw(st.booleans()):
            path.rename(Path(f"{path}.{number:03d}"))
            clock.now += data.draw(st.sampled_from([0.0, CHECK_S]))
            made.reopen()
        made.write([line(message) for message in batch])
    made.close()
    everything = "".join(texts(each) for each in [*sorted(directory.glob("x.log.*")), path])
    assert everything == "".join(f"{message}\n" for batch in batches for message in batch)
