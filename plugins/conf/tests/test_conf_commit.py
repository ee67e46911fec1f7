"""Sets of files are put in place whole, with everything kept that is not content, or refused with a reason."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from mtev_conf._disk.commit import (
    ANYTHING,
    Conflict,
    Remove,
    RemoveDirectory,
    Unfinished,
    Write,
    commit,
    digest,
    reading,
)
from mtev_conf._disk.durable import Files
from mtev_kernel.errors import ConfigurationError

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play several users")


class Failing(Files):
    """The real disk, but one operation fails: once, on the paths that a function picks."""

    def __init__(self, operation, error, picked=lambda path: True):
        real = getattr(Files, operation)
        self.struck = []

        def failing(*arguments):
            if not self.struck and picked(Path(arguments[-1]) if isinstance(arguments[-1], Path) else None):
                self.struck.append(arguments)
                raise OSError(error, os.strerror(error))
            return real(self, *arguments)

        setattr(self, operation, failing)


class Meddling(Files):
    """The real disk, but somebody else does something when the first file is synced."""

    def __init__(self, meddle):
        self._meddle = meddle

    def fsync(self, descriptor):
        meddle, self._meddle = self._meddle, lambda: None
        meddle()
        super().fsync(descriptor)


@pytest.fixture
def anchor(tmp_path):
    path = tmp_path / "app.conf"
    path.write_bytes(b"old")
    return path


def snapshot(folder):
    return {
        str(each.relative_to(folder)): each.read_bytes() if each.is_file() else None
        for each in sorted(folder.rglob("*"))
    }


def replaced(path, data):
    return Write(str(path), data, digest(path.read_bytes()))


def refused(anchor, match, **options):
    with pytest.raises(ConfigurationError, match=match), reading(str(anchor), **options):
        pytest.fail("a mixture could have been read")


@contextlib.contextmanager
def interrupted(folder, anchor, changes):
    """Leave a save as a process does that dies right after its commit record is in place."""

    class Died(BaseException):
        pass

    class Dying(Files):
        decided = False

        def rename(self, source, target):
            if self.decided:
                raise Died
            super().rename(source, target)
            self.decided = target.name.endswith(".commit")

        def unlink(self, path):
            if self.decided:
                raise Died
            super().unlink(path)

    with pytest.raises(Died):
        commit(str(anchor), changes, files=Dying())
    yield folder / f".{anchor.name}.commit"


# --- what is put in place ---------------------------------------------------------------------------------------


def test_one_file_is_replaced(anchor, tmp_path):
    assert commit(str(anchor), [replaced(anchor, b"new")]) == []
    assert snapshot(tmp_path) == {"app.conf": b"new"}


def test_nothing_to_do_is_fine(anchor, tmp_path):
    assert commit(str(anchor), []) == []
    assert snapshot(tmp_path) == {"app.conf": b"old"}


def test_a_set_of_every_kind_of_change(anchor, tmp_path):
    store = tmp_path / "store"
    (store / "host#1").mkdir(parents=True)
    (store / "host#1" / ".attrs").write_bytes(b"<host/>")
    (store / "check#2.xml").write_bytes(b"<check/>")
    left = commit(
        str(anchor),
        [
            RemoveDirectory(str(store / "host#1")),
            Remove(str(store / "host#1" / ".attrs"), digest(b"<host/>")),
            replaced(anchor, b"new"),
            replaced(store / "check#2.xml", b"<check b=''/>"),
            Write(str(store / "host#3" / ".attrs"), b"<host a=''/>", None),
            Write(str(store / "host#3" / "item#4" / ".attrs"), b"<item/>", None),
            Write(str(tmp_path / "conf.d" / "more.conf"), b"more", None),
        ],
    )
    assert left == []
    assert snapshot(tmp_path) == {
        "app.conf": b"new",
        "conf.d": None,
        "conf.d/more.conf": b"more",
        "store": None,
        "store/check#2.xml": b"<check b=''/>",
        "store/host#3": None,
        "store/host#3/.attrs": b"<host a=''/>",
        "store/host#3/item#4": None,
        "store/host#3/item#4/.attrs": b"<item/>",
    }


def test_the_anchor_need_not_be_changed_nor_exist(tmp_path):
    commit(str(tmp_path / "app.conf"), [Write(str(tmp_path / "a"), b"1", None), Write(str(tmp_path / "b"), b"2", None)])
    assert snapshot(tmp_path) == {"a": b"1", "b": b"2"}


def test_more_files_than_are_open_at_once(anchor, tmp_path):
    changes = [Write(str(tmp_path / "store" / f"x#{number}.xml"), b"%d" % number, None) for number in range(200)]
    before = len(list(Path("/proc/self/fd").iterdir()))
    commit(str(anchor), changes)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert len(list((tmp_path / "store").iterdir())) == 200


def test_relative_paths_and_odd_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["a b#1%.conf", "ü.conf", os.fsdecode(b"\xff\xfe.conf"), 'q"\\.conf', "line\nbreak.conf"]
    commit("app#1.conf", [Write(name, name.encode("utf-8", "surrogateescape"), None) for name in names])
    assert snapshot(tmp_path) == {name: os.fsencode(name) for name in names}
    with (
        interrupted(tmp_path, tmp_path / "app.conf", [replaced(tmp_path / name, b"2") for name in names]),
        reading("app.conf"),
    ):
        assert snapshot(tmp_path) == dict.fromkeys(names, b"2")


def test_an_anchor_with_a_number_sign_leaves_no_name_with_one(tmp_path):
    anchor = tmp_path / "app#1.conf"
    seen = []

    class Watching(Files):
        def rename(self, source, target):
            seen.extend([source.name, target.name])
            super().rename(source, target)

    commit(str(anchor), [Write(str(anchor), b"1", None), Write(str(tmp_path / "b"), b"2", None)], files=Watching())
    assert [name for name in seen if "#" in name] == ["app#1.conf"]
    assert all(name.startswith(".") for name in seen if name not in {"app#1.conf", "b"})


def test_an_anchor_with_a_very_long_name(tmp_path):
    anchor = tmp_path / ("x" * 255)
    commit(str(anchor), [Write(str(anchor), b"1", None), Write(str(tmp_path / "b"), b"2", None)])
    with reading(str(anchor)) as notices:
        assert notices == []


def test_a_link_stays_and_its_target_is_replaced(anchor, tmp_path):
    link = tmp_path / "links" / "app.conf"
    link.parent.mkdir()
    link.symlink_to("../app.conf")
    commit(str(link), [replaced(link, b"new"), Write(str(link.parent / "x"), b"x", None)])
    assert link.is_symlink()
    assert anchor.read_bytes() == b"new"
    with reading(str(link)):
        pass


def test_what_cannot_be_is_an_error_of_the_caller(anchor, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(anchor)
    with pytest.raises(ValueError, match=r"app\.conf is named twice"):
        commit(str(anchor), [replaced(anchor, b"1"), replaced(link, b"2")])
    with pytest.raises(ValueError, match="is no digest"):
        commit(str(anchor), [Write(str(anchor), b"1", b"old")])
    assert anchor.read_bytes() == b"old"


# --- what is expected -----------------------------------------------------------------------------------------------


def test_all_files_that_are_not_as_expected_are_named(anchor, tmp_path):
    for name in ("changed", "appeared", "kept", "gone"):
        (tmp_path / name).write_bytes(b"somebody's")
    changes = [
        replaced(anchor, b"new"),
        Write(str(tmp_path / "changed"), b"new", digest(b"ours")),
        Write(str(tmp_path / "appeared"), b"new", None),
        Write(str(tmp_path / "deep" / "missing"), b"new", digest(b"ours")),
        Remove(str(tmp_path / "gone"), digest(b"ours")),
        Remove(str(tmp_path / "never"), digest(b"ours")),
        Remove(str(tmp_path / "kept"), digest(b"somebody's")),
    ]
    before = snapshot(tmp_path)
    with pytest.raises(Conflict) as caught:
        commit(str(anchor), changes)
    assert caught.value.paths == tuple(
        str(tmp_path / name) for name in ("changed", "appeared", "deep/missing", "gone", "never")
    )
    for part in (
        "/changed was changed",
        "/appeared was made",
        "/missing was removed",
        "/gone was changed",
        "read the configuration again",
    ):
        assert part in str(caught.value)
    assert snapshot(tmp_path) == before


def test_with_anything_nobody_looks(anchor, tmp_path):
    (tmp_path / "there").write_bytes(b"x")
    changes = [
        Write(str(anchor), b"new", ANYTHING),
        Write(str(tmp_path / "fresh"), b"new", ANYTHING),
        Remove(str(tmp_path / "there"), ANYTHING),
        Remove(str(tmp_path / "never"), ANYTHING),
        RemoveDirectory(str(tmp_path / "never-either")),
    ]
    assert commit(str(anchor), changes) == []
    assert snapshot(tmp_path) == {"app.conf": b"new", "fresh": b"new"}


@pytest.mark.parametrize("count", [1, 2])
def test_who_changes_a_file_while_others_are_written_loses_nothing(anchor, tmp_path, count):
    changes = [replaced(anchor, b"new"), Write(str(tmp_path / "b"), b"new", None)][:count]
    with pytest.raises(Conflict, match=r"app\.conf was changed"):
        commit(str(anchor), changes, files=Meddling(lambda: anchor.write_bytes(b"theirs")))
    assert snapshot(tmp_path) == {"app.conf": b"theirs"}


def test_who_makes_what_is_being_made_loses_nothing(anchor, tmp_path):
    changes = [Write(str(tmp_path / "d" / "f"), b"ours", None), Write(str(tmp_path / "g"), b"ours", None)]
    with pytest.raises(Conflict, match=r"/d was made"):
        commit(str(anchor), changes, files=Meddling((tmp_path / "d").mkdir))
    with pytest.raises(Conflict, match=r"/g was made"):
        commit(str(anchor), changes, files=Meddling(lambda: (tmp_path / "g").write_bytes(b"theirs")))
    with pytest.raises(Conflict, match=r"app\.conf was removed"):
        commit(str(anchor), [replaced(anchor, b"new")], files=Meddling(anchor.unlink))
    assert snapshot(tmp_path) == {"d": None, "g": b"theirs"}


def test_a_file_that_is_only_touched_meanwhile_is_no_conflict(anchor):
    commit(str(anchor), [replaced(anchor, b"new")], files=Meddling(lambda: os.utime(anchor, (1, 1))))
    assert anchor.read_bytes() == b"new"


# --- what cannot be done -------------------------------------------------------------------------------------------


def test_what_is_no_file_is_not_replaced(anchor, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(ConfigurationError, match=f"{name}: it is to be saved, but is no file"):
            commit(str(anchor), [replaced(anchor, b"new"), Write(str(tmp_path / name), b"", ANYTHING)])
    with pytest.raises(ConfigurationError, match="directory, but is none"):
        commit(str(anchor), [RemoveDirectory(str(anchor))])
    with pytest.raises(ConfigurationError, match="Not a directory"):
        commit(str(anchor), [replaced(anchor, b"new"), Write(str(anchor / "below"), b"", None)])
    assert anchor.read_bytes() == b"old"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["app.conf", "folder", "pipe"]


@pytest.mark.parametrize(
    ("operation", "error", "advice"),
    [
        ("create", errno.EACCES, r"Permission denied; user \S+ needs the right to write"),
        ("create", errno.EROFS, "mounted read-only"),
        ("write", errno.ENOSPC, r"No space left on device; free some space on the file system of \S+"),
        ("write", errno.EDQUOT, r"the quota of user \S+ is used up"),
        ("fsync", errno.EIO, "the disk of .* is failing"),
        ("rename", errno.EBUSY, "a mount of its own"),
        ("rename", errno.EMLINK, "Too many links; look at"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_a_failure_says_what_and_what_to_do_and_changes_nothing(anchor, tmp_path, operation, error, advice, count):
    changes = [
        replaced(anchor, b"new"),
        Write(str(tmp_path / "d" / "f"), b"", None),
        Write(str(tmp_path / "g"), b"", None),
    ]
    with pytest.raises(ConfigurationError, match=rf"^{tmp_path}/\S+: it cannot be saved: .*{advice}.*Nothing"):
        commit(str(anchor), changes[:count], files=Failing(operation, error))
    assert snapshot(tmp_path) == {"app.conf": b"old"}


def test_a_full_disk_names_the_file_that_did_not_fit(anchor, tmp_path):
    target = tmp_path / "g"
    with pytest.raises(ConfigurationError, match=f"^{target}: "):
        commit(
            str(anchor),
            [replaced(anchor, b"new"), Write(str(target), b"", None)],
            files=Failing("create", errno.ENOSPC, lambda path: path.name.endswith("-1.tmp")),
        )
    assert snapshot(tmp_path) == {"app.conf": b"old"}


def test_a_failure_at_the_first_step_withdraws_the_decision(anchor, tmp_path):
    changes = [replaced(anchor, b"new"), Write(str(tmp_path / "g"), b"", None)]
    with pytest.raises(ConfigurationError, match=f"^{anchor}: .*Nothing was changed") as caught:
        commit(str(anchor), changes, files=Failing("rename", errno.EBUSY, lambda path: path.name == "app.conf"))
    assert not isinstance(caught.value, Unfinished)
    assert snapshot(tmp_path) == {"app.conf": b"old"}


def test_a_decision_that_is_not_withdrawn_for_certain_keeps_what_it_needs(anchor, tmp_path):
    """A loss of power may bring the record back. Then it is completed; else the next save removes the rest."""
    record = tmp_path / ".app.conf.commit"

    class Broken(Files):
        text = None

        def sync_directory(self, path):
            if record.exists():
                self.text = record.read_bytes()
            if self.text is not None:
                raise OSError(errno.EIO, "Input/output error")
            super().sync_directory(path)

    changes = [replaced(anchor, b"new"), Write(str(tmp_path / "g"), b"", None)]
    for comes_back in (True, False):
        files = Broken()
        with pytest.raises(ConfigurationError, match="Nothing was changed") as caught:
            commit(str(anchor), changes, files=files)
        assert not isinstance(caught.value, Unfinished)
        assert "temporary files are left" in caught.value.__notes__[0]
        with reading(str(anchor)) as notices:
            assert anchor.read_bytes() == b"old"
            assert notices == []
        if comes_back:
            record.write_bytes(files.text)
            with reading(str(anchor)):
                assert snapshot(tmp_path) == {"app.conf": b"new", "g": b""}
            commit(str(anchor), [replaced(anchor, b"old"), Remove(str(tmp_path / "g"), digest(b""))])
    commit(str(anchor), [replaced(anchor, b"newer")])
    assert snapshot(tmp_path) == {"app.conf": b"newer"}


def test_a_failure_at_a_later_step_is_made_good(anchor, tmp_path):
    changes = [replaced(anchor, b"new"), Write(str(tmp_path / "g"), b"", None)]
    with pytest.raises(
        Unfinished, match=r"saved, but not to the end: Input/output error.*The next load or save does what is missing"
    ):
        commit(str(anchor), changes, files=Failing("rename", errno.EIO, lambda path: path.name == "g"))
    with reading(str(anchor)) as notices:
        assert notices == [f"{anchor}: a save that had been interrupted was completed (1 of 2 steps)"]
        assert snapshot(tmp_path) == {"app.conf": b"new", "g": b""}


def test_a_single_file_whose_directory_cannot_be_synced_is_in_force(anchor):
    files = Failing("sync_directory", errno.EIO)
    files.struck.append("the first one is that of the temporary file")
    real = files.sync_directory
    calls = []

    def second(path):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        real(path)

    files.sync_directory = second
    with pytest.raises(Unfinished, match="A loss of power may undo it"):
        commit(str(anchor), [replaced(anchor, b"new")], files=files)
    assert anchor.read_bytes() == b"new"


def test_what_cannot_be_cleaned_up_is_noted_and_removed_by_the_next_save(anchor, tmp_path):
    class Stuck(Files):
        def write(self, descriptor, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def unlink(self, path):
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(ConfigurationError) as caught:
        commit(str(anchor), [replaced(anchor, b"new")], files=Stuck())
    assert "temporary files are left" in caught.value.__notes__[0]
    assert len(snapshot(tmp_path)) == 2
    commit(str(anchor), [replaced(anchor, b"new")])
    assert snapshot(tmp_path) == {"app.conf": b"new"}


def test_left_over_temporary_files_never_become_more(anchor, tmp_path):
    class Died(BaseException):
        pass

    class Dying(Files):
        def rename(self, source, target):
            raise Died

        def unlink(self, path):
            raise Died

    several = [Write(str(tmp_path / f"g{number}"), b"", None) for number in range(5)]
    several.append(Write(str(tmp_path / "d" / "e" / "f"), b"", None))
    commit(str(anchor), several[:0])
    with pytest.raises(Died):
        commit(str(anchor), several, files=Dying())
    counted = len(snapshot(tmp_path))
    assert counted == 1 + 5 + 3 + 1  # the anchor, the new files, the tree, the record that was not renamed

    class Weaker(Dying):
        unlink = Files.unlink

    for _ in range(3):
        with pytest.raises(Died):
            commit(str(anchor), several, files=Weaker())
    with reading(str(anchor)) as notices:
        assert notices == []
    commit(str(anchor), [replaced(anchor, b"new")])
    assert snapshot(tmp_path) == {"app.conf": b"new"}


def test_a_mount_is_not_replaced_as_part_of_a_set(anchor, tmp_path, monkeypatch):
    monkeypatch.setattr("mtev_conf._disk.commit._mount_points", lambda: {anchor})
    with pytest.raises(ConfigurationError, match="mount its directory instead"):
        commit(str(anchor), [Write(str(tmp_path / "g"), b"", None), replaced(anchor, b"new")])
    assert snapshot(tmp_path) == {"app.conf": b"old"}


def test_a_directory_that_is_a_mount_stays(anchor, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    changes = [replaced(anchor, b"new"), RemoveDirectory(str(store))]
    assert commit(str(anchor), changes, files=Failing("rmdir", errno.EBUSY)) == [str(store)]


def test_a_file_system_mounted_read_only_is_told_from_missing_rights(anchor, tmp_path, monkeypatch):
    read_only = os.statvfs_result((*os.statvfs(tmp_path)[:8], os.ST_RDONLY, 255))
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    for status, what in ((os.statvfs(tmp_path), "needs the right to write"), (read_only, "mounted read-only")):
        monkeypatch.setattr(os, "statvfs", lambda _, status=status: status)
        with pytest.raises(ConfigurationError, match=what):
            commit(str(anchor), [Remove(str(anchor), digest(b"old")), Write(str(tmp_path / "g"), b"", None)])


def test_mounts_are_known():
    from mtev_conf._disk.commit import _mount_points

    assert Path("/proc") in _mount_points()


def test_a_file_protected_by_an_attribute_is_not_replaced_as_part_of_a_set(anchor, tmp_path):
    done = (
        subprocess.run(["chattr", "+i", str(anchor)], check=False, capture_output=True) if os.geteuid() == 0 else None
    )
    if done is None or done.returncode:
        pytest.skip("chattr is not possible here")
    try:
        with pytest.raises(ConfigurationError, match=r"app\.conf: an attribute protects it .*chattr"):
            commit(str(anchor), [Write(str(tmp_path / "g"), b"", None), replaced(anchor, b"new")])
    finally:
        subprocess.run(["chattr", "-i", str(anchor)], check=True)
    assert snapshot(tmp_path) == {"app.conf": b"old"}


@contextlib.contextmanager
def acting_as(user):
    os.setegid(user)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def public():
    """A directory that other users can reach, which pytest's is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@as_root
