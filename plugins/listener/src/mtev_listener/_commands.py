"""Command dispatch: the first four bytes of a connection say which protocol follows. Pure.

The four bytes are a big-endian number (libmtev), in practice four letters: `GET `, `CAPA`, `REVE`. They are part of
what the chosen protocol reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import RegistrationError

__all__ = ["CODE_BYTES", "Chosen", "Command", "CommandMatcher", "CommandTable", "Unknown", "code_text"]

CODE_BYTES = 4
_NAME = re.compile(r"[^\s/]+")


@dataclass(frozen=True, slots=True)
class Command:
    """One entry of a dispatch table.

    Args:
        code: the four bytes.
        name: what capabilities call it.
        version: of the protocol; `""` for none.
    """

    code: bytes
    name: str
    version: str = ""

    def __post_init__(self) -> None:
        if len(self.code) != CODE_BYTES:
            raise RegistrationError(f"the command code {self.code!r} has {len(self.code)} bytes; expected {CODE_BYTES}")
        if not _NAME.fullmatch(self.name):
            raise RegistrationError(f"'{self.name}' cannot be the name of a command; expected a word without '/'")

    @property
    def title(self) -> str:
        """Name and version together, as in the table of sockets: `mtev_wire_rest_api/1.0`."""
        return f"{self.name}/{self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True)
class Chosen:
    """Four bytes arrived and are known.

    Args:
        command: what they mean.
        received: everything received so far, the code first.
    """

    command: Command
    received: bytes


@dataclass(frozen=True, slots=True)
class Unknown:
    """Four bytes arrived that mean nothing here."""

    code: bytes


class CommandTable:
    """The commands of one dispatching listener type."""

    def __init__(self) -> None:
        self._commands: dict[bytes, Command] = {}

    def __getitem__(self, code: bytes) -> Command:
        return self._commands[code]

    def __contains__(self, code: object) -> bool:
        return code in self._commands

    def add(self, command: Command) -> None:
        """Add a command.

        Raises:
            RegistrationError: its code is taken.
        """
        if known := self._commands.get(command.code):
            raise RegistrationError(
                f"the command code {code_text(command.code)} of '{command.name}' is taken by '{known.name}'"
            )
        self._commands[command.code] = command

    def commands(self) -> list[Command]:
        """Every command, in the order of registration."""
        return list(self._commands.values())


class CommandMatcher:
    """Collects the first four bytes of one connection, however they are cut up.

    Args:
        table: what may come.
    """

    __slots__ = ("_received", "_table")

    def __init__(self, table: CommandTable) -> None:
        self._table = table
        self._received = b""

    @property
    def received(self) -> bytes:
        """What arrived so far."""
        return self._received

    def feed(self, data: bytes) -> Chosen | Unknown | None:
        """Take what arrived. Not to be called again after it gave an answer.

        Returns:
            The answer, or None while fewer than four bytes are there.
        """
        self._received += data
        if len(self._received) < CODE_BYTES:
            return None
        code = self._received[:CODE_BYTES]
        if code in self._table:
            return Chosen(self._table[code], self._received)
        return Unknown(code)


def code_text(code: bytes) -> str:
    """A code as logs and capabilities show it: `0x47455420`."""
    return f"0x{int.from_bytes(code, 'big'):08x}"
