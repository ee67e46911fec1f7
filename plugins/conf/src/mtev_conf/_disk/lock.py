"""The lock that keeps saves and loads of one configuration apart: `flock` on the directory that the file is in.

No lock file is needed, so nothing is left behind, a reader needs no right to write, and the lock of a process that dies
is gone with it. It holds between processes and between threads of one host. Whoever may read the directory may hold
the lock; waiting is bounded, and the message names the holder.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtev_kernel.errors import ConfigurationError

from .durable import user_name

__all__ = ["holders", "locked", "named_holders", "try_lock"]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.05


@contextmanager
def locked(directory: Path, subject: Path, *, exclusive: bool, timeout_s: float) -> Iterator[None]:
    """Hold the lock of a directory. Blocks for at most `timeout_s`; not re-entrant, also not within one thread.

    Args:
        directory: what is locked.
        subject: the file that it is about, for messages.
        exclusive: for a writer; else shared with other readers.
        timeout_s: how long to wait, in seconds; 0 tries once.

    Raises:
        ConfigurationError: the directory cannot be opened or locked, or somebody else keeps it.
    """
    deadline = time.monotonic() + timeout_s
    pause = _FIRST_PAUSE_S
    while True:
        descriptor = _open(directory, subject)
        try:
            if _lock(descriptor, directory, subject, exclusive):
                # One that was renamed away meanwhile would be locked beside another of the same name.
                if _is_still(descriptor, directory):
                    try:
                        yield
                    finally:
                        # A child forked meanwhile shares the descriptor, and would keep the lock that is only closed.
                        fcntl.flock(descriptor, fcntl.LOCK_UN)
                    return
            elif time.monotonic() >= deadline:
                raise ConfigurationError(
                    f"it is being read or saved by {named_holders(descriptor)}, which did not finish within "
                    f"{timeout_s:g} s; wait for it, or end it if it hangs, then try again",
                    str(subject),
                )
        finally:
            os.close(descriptor)
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def try_lock(descriptor: int, *, exclusive: bool) -> bool:
    """Take the lock of an open file or directory if it is free; does not block. Raises OSError where there is none."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holders(locks: str, device: int, inode: int) -> list[int]:
    """Find who holds a lock, in the text of `/proc/locks`. Pure.

    Args:
        locks: the text.
        device: `st_dev` of the locked file.
        inode: its `st_ino`.

    Returns:
        Process ids, without those that this process cannot see (0 or less).
    """
    place = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    found: list[int] = []
    for line in locks.splitlines():
        # number: FLOCK ADVISORY WRITE pid device:inode start end; a waiting one has "->" before its kind
        words = line.split()
        if len(words) >= 6 and words[1] == "FLOCK" and words[5] == place and words[4].isdigit() and int(words[4]):
            found.append(int(words[4]))
    return found


def named_holders(descriptor: int) -> str:
    """Who holds the lock of an open file or directory, in words; as good as the system tells."""
    place = os.fstat(descriptor)
    text = "\n".join(_lines("/proc/locks"))
    names = []
    for process in sorted(set(holders(text, place.st_dev, place.st_ino))):
        name = " ".join(_lines(f"/proc/{process}/comm"))
        own = "this process itself, " if process == os.getpid() else ""
        names.append(f"{own}process {process} ({name})" if name else f"{own}process {process}")
    return " and ".join(names) or "another process"


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []  # it only makes a message better: without /proc, or when the process has ended, there is less to say


def _open(directory: Path, subject: Path) -> int:
    try:
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError as error:
        raise ConfigurationError(
            f"its directory {directory} cannot be opened: {error.strerror}; loading locks it against a save in another "
            f"process, for which user {user_name()} must be allowed to read and search it",
            str(subject),
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"its directory {directory} cannot be opened: {error.strerror}; look at the path", str(subject)
        ) from error


def _lock(descriptor: int, directory: Path, subject: Path, exclusive: bool) -> bool:
    try:
        return try_lock(descriptor, exclusive=exclusive)
    except OSError as error:
        raise ConfigurationError(
            f"its directory {directory} cannot be locked: {error.strerror}; the file system must know flock()",
            str(subject),
        ) from error


def _is_still(descriptor: int, directory: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), directory.stat())
    except FileNotFoundError:
        return False