def test_a_user_who_may_not_write_is_told(public):
    anchor = public / "app.conf"
    anchor.write_bytes(b"old")
    (public / "d").mkdir()
    (public / "d" / "f").write_bytes(b"old")
    (public / "sticky").mkdir()
    (public / "sticky").chmod(0o1777)
    (public / "sticky" / "f").write_bytes(b"old")
    before = snapshot(public)
    with (
        acting_as(NOBODY),
        pytest.raises(ConfigurationError, match=r"cannot be saved: Permission denied; user \w+ needs"),
    ):
        commit(str(anchor), [replaced(anchor, b"new")])
    own = public / "own"
    own.mkdir()
    own.chmod(0o777)
    for change in (Remove(str(public / "d" / "f"), digest(b"old")), Remove(str(public / "sticky" / "f"), ANYTHING)):
        with (
            acting_as(NOBODY),
            pytest.raises(ConfigurationError, match=r"needs the right to write.*Nothing was changed"),
        ):
            commit(str(anchor), [Write(str(own / "g"), b"", None), change])
    with acting_as(NOBODY), pytest.raises(ConfigurationError, match=r"it belongs to root \(0:0, mode 0644\)"):
        commit(str(anchor), [replaced(public / "sticky" / "f", b"new")])
    own.rmdir()
    assert snapshot(public) == before


