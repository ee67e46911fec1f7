"""Where values in `{{FACILITY:fallback:{KEY}}}` come from: a registry that plugins add to, kept over reloads."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType

from mtev_kernel.errors import ConfigurationError

__all__ = ["BUILT_IN", "Facilities", "LookUp"]

LookUp = Callable[[str], str | None]
"""Looks a key up: its value, or None when it has none. May be called from any thread, and must not block for long."""

BUILT_IN = ("ENV", "FILE")
"""Facilities that are always there, and belong to the document rather than to this registry."""

_NAME = re.compile(r"[^:{}\s]+")


class Facilities:
    """Facilities beyond `ENV` and `FILE`, by name. Thread-safe.

    Attributes:
        table: name and function of each; replaced, never changed.
        fixup: what the hook `value_fixup` does, or None while nobody is attached; asked for with each value.
        interpolate: the same for `value_interpolate`.
    """

    def __init__(self) -> None:
        self.table: Mapping[str, LookUp] = MappingProxyType({})
        self.fixup: Callable[[], Callable[[str, str, str], str | None] | None] = lambda: None
        self.interpolate: Callable[[], Callable[[str, str, str], str | None] | None] = lambda: None
        self._lock = threading.Lock()

    def register(self, name: str, look_up: LookUp) -> Callable[[], None]:
        """Add a facility. Values that ask for it are looked up from now on.

        Args:
            name: what stands before the first colon: `consul`, `hwloc`.
            look_up: see `LookUp`.

        Returns:
            A function that takes it back; harmless to repeat.

        Raises:
            ConfigurationError: the name is taken or malformed.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"'{name}' cannot be the name of a facility: no colons, braces or blanks")
        with self._lock:
            if name in BUILT_IN or name in self.table:
                raise ConfigurationError(f"the facility '{name}' is registered already")
            self.table = MappingProxyType({**self.table, name: look_up})

        def remove() -> None:
            with self._lock:
                self.table = MappingProxyType({key: each for key, each in self.table.items() if each is not look_up})

        return remove
