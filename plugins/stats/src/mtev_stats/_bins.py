"""Bins of a log-linear histogram, as OpenHistogram and libcircllhist define them. Pure.

How it works. A bin holds the values that share sign, power of ten and first two decimal digits: 1.2 to 1.3 is one bin,
120 to 130 another. 90 bins to each power of ten, from 1.0e-128 to below 1.0e128; zero has a bin of its own.

A bin is an `int` here, its *key*, so that bins sort as their values do and need no object:

    0                                     zero, and what is nearer to it than the smallest bin
    (exponent + 128) * 100 + digits       digits 10 to 99: values from digits/10 * 10**exponent up
    the negative of that                  the same below zero
    NAN                                   what is no number, and what is too large

Rules:

1. An edge is the double nearest to its decimal number, and `bin_of` goes by these edges: every value lies in its bin.
2. A bin contains its edge nearest to zero, and not the other one.
"""

from __future__ import annotations

import functools
import math

__all__ = [
    "NAN",
    "NS_SLOTS",
    "NS_TABLE",
    "ZERO",
    "bin_of",
    "bin_of_scaled",
    "from_parts",
    "inner_edge",
    "key_of_slot",
    "lower_edge",
    "midpoint",
    "outer_edge",
    "parts",
    "upper_edge",
    "width",
]

ZERO = 0
NAN = 1 << 20

_LOWEST_EXPONENT, _HIGHEST_EXPONENT = -128, 127
_LARGEST_KEY = (_HIGHEST_EXPONENT + 128) * 100 + 99

_SCALES = {exponent: 10.0 ** (1 - exponent) for exponent in range(-102, 102)}
_CLEAR = 1e-9
"""So far from an edge, in units of the second digit, rounding cannot carry a value across."""
_floor, _log10 = math.floor, math.log10


def from_parts(digits: int, exponent: int) -> int:
    """The key of a bin.

    Args:
        digits: 10 to 99, or -99 to -10; 0 for zero.
        exponent: -128 to 127: the power of ten of the first digit.

    Raises:
        ValueError: there is no such bin.
    """
    if digits == 0:
        return ZERO
    if not 10 <= abs(digits) <= 99 or not _LOWEST_EXPONENT <= exponent <= _HIGHEST_EXPONENT:
        raise ValueError(f"there is no bin of the digits {digits} and the exponent {exponent}")
    key = (exponent + 128) * 100 + abs(digits)
    return key if digits > 0 else -key


def parts(key: int) -> tuple[int, int]:
    """Digits and exponent of a bin; (0, 0) for zero. Not for NAN."""
    if key == ZERO:
        return 0, 0
    exponent, digits = divmod(abs(key), 100)
    return (digits if key > 0 else -digits), exponent - 128


@functools.lru_cache(maxsize=4096)
def inner_edge(key: int) -> float:
    """The edge nearest to zero, which belongs to the bin; NaN for NAN."""
    if key == NAN:
        return math.nan
    digits, exponent = parts(key)
    return float(f"{digits}e{exponent - 1}")


@functools.lru_cache(maxsize=4096)
def outer_edge(key: int) -> float:
    """The edge away from zero, which belongs to the next bin; 0 for zero, NaN for NAN."""
    if key in (ZERO, NAN):
        return inner_edge(key)
    digits, exponent = parts(key)
    return float(f"{digits + (1 if digits > 0 else -1)}e{exponent - 1}")


def lower_edge(key: int) -> float:
    """The edge towards minus infinity."""
    return inner_edge(key) if key >= 0 else outer_edge(key)


def upper_edge(key: int) -> float:
    """The edge towards plus infinity."""
    return outer_edge(key) if key >= 0 else inner_edge(key)


def width(key: int) -> float:
    """How wide a bin is; 0 for zero."""
    return upper_edge(key) - lower_edge(key)


