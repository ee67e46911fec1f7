"""What of one save is on disk under temporary names, before it is decided on. See `commit`."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from .commit_record import temporary_name
from .durable import Files, carry_over, remove_tree, write_all

__all__ = ["Staging"]

_FILE_MODE, _DIRECTORY_MODE = 0o640, 0o750
_OPEN_AT_ONCE = 64
"""So many files are written before the first is synced: one entry in the file system's journal then serves them all."""


class Staging:
    """The temporary files of one save. One thread, under the exclusive lock. Its methods block and raise OSError.

    Args:
        mark: is in the names of the temporary files.
        files: the way to the disk.

    Attributes:
        trees: the topmost directories that are new, each with the temporary directory that becomes it.
        at: the file that was being worked on last, for messages.
    """

    def __init__(self, mark: str, files: Files) -> None:
        self.trees: dict[Path, Path] = {}
        self.at: Path | None = None
        self._mark = mark
        self._files = files
        self._made: list[Path] = []
        self._numbers: dict[Path, int] = {}
        self._inner: dict[Path, None] = {}
        self._open: list[tuple[int, Path]] = []

    def add(self, path: Path, data: bytes, before: os.stat_result | None) -> Path | None:
        """Write the new content of a file.

        Args:
            path: the file.
            data: what it shall hold.
            before: status of the version that it replaces, whose owner, mode and access list it gets; None for none.

        Returns:
            The temporary name, beside the file; None when the file became part of one of the `trees`.

        Raises:
            ConfigurationError: owner or mode cannot be kept.
        """
        self.at = path
        top, above = None, path.parent
        while not above.is_dir():
            top, above = above, above.parent
        if top is None:
            temporary = self._new(above)
            self._write(temporary, path, data, before)
            return temporary
        if os.path.lexists(top):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(top))
        if top not in self.trees:
            self.trees[top] = self._new(above)
            self._mkdir(self.trees[top])
        inside = self.trees[top]
        for part in path.parent.relative_to(top).parts:
            inside /= part
            if inside not in self._inner:
                self._mkdir(inside)
        self._write(inside / path.name, path, data, None)
        return None

    def settle(self) -> None:
        """Bring all of it to the medium: the files, then the directories that they are in."""
        self.flush()
        for folder in (*self._inner, *self._numbers):
            self._files.sync_directory(folder)

    def flush(self) -> None:
        """Bring the content of the files to the medium."""
        while self._open:
            descriptor, self.at = self._open[0]
            self._files.fsync(descriptor)
            del self._open[0]
            os.close(descriptor)

    def discard(self, failure: BaseException) -> None:
        """Remove all of it, the last one first; what cannot be removed is noted on the failure that led here."""
        try:
            while self._open:
                os.close(self._open.pop()[0])
            while self._made:
                path = self._made[-1]
                if os.path.lexists(path):
                    remove_tree(self._files, path)
                self._made.pop()
        except OSError as error:
            failure.add_note(f"temporary files are left, which the next save removes: {error}")

    def _new(self, folder: Path) -> Path:
        """A free temporary name in a folder, taken by this save from now on."""
        if folder not in self._numbers:
            self._sweep(folder)
        number = self._numbers.get(folder, 0)
        self._numbers[folder] = number + 1
        path = self._name(folder, number)
        if os.path.lexists(path):
            remove_tree(self._files, path)
        self._made.append(path)
        return path

    def _sweep(self, folder: Path) -> None:
        """Remove what a save that died has left. From the highest number down, so that dying here leaves no gap."""
        count = 0
        while os.path.lexists(self._name(folder, count)):
            count += 1
        for number in reversed(range(count)):
            remove_tree(self._files, self._name(folder, number))

    def _name(self, folder: Path, number: int) -> Path:
        return folder / temporary_name(self._mark, number)

    def _mkdir(self, path: Path) -> None:
        self._files.mkdir(path, _DIRECTORY_MODE)
        self._inner[path] = None
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            if mode & 0o777 != _DIRECTORY_MODE:
                # The umask took something away. A set-group-id bit, inherited from the directory above, stays.
                self._files.chmod(descriptor, mode & ~0o777 | _DIRECTORY_MODE)
        finally:
            os.close(descriptor)

    def _write(self, temporary: Path, path: Path, data: bytes, before: os.stat_result | None) -> None:
        descriptor = self._files.create(temporary)
        self._open.append((descriptor, path))
        write_all(self._files, descriptor, data)
        if before is None:
            self._files.chmod(descriptor, _FILE_MODE)
        else:
            carry_over(self._files, descriptor, path, before)
        if len(self._open) >= _OPEN_AT_ONCE:
            self.flush()
