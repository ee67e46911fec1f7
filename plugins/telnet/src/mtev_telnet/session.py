"""One operator's connection: bytes to lines to the shell, and its output back.

1. Lines are carried out in the order in which they came, one at a time, and each is answered before the next begins.
2. Output is written as a command yields it, in short turns, so that a long listing does not hold up the loop.
3. While the client does not read, nothing is carried out and nothing is read. After `stall_timeout_s` of that, or of
   not taking the last of the output, it is cut off.
4. Reading pauses while what it brought waits to be parsed, and that waits while `MAX_WAITING` lines, or lines as long
   as the longest allowed one, wait to be carried out.
5. Ctrl-C ends the command that is running and drops the lines that wait.
6. A command that may block runs on a thread (see `workers`). Ctrl-C lets go of it and gives the prompt back at once;
   the next line is carried out when the command has come to its end, so that no two of a session ever run together.
7. When the client has sent all it will send, the session ends after the last line; a line without an end is not
   carried out. When the service drains, it ends after the command that is running.

Everything here runs on the connection's loop, but for `Operator` and what says otherwise.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import Protocol, cast

from mtev_kernel import CONTINUE

from .desk import Desk
from .lines import MAX_LINE, Control, Line
from .settings import Settings
from .shell import Output, Shell, printable
from .telnet import WindowSize
from .terminal import Send, Terminal, TerminalEvent
from .workers import Work

__all__ = ["MAX_WAITING", "Connection", "ConsoleSession"]

MAX_WAITING = 64
"""The most lines that wait for the one that is running."""

_PIECE = 4096
_TURN_S = 0.005
_WRITE_BUFFER = 64 * 1024
_DEFAULT_COLUMNS = 80


class Descriptor(Protocol):
    """What names a connection: the part of the listener's socket description that is used here."""

    @property
    def fd(self) -> int: ...


class Connection(Protocol):
    """What a session uses of the listener's connection."""

    @property
    def config(self) -> Mapping[str, str]: ...
    @property
    def peer(self) -> tuple[str, int] | str | None: ...
    @property
    def tls(self) -> object | None: ...
    @property
    def remote_cn(self) -> str: ...
    @property
    def where(self) -> str: ...
    @property
    def info(self) -> Descriptor | None: ...

    def add_drain(self, callback: Callable[[], None], /) -> None: ...


class _Operator:
    """What commands see of a session; reads what any thread may read."""

    __slots__ = ("_session",)

    def __init__(self, session: ConsoleSession) -> None:
        self._session = session

    @property
    def name(self) -> str:
        return self._session.name

    @property
    def peer(self) -> str:
        return _shown(self._session.peer)

    @property
    def user(self) -> str:
        return self._session.user

    @property
    def columns(self) -> int:
        return self._session.columns


