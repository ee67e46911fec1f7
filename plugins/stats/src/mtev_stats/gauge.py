"""Gauges: numbers and texts that go up and down, set by their owner or asked for when somebody reads."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Literal

__all__ = ["Gauge", "Kind", "Observed"]

Observed = float | int | str | None
"""What a gauge may show; None for nothing."""

Kind = Literal["i", "I", "l", "L", "n", "s"]
"""libmtev's types: 32 and 64 bits with a sign (`i`, `l`) and without (`I`, `L`), a double (`n`), a text (`s`)."""

_log = logging.getLogger("mtev.stats")


class Gauge:
    """One value. Made by `Stats.gauge`; thread-safe.

    Attributes:
        unit: of the value; `""` for nothing particular.
    """

    def __init__(self, observe: Callable[[], Observed] | None = None, unit: str = "", kind: Kind | None = None) -> None:
        self.unit = unit
        self._observe = observe
        self._kind: Kind | None = kind
        self._value: Observed = None
        self._failed = False

    def set(self, value: Observed) -> None:
        """Set what is shown from now on, in the place of a function that is asked."""
        self._observe = None
        self._value = value

    @property
    def value(self) -> Observed:
        """What it shows now. A function that fails is logged the first time, and shows None."""
        observe = self._observe
        if observe is None:
            return self._value
        try:
            value = observe()
        except Exception:  # one owner's fault must not cost the others their figures
            if not self._failed:
                _log.exception("a gauge cannot be read: %r failed; it shows nothing until that is mended", observe)
            self._failed = True
            return None
        self._failed = False
        return value

    def kind_of(self, value: Observed) -> Kind:
        """The type that libmtev has for a value: the one that was stated, else the one that fits."""
        if self._kind is not None:
            return self._kind
        match value:
            case None | str():
                return "s"
            case float():
                return "n"
            case int():
                return "l"


def finite(value: float) -> float | None:
    """A number that JSON can hold; None for the others."""
    return value if math.isfinite(value) else None
