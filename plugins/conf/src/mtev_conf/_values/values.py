"""What a text means as a boolean, a number, a size, one of some words or a path. A failure is a `ValueError` that
says what to write.

Stricter than libmtev, which reads `"8o"` as 8 and `"abc"` as 0: a text that is not entirely a value is an error. Blanks
around a value never count. All of it is pure but for `check_path`, which asks the file system.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Literal, TypeVar

__all__ = [
    "MAX_SIZE_BYTES",
    "check_path",
    "join_path",
    "nearest",
    "parse_boolean",
    "parse_enumeration",
    "parse_integer",
    "parse_number",
    "parse_path",
    "parse_size",
    "quoted",
]

MAX_SIZE_BYTES = 2**63 - 1
"""The largest size that `parse_size` returns."""

Word = TypeVar("Word", bound=str)

_BOOLEANS = {
    "true": True, "on": True, "yes": True, "1": True,
    "false": False, "off": False, "no": False, "0": False,
}  # fmt: skip
_INTEGER = re.compile(r"([+-]?)(?:0x([0-9a-fA-F]{1,64})|([0-9]{1,64}))", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,64}(?:\.[0-9]{0,64})?|\.[0-9]{1,64})(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,64})[ \t]{0,8}([A-Za-z]{0,3})", re.ASCII)
_SIZE_UNITS = {"": 0, "b": 0} | {
    spelling: 10 * power for power, letter in enumerate("kmgt", 1) for spelling in (letter, f"{letter}ib")
}
_DECIMAL_UNITS = ("kb", "mb", "gb", "tb")
_BLANKS = " \t\r\n"
_SHOWN = 60
_SHOWN_OF_PATH = 1000
_LISTED = 20


def parse_boolean(text: str) -> bool:
    """Read `true`, `on`, `yes`, `1`, `false`, `off`, `no` or `0`, in any case, blanks around it allowed.

    Raises:
        ValueError: it is something else. (To libmtev everything but `true` and `on` is false.)
    """
    value = _BOOLEANS.get(text.strip().lower())
    if value is None:
        raise ValueError(f"{quoted(text)} is not a boolean; write true, on, yes, 1, false, off, no or 0")
    return value


def parse_integer(text: str, minimum: int | None = None, maximum: int | None = None) -> int:
    """Read a decimal integer, or a hexadecimal one after `0x`, blanks around it allowed.

    Args:
        text: the digits, with an optional sign.
        minimum: the least value allowed.
        maximum: the greatest value allowed.

    Raises:
        ValueError: it is no integer, out of range, or has a leading zero that would make it octal in some readers
            of libmtev and decimal in others.
    """
    match = _INTEGER.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{quoted(text)} is not an integer; write decimal digits, or 0x and hexadecimal ones")
    sign, hexadecimal, decimal = match.groups()
    if decimal is not None and len(decimal) > 1 and decimal[0] == "0" and int(decimal) > 7:
        raise ValueError(f"{quoted(text)} is ambiguous: octal or decimal? Write it without the leading zero")
    magnitude = int(hexadecimal, 16) if hexadecimal is not None else int(decimal)
    value = -magnitude if sign == "-" else magnitude
    _check_range(value, text, minimum, maximum)
    return value


def parse_number(text: str, minimum: float | None = None, maximum: float | None = None) -> float:
    """Read a finite decimal number such as `2.5` or `1e-3`, blanks around it allowed.

    Args:
        text: the number.
        minimum: the least value allowed.
        maximum: the greatest value allowed.

    Raises:
        ValueError: it is no number, not finite, or out of range.
    """
    stripped = text.strip()
    value = float(stripped) if _NUMBER.fullmatch(stripped) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{quoted(text)} is not a number; write one such as 10, 2.5 or 1e-3")
    _check_range(value, text, minimum, maximum)
    return value


def parse_size(text: str, minimum: int | None = None, maximum: int | None = None) -> int:
    """Read a size in bytes: `4096`, `64k`, `10MiB`; blanks around it and before the unit allowed.

    1. A whole number without sign, and one unit or none. No unit, and `B`, are bytes.
    2. `k`, `M`, `G`, `T` and `KiB`, `MiB`, `GiB`, `TiB`, in any case, are powers of 1,024.
    3. `kB`, `MB`, `GB` and `TB` are refused: they are powers of 1,000 to some readers and of 1,024 to others.

    Args:
        text: the size.
        minimum: the least value allowed, in bytes.
        maximum: the greatest value allowed, in bytes; never more than `MAX_SIZE_BYTES`.

    Raises:
        ValueError: it is no size, has an ambiguous unit, or is out of range.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = match[2].lower() if match is not None else ""
    if match is not None and unit in _DECIMAL_UNITS:
        clear = f"{int(match[1])}{unit[0].upper()}iB"
        raise ValueError(f"{quoted(text)} is ambiguous: 1,000 or 1,024? Write {clear} for 1,024, or the bytes in full")
    if match is None or unit not in _SIZE_UNITS:
        raise ValueError(
            f"{quoted(text)} is not a size; write whole bytes, or a whole number of k, M, G or T: 64k, 10MiB"
        )
    value = int(match[1]) << _SIZE_UNITS[unit]
    _check_range(value, text, minimum, MAX_SIZE_BYTES if maximum is None else min(maximum, MAX_SIZE_BYTES))
    return value