@as_root
def test_who_may_not_complete_an_interrupted_save_is_told_who_can(public):
    anchor = public / "app.conf"
    anchor.write_bytes(b"old")
    with interrupted(public, anchor, [replaced(anchor, b"new"), Write(str(public / "b"), b"", None)]):
        with acting_as(NOBODY):
            refused(anchor, r"may not do: Permission denied .* such as root$")
        assert anchor.read_bytes() == b"old"
        with reading(str(anchor)):
            assert anchor.read_bytes() == b"new"


@as_root
def test_a_directory_that_may_not_be_listed_cannot_be_locked(public):
    (public / "app.conf").write_bytes(b"old")
    public.chmod(0o711)
    with acting_as(NOBODY):
        refused(public / "app.conf", "must be allowed to read and search it")


@as_root
def test_root_completes_what_the_owner_of_the_configuration_began(public):
    anchor = public / "app.conf"
    os.chown(public, NOBODY, NOBODY)
    with acting_as(NOBODY):
        anchor.write_bytes(b"old")
        with interrupted(public, anchor, [replaced(anchor, b"new"), Write(str(public / "b"), b"", None)]) as record:
            assert record.stat().st_uid == NOBODY
    with reading(str(anchor)):
        assert anchor.read_bytes() == b"new"
    assert anchor.stat().st_uid == (public / "b").stat().st_uid == NOBODY


