"""System calls that change what is on disk, one per method, and what every durable write needs of them.

`Files` is the one door through which saving reaches the disk. Tests put another one in its place, to fail or to die at
any call, and to see that the calls come in an order that survives a loss of power.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path

from mtev_kernel.errors import ConfigurationError

__all__ = ["Files", "carry_over", "explain", "remove_tree", "user_name", "write_all"]

_ACL = "system.posix_acl_access"
_OF_THE_CONTENT = frozenset({"security.ima", "security.evm"})
"""Attributes that vouch for the bytes of one version: on another version they would make the file unreadable."""
_NOT_OURS_TO_SET = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL})
_GONE = frozenset({errno.ENODATA, errno.ENOTSUP, errno.EACCES, errno.EPERM})


class Files:
    """The real disk. Every method blocks, raises OSError, and may be called from any thread."""

    def create(self, path: Path, mode: int = 0o600) -> int:
        """Make a new file, never through a link, and open it for writing; returns the descriptor."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of the data; returns how many bytes."""
        return os.write(descriptor, data)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        """Cut a file to a size."""
        os.ftruncate(descriptor, size_bytes)

    def chown(self, descriptor: int, user: int, group: int) -> None:
        """Give a file to a user and a group."""
        os.fchown(descriptor, user, group)

    def chmod(self, descriptor: int, mode: int) -> None:
        """Set the mode of a file or directory, whatever the umask."""
        os.fchmod(descriptor, mode)

    def set_attribute(self, descriptor: int, name: str, value: bytes) -> None:
        """Set an extended attribute."""
        os.setxattr(descriptor, name, value)

    def remove_attribute(self, descriptor: int, name: str) -> None:
        """Take an extended attribute away."""
        os.removexattr(descriptor, name)

    def fsync(self, descriptor: int) -> None:
        """Wait until the content of an open file is on the medium."""
        os.fsync(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Wait until the names in a directory are on the medium, where the file system can be asked for that."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Some network file systems know no such thing: they answer that the request makes no sense.
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Put a file or directory in the place of another, in one step."""
        source.rename(target)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def mkdir(self, path: Path, mode: int) -> None:
        """Make a directory; the umask applies."""
        path.mkdir(mode)

    def rmdir(self, path: Path) -> None:
        """Remove an empty directory."""
        path.rmdir()


def write_all(files: Files, descriptor: int, data: bytes) -> None:
    """Write all of the data. Blocks; raises OSError when the disk is full, among others."""
    rest = memoryview(data)
    while rest:
        rest = rest[files.write(descriptor, rest) :]


def remove_tree(files: Files, path: Path) -> None:
    """Remove a file, a link, or a directory with all that is in it. Blocks; raises OSError."""
    if stat.S_ISDIR(path.lstat().st_mode):
        for each in list(path.iterdir()):
            remove_tree(files, each)
        files.rmdir(path)
    else:
        files.unlink(path)


def carry_over(files: Files, descriptor: int, path: Path, before: os.stat_result) -> None:
    """Give the new version of a file the owner, mode, access list and other extended attributes of the present one.

    Args:
        files: the way to the disk.
        descriptor: the new version, open for writing.
        path: the present version.
        before: its status.

    Raises:
        ConfigurationError: owner or mode cannot be kept; the message names them.
        OSError: another call failed; an access list that cannot be kept is such a failure, because its absence may
            open the file to others. A label that this process may not set is left to the system instead.
    """
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
        try:
            files.chown(descriptor, before.st_uid, before.st_gid)
        except OSError as error:
            raise _not_kept(path, before, error.strerror or type(error).__name__) from error
    files.chmod(descriptor, stat.S_IMODE(before.st_mode))
    wanted, present = _attributes(path), _attributes(descriptor)
    if _ACL in present and _ACL not in wanted:
        # Inherited from the directory's default list; the present version does without, so nobody named there may read.
        files.remove_attribute(descriptor, _ACL)
    for name, value in wanted.items():
        if name in _OF_THE_CONTENT or present.get(name) == value:
            continue
        try:
            files.set_attribute(descriptor, name, value)
        except OSError as error:
            if name == _ACL or error.errno not in _NOT_OURS_TO_SET:
                raise
    after = os.fstat(descriptor)
    if (after.st_uid, after.st_gid, after.st_mode) != (before.st_uid, before.st_gid, before.st_mode):
        raise _not_kept(path, before, "the file system or the rights of this process do not allow it")


def _attributes(file: Path | int) -> dict[str, bytes]:
    """The extended attributes that this process may see; none where the file system has no such thing."""
    found: dict[str, bytes] = {}
    try:
        names = os.listxattr(file) if isinstance(file, int) else os.listxattr(file, follow_symlinks=False)
    except OSError as error:
        if error.errno in _GONE:
            return found
        raise
    for name in names:
        try:
            if isinstance(file, int):
                found[name] = os.getxattr(file, name)
            else:
                found[name] = os.getxattr(file, name, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _GONE:
                raise
    return found


def _not_kept(path: Path, before: os.stat_result, reason: str) -> ConfigurationError:
    owner, mode = f"{before.st_uid}:{before.st_gid}", f"{stat.S_IMODE(before.st_mode):04o}"
    return ConfigurationError(
        f"it belongs to {user_name(before.st_uid)} ({owner}, mode {mode}), and user {user_name()} cannot make a new "
        f"version that keeps that: {reason}; save as root or as {user_name(before.st_uid)}, or give the file to "
        f"{user_name()} (chown). Nothing was changed",
        str(path),
    )


def user_name(uid: int | None = None) -> str:
    """Name of a user, or its number when it has none; of the one that this process acts as when None."""
    number = os.geteuid() if uid is None else uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def explain(error: OSError, directory: Path) -> str:
    """Say what failed and what to do about it, as one clause.

    Args:
        error: what the system said.
        directory: where the files were to be put.
    """
    what = error.strerror or type(error).__name__
    if error.errno == errno.ENOSPC:
        advice = f"free some space on the file system of {directory}, then try again"
    elif error.errno == errno.EDQUOT:
        advice = f"the quota of user {user_name()} is used up in {directory}; free some space, then try again"
    elif error.errno in {errno.EACCES, errno.EPERM}:
        advice = f"user {user_name()} needs the right to write, search and remove files in {directory}"
    elif error.errno == errno.EROFS:
        advice = f"{directory} is mounted read-only; mount it writable or keep the file elsewhere"
    elif error.errno in {errno.EBUSY, errno.EXDEV}:
        advice = (
            "the file is a mount of its own, as of a container, and cannot be replaced; mount its directory instead"
        )
    elif error.errno == errno.EIO:
        advice = f"the disk of {directory} is failing; see the system's log"
    else:
        advice = f"look at {error.filename or directory}, then try again"
    return f"{what}; {advice}"
