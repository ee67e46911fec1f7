"""Opening static files so that nothing outside of their root is ever read.

Each directory on the way is opened by its name relative to the one before, without following links. A link is resolved
by hand, against the root, and at most a few of them: one that leads out of the root, or is absolute, is refused. So
there is no moment between looking and opening in which somebody could exchange what was looked at.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["OpenFile", "open_below", "open_file"]

_MAX_LINKS = 16
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not hold up the loop
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.EACCES)


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that was opened.

    Attributes:
        descriptor: for whoever has this to close.
        size_bytes: when it was opened.
        modified_s: when it was changed last, in seconds since the epoch.
        tag: its entity tag.
    """

    descriptor: int
    size_bytes: int
    modified_s: float
    tag: str


def open_below(root: str, names: Sequence[str]) -> OpenFile | None:
    """Open a file below a root. Blocks as long as the file system takes.

    Args:
        root: a directory; links in its own path are followed.
        names: from there to the file; none of them is empty, `.` or `..`.

    Returns:
        The file; None when there is none, it is no plain file, may not be read, or a link leads out of the root.

    Raises:
        OSError: something else is wrong, with the root for one.
    """
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = _walk(top, list(names))
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    finally:
        os.close(top)
    return _opened(descriptor) if descriptor is not None else None


def open_file(path: str | os.PathLike[str]) -> OpenFile | None:
    """Open a file of the service's own choice; links are followed. Blocks as long as the file system takes.

    Returns:
        The file; None when there is none, or it is no plain file.

    Raises:
        OSError: it may not be read, or something else is wrong.
    """
    try:
        return _opened(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _opened(descriptor: int) -> OpenFile | None:
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            os.close(descriptor)
            return None
    except BaseException:
        os.close(descriptor)
        raise
    tag = f'"{about.st_size:x}-{about.st_mtime_ns:x}-{about.st_ino:x}"'
    return OpenFile(descriptor, about.st_size, about.st_mtime, tag)


def _walk(top: int, names: list[str]) -> int | None:
    """Open the file at the end of a way; None when a link on it leads out."""
    way = [os.dup(top)]  # the directories from the root to where we are
    links = 0
    try:
        while names:
            name = names.pop(0)
            if name == "..":
                if len(way) == 1:
                    return None
                os.close(way.pop())
                continue
            try:
                opened = os.open(name, _DIRECTORY if names else _FILE, dir_fd=way[-1])
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
                    raise
                links += 1
                target = _target(name, way[-1])
                if target is None or links > _MAX_LINKS:
                    return None
                names[:0] = target
                continue
            if not names:
                return opened
            way.append(opened)
        return None  # a link to a directory
    finally:
        for descriptor in way:
            os.close(descriptor)


def _target(name: str, directory: int) -> list[str] | None:
    """The names that a link stands for; None when it is no link, or an absolute one."""
    try:
        target = os.readlink(name, dir_fd=directory)
    except OSError:
        return None
    return None if target.startswith("/") else [part for part in target.split("/") if part not in ("", ".")]