def midpoint(key: int) -> float:
    """The value that stands for a bin: the one whose relative error is least at both edges (libcircllhist's choice)."""
    if key in (ZERO, NAN):
        return inner_edge(key)
    inner, outer = inner_edge(key), outer_edge(key)
    return inner + (outer - inner) * inner / (inner + outer)


def bin_of(value: float) -> int:
    """The bin of a value. NaN, infinities and what is too large go to NAN, what is too small to zero."""
    magnitude = -value if value < 0 else value
    if 1e-100 < magnitude < 1e100:
        exponent = _floor(_log10(magnitude))
        scaled = magnitude * _SCALES[exponent]
        digits = int(scaled)
        if _CLEAR < scaled - digits < 1 - _CLEAR and 10 <= digits <= 99:
            key = exponent * 100 + 12_800 + digits
            return key if value > 0 else -key
    return _bin_near_edge(value)


def _bin_near_edge(value: float) -> int:
    """The bin of any value, those that lie on an edge or next to it among them."""
    if value == 0.0:
        return ZERO
    if not math.isfinite(value):
        return NAN
    magnitude = abs(value)
    exponent = math.floor(math.log10(magnitude))
    if exponent < _LOWEST_EXPONENT - 1:
        return ZERO
    if exponent > _HIGHEST_EXPONENT + 1:
        return NAN
    # Logarithm and division round; the edges decide. `ordinal` counts bins from the smallest one.
    ordinal = (exponent + 128) * 90 + int(magnitude / 10.0**exponent * 10) - 10
    while ordinal >= 0 and magnitude < inner_edge(_key(ordinal)):
        ordinal -= 1
    if ordinal < 0:
        if magnitude < inner_edge(_key(0)):
            return ZERO
        ordinal = 0
    while (key := _key(ordinal)) <= _LARGEST_KEY and magnitude >= outer_edge(key):
        ordinal += 1
    if key > _LARGEST_KEY:
        return NAN
    return key if value > 0 else -key


def bin_of_scaled(value: int, scale: int) -> int:
    """The bin of `value * 10**scale`, found without rounding."""
    if value == 0:
        return ZERO
    text = str(abs(value))
    digits = int(text[:2].ljust(2, "0"))
    exponent = len(text) - 1 + scale
    if exponent < _LOWEST_EXPONENT:
        return ZERO
    if exponent > _HIGHEST_EXPONENT:
        return NAN
    return from_parts(digits if value > 0 else -digits, exponent)


def _key(ordinal: int) -> int:
    exponent, digits = divmod(ordinal, 90)
    return exponent * 100 + digits + 10


# Whole nanoseconds, the values that services record most, go to their bin by one look at a table and one division:
#
#     limit, low, low_base, high, high_base = NS_TABLE[ns.bit_length()]
#     slot = ns // low + low_base if ns < limit else ns // high + high_base
#
# Numbers of one bit length have at most two lengths in decimal digits, and `limit` is the power of ten between the two.
# The slot of a number of two and more decimal digits is its first two digits and a hundred for each of its decimal
# digits; that of a smaller number is the number itself.

NS_SLOTS = 2000
"""How many slots there are: enough for every time below 2**63 ns, which is 292 years."""


def key_of_slot(slot: int) -> int:
    """The bin of `ns * 1e-9` for the times in a slot."""
    if slot < 10:
        return from_parts(slot * 10, -9)
    decimals, digits = divmod(slot, 100)
    return from_parts(digits, decimals - 10)


def _ns_table() -> tuple[tuple[int, int, int, int, int], ...]:
    rows = []
    for bits in range(64):
        least, most = (1 << bits) >> 1, (1 << bits) - 1
        fewer, more = len(str(least)), len(str(most))
        rows.append((10**fewer if fewer != more else 0, *_ns_row(fewer), *_ns_row(more)))
    return tuple(rows)


def _ns_row(decimals: int) -> tuple[int, int]:
    return (1, 0) if decimals == 1 else (10 ** (decimals - 2), 100 * decimals)


NS_TABLE = _ns_table()
