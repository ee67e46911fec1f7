"""The telnet protocol, without I/O: bytes from the peer go in, events come out.

Rules (RFC 854, 855, 857, 858, 860, 1073):

1. A byte of the stream is data, or part of a command that IAC begins; IAC IAC is the data byte 255.
2. Options that we perform when asked: SGA and ECHO. Whoever asks for SGA types character by character (RFC 858), so
   we offer ECHO with it. Options that we let the peer perform: SGA and NAWS. Every other one is refused.
3. We open with DO NAWS only: a client that is not asked otherwise edits and echoes lines by itself, which is what
   this console wants until it edits lines itself. (libmtev opens with eleven options.)
4. A request for what is already so is not answered (RFC 854), so agreement cannot loop. A refusal is sent at most
   `MAX_REFUSALS` times for each request, so a peer that insists cannot make it loop either.
5. TIMING-MARK is agreed to every time: clients discard all output after an interrupt until that answer comes.
6. AYT is answered with `[Yes]`. IP, BREAK and ABORT are an interrupt, EC and EL erase, EOF ends the input. GA, NOP,
   DM, AO, EOR and SUSP, and codes that are none, mean nothing here.
7. A sub-negotiation longer than `MAX_SUBNEGOTIATION` is skipped as a whole. Inside one, IAC followed by neither IAC
   nor SE ends it and begins a command.

No input raises, and the memory of a machine does not grow with its input.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

__all__ = [
    "MAX_REFUSALS",
    "MAX_SUBNEGOTIATION",
    "Code",
    "Data",
    "Echo",
    "Event",
    "Key",
    "Option",
    "Reply",
    "TelnetMachine",
    "WindowSize",
    "cook",
]

MAX_SUBNEGOTIATION = 64
"""The most bytes of a sub-negotiation that are kept."""

MAX_REFUSALS = 8
"""How often the same request is refused before it is ignored."""


class Code(IntEnum):
    """Command codes of RFC 854, RFC 885 and RFC 1184."""

    EOF = 236
    SUSP = 237
    ABORT = 238
    EOR = 239
    SE = 240
    NOP = 241
    DM = 242
    BREAK = 243
    IP = 244
    AO = 245
    AYT = 246
    EC = 247
    EL = 248
    GA = 249
    SB = 250
    WILL = 251
    WONT = 252
    DO = 253
    DONT = 254
    IAC = 255


class Option(IntEnum):
    """The options that this console knows."""

    ECHO = 1
    SGA = 3
    TIMING_MARK = 6
    NAWS = 31


class Key(Enum):
    """What the peer pressed, where telnet has a code of its own for it."""

    INTERRUPT = "interrupt"
    END_OF_FILE = "end of file"
    ERASE_CHARACTER = "erase character"
    ERASE_LINE = "erase line"


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes that the peer typed."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to send to the peer as they are."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Echo:
    """From now on the peer does, or does not, expect us to echo what it types."""

    on: bool


@dataclass(frozen=True, slots=True)
class WindowSize:
    """The size of the peer's window in characters; 0 where it does not know."""

    columns: int
    rows: int


Event = Data | Reply | Echo | WindowSize | Key

_OURS = frozenset((Option.SGA, Option.ECHO))
_THEIRS = frozenset((Option.SGA, Option.NAWS))
_KEYS: dict[int, Key] = {
    Code.IP: Key.INTERRUPT,
    Code.BREAK: Key.INTERRUPT,
    Code.ABORT: Key.INTERRUPT,
    Code.EOF: Key.END_OF_FILE,
    Code.EC: Key.ERASE_CHARACTER,
    Code.EL: Key.ERASE_LINE,
}


class _State(Enum):
    DATA = 0
    COMMAND = 1
    OPTION = 2
    SUBNEGOTIATION = 3
    SUBNEGOTIATION_COMMAND = 4


