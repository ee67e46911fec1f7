"""Clients of a service under test: HTTP, and the console over a plain socket."""

from __future__ import annotations

import http.client
import re
import socket
from types import TracebackType
from typing import Self

__all__ = ["Console", "get"]

_DEADLINE_S = 20.0
_TELNET = re.compile(rb"\xff[\xfb-\xfe].", re.DOTALL)  # RFC 854: WILL, WON'T, DO and DON'T


def get(port: int, path: str) -> tuple[int, str]:
    """Ask for a resource on loopback; its status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_DEADLINE_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


class Console:
    """A session on a console on loopback. Used in a `with`.

    Args:
        port: where it listens.
        prompt: what it shows when it is ready for a command.

    Attributes:
        greeting: what it said before the first prompt.
    """

    def __init__(self, port: int, prompt: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_DEADLINE_S)
        self._prompt = prompt.encode()
        self.greeting = self._receive(self._prompt)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def ask(self, command: str) -> str:
        """Give a command; what is said before the next prompt, or before the end of the session."""
        self._socket.sendall(command.encode() + b"\r\n")
        return self._receive(self._prompt)

    def rest(self) -> str:
        """Wait until the other side hangs up; what it says before."""
        return self._receive(None)

    def _receive(self, end: bytes | None) -> str:
        received = b""
        while chunk := self._socket.recv(65536):
            received += chunk
            if end is not None and received.endswith(end):
                received = received.removesuffix(end)
                break
        return _TELNET.sub(b"", received).decode().replace("\r\n", "\n")
