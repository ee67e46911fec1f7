"""The backend of type `syslog`: every line a message to a receiver, over the network or on this machine.

Rules:

1. `open` reads certificates and nothing else: a service starts while its log host is down. The first write connects.
2. A line is written when the system has taken its message. Of a batch that fails, the sink is told how many lines
   were, and the connection is dropped: a new one begins with a whole message.
3. A connection that the peer has closed is replaced before a batch is written. What is refused after that is said.
4. `reopen` connects anew, with certificates and addresses as they are then.
5. A message that the system finds too long for a datagram is cut to half its length, and again.
6. A child after a fork makes a connection of its own.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from collections.abc import Sequence

from mtev_log import BackendSettings, IncompleteWrite, Record

from ._connection import Connection, Unsent, connect_tcp, connect_udp, connect_unix
from ._resolver import Resolver
from ._tls import client_context
from .address import Transport
from .framing import FRAMINGS
from .messages import LEAST_BYTES, Header, Message, rfc3164, rfc5424
from .options import read_options
from .text import body_encoder

__all__ = ["SyslogBackend"]


class SyslogBackend:
    """Sends lines to a syslog receiver. Thread-compatible, as every backend.

    Args:
        settings: `path`, `format` and `config` as the README has them.
        service: the name under which messages are sent, where the `<log>` says none.

    Raises:
        ConfigurationError: they cannot be understood.
    """

    def __init__(self, settings: BackendSettings, *, service: str = "mtev") -> None:
        self.options = read_options(settings)
        self._body = body_encoder(settings)
        self._structured = settings.format == "plain"
        self._utc = settings.utc
        self._service = service
        self._framing = FRAMINGS[self.options.framing]
        address = self.options.address
        kind = socket.SOCK_DGRAM if address.transport is Transport.UDP else socket.SOCK_STREAM
        self._resolver = Resolver(address.host, address.port, kind)
        self._process_id = 0
        self._message: Message | None = None
        self._context: ssl.SSLContext | None = None
        self._connection: Connection | None = None
        self._batch: Sequence[Record] = ()

    def open(self) -> None:
        """Read certificates. Does not connect.

        Raises:
            OSError: they cannot be used.
        """
        if self.options.tls is not None:
            self._context = client_context(self.options.tls)
        self._process_id = os.getpid()
        self._message = self._messages()

    def write(self, records: Sequence[Record]) -> None:
        """Hand messages to the system. Blocks for the connect and the write timeout at most.

        Raises:
            IncompleteWrite: not all of them could be sent.
        """
        if not records:
            return
        if self._process_id != os.getpid():
            self._drop()
            self._process_id = os.getpid()
            self._message = self._messages()
        self._batch = records
        messages = [self._encode(record, self.options.max_bytes) for record in records]
        try:
            self._connected().send(messages, self.options.write_timeout_s)
        except OSError as error:
            self._drop()
            sent = error.sent if isinstance(error, Unsent) else 0
            raise IncompleteWrite(sent, f"{self.options.address}: {error}") from error
        finally:
            self._batch = ()

    def flush(self) -> None:
        """Nothing is held back."""

    def reopen(self) -> None:
        """Read certificates anew, and connect anew. Blocks for the connect timeout at most, and a second.

        Raises:
            IncompleteWrite: that does not work; nothing was written.
        """
        self.close()
        try:
            self.open()
            self._connection = self._connect()
        except OSError as error:
            raise IncompleteWrite(0, f"{self.options.address}: {error}") from error

    def close(self) -> None:
        """Close the connection. Blocks for a second at most. Harmless to repeat."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _messages(self) -> Message:
        options = self.options
        local = options.address.transport is Transport.UNIX
        hostname = options.hostname or ("" if options.rfc == "3164" and local else socket.gethostname())
        header = Header(
            options.facility, options.severity, hostname, options.app_name or self._service, self._process_id, self._utc
        )
        if options.rfc == "3164":
            return rfc3164(header, self._body)
        return rfc5424(header, self._body, options.sd_id if self._structured else "", bom=options.bom)

    def _encode(self, record: Record, limit: int) -> bytes:
        assert self._message is not None, "open comes first"
        return self._message(record, limit)

    def _connected(self) -> Connection:
        connection = self._connection
        if connection is not None:
            try:
                connection.check()
            except OSError:
                self._drop()
            else:
                return connection
        self._connection = self._connect()
        return self._connection

    def _connect(self) -> Connection:
        options = self.options
        address = options.address
        if address.transport is Transport.UNIX:
            return connect_unix(address.path, self._framing, self._oversize, options.write_timeout_s)
        deadline = time.monotonic() + options.connect_timeout_s
        addresses = self._resolver.look_up(options.connect_timeout_s)
        if address.transport is Transport.UDP:
            return connect_udp(addresses, self._oversize)
        name = options.tls.tls_name if options.tls is not None else ""
        return connect_tcp(addresses, self._framing, deadline, self._context, name)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()

    def _oversize(self, index: int, connected: socket.socket) -> None:
        record = self._batch[index]
        limit = len(self._encode(record, self.options.max_bytes))
        while limit > LEAST_BYTES:
            limit = max(LEAST_BYTES, limit // 2)
            try:
                connected.send(self._encode(record, limit))
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
            else:
                return
        raise OSError(errno.EMSGSIZE, f"not even {LEAST_BYTES} bytes can be sent")