@as_root
def test_nobody_elses_record_is_obeyed(public):
    anchor = public / "app.conf"
    anchor.write_bytes(b"old")
    with interrupted(public, anchor, [replaced(anchor, b"new"), Write(str(public / "b"), b"", None)]) as record:
        os.chown(record, NOBODY, NOBODY)
        refused(anchor, r"\.app\.conf\.commit: .* who owns neither")
        assert anchor.read_bytes() == b"old"


# --- directories ------------------------------------------------------------------------------------------------------


def test_directories_with_something_in_them_stay_and_are_returned(anchor, tmp_path):
    for name in ("a", "a/b", "a/b/c", "d"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "b" / "notes.txt").write_bytes(b"mine")
    changes = [RemoveDirectory(str(tmp_path / name)) for name in ("a", "a/b", "a/b/c", "d", "never")]
    assert commit(str(anchor), changes) == [str(tmp_path / "a" / "b"), str(tmp_path / "a")]
    assert snapshot(tmp_path) == {"a": None, "a/b": None, "a/b/notes.txt": b"mine", "app.conf": b"old"}


def test_left_over_temporary_files_do_not_keep_a_directory(anchor, tmp_path):
    class Died(BaseException):
        pass

    class Dying(Files):
        def fsync(self, descriptor):
            raise Died

        def unlink(self, path):
            raise Died

    folder = tmp_path / "host#1"
    folder.mkdir()
    (folder / ".attrs").write_bytes(b"1")
    with pytest.raises(Died):
        commit(str(anchor), [replaced(folder / ".attrs", b"2")], files=Dying())
    assert len(list(folder.iterdir())) == 2
    (tmp_path / "other.conf").write_bytes(b"")
    changes = [Remove(str(folder / ".attrs"), digest(b"1")), RemoveDirectory(str(folder))]
    assert commit(str(anchor), changes) == []
    assert not folder.exists()


