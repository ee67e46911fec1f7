"""Opening the live file of a log, or making it, so that it is surely the one that the path names."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ._sharing import names, share
from .options import FileOptions

__all__ = ["DIRECTORY_MODE", "LiveFile", "open_live"]

DIRECTORY_MODE = 0o750
"""Mode of directories that are made, less what the umask takes away."""

_ATTEMPTS = 100
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY


@dataclass(slots=True)
class LiveFile:
    """An open live file.

    Args:
        fd: its descriptor, for appending.
        status: what it was when it was opened.
        made: whether it was made here.
        shared: whether the lock of a writer is held, as far as one is needed.
        torn: whether it ends in half a line.
    """

    fd: int
    status: os.stat_result
    made: bool
    shared: bool
    torn: bool

    @property
    def regular(self) -> bool:
        """Whether it is a file on a disk, not a pipe or a device."""
        return stat.S_ISREG(self.status.st_mode)


def open_live(path: Path, options: FileOptions) -> LiveFile:
    """Open the file that a path names, or make it. Blocks on the file system.

    Raises:
        OSError: it cannot be had.
    """
    for _ in range(_ATTEMPTS):
        fd, made = _open_or_make(path, options)
        try:
            found = LiveFile(fd, os.fstat(fd), made, shared=True, torn=False)
            if not found.regular:
                return found
            found.shared = share(fd)
            if names(path, found.status):
                found.torn = _ends_in_half_a_line(path, found.status)
                return found
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
    raise OSError(errno.EAGAIN, "the path comes to mean another file all the time", str(path))


def _open_or_make(path: Path, options: FileOptions) -> tuple[int, bool]:
    try:
        return os.open(path, _FLAGS), False
    except FileNotFoundError:
        if options.make_directories:
            _make_directory(path.parent, options)
    try:
        fd = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, options.mode)
    except FileExistsError:  # another process was faster, or it is a link to nothing
        return os.open(path, _FLAGS | os.O_CREAT, options.mode), False
    try:
        if (options.uid, options.gid) != (-1, -1):
            os.fchown(fd, options.uid, options.gid)
    except OSError:
        os.close(fd)
        raise
    return fd, True


def _make_directory(path: Path, options: FileOptions) -> None:
    if path.is_dir():
        return
    _make_directory(path.parent, options)
    try:
        path.mkdir(DIRECTORY_MODE)
    except FileExistsError:  # another process was faster
        return
    if (options.uid, options.gid) != (-1, -1):
        os.chown(path, options.uid, options.gid)


def _ends_in_half_a_line(path: Path, status: os.stat_result) -> bool:
    if status.st_size == 0:
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:  # it may be written but not read, so nobody can tell
        return False
    try:
        if not os.path.samestat(os.fstat(fd), status):
            return False
        return os.pread(fd, 1, status.st_size - 1) not in (b"", b"\n")
    finally:
        os.close(fd)
