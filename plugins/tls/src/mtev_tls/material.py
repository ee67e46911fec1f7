"""Certificates and keys as the configuration names them: a file, or PEM written in place.

A file is read as a whole and handed on as bytes, so that everything of one context is of one moment, and nothing is
written anywhere. What identifies a state of a file is its inode, size and time of change.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import MaterialError

__all__ = ["Identity", "Material", "as_file", "kinds"]

Identity = tuple[int, int, int] | None
"""Inode, size in bytes and time of change in nanoseconds; None for what is not there."""

_LARGEST_BYTES = 16 * 1024 * 1024
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")


@dataclass(frozen=True, slots=True)
class Material:
    """PEM from a file or from the configuration itself.

    Args:
        key: the key of `<sslconfig>` that names it.
        text: the path, or the PEM.
        where: `file:line` of the key.
    """

    key: str
    text: str
    where: str = ""

    @property
    def inline(self) -> bool:
        """Whether the PEM stands in the configuration: libmtev's rule is that it has a line break."""
        return "\n" in self.text.strip()

    @property
    def path(self) -> str:
        """The path of the file; `""` for what stands in the configuration."""
        return "" if self.inline else self.text.strip()

    @property
    def shown(self) -> str:
        """What to call it in messages. Never its contents."""
        return f"<{self.key}> ({'inline' if self.inline else self.path})"

    def identity(self) -> Identity:
        """The state of the file; None for what has none, or is not there."""
        if self.inline:
            return None
        try:
            status = os.stat(self.path)  # noqa: PTH116  # a plain call on a plain string
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def read(self) -> bytes:
        """The PEM. Blocks on the file system.

        Raises:
            MaterialError: it cannot be read, is too large, or has no PEM in it.
        """
        if self.inline:
            data = "\n".join(line.strip() for line in self.text.strip().splitlines()).encode() + b"\n"
        else:
            data = self._read_file()
        if _BEGIN.search(data) is None:
            raise self.error("there is no PEM in it; expected '-----BEGIN ...-----'")
        return data

    def read_binary(self) -> bytes:
        """The file as it is. Blocks on the file system.

        Raises:
            MaterialError: it cannot be read, is too large, or stands in the configuration, which has only texts.
        """
        if self.inline:
            raise self.error("it is binary, and has to be a file")
        return self._read_file()

    def error(self, message: str) -> MaterialError:
        """An error about it, for the caller to raise."""
        return MaterialError(f"{self.where}: {self.shown}: {message}" if self.where else f"{self.shown}: {message}")

    def readable_by_others(self) -> bool:
        """Whether its file may be read by anybody. False for what has none."""
        try:
            return bool(self.path) and bool(os.stat(self.path).st_mode & stat.S_IROTH)  # noqa: PTH116  # as above
        except OSError:
            return False

    def _read_file(self) -> bytes:
        try:
            with open(self.path, "rb") as file:
                data = file.read(_LARGEST_BYTES + 1)
        except OSError as error:
            raise self.error(f"it cannot be read: {error.strerror or error}") from error
        if len(data) > _LARGEST_BYTES:
            raise self.error(f"it has more than {_LARGEST_BYTES} bytes")
        return data

    def __repr__(self) -> str:
        return f"<Material {self.shown}>"


def kinds(data: bytes) -> set[str]:
    """What is in some PEM: `CERTIFICATE`, `X509 CRL`, `PRIVATE KEY` and so on."""
    return {label.decode("ascii") for label in _BEGIN.findall(data)}


@contextlib.contextmanager
def as_file(data: bytes) -> Iterator[str]:
    """Show bytes as a file for a moment, for functions that take only paths. The file is in memory and has no name."""
    descriptor = os.memfd_create("mtev-tls", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