# --- completing an interrupted save --------------------------------------------------------------------------------


@pytest.fixture
def half(anchor, tmp_path):
    """A save of three files and a directory that is decided on, and not begun."""
    (tmp_path / "b").write_bytes(b"old b")
    (tmp_path / "c").write_bytes(b"old c")
    changes = [
        replaced(anchor, b"new"),
        replaced(tmp_path / "b", b"new b"),
        Remove(str(tmp_path / "c"), digest(b"old c")),
        Write(str(tmp_path / "d" / "e"), b"new e", None),
    ]
    with interrupted(tmp_path, anchor, changes) as record:
        yield record


DONE = {"app.conf": b"new", "b": b"new b", "d": None, "d/e": b"new e"}


def test_reading_completes_it(half, anchor, tmp_path):
    with reading(str(anchor)) as notices:
        assert snapshot(tmp_path) == DONE
    assert notices == [f"{anchor}: a save that had been interrupted was completed (4 of 4 steps)"]
    with reading(str(anchor)) as notices:
        assert notices == []


def test_the_next_save_completes_it_first(half, anchor, tmp_path):
    with pytest.raises(Conflict, match=r"app\.conf was changed"):
        commit(str(anchor), [replaced(anchor, b"newer")])
    assert snapshot(tmp_path) == DONE
    commit(str(anchor), [replaced(anchor, b"newer")])
    assert anchor.read_bytes() == b"newer"


