"""What a text means as a boolean, an integer or a number. Pure; a failure is a `ValueError` that says what to write.

Stricter than libmtev, which reads `"8o"` as 8 and `"abc"` as 0: a text that is not entirely a value is an error.
"""

from __future__ import annotations

import math
import re

__all__ = ["parse_boolean", "parse_integer", "parse_number"]

_BOOLEANS = {
    "true": True, "on": True, "yes": True, "1": True,
    "false": False, "off": False, "no": False, "0": False,
}  # fmt: skip
_INTEGER = re.compile(r"([+-]?)(?:0x([0-9a-fA-F]{1,64})|([0-9]{1,64}))", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,64}(?:\.[0-9]{0,64})?|\.[0-9]{1,64})(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_SHOWN = 60


def parse_boolean(text: str) -> bool:
    """Read `true`, `on`, `yes`, `1`, `false`, `off`, `no` or `0`, in any case, blanks around it allowed.

    Raises:
        ValueError: it is something else. (To libmtev everything but `true` and `on` is false.)
    """
    value = _BOOLEANS.get(text.strip().lower())
    if value is None:
        raise ValueError(f"{_shown(text)} is not a boolean; write true, on, yes, 1, false, off, no or 0")
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
        raise ValueError(f"{_shown(text)} is not an integer; write decimal digits, or 0x and hexadecimal ones")
    sign, hexadecimal, decimal = match.groups()
    if decimal is not None and len(decimal) > 1 and decimal[0] == "0" and int(decimal) > 7:
        raise ValueError(f"{_shown(text)} is ambiguous: octal or decimal? Write it without the leading zero")
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
        raise ValueError(f"{_shown(text)} is not a number; write one such as 10, 2.5 or 1e-3")
    _check_range(value, text, minimum, maximum)
    return value


def _check_range(value: float, text: str, minimum: float | None, maximum: float | None) -> None:
    if minimum is not None and value < minimum:
        raise ValueError(f"{_shown(text)} is too small; at least {minimum} is expected")
    if maximum is not None and value > maximum:
        raise ValueError(f"{_shown(text)} is too large; at most {maximum} is expected")


def _shown(text: str) -> str:
    return f"'{text}'" if len(text) <= _SHOWN else f"'{text[:_SHOWN]}…'"
