"""The backend of type `journald`: every line an entry of the journal of systemd, with its fields.

Rules:

1. Entries are datagrams. One that is too long is put in a sealed memory file, and its descriptor is sent.
2. `open` does not connect: the journal may be restarted at any time. The first write does.
3. Of a batch that fails, the sink is told how many entries were taken.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import time
from collections.abc import Sequence

from mtev_log import BackendSettings, IncompleteWrite, Record

from ._connection import Connection, Datagrams, Unsent, connect_unix, wait
from .address import parse_socket
from .entries import EntryHeader, encode_entry
from .framing import by_newline
from .levels import facility_of, severity_of
from .options import read_name, read_value, seconds
from .text import body_encoder

__all__ = ["DEFAULT_JOURNAL", "JournaldBackend"]

DEFAULT_JOURNAL = "/run/systemd/journal/socket"
"""Where systemd's journal listens."""

_OPTIONS = ("app_name", "facility", "severity", "write_timeout")
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class JournaldBackend:
    """Writes lines to the journal of systemd. Thread-compatible, as every backend.

    Args:
        settings: `path`, `format` and `config` as the README has them.
        service: the identifier of entries, where the `<log>` says none.

    Raises:
        ConfigurationError: they cannot be understood.
    """

    def __init__(self, settings: BackendSettings, *, service: str = "mtev") -> None:
        settings.check_options(*_OPTIONS)
        try:
            self.path = parse_socket(settings.path.strip() or DEFAULT_JOURNAL)
        except ValueError as error:
            raise settings.error(f"path='{settings.path}': {error}") from None
        self._facility = read_value(settings, "facility", facility_of, 3)
        self._severity = read_value(settings, "severity", severity_of, -1)
        self._identifier = read_name(settings, "app_name", 48) or service
        self._write_timeout_s = read_value(settings, "write_timeout", seconds, 3.0)
        self._with_fields = settings.format == "plain"
        self._body = body_encoder(settings)
        self._connection: Connection | None = None
        self._entries: list[bytes] = []

    def open(self) -> None:
        """Nothing: the first write connects."""

    def write(self, records: Sequence[Record]) -> None:
        """Hand entries to the journal. Blocks for the write timeout at most.

        Raises:
            IncompleteWrite: not all of them were taken.
        """
        if not records:
            return
        header = EntryHeader(self._facility, self._severity, self._identifier, os.getpid(), self._with_fields)
        self._entries = [encode_entry(header, record, self._body) for record in records]
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.send(self._entries, self._write_timeout_s)
        except OSError as error:
            self.close()
            sent = error.sent if isinstance(error, Unsent) else 0
            raise IncompleteWrite(sent, f"{self.path}: {error}") from error
        finally:
            self._entries = []

    def flush(self) -> None:
        """Nothing is held back."""

    def reopen(self) -> None:
        """Connect anew.

        Raises:
            IncompleteWrite: nobody is there; nothing was written.
        """
        self.close()
        try:
            self._connection = self._connect()
        except OSError as error:
            raise IncompleteWrite(0, f"{self.path}: {error}") from error

    def close(self) -> None:
        """Close the socket. Harmless to repeat."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self) -> Connection:
        connection = connect_unix(self.path, by_newline, self._oversize, self._write_timeout_s)
        if not isinstance(connection, Datagrams):
            connection.drop()
            raise OSError(errno.EPROTOTYPE, "this is not the socket of a journal; it takes no datagrams")
        return connection

    def _oversize(self, index: int, connected: socket.socket) -> None:
        deadline = time.monotonic() + self._write_timeout_s
        memory = os.memfd_create("mtev-journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            view = memoryview(self._entries[index])
            while view:
                view = view[os.write(memory, view) :]
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
            while True:
                try:
                    socket.send_fds(connected, [b""], [memory])
                except BlockingIOError:
                    wait(connected, select.POLLOUT, deadline, self._write_timeout_s)
                else:
                    return
        finally:
            os.close(memory)