def test_it_is_completed_where_the_directory_has_another_name(half, tmp_path):
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    tmp_path.rename(moved)
    with reading(str(moved / "app.conf")):
        assert snapshot(moved) == DONE


def test_a_damaged_record_is_an_error_that_names_it(half, anchor, tmp_path):
    good = half.read_bytes()
    for bad in (
        b"",
        good[:-1],
        good.replace(b"app.conf", b"app.cont"),
        b"x" + good,
        good.replace(b"commit 1", b"commit 2", 1),
    ):
        half.write_bytes(bad)
        before = snapshot(tmp_path)
        refused(anchor, f"^{half}: the record of an interrupted save ")
        with pytest.raises(ConfigurationError, match=f"^{half}: "):
            commit(str(anchor), [replaced(anchor, b"newer")])
        assert snapshot(tmp_path) == before
    half.unlink()
    half.symlink_to(anchor)
    refused(anchor, "has to be completed")


@pytest.mark.parametrize(
    ("meddle", "problem"),
    [
        (
            lambda folder: (folder / "app.conf").write_bytes(b"by hand"),
            r"app\.conf has been changed; the version that was saved is \S+-0\.tmp",
        ),
        (lambda folder: (folder / "c").write_bytes(b"by hand"), r"/c was to be removed, but has been changed"),
        (lambda folder: (folder / "d").mkdir(), r"/d has been made; the version"),
        (
            lambda folder: next(folder.glob(".mtev-*-0.tmp")).unlink(),
            r"app\.conf is not the version that was saved, and \S+ is gone",
        ),
        (
            lambda folder: next(folder.glob(".mtev-*-1.tmp")).write_bytes(b"x"),
            r"1\.tmp is not what was written for \S+/b",
        ),
        (lambda folder: next(folder.glob(".mtev-*-2.tmp")).rename(folder / "elsewhere"), r"/d is not in place"),
    ],
)
def test_files_that_were_changed_since_are_named_and_nothing_is_done(half, anchor, tmp_path, meddle, problem):
    meddle(tmp_path)
    before = snapshot(tmp_path)
    refused(anchor, rf"cannot be completed because.*\n  .*{problem}.*\n.*remove {half} ")
    assert snapshot(tmp_path) == before
    half.unlink()
    with reading(str(anchor)) as notices:
        assert notices == []