class ConsoleSession(asyncio.Protocol):
    """The protocol object of one console connection.

    Args:
        connection: the listener's connection.
        desk: what sessions share.

    Attributes:
        user: who the operator is, where that is known; `""` otherwise.

    Raises:
        ValueError: the connection's configuration is wrong; the plugin checks it before any connection is made.
    """

    def __init__(self, connection: Connection, desk: Desk) -> None:
        self._connection = connection
        self._name = "console" if connection.info is None else f"console/{connection.info.fd}"
        self._desk = desk
        self._settings = Settings.parse(connection.config)
        self._terminal = Terminal(self._settings.telnet)
        self._shell = Shell(
            desk.root, desk.prompt, desk.log, self._intercept, operator=_Operator(self), background=self._background
        )
        self.user = ""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unparsed = bytearray()
        self._waiting: deque[Line | Control] = deque()
        self._output: Output | None = None
        self._slow: Work | None = None
        self._insisted = False
        self._turn: asyncio.Handle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._counted = False
        self._writable = True
        self._at_end = False
        self._ending = False
        self._columns = _DEFAULT_COLUMNS

    @property
    def name(self) -> str:
        """What the session is called in logs and listings."""
        return self._name

    @property
    def peer(self) -> tuple[str, int] | str | None:
        """Where the operator comes from."""
        return self._connection.peer

    @property
    def remote_cn(self) -> str:
        """Common name of the operator's client certificate; `""` without."""
        return self._connection.remote_cn

    @property
    def columns(self) -> int:
        """Width of the operator's window in characters, as far as it is known."""
        return self._columns

    def write(self, line: str) -> None:
        """Send a line, without its line end, after what was sent before."""
        self._send(f"{line}\n")

    def close(self) -> None:
        """End the session after the command that is running, and after what was sent has gone out."""
        self._ending = True
        self._forget_input()
        if self._output is None and self._transport is not None:
            self._transport.close()
            self._expect_progress()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or turn away when there are sessions enough."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        if not self._admitted():
            self.write(f"Too many sessions: all {self._settings.max_sessions} are in use. Try again later.")
            self.close()
            return
        self._connection.add_drain(self._drain)
        if self._settings.telnet:
            _take_urgent_data_in_line(self._transport)
        self._desk.log.debug("%s: session opened from %s", self.name, self.peer)
        self._transport.write(self._terminal.open())
        secure = "" if self._connection.tls is None else "(secure)"
        self.write(f"mtev{secure}: {printable(self.remote_cn) or '(no auth)'}")
        self._send(self._shell.prompt)

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""
        if not self._ending:
            self._unparsed += data
            self._go_on()

    def eof_received(self) -> bool:
        """The client will send no more: finish its lines, then close.

        Returns:
            Whether to keep the connection open for that, which TLS does not offer.
        """
        self._at_end = True
        self._go_on()
        return self._connection.tls is None

    def pause_writing(self) -> None:
        """The client does not read as fast as output is made."""
        self._writable = False
        self._expect_progress()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable = True
        if self._stall is not None and self._transport is not None and not self._transport.is_closing():
            self._stall.cancel()
            self._stall = None
        self._soon()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: stop what runs and forget the rest."""
        self._ending = True
        self._forget_input()
        self._stop_output()
        for handle in (self._stall, self._turn):
            if handle is not None:
                handle.cancel()
        if self._counted:
            self._desk.counter.leave(self._connection.where)
            self._desk.log.debug("%s: session closed%s", self.name, f" ({exc})" if exc else "")
        self._transport = None
        if self._slow is None:
            self._shell.close()
        else:  # a mode is closed after the last command in it
            self._slow.afterwards(self._shell.close)

    def _admitted(self) -> bool:
        counter, listener, limit = self._desk.counter, self._connection.where, self._settings.max_sessions
        self._counted = counter.enter(listener, limit)
        if not self._counted and counter.first_refusal(listener):
            self._desk.log.warning(
                "%s: all %d console sessions are in use; a client from %s was turned away; end a session or raise "
                "max_sessions in the listener's <config>",
                listener,
                limit,
                self.peer,
            )
        return self._counted

    def _go_on(self) -> None:
        """Take a turn now, unless one is due anyway."""
        if self._turn is None:
            self._work()

    def _soon(self) -> None:
        if self._turn is None:
            self._turn = self._loop.call_soon(self._work)

    def _work(self) -> None:
        """One turn: parse, carry out and write until there is nothing left to do, or the time is up."""
        self._turn = None
        until = self._loop.time() + _TURN_S
        while self._transport is not None and self._writable:
            parsed = self._parse()
            stuck = False
            if self._output is not None:
                stuck = not self._print(self._output, until)
            elif self._waiting:
                stuck = self._held_up and self._waiting[0] is not Control.INTERRUPT
                if not stuck:
                    self._begin(self._waiting.popleft())
            elif not self._unparsed:
                if self._at_end and not self._ending:
                    self._finish()
                break
            if stuck and not parsed:
                break
            if self._loop.time() >= until:
                self._soon()
                break
        if self._transport is not None and not self._ending and not self._at_end:
            if self._unparsed or not self._writable:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _parse(self) -> bool:
        """Turn a piece of what was read into lines, if there is one and room for them; whether it was so."""
        waiting = sum(len(event.text) for event in self._waiting if isinstance(event, Line))
        if not self._unparsed or len(self._waiting) >= MAX_WAITING or waiting >= MAX_LINE:
            return False
        piece = bytes(self._unparsed[:_PIECE])
        del self._unparsed[:_PIECE]
        for event in self._terminal.feed(piece):
            self._take(event)
        return True

    def _take(self, event: TerminalEvent) -> None:
        match event:
            case Send(data):
                if self._transport is not None:
                    self._transport.write(data)
            case WindowSize(columns, _):
                self._columns = columns or _DEFAULT_COLUMNS
            case Control.INTERRUPT:
                self._insisted = self._held_up
                self._waiting.clear()
                self._stop_output()
                self._waiting.append(event)
            case Line() | Control():
                self._waiting.append(event)

    def _begin(self, event: Line | Control) -> None:
        match event:
            case Line(text):
                self._output = self._shell.run(text)
            case Control.INTERRUPT:  # only now: telnet clients drop all that comes before our answer to TIMING-MARK
                self.write("")
                if self._insisted and self._slow is not None and self._held_up:
                    self.write(f"'{printable(self._slow.name)}' is still running, and cannot be interrupted just now.")
                self._ended()
            case Control.END_OF_FILE:
                self.write("")
                self._output = self._shell.leave()
            case Control.TOO_LONG:
                self.write(f"Line too long: it had more than {MAX_LINE} bytes and was ignored.")
                self._ended()

    @property
    def _held_up(self) -> bool:
        """Whether the next line has to wait for a command that was let go of and has not ended."""
        return self._output is None and self._slow is not None and not self._slow.ended

    def _print(self, output: Output, until: float) -> bool:
        """Send what a command has to say for this turn; whether it has, or may have, more to say at once."""
        text, size, waits = [], 0, False
        for line in output:
            if line is None:
                waits = True
                break
            text.append(f"{line}\n")
            size += len(line)
            if size >= _WRITE_BUFFER // 4 or self._loop.time() >= until:
                break
        else:
            self._output = None
        self._send("".join(text))
        if self._output is None:
            self._ended()
        return not waits

    def _ended(self) -> None:
        """A line has been carried out."""
        if self._shell.finished or self._ending:
            self.close()
        else:
            self._send(self._shell.prompt)

    def _finish(self) -> None:
        """The client has sent all, and all of it has been answered."""
        if self._terminal.incomplete:
            self.write("The last line was ignored: it has no line end.")
        self.close()

    def _drain(self) -> None:
        if self._transport is not None:
            self._ending = True
            self._forget_input()
            if self._output is None:
                self.write("\nThe service is stopping.")
                self.close()

    def _intercept(self, line: str) -> bool:
        call = self._desk.dispatch.call
        return call is not None and call(self, line) not in (None, CONTINUE)

    def _background(
        self, name: str, lines: Callable[[], Generator[str, None, None]], failed: Callable[[BaseException], object]
    ) -> Work:
        self._slow = self._desk.workers.start(f"{self.name} {name}", lines, wake=self._wake, failed=failed)
        return self._slow

    def _wake(self) -> None:
        """Have the loop take a turn. Thread-safe."""
        try:
            self._loop.call_soon_threadsafe(self._soon)
        except RuntimeError:
            self._desk.log.debug("%s: its loop has ended before its command", self.name)

    def _send(self, text: str) -> None:
        if self._transport is not None and text:
            self._transport.write(self._terminal.encode(text))

    def _stop_output(self) -> None:
        output, self._output = self._output, None
        if output is not None:
            output.close()

    def _forget_input(self) -> None:
        self._waiting.clear()
        self._unparsed.clear()

    def _expect_progress(self) -> None:
        if self._stall is None:
            self._stall = self._loop.call_later(self._settings.stall_timeout_s, self._cut_off)

    def _cut_off(self) -> None:
        if self._transport is not None:
            self._desk.log.warning(
                "%s: the client at %s did not read its output for %g s and was cut off",
                self.name,
                self.peer,
                self._settings.stall_timeout_s,
            )
            self._transport.abort()


def _shown(peer: tuple[str, int] | str | None) -> str:
    if isinstance(peer, tuple):
        host, port = peer
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return printable(peer or "unnamed")


def _take_urgent_data_in_line(transport: asyncio.Transport) -> None:
    """Telnet clients send DM as urgent data; the system takes such a byte out of the stream unless told otherwise."""
    underlying = transport.get_extra_info("socket")
    if underlying is not None and underlying.family != socket.AF_UNIX:
        underlying.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
