"""Rotation: the policy against a naive model, the files, and what is done to the rotated ones."""

from __future__ import annotations

import gzip
import os
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_kernel import ConfigurationError
from mtev_log import BackendSettings
from mtev_log.testing import BackendConformance, line
from mtev_log_file import FileBackend
from mtev_log_file._keeper import compress
from mtev_log_file._sharing import rotated_files
from mtev_log_file.backend import read_options
from mtev_log_file.rotation import AHEAD_S, MIN_BYTES, Rotated, RotationPolicy, free_stamp, read_policy, stamp_of


def test_a_file_that_has_grown_beyond_its_size_is_due():
    policy = RotationPolicy(rotate_bytes=1000)
    assert not policy.due(1000, 0, 10**9)
    assert policy.due(1001, 0, 10**9)


def test_a_file_is_due_at_multiples_of_the_period_since_the_epoch():
    policy = RotationPolicy(rotate_seconds=600)
    assert not policy.due(1, 1200, 1799.9)
    assert policy.due(1, 1799.9, 1800)
    assert policy.due(1, 1200, 9000)
    assert not policy.due(0, 1200, 9000), "an empty file is never rotated"
    assert not RotationPolicy().due(10**12, 0, 10**9)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(10, 60), st.integers(0, 50)), unique_by=lambda each: each[0]),
    st.integers(0, 40),
    st.integers(0, 120),
    st.integers(60, 100),
)
def test_what_goes_is_what_the_rule_says(files, retain_seconds, retain_bytes, now):
    rotated = [Rotated(stamp, size, f"x.{stamp}") for stamp, size in files]
    gone = RotationPolicy(retain_seconds=retain_seconds, retain_bytes=retain_bytes).superfluous(rotated, now)
    for each in rotated:
        newer = sum(other.size_bytes for other in rotated if other.stamp > each.stamp)
        too_old = retain_seconds and now - each.stamp > retain_seconds
        too_much = retain_bytes and newer > retain_bytes
        assert (each in gone) == bool(too_old or too_much)


@pytest.mark.parametrize(
    ("name", "stamp"),
    [
        ("x.log.1700000000", 1700000000),
        ("x.log.12.gz", 12),
        ("x.log", None),
        ("x.log.1", None),
        ("x.log.12.gz.tmp", None),
        ("x.log.12a", None),
        ("y.log.12", None),
        ("x.log.\u0661\u0662", None),
        ("x.log.12\n", None),
    ],
)
def test_which_names_are_rotated_files(name, stamp):
    assert stamp_of("x.log", name) == stamp


@given(st.floats(0, 2e9), st.sets(st.integers(10, 100)))
def test_a_stamp_is_never_taken_and_has_two_digits(now, taken):
    stamp = free_stamp(now, taken)
    assert stamp not in taken
    assert stamp >= 10
    assert stamp >= int(now)
    assert all(stamp > each for each in taken if each <= now + AHEAD_S)


def test_a_stamp_is_not_used_again_when_the_oldest_files_have_gone():
    assert free_stamp(100, {103, 104}) == 105
    assert free_stamp(100, {20241127103000}) == 100, "somebody's date is no stamp of ours"


def options(**values):
    return BackendSettings("x", type="file", path="/x", options=values)


def test_the_attributes_are_read():
    assert read_policy(options(rotate_bytes="204800", retain_seconds="60", retain_bytes=" 7 ")) == RotationPolicy(
        rotate_bytes=204800, retain_seconds=60, retain_bytes=7
    )
    assert read_policy(options()) == RotationPolicy()
    odd = options(rotate_seconds="0", rotate_bytes="0", retain_seconds="-1", retain_bytes="-7")
    assert read_policy(odd) == RotationPolicy(), "as libmtev: 0 for never, and less for everything"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rotate_seconds": "599"}, "rotate_seconds='599' is too small; at least 600 seconds"),
        ({"rotate_bytes": "1M"}, "rotate_bytes='1M' is not a whole number of bytes"),
        ({"rotate_bytes": "-1"}, "rotate_bytes='-1' is too small; at least 102400 bytes; or 0 for never"),
        ({"retain_bytes": "0"}, "retain_bytes='0' would remove every rotated file; leave it out to keep them all"),
        ({"retain_bytes": "1.5"}, "retain_bytes='1.5' is not a whole number of bytes"),
        ({"retain_seconds": "9" * 20}, "is not a whole number of seconds"),
    ],
)
def test_what_is_not_allowed_is_refused(values, message):
    with pytest.raises(ConfigurationError, match=message):
        read_policy(options(**values))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mode": "0888"}, "mode='0888' is not a mode"),
        ({"mode": "0755"}, "not to be executable"),
        ({"owner": "nobody-of-that-name"}, "owner='nobody-of-that-name' does not exist"),
        ({"compress": "zip"}, "compress='zip' is none of none, gzip"),
        ({"sync": "always"}, "sync='always' is none of none, batch"),
    ],
)
def test_options_that_are_not_allowed_are_refused(config, message):
    with pytest.raises(ConfigurationError, match=message):
        read_options(BackendSettings("x", type="file", path="/x", config=config))


