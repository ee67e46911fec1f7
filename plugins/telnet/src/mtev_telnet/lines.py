"""Put typed bytes together into lines, without I/O. The same for telnet and for raw connections.

1. A line ends with LF, with CR LF, with CR NUL or with CR alone. A NUL elsewhere means nothing.
2. A line longer than the limit is dropped up to its end, and reported there, once.
3. Ctrl-C drops what was typed and is reported. Ctrl-D on an empty line ends the input; elsewhere it means nothing.
4. Backspace and DEL take back a character, Ctrl-U the whole line: for clients that send each key as it is pressed.
5. While `echo` is on, what is typed is echoed as a terminal would; control characters as `^X`.

Bytes are UTF-8; what is not becomes U+FFFD. Memory is bounded by the limit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

__all__ = ["MAX_LINE", "Control", "Echoed", "Line", "LineAssembler", "LineEvent"]

MAX_LINE = 64 * 1024
"""The most bytes of a line, its end not counted."""


@dataclass(frozen=True, slots=True)
class Line:
    """A complete line, without its end."""

    text: str


@dataclass(frozen=True, slots=True)
class Echoed:
    """Bytes to show to whoever types."""

    data: bytes


class Control(Enum):
    """What happened other than a line."""

    TOO_LONG = "a line was longer than the limit and was dropped"
    INTERRUPT = "Ctrl-C"
    END_OF_FILE = "Ctrl-D on an empty line"


LineEvent = Line | Echoed | Control

_SPECIAL = re.compile(rb"[\x00\x03\x04\x08\n\r\x15\x7f]")
_CONTROL = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f]")
_LAST_CHARACTER = re.compile(rb"(?:[\xc0-\xff][\x80-\xbf]{0,3}|.)\Z", re.DOTALL)


class LineAssembler:
    """The line that is being typed. Belongs to one thread.

    Args:
        limit: the most bytes of a line.

    Attributes:
        echo: whether to report what is to be echoed.
    """

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._line = bytearray()
        self._overlong = False
        self._after_cr = False
        self.echo = False

    @property
    def incomplete(self) -> bool:
        """Whether something was typed whose line has not ended."""
        return bool(self._line) or self._overlong

    def feed(self, data: bytes) -> list[LineEvent]:
        """Take in what was typed; pieces may be cut anywhere."""
        events: list[LineEvent] = []
        position = 0
        while position < len(data):
            if self._after_cr:
                self._after_cr = False
                if data[position] in b"\n\0":
                    position += 1
                    continue
            special = _SPECIAL.search(data, position)
            end = special.start() if special else len(data)
            if end > position:
                self._typed(data[position:end], events)
            if special:
                self._special(special[0], events)
            position = end + 1
        return events

    def interrupt(self) -> list[LineEvent]:
        """Ctrl-C, or telnet's code for it."""
        events: list[LineEvent] = []
        self._show(b"^C", events)
        self._clear()
        events.append(Control.INTERRUPT)
        return events

    def end_of_file(self) -> list[LineEvent]:
        """Ctrl-D, or telnet's code for it."""
        return [] if self.incomplete else [Control.END_OF_FILE]

    def erase_character(self) -> list[LineEvent]:
        """Backspace or DEL, or telnet's code for it."""
        events: list[LineEvent] = []
        tail = _LAST_CHARACTER.search(self._line[-4:])
        if tail:
            del self._line[-len(tail[0]) :]
            self._show(b"\b \b", events)
        return events

    def erase_line(self) -> list[LineEvent]:
        """Ctrl-U, or telnet's code for it."""
        events: list[LineEvent] = []
        self._show(b"\b \b" * len(self._line.decode("utf-8", "replace")), events)
        self._clear()
        return events

    def _typed(self, data: bytes, events: list[LineEvent]) -> None:
        self._show(_CONTROL.sub(lambda found: b"^" + bytes((found[0][0] ^ 0x40,)), data), events)
        if len(self._line) + len(data) > self._limit:
            self._line.clear()
            self._overlong = True
        elif not self._overlong:
            self._line += data

    def _special(self, byte: bytes, events: list[LineEvent]) -> None:
        if byte in (b"\r", b"\n"):
            self._after_cr = byte == b"\r"
            self._show(b"\r\n", events)
            events.append(Control.TOO_LONG if self._overlong else Line(self._line.decode("utf-8", "replace")))
            self._clear()
        elif byte == b"\x03":
            events += self.interrupt()
        elif byte == b"\x04":
            events += self.end_of_file()
        elif byte in (b"\x08", b"\x7f"):
            events += self.erase_character()
        elif byte == b"\x15":
            events += self.erase_line()

    def _show(self, data: bytes, events: list[LineEvent]) -> None:
        if self.echo and data:
            events.append(Echoed(data))

    def _clear(self) -> None:
        self._line.clear()
        self._overlong = False
