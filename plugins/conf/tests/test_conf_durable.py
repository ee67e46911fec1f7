"""The new version of a file has the mode, owner, access list and attributes of the old one."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from mtev_conf._disk.commit import Write, commit, digest
from mtev_conf._disk.durable import Files
from mtev_kernel.errors import ConfigurationError

ACL = "system.posix_acl_access"
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def failing(operation, error):
    def fail(*arguments):
        raise OSError(error, os.strerror(error))

    files = Files()
    setattr(files, operation, fail)
    return files


@pytest.fixture
def anchor(tmp_path):
    path = tmp_path / "app.conf"
    path.write_bytes(b"old")
    path.chmod(0o644)
    return path


def replaced(path, data):
    return Write(str(path), data, digest(path.read_bytes()))


def nothing_changed(anchor):
    return list(anchor.parent.iterdir()) == [anchor] and anchor.read_bytes() == b"old"


def test_mode_is_kept_whatever_the_umask(anchor):
    for mode in (0o600, 0o664, 0o444, 0o4755):
        anchor.chmod(mode)
        before = os.umask(0o077)
        try:
            commit(str(anchor), [replaced(anchor, b"%o" % mode)])
        finally:
            os.umask(before)
        assert stat.S_IMODE(anchor.stat().st_mode) == mode


def test_new_files_and_directories_are_for_the_owner_and_the_group(anchor, tmp_path):
    for umask in (0o077, 0o000):
        before = os.umask(umask)
        try:
            commit(str(anchor), [Write(str(tmp_path / f"d{umask}" / "e" / "f"), b"", None)])
            commit(str(anchor), [Write(str(tmp_path / f"f{umask}"), b"", None)])
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / f"f{umask}").stat().st_mode) == 0o640
        assert stat.S_IMODE((tmp_path / f"d{umask}" / "e" / "f").stat().st_mode) == 0o640
        assert stat.S_IMODE((tmp_path / f"d{umask}").stat().st_mode) == 0o750
        assert stat.S_IMODE((tmp_path / f"d{umask}" / "e").stat().st_mode) == 0o750


def test_a_new_directory_inherits_the_group_bit(anchor, tmp_path):
    above = tmp_path / "shared"
    above.mkdir()
    above.chmod(0o2770)
    commit(str(anchor), [Write(str(above / "new" / "f"), b"", None)])
    assert stat.S_IMODE((above / "new").stat().st_mode) == 0o2750


@as_root
def test_the_owner_is_kept(anchor):
    os.chown(anchor, 12, 34)
    anchor.chmod(0o4640)
    commit(str(anchor), [replaced(anchor, b"new")])
    status = anchor.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o4640)


@as_root
def test_an_owner_that_cannot_be_kept_is_named(anchor, tmp_path):
    os.chown(anchor, 12, 34)
    with pytest.raises(ConfigurationError, match=r"app\.conf: it belongs to \w+ \(12:34, mode 0644\), and user root"):
        commit(str(anchor), [replaced(anchor, b"new")], files=failing("chown", errno.EPERM))
    with pytest.raises(ConfigurationError, match=r"12:34.*do not allow it; save as root"):
        commit(str(anchor), [replaced(anchor, b"new")], files=type("Deaf", (Files,), {"chown": lambda *_: None})())
    assert nothing_changed(anchor)


def attributes_or_skip(path, name, value):
    try:
        os.setxattr(path, name, value)
    except OSError:
        pytest.skip(f"this file system takes no {name}")


def acl(*entries):
    return b"\2\0\0\0" + b"".join(
        tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + number.to_bytes(4, "little")
        for tag, rights, number in entries
    )


NONE = 0xFFFFFFFF
# user::rw- user:nobody:r-- group::--- mask::r-- other::---
LIST = acl((1, 6, NONE), (2, 4, NOBODY), (4, 0, NONE), (16, 4, NONE), (32, 0, NONE))


def test_access_lists_are_kept(anchor):
    attributes_or_skip(anchor, ACL, LIST)
    mode = anchor.stat().st_mode
    commit(str(anchor), [replaced(anchor, b"new")])
    assert anchor.read_bytes() == b"new"
    assert os.getxattr(anchor, ACL) == LIST
    assert anchor.stat().st_mode == mode


def test_an_access_list_that_the_directory_gives_to_new_files_opens_none_that_exists(anchor, tmp_path):
    anchor.chmod(0o640)
    attributes_or_skip(tmp_path, "system.posix_acl_default", LIST)
    commit(str(anchor), [replaced(anchor, b"new"), Write(str(tmp_path / "fresh"), b"", None)])
    assert ACL not in os.listxattr(anchor)
    assert stat.S_IMODE(anchor.stat().st_mode) == 0o640
    assert ACL in os.listxattr(tmp_path / "fresh")


def test_other_attributes_are_kept_where_possible(anchor):
    attributes_or_skip(anchor, "user.note", b"hello")
    commit(str(anchor), [replaced(anchor, b"new")])
    assert os.getxattr(anchor, "user.note") == b"hello"
    commit(str(anchor), [replaced(anchor, b"newer")], files=failing("set_attribute", errno.EPERM))
    assert "user.note" not in os.listxattr(anchor)


def test_an_access_list_that_cannot_be_kept_is_a_failure(anchor, tmp_path):
    attributes_or_skip(anchor, ACL, LIST)
    with pytest.raises(ConfigurationError, match="Nothing was changed"):
        commit(str(anchor), [replaced(anchor, b"new")], files=failing("set_attribute", errno.EPERM))
    assert nothing_changed(anchor)


def test_any_other_failure_with_an_attribute_is_one(anchor, tmp_path):
    attributes_or_skip(anchor, "user.note", b"hello")
    with pytest.raises(ConfigurationError, match="No space left on device; free some space"):
        commit(str(anchor), [replaced(anchor, b"new")], files=failing("set_attribute", errno.ENOSPC))
    assert nothing_changed(anchor)


# --- file systems that can do less -----------------------------------------------------------------------------------


def test_a_file_system_without_attributes(anchor, monkeypatch):
    def unsupported(*arguments, **options):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "listxattr", unsupported)
    commit(str(anchor), [replaced(anchor, b"new")])
    assert anchor.read_bytes() == b"new"


def test_an_attribute_that_may_not_be_read_is_left_out_and_any_other_failure_is_one(anchor, monkeypatch):
    monkeypatch.setattr(os, "listxattr", lambda file, **options: ["user.secret"])
    reason = [errno.EACCES, "Permission denied"]

    def refuse(*arguments, **options):
        raise OSError(*reason)

    monkeypatch.setattr(os, "getxattr", refuse)
    commit(str(anchor), [replaced(anchor, b"new")])
    assert anchor.read_bytes() == b"new"
    reason[:] = [errno.EIO, "Input/output error"]
    with pytest.raises(ConfigurationError, match="Input/output error"):
        commit(str(anchor), [replaced(anchor, b"newer")])
    assert anchor.read_bytes() == b"new"


def test_a_file_system_that_cannot_sync_directories(anchor, monkeypatch):
    real = os.fsync
    broken = []

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(*(broken or [errno.EINVAL, "Invalid argument"]))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    commit(str(anchor), [replaced(anchor, b"new")])
    assert anchor.read_bytes() == b"new"
    broken.extend([errno.EIO, "Input/output error"])
    with pytest.raises(ConfigurationError, match="Input/output error"):
        commit(str(anchor), [replaced(anchor, b"newer")])
    assert anchor.read_bytes() == b"new"
