"""A histogram at one moment: counts of bins, and what can be told from them. Pure; immutable, so shared freely.

The algorithms are those of libcircllhist, so that both sides of a wire say the same.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from . import _bins
from .errors import MalformedHistogram

__all__ = ["Snapshot"]

_MOST_BINS = 65535
_LARGEST_COUNT = 2**64 - 1
_NAN_PARTS = (-1, 0)


class Snapshot:
    """Counts of bins. Two are equal when their counts are.

    Args:
        bins: the count of each bin, by its key (see `_bins`). Counts of 0 and below are left out.
    """

    __slots__ = ("_bins", "_count")

    def __init__(self, bins: Mapping[int, int] | None = None) -> None:
        ordered = sorted((bins or {}).items(), key=_order)
        self._bins: dict[int, int] = {key: count for key, count in ordered if count > 0}
        self._count = sum(count for key, count in self._bins.items() if key != _bins.NAN)

    @property
    def bins(self) -> Mapping[int, int]:
        """The count of each bin that has any: NAN first, then from the lowest values to the highest."""
        return MappingProxyType(self._bins)

    @property
    def count(self) -> int:
        """How many values were recorded, without those that are no numbers."""
        return self._count

    @property
    def sum(self) -> float:
        """About the sum of the values: midpoints times counts. Off by less than 5 % where all have one sign."""
        return math.fsum(_bins.midpoint(key) * count for key, count in self._numbers())

    @property
    def mean(self) -> float:
        """About the mean; NaN when there are no values."""
        return self.sum / self._count if self._count else math.nan

    @property
    def deviation(self) -> float:
        """About the standard deviation; NaN when there are no values."""
        if not self._count:
            return math.nan
        squares = math.fsum(_bins.midpoint(key) ** 2 * count for key, count in self._numbers())
        return math.sqrt(max(squares / self._count - self.mean**2, 0.0))

    @property
    def lowest(self) -> float:
        """The lower edge of the lowest bin with a value; NaN when there is none."""
        return next((_bins.lower_edge(key) for key, _ in self._numbers()), math.nan)

    @property
    def highest(self) -> float:
        """The upper edge of the highest bin with a value; NaN when there is none."""
        return max((_bins.upper_edge(key) for key, _ in self._numbers()), default=math.nan)

    def quantiles(self, ratios: Sequence[float]) -> list[float]:
        """Values below which so many of the values lie.

        Args:
            ratios: each from 0 to 1, in any order: 0.99 asks for the 99th percentile.

        Returns:
            One value for each; NaN when there are no values. A bin's values count as spread evenly within it.

        Raises:
            ValueError: a ratio is out of range.
        """
        for ratio in ratios:
            if not 0.0 <= ratio <= 1.0:
                raise ValueError(f"{ratio!r} is not a quantile; expected 0 to 1")
        found = [math.nan] * len(ratios)
        numbers = list(self._numbers())
        if not numbers:
            return found
        at, below, reached = 0, 0, numbers[0][1]
        for index in sorted(range(len(ratios)), key=ratios.__getitem__):
            rank = self._count * ratios[index]
            while at < len(numbers) - 1 and reached < rank:
                at += 1
                below = reached
                reached += numbers[at][1]
            key, count = numbers[at]
            position = max(math.ceil(rank - below), 1)
            found[index] = _bins.lower_edge(key) + position / (count + 1) * _bins.width(key)
        return found

    def quantile(self, ratio: float) -> float:
        """One quantile; see `quantiles`."""
        return self.quantiles((ratio,))[0]

    def below(self, threshold: float) -> float:
        """About how many values are below a threshold. Exact where that is the edge of a bin."""
        total = 0.0
        for key, count in self._numbers():
            lower, upper = _bins.lower_edge(key), _bins.upper_edge(key)
            if upper <= threshold and key != _bins.ZERO:
                total += count
            elif lower < threshold:
                total += count * (1.0 if key == _bins.ZERO else (threshold - lower) / (upper - lower))
        return total

    def merged(self, *others: Snapshot) -> Snapshot:
        """The counts of several together."""
        total = dict(self._bins)
        for key, count in itertools.chain.from_iterable(other._bins.items() for other in others):
            total[key] = total.get(key, 0) + count
        return Snapshot(total)

    def since(self, earlier: Snapshot) -> Snapshot:
        """What came in after another snapshot of the same histogram."""
        return Snapshot({key: count - earlier._bins.get(key, 0) for key, count in self._bins.items()})

    def serialised(self) -> bytes:
        """In libcircllhist's binary form (`hist_serialize`): counts beyond 64 bits are cut there."""
        pieces = [struct.pack(">H", len(self._bins))]
        for key, count in self._bins.items():
            digits, exponent = _NAN_PARTS if key == _bins.NAN else _bins.parts(key)
            number = min(count, _LARGEST_COUNT)
            size = max((number.bit_length() + 7) // 8, 1)
            pieces.append(struct.pack(">bbB", digits, exponent, size - 1) + number.to_bytes(size, "little"))
        return b"".join(pieces)

    def serialised_text(self) -> str:
        """The binary form in base64 (`hist_serialize_b64`)."""
        return base64.b64encode(self.serialised()).decode("ascii")

    @classmethod
    def read(cls, data: bytes | str) -> Snapshot:
        """Read the binary form, or the text of it.

        Bins of no known meaning are left out, as libcircllhist does.

        Raises:
            MalformedHistogram: it is cut off, has more than it says, or is no base64.
        """
        if isinstance(data, str):
            try:
                data = base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError) as error:
                raise MalformedHistogram(f"a histogram in base64 was expected: {error}") from error
        bins: dict[int, int] = {}
        try:
            (entries,) = struct.unpack_from(">H", data)
            at = 2
            for _ in range(entries):
                digits, exponent, size = struct.unpack_from(">bbB", data, at)
                at += 3
                if size > 7 or at + size + 1 > len(data):
                    raise MalformedHistogram(f"a count of {size + 1} bytes at {at} is too long, or cut off")
                count = int.from_bytes(data[at : at + size + 1], "little")
                at += size + 1
                key = _read_key(digits, exponent)
                if key is not None:
                    bins[key] = bins.get(key, 0) + count
        except struct.error as error:
            raise MalformedHistogram(f"a histogram of {len(data)} bytes is cut off: {error}") from error
        if at != len(data):
            raise MalformedHistogram(f"a histogram is followed by {len(data) - at} bytes that do not belong to it")
        return cls(bins)

    @classmethod
    def of(cls, values: Iterable[float]) -> Snapshot:
        """The histogram of some values."""
        bins: dict[int, int] = {}
        for value in values:
            key = _bins.bin_of(value)
            bins[key] = bins.get(key, 0) + 1
        return cls(bins)

    def decimals(self) -> list[str]:
        """In libmtev's decimal form, a text for each bin: `H[1.2e-05]=3`."""
        return [f"H[{_decimal(key)}]={count}" for key, count in self._bins.items()]

    def __eq__(self, other: object) -> bool:
        return self._bins == other._bins if isinstance(other, Snapshot) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._bins.items()))

    def __repr__(self) -> str:
        return f"<Snapshot of {self._count} values in {len(self._bins)} bins>"

    def _numbers(self) -> Iterator[tuple[int, int]]:
        return ((key, count) for key, count in self._bins.items() if key != _bins.NAN)


def _order(entry: tuple[int, int]) -> tuple[bool, int]:
    return entry[0] != _bins.NAN, entry[0]


def _read_key(digits: int, exponent: int) -> int | None:
    if (digits, exponent) == _NAN_PARTS:
        return _bins.NAN
    try:
        return _bins.from_parts(digits, exponent)
    except ValueError:
        return None


def _decimal(key: int) -> str:
    """The inner edge as C's `%0.2g` prints it."""
    return "nan" if key == _bins.NAN else f"{_bins.inner_edge(key):.2g}"