def test_a_failure_to_complete_it_says_why_and_can_be_repeated(half, anchor, tmp_path):
    for operation in ("rename", "unlink", "sync_directory"):
        refused(anchor, "but that failed: Input/output error.* is failing", files=Failing(operation, errno.EIO))
    with reading(str(anchor)):
        assert snapshot(tmp_path) == DONE


def test_an_interrupt_after_the_decision_leaves_it_decided(anchor, tmp_path):
    def interrupt(source, target):
        Files().rename(source, target)
        if not target.name.endswith(".commit"):
            raise KeyboardInterrupt

    files = Files()
    files.rename = interrupt
    with pytest.raises(KeyboardInterrupt):
        commit(str(anchor), [replaced(anchor, b"new"), Write(str(tmp_path / "b"), b"", None)], files=files)
    with reading(str(anchor)):
        assert snapshot(tmp_path) == {"app.conf": b"new", "b": b""}


def test_an_interrupt_before_the_decision_leaves_nothing(anchor, tmp_path):
    files = Files()
    files.rename = lambda source, target: (_ for _ in ()).throw(KeyboardInterrupt)
    for changes in ([replaced(anchor, b"new")], [replaced(anchor, b"new"), Write(str(tmp_path / "b"), b"", None)]):
        with pytest.raises(KeyboardInterrupt):
            commit(str(anchor), changes, files=files)
        assert snapshot(tmp_path) == {"app.conf": b"old"}
