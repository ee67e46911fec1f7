"""What the `<config>` of a log file says."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable
from dataclasses import dataclass

from mtev_log import BackendSettings

__all__ = ["FILE_MODE", "OPTIONS", "FileOptions", "read_options"]

FILE_MODE = 0o640
"""Mode of new files: libmtev's 0664 without the group's right to write and without the others' to read."""

OPTIONS = ("compress", "group", "make_directories", "mode", "owner", "sync")
"""The keys that are known."""


@dataclass(frozen=True, slots=True)
class FileOptions:
    """What `<config>` says.

    Args:
        compress: whether rotated files are compressed with gzip.
        mode: mode of new files.
        uid, gid: owner and group of new files and directories; -1 to leave them.
        sync: whether every batch is synced to the disk before the next one.
        make_directories: whether missing directories are made.
    """

    compress: bool = False
    mode: int = FILE_MODE
    uid: int = -1
    gid: int = -1
    sync: bool = False
    make_directories: bool = False


def read_options(settings: BackendSettings) -> FileOptions:
    """What the `<config>` of a log file says.

    Raises:
        ConfigurationError: a value that is not allowed, or a user or group that does not exist.
    """
    config = settings.config
    compress = _one_of(settings, "compress", ("none", "gzip"))
    sync = _one_of(settings, "sync", ("none", "batch"))
    make_directories = _one_of(settings, "make_directories", ("off", "on"))
    mode = FILE_MODE
    if text := config.get("mode", ""):
        if not (text.isascii() and text.isdigit() and len(text) <= 4 and set(text) <= set("01234567")):
            raise settings.error(f"mode='{text}' is not a mode; expected octal digits such as '0640'")
        mode = int(text, 8)
        if mode & ~0o666:
            raise settings.error(f"mode='{text}': a log file is not to be executable; expected at most '0666'")
    return FileOptions(
        compress == "gzip",
        mode,
        _number(settings, "owner", lambda name: pwd.getpwnam(name).pw_uid),
        _number(settings, "group", lambda name: grp.getgrnam(name).gr_gid),
        sync == "batch",
        make_directories == "on",
    )


def _one_of(settings: BackendSettings, name: str, values: tuple[str, str]) -> str:
    value = settings.config.get(name, values[0])
    if value not in values:
        raise settings.error(f"{name}='{value}' is none of {', '.join(values)}")
    return value


def _number(settings: BackendSettings, name: str, look_up: Callable[[str], int]) -> int:
    value = settings.config.get(name, "")
    if not value:
        return -1
    if value.isascii() and value.isdigit():
        return int(value)
    try:
        return look_up(value)
    except KeyError:
        raise settings.error(f"{name}='{value}' does not exist on this system") from None
