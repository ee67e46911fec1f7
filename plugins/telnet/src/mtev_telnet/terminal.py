"""The far end as a terminal, without I/O: bytes in, lines and keys out; text in, bytes out.

Puts the telnet machine, where the listener asks for it, in front of the line assembler.
"""

from __future__ import annotations

from dataclasses import dataclass

from .lines import MAX_LINE, Control, Echoed, Line, LineAssembler, LineEvent
from .telnet import Data, Echo, Key, Reply, TelnetMachine, WindowSize, cook

__all__ = ["Send", "Terminal", "TerminalEvent"]


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes to send as they are: an echo, or an answer of the protocol."""

    data: bytes


TerminalEvent = Line | Control | Send | WindowSize


class Terminal:
    """One terminal. Belongs to one thread.

    Args:
        telnet: whether to speak the telnet protocol; otherwise bytes are taken and given as they are.
        max_line: the most bytes of a line.
    """

    def __init__(self, telnet: bool, max_line: int = MAX_LINE) -> None:
        self._telnet = TelnetMachine() if telnet else None
        self._assembler = LineAssembler(max_line)

    @property
    def incomplete(self) -> bool:
        """Whether something was typed whose line has not ended."""
        return self._assembler.incomplete

    def open(self) -> bytes:
        """What to send first."""
        return b"" if self._telnet is None else self._telnet.open()

    def encode(self, text: str) -> bytes:
        """Text, whose lines end with LF, as the terminal wants it."""
        return text.encode("utf-8", "replace") if self._telnet is None else cook(text)

    def feed(self, data: bytes) -> list[TerminalEvent]:
        """Take in what arrived; pieces may be cut anywhere."""
        if self._telnet is None:
            return self._from_lines(self._assembler.feed(data))
        events: list[TerminalEvent] = []
        for event in self._telnet.feed(data):
            match event:
                case Data(typed):
                    events += self._from_lines(self._assembler.feed(typed))
                case Reply(answer):
                    events.append(Send(answer))
                case Echo(on):
                    self._assembler.echo = on
                case WindowSize():
                    events.append(event)
                case Key():
                    events += self._from_lines(self._press(event))
        return events

    def _press(self, key: Key) -> list[LineEvent]:
        match key:
            case Key.INTERRUPT:
                return self._assembler.interrupt()
            case Key.END_OF_FILE:
                return self._assembler.end_of_file()
            case Key.ERASE_CHARACTER:
                return self._assembler.erase_character()
            case Key.ERASE_LINE:
                return self._assembler.erase_line()

    def _from_lines(self, events: list[LineEvent]) -> list[TerminalEvent]:
        return [
            Send(event.data if self._telnet is None else event.data.replace(b"\xff", b"\xff\xff"))
            if isinstance(event, Echoed)
            else event
            for event in events
        ]