class TestRotating(BackendConformance):
    """A backend that rotates and compresses stands the suite too."""

    def make(self, directory):
        return FileBackend(
            BackendSettings(
                "out",
                path=str(directory / "out.log"),
                config={"compress": "gzip", "sync": "batch"},
                options={"rotate_bytes": str(MIN_BYTES), "rotate_seconds": "600"},
            )
        )

    def read(self, backend, directory):
        lines = []
        for path in [*sorted(directory.glob("out.log.*")), directory / "out.log"]:
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            lines += [each for each in data.decode("utf-8", "replace").split("\n") if each]
        return lines


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def rotating(tmp_path):
    """Makes a backend whose files are small, with a clock that stands."""
    made = []

    def make(config=None, **values):
        monotonic, wall = Clock(0.0), Clock(1_700_000_000.0)
        settings = BackendSettings("x", path=str(tmp_path / "x.log"), options=values, config=config or {})
        backend = FileBackend(settings, monotonic, wall)
        backend.open()
        made.append(backend)
        return backend, monotonic, wall

    yield make
    for each in made:
        each.close()


BIG = "x" * MIN_BYTES


def names(directory):
    return sorted(each.name for each in directory.iterdir())


def test_a_file_is_rotated_before_the_line_that_would_make_it_too_large(rotating, tmp_path):
    backend, _, _ = rotating(rotate_bytes=str(MIN_BYTES))
    backend.write([line(BIG)])
    assert names(tmp_path) == ["x.log"]
    backend.write([line("after")])
    assert names(tmp_path) == ["x.log", "x.log.1700000000"]
    assert (tmp_path / "x.log").read_text() == "[notice/conformance] after\n"
    backend.write([line("fits"), line(BIG), line("third")])
    rotated = ["x.log.1700000000", "x.log.1700000001", "x.log.1700000002"]
    assert names(tmp_path) == ["x.log", *rotated], "no rotated file is written over"
    assert [(tmp_path / name).read_text().count("\n") for name in ["x.log", *rotated]] == [1, 1, 2, 1]


def test_what_was_there_before_the_start_counts(rotating, tmp_path):
    (tmp_path / "x.log").write_text(BIG + "\n")
    backend, _, _ = rotating(rotate_bytes=str(MIN_BYTES))
    backend.write([line("x")])
    assert "x.log.1700000000" in names(tmp_path)


def test_a_file_is_rotated_by_time_even_when_nothing_is_written(rotating, tmp_path):
    backend, _, wall = rotating(rotate_seconds="600")
    backend.maintain()
    backend.write([line("one")])
    os.utime(tmp_path / "x.log", (wall.now, wall.now))
    wall.now += 600
    backend.maintain()
    assert names(tmp_path) == ["x.log", "x.log.1700000600"]
    wall.now += 600
    backend.maintain()
    assert names(tmp_path) == ["x.log", "x.log.1700000600"], "an empty file stays"


def test_the_lines_of_a_period_that_ended_while_the_service_was_down_have_their_own_file(rotating, tmp_path):
    (tmp_path / "x.log").write_text("yesterday\n")
    os.utime(tmp_path / "x.log", (1_699_990_000, 1_699_990_000))
    backend, _, _ = rotating(rotate_seconds="3600")
    backend.write([line("today")])
    assert (tmp_path / "x.log.1700000000").read_text() == "yesterday\n"


def test_nothing_is_due_without_a_period(rotating):
    assert rotating(rotate_bytes=str(MIN_BYTES))[0].maintain is None


def test_old_files_go_and_others_are_compressed(rotating, tmp_path):
    for stamp in (1_600_000_000, 1_699_999_900):
        (tmp_path / f"x.log.{stamp}").write_text(f"{stamp}\n")
    (tmp_path / "x.log.notes").write_text("not ours\n")
    backend, _, _ = rotating({"compress": "gzip"}, rotate_bytes=str(MIN_BYTES), retain_seconds="1000")
    backend.close()
    assert names(tmp_path) == ["x.log", "x.log.1699999900.gz", "x.log.notes"]
    assert gzip.decompress((tmp_path / "x.log.1699999900.gz").read_bytes()) == b"1699999900\n"