def parse_enumeration(text: str, choices: Sequence[Word]) -> Word:
    """Read one of some words, spelled exactly as they are, blanks around it allowed.

    Returns:
        The choice itself, so that the type of the choices is kept.

    Raises:
        ValueError: it is none of them; the message lists them and names the nearest.
    """
    word = text.strip(_BLANKS)
    for choice in choices:
        if choice == word:
            return choice
    listed = ", ".join(choices[:_LISTED]) + (", …" if len(choices) > _LISTED else "")
    near = nearest(word, choices)
    raise ValueError(f"{quoted(text)} is none of {listed}" + ("" if near is None else f"; did you mean '{near}'?"))


def join_path(text: str, base: str) -> str:
    """The path that a value means: as it is when it is absolute, else below the folder of the file that it stands in.

    Pure: nothing is looked up, `..` and symbolic links stay as they are. `~` at the beginning is refused, since only
    shells know what it means; a file whose name opens with it is written `./~name`.

    Args:
        text: the path; blanks around it do not count.
        base: the folder that a relative path starts from.

    Raises:
        ValueError: it is empty, begins with `~`, or holds what no path can hold.
    """
    path = text.strip(_BLANKS)
    shown = quoted(path, _SHOWN_OF_PATH)
    if not path:
        raise ValueError("the path is empty; write one, absolute or relative to the folder of this file")
    if path.startswith("~"):
        raise ValueError(
            f"{shown} begins with '~', which only a shell replaces; write the whole path, "
            f"or {quoted('./' + path, _SHOWN_OF_PATH)} if the name itself begins with '~'"
        )
    if "\0" in path:
        raise ValueError(f"{shown} holds a NUL character, which no path can hold; take it out")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError(f"{shown} holds a character that no path can hold here; take it out") from None
    return os.path.join(base, path)  # noqa: PTH118  # pathlib would drop './' and take no undecodable base


def check_path(path: str, *, must_exist: Literal["", "file", "directory"] = "", readable: bool = False) -> None:
    """Make sure that a path leads to what is expected there. Blocks on the file system.

    Args:
        path: what `join_path` returned.
        must_exist: what has to be there: a file (anything that is not a folder), a folder, or possibly nothing.
        readable: whether this process must be allowed to read it, which includes that it exists.

    Raises:
        ValueError: it is not there, is of another kind, or cannot be read.
    """
    if not must_exist and not readable:
        return
    shown = quoted(path, _SHOWN_OF_PATH)
    try:
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116  # the path may hold what pathlib rewrites
    except FileNotFoundError:
        raise ValueError(f"{shown} does not exist; create it or correct the path") from None
    except OSError as error:
        raise ValueError(f"{shown} cannot be reached: {error.strerror}") from None
    if must_exist == "file" and is_directory:
        raise ValueError(f"{shown} is a folder; write the path of a file")
    if must_exist == "directory" and not is_directory:
        raise ValueError(f"{shown} is not a folder; write the path of one")
    needed = os.R_OK | os.X_OK if is_directory else os.R_OK
    if readable and not os.access(path, needed, effective_ids=os.access in os.supports_effective_ids):
        raise ValueError(f"{shown} cannot be read by this process; let the user that it runs as read it")


def parse_path(
    text: str, base: str, *, must_exist: Literal["", "file", "directory"] = "", readable: bool = False
) -> str:
    """Read a path: `join_path`, then `check_path`. Blocks on the file system if something is to be checked.

    Raises:
        ValueError: as those two.
    """
    path = join_path(text, base)
    check_path(path, must_exist=must_exist, readable=readable)
    return path


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that somebody who wrote another one most probably meant, or None if there is none like it."""
    if len(name) > _SHOWN:
        return None
    by_lower = {each.lower(): each for each in known}
    found = get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def quoted(text: str, limit: int = _SHOWN) -> str:
    """A text for a message: in quotes, on one line, cut when it is longer than a limit in characters."""
    escaped = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text[: limit + 1]
    )
    return f"'{escaped}'" if len(escaped) <= limit else f"'{escaped[:limit]}…'"


def _check_range(value: float, text: str, minimum: float | None, maximum: float | None) -> None:
    if minimum is not None and value < minimum:
        raise ValueError(f"{quoted(text)} is too small; at least {minimum} is expected")
    if maximum is not None and value > maximum:
        raise ValueError(f"{quoted(text)} is too large; at most {maximum} is expected")
