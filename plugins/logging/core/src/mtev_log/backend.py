"""What a log backend is: where the lines of a stream end up. The contract that third parties implement.

A backend is made by a factory that its plugin registers for a `type` (`Logs.register_backend`), one for every `<log>`
of that type. mtev-log calls it like this, never from two threads at once:

1. The factory checks the settings and has no side effects: it runs for `--check` too.
2. `open`, then any number of `write`, `flush` and `reopen`, then `close`. After `close`, `open` may come again.
3. `write` gets records in batches, and writes them in order. It returns when they have been handed over (to the
   operating system, to a queue of its own, ...); it may block.
4. Whatever `write`, `flush` or `reopen` raises means: this backend does not work at the moment. Nothing is raised to
   whoever logged; `reopen` and `write` are tried again a little later, and other lines wait meanwhile. The lines of the
   batch are lost, unless the backend raises `IncompleteWrite`, which says how many of them have been written whole:
   then the others are given to it again.
5. A backend may have a method `maintain`, which is called about once a second while nothing else is: for what is due
   without a line, such as a rotation.
6. A backend that needs no more than bytes may say so: with an attribute `encode`, the encoder that it uses
   (`settings.encoder()`), and a method `write_encoded(lines, times_ns)`, which is `write` for lines that this encoder
   has made, with the time of each in nanoseconds since the epoch. Either of the two may be called for any batch. It
   saves a third of the work, as no records are made.
7. A backend that logs while it writes is not called again for that line.

`mtev_log.testing.BackendConformance` checks all this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Protocol

from mtev_kernel import ConfigurationError

from . import formats
from .record import Record

__all__ = ["Backend", "BackendFactory", "BackendSettings"]


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """What a `<log>` says to the backend that it names.

    Args:
        name: the stream's name.
        type: the type under which the factory was registered.
        path: the attribute `path`, or `""`.
        format: `plain`, `json`, `logfmt` or `flatbuffer`.
        config: the merged `<config>`, what enclosing elements say included.
        own: keys of `config` that stand in the `<log>` itself.
        utc: whether times are shown in UTC.
        options: of `rotate_seconds`, `rotate_bytes`, `retain_seconds` and `retain_bytes` those that are in force, as
            they stand in the document.
        where: `file:line` of the `<log>`, for messages.
    """

    name: str
    type: str = ""
    path: str = ""
    format: str = "plain"
    config: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    utc: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    where: str = field(default="", compare=False)

    def encoder(self, *, split: bool = True) -> Callable[[Record], bytes]:
        """A function that turns a record into bytes as `format` says; it ends in a newline, except a `flatbuffer`.

        Args:
            split: in the plain format, repeat the prefixes on every line of a text.
        """
        return formats.encoder(self.format, split=split, utc=self.utc)

    def check_options(self, *known: str) -> None:
        """Refuse keys in the `<log>`'s own `<config>` that a backend does not know. Inherited ones may be for others.

        Args:
            known: the keys that it knows.

        Raises:
            ConfigurationError: there is one that it does not know.
        """
        for key in sorted(self.own.difference(known)):
            near = get_close_matches(key, known, n=1)
            advice = f"did you mean '{near[0]}'?" if near else f"it knows {', '.join(known) or 'none'}"
            raise self.error(f"the type '{self.type}' has no option '{key}' in <config>; {advice}")

    def error(self, message: str) -> ConfigurationError:
        """An error about this `<log>`, to be raised by the caller."""
        return ConfigurationError(f"<log>: '{self.name}': {message}", self.where)


class Backend(Protocol):
    """Writes the lines of one stream somewhere."""

    def open(self) -> None:
        """Acquire what it writes to. May block.

        Raises:
            Exception: it cannot be had, which at the start of the service is an error.
        """

    def write(self, records: Sequence[Record]) -> None:
        """Write records in order; none, one or many. May block.

        Raises:
            Exception: they could not be written.
        """

    def flush(self) -> None:
        """Hand over what the backend itself holds back, if anything."""

    def reopen(self) -> None:
        """Look again at what it writes to: a rotated file, a broken connection. For reload, and after failures."""

    def close(self) -> None:
        """Release everything. Harmless to repeat, and before `open`."""


BackendFactory = Callable[[BackendSettings], Backend]
"""Makes a backend from what a `<log>` says. Raises `settings.error(...)` for what it cannot use."""