def test_compression_that_was_interrupted_is_done_again(tmp_path):
    path = tmp_path / "x.log.1700000000"
    path.write_text("whole\n")
    path.chmod(0o604)
    (tmp_path / "x.log.1700000000.gz.tmp").write_bytes(b"half")
    live = tmp_path / "x.log"
    assert compress(path, live)
    packed = tmp_path / "x.log.1700000000.gz"
    assert names(tmp_path) == [packed.name]
    assert gzip.decompress(packed.read_bytes()) == b"whole\n"
    assert stat.S_IMODE(packed.stat().st_mode) == 0o604
    path.write_text("whole\n")  # the machine stopped before the original was removed
    assert compress(path, live)
    assert names(tmp_path) == [packed.name]
    path.write_text("something else\n")
    with pytest.raises(FileExistsError, match="it holds something else"):
        compress(path, live)
    assert names(tmp_path) == [path.name, packed.name]


def said(caplog, backend):
    """What has been told so far; asked again and again, for it is told on another thread."""
    backend._errands.wait(30)
    return [each.getMessage().partition("x.log: ")[2] for each in caplog.records]


def test_what_cannot_be_compressed_stays_and_that_is_told_once(rotating, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    (tmp_path / "x.log.1699999900").write_text("kept\n")

    def fail(fd):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("mtev_log_file._keeper.os.fsync", fail)
        backend, monotonic, _ = rotating({"compress": "gzip"})
        for _ in range(3):
            backend._errands.wait(30)
            monotonic.now += 61
            backend.maintain()
        (told,) = said(caplog, backend)
        assert told == "rotated files cannot be looked after: [Errno 28] No space left on device"
    assert names(tmp_path) == ["x.log", "x.log.1699999900"]
    monotonic.now += 61
    backend.write([line("written")])
    assert said(caplog, backend)[1:] == ["rotated files are looked after again"]
    assert names(tmp_path) == ["x.log", "x.log.1699999900.gz"]


def test_a_rotation_that_fails_fails_no_write_and_is_told_once(rotating, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    backend, monotonic, _ = rotating(rotate_bytes=str(MIN_BYTES))
    backend.write([line(BIG)])
    problem = PermissionError(13, "Permission denied")

    def fail(path, target):
        raise problem

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.rename", fail)
        for _ in range(3):
            backend.write([line("written")])
            assert said(caplog, backend) == ["it cannot be rotated, so it grows: [Errno 13] Permission denied"]
            monotonic.now += 61
        problem = OSError(5, "Input/output error")
        backend.write([line("another kind of problem")])
        assert said(caplog, backend)[1:] == ["it cannot be rotated, so it grows: [Errno 5] Input/output error"]
    assert names(tmp_path) == ["x.log"], "no claim is left"
    backend.write([line("not tried again at once")])
    monotonic.now += 61
    backend.write([line("later")])
    assert names(tmp_path) == ["x.log", "x.log.1700000000"]
    assert (tmp_path / "x.log.1700000000").read_text().count("\n") == 6
    assert said(caplog, backend)[2:] == ["it is rotated again"]


def test_two_processes_that_write_one_file_rotate_it_once(tmp_path):
    made = [
        FileBackend(
            BackendSettings("x", path=str(tmp_path / "x.log"), options={"rotate_bytes": str(MIN_BYTES)}),
            Clock(0.0),
            Clock(1_700_000_000.0),
        )
        for _ in range(2)
    ]
    for each in made:
        each.open()
    made[0].write([line("x")])
    made[1].write([line(BIG[100:])])
    made[0].write([line("x" * 30), line("first")])
    made[1].write([line("second")])
    for each in made:
        each.close()
    assert names(tmp_path) == ["x.log", "x.log.1700000000"]
    assert (tmp_path / "x.log").read_text() == "[notice/conformance] first\n[notice/conformance] second\n"
    assert [each.stamp for each in rotated_files(tmp_path / "x.log")] == [1_700_000_000]


def test_mode_and_owner_of_new_files(tmp_path):
    config = {"mode": "0604", "owner": str(os.getuid()), "group": str(os.getgid())}
    backend = FileBackend(BackendSettings("x", path=str(tmp_path / "x.log"), config=config))
    old = os.umask(0)
    try:
        backend.open()
    finally:
        os.umask(old)
    backend.close()
    status = (tmp_path / "x.log").stat()
    assert stat.S_IMODE(status.st_mode) == 0o604
    assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())
