"""The echo example as a running service, its clients, and what the system tells of its process."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from clients import Console, get
from daemon import Daemon
from environment import ROOT, Environment

__all__ = ["DEADLINE_S", "ECHO", "EchoService", "echoed", "read_to_end", "until"]

ECHO = ROOT / "examples" / "echo"
DEADLINE_S = 20.0
_PIECE = 50_000

CONFIGURATION = """\
<echo>
  <eventer><config>{eventer}</config></eventer>
  <modules><generic image="echo" name="echo"/></modules>
  <listeners address="127.0.0.1">
    <listener type="mtev_console" port="0"/>
    <listener type="http_rest_api" port="0"/>
{listeners}
  </listeners>
  <stats/>
  <rest><acl><rule type="allow" ip="127.0.0.1"/></acl></rest>
</echo>
"""


class EchoService:
    """The service, for a `with` statement; its end is an orderly one, and nothing may have gone wrong.

    Args:
        environment: where it is installed.
        folder: where its configuration goes.
        listeners: elements below `<listeners>`, one a line, by name.
        eventer: keys of `<eventer><config>`.
        wrapper: a program that is run in its place, and runs it.

    Attributes:
        file: its configuration.
        daemon: its process.
        faults: patterns of lines at ERROR that are expected.
    """

    def __init__(
        self,
        environment: Environment,
        folder: Path,
        listeners: dict[str, str],
        *,
        eventer: str = "",
        modules: str = "",
        **variables: str,
    ) -> None:
        self.file = folder / "echo.conf"
        self._names = list(listeners)
        self._first = CONFIGURATION[: CONFIGURATION.index("{listeners}")].count("\n") + 1
        self.write(listeners, eventer=eventer, modules=modules)
        self.daemon: Daemon = environment.start("-c", self.file, **variables)
        self.faults: tuple[str, ...] = ()

    def write(self, listeners: dict[str, str], *, eventer: str = "", modules: str = "") -> None:
        """Write the configuration; the service reads it at its start and at SIGHUP."""
        text = CONFIGURATION.format(eventer=eventer, listeners="\n".join(listeners.values()))
        self.file.write_text(text.replace("</modules>", f"{modules}</modules>"))

    def __enter__(self) -> Self:
        self.daemon.__enter__()
        self.daemon.wait_for("ready: ")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                assert self.daemon.stop() == 0, self.daemon.text
                wrong = [line for line in self.daemon.lines if " ERROR " in line or "Traceback" in line]
                assert [line for line in wrong if not any(each in line for each in self.faults)] == []
        finally:
            self.daemon.__exit__(kind, error, at)

    def port(self, name: str) -> int:
        """The port of one of the listeners."""
        line = self._first + self._names.index(name)
        return int(self.daemon.wait_for(rf":{line}: \S+ listens on 127\.0\.0\.1:(\d+)")[1])

    def connect(self, name: str, **options: object) -> socket.socket:
        """A connection to one of the listeners."""
        return socket.create_connection(("127.0.0.1", self.port(name)), timeout=DEADLINE_S, **options)

    def console(self) -> Console:
        """A session on its console."""
        return Console(int(self.daemon.wait_for(r"mtev_console listens on 127\.0\.0\.1:(\d+)")[1]), "echo# ")

    def json(self, path: str) -> object:
        """What REST answers."""
        port = int(self.daemon.wait_for(r"http_rest_api listens on 127\.0\.0\.1:(\d+)")[1])
        status, body = get(port, path)
        assert status == 200, body
        return json.loads(body)

    def text(self, path: str) -> str:
        """The same as text."""
        return get(int(self.daemon.wait_for(r"http_rest_api listens on 127\.0\.0\.1:(\d+)")[1]), path)[1]

    def descriptors(self) -> int:
        """How many descriptors its process has open."""
        return sum(1 for _ in Path(f"/proc/{self.daemon.pid}/fd").iterdir())

    def resident_bytes(self) -> int:
        """How much memory its process has."""
        pages = int(Path(f"/proc/{self.daemon.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def processor_s(self) -> float:
        """How much processor time its process has taken."""
        fields = Path(f"/proc/{self.daemon.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def echoed(client: socket.socket, data: bytes = b"hello") -> bool:
    """Say something, piece by piece, and hear whether each is said again."""
    for at in range(0, len(data), _PIECE):
        piece = data[at : at + _PIECE]
        client.sendall(piece)
        heard = b""
        while len(heard) < len(piece) and (more := client.recv(len(piece) - len(heard))):
            heard += more
        if heard != piece:
            return False
    return True


def read_to_end(client: socket.socket) -> bytes:
    """Read until the other side hangs up, in whatever way."""
    heard = b""
    try:
        while more := client.recv(65536):
            heard += more
    except ConnectionResetError:
        pass
    return heard


def until(condition: Callable[[], object], what: str) -> None:
    """Ask again and again; for what only another process can tell.

    Raises:
        AssertionError: it did not come to that in time.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)