class TelnetMachine:
    """The state of one telnet connection, seen from the server. Belongs to one thread."""

    def __init__(self) -> None:
        self._state = _State.DATA
        self._verb = 0
        self._ours: set[int] = set()
        self._theirs: set[int] = set()
        self._offered: set[int] = set()
        self._asked: set[int] = set()
        self._refused: dict[tuple[int, int], int] = {}
        self._sub = bytearray()

    def open(self) -> bytes:
        """What to send when the connection is made."""
        self._asked.add(Option.NAWS)
        return _command(Code.DO, Option.NAWS)

    def feed(self, data: bytes) -> list[Event]:
        """Take in what arrived; pieces may be cut anywhere."""
        events: list[Event] = []
        position = 0
        while position < len(data):
            if self._state is _State.DATA:
                end = data.find(Code.IAC, position)
                end = len(data) if end < 0 else end
                if end > position:
                    events.append(Data(data[position:end]))
                if end < len(data):
                    self._state = _State.COMMAND
                position = end + 1
            else:
                self._one(data[position], events)
                position += 1
        return events

    def _one(self, byte: int, events: list[Event]) -> None:
        if self._state is _State.COMMAND:
            self._command(byte, events)
        elif self._state is _State.OPTION:
            self._state = _State.DATA
            self._negotiate(self._verb, byte, events)
        elif self._state is _State.SUBNEGOTIATION:
            if byte == Code.IAC:
                self._state = _State.SUBNEGOTIATION_COMMAND
            else:
                self._keep(byte)
        elif byte == Code.IAC:
            self._state = _State.SUBNEGOTIATION
            self._keep(byte)
        elif byte == Code.SE:
            self._state = _State.DATA
            self._subnegotiation(bytes(self._sub), events)
        else:
            self._command(byte, events)

    def _command(self, byte: int, events: list[Event]) -> None:
        self._state = _State.DATA
        if byte == Code.IAC:
            events.append(Data(b"\xff"))
        elif Code.WILL <= byte <= Code.DONT:
            self._state = _State.OPTION
            self._verb = byte
        elif byte == Code.SB:
            self._state = _State.SUBNEGOTIATION
            self._sub.clear()
        elif byte == Code.AYT:
            events.append(Reply(b"\r\n[Yes]\r\n"))
        elif key := _KEYS.get(byte):
            events.append(key)

    def _negotiate(self, verb: int, option: int, events: list[Event]) -> None:
        if verb == Code.DO:
            if option == Option.TIMING_MARK:
                events.append(Reply(_command(Code.WILL, option)))
            elif option in _OURS:
                self._perform(option, events)
            else:
                self._refuse(verb, Code.WONT, option, events)
        elif verb == Code.DONT:
            self._offered.discard(option)
            if option in self._ours:
                self._ours.remove(option)
                events.append(Reply(_command(Code.WONT, option)))
                if option == Option.ECHO:
                    events.append(Echo(False))
        elif verb == Code.WILL:
            if option not in _THEIRS:
                self._refuse(verb, Code.DONT, option, events)
            elif option not in self._theirs:
                self._theirs.add(option)
                if option in self._asked:
                    self._asked.remove(option)
                else:
                    events.append(Reply(_command(Code.DO, option)))
        else:
            self._asked.discard(option)
            if option in self._theirs:
                self._theirs.remove(option)
                events.append(Reply(_command(Code.DONT, option)))

    def _perform(self, option: int, events: list[Event]) -> None:
        if option in self._ours:
            return
        self._ours.add(option)
        if option in self._offered:
            self._offered.remove(option)
        else:
            events.append(Reply(_command(Code.WILL, option)))
        if option == Option.ECHO:
            events.append(Echo(True))
        elif Option.ECHO not in self._ours | self._offered:
            self._offered.add(Option.ECHO)
            events.append(Reply(_command(Code.WILL, Option.ECHO)))

    def _refuse(self, verb: int, answer: Code, option: int, events: list[Event]) -> None:
        times = self._refused.get((verb, option), 0)
        if times < MAX_REFUSALS:
            self._refused[verb, option] = times + 1
            events.append(Reply(_command(answer, option)))

    def _keep(self, byte: int) -> None:
        if len(self._sub) <= MAX_SUBNEGOTIATION:
            self._sub.append(byte)

    def _subnegotiation(self, sub: bytes, events: list[Event]) -> None:
        if len(sub) == 5 and sub[0] == Option.NAWS and Option.NAWS in self._theirs:
            events.append(WindowSize(sub[1] << 8 | sub[2], sub[3] << 8 | sub[4]))


def cook(text: str) -> bytes:
    """Text as telnet sends it: LF becomes CR LF, a lone CR is followed by NUL, and 255 is doubled. Pure."""
    lines = text.replace("\r\n", "\n").replace("\r", "\r\0").replace("\n", "\r\n")
    return lines.encode("utf-8", "replace").replace(b"\xff", b"\xff\xff")


def _command(verb: Code, option: int) -> bytes:
    return bytes((Code.IAC, verb, option))
