"""Hook points of the console, and what their implementations are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, overload

from mtev_kernel import HookResult, hookspec

__all__ = ["CommandRegistry", "Mode", "Operator", "Session", "mtev_console_commands", "mtev_console_dispatch"]


class Operator(Protocol):
    """Whoever gives a command, as the command sees them. Thread-safe; it may be kept after the command has ended.

    Attributes:
        name: of the session, `console/<descriptor>`; unique among live sessions.
        peer: where they come from, as text: `127.0.0.1:49744`, `[::1]:49744`, the path of a unix socket, or `unnamed`.
        user: who they are, where that is known; `""` otherwise.
        columns: width of their window in characters.
    """

    @property
    def name(self) -> str: ...
    @property
    def peer(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def columns(self) -> int: ...


class CommandRegistry(Protocol):
    """Where commands are registered: the console, as `mtev_console_commands` hands it out, or a mode of it."""

    @overload
    def command(
        self,
        words: str,
        function: Callable[[Sequence[str]], Iterable[str]],
        *,
        summary: str,
        usage: str = "",
        session: Literal[False] = False,
        threaded: bool = False,
    ) -> object: ...
    @overload
    def command(
        self,
        words: str,
        function: Callable[[Operator, Sequence[str]], Iterable[str]],
        *,
        summary: str,
        usage: str = "",
        session: Literal[True],
        threaded: bool = False,
    ) -> object: ...
    def command(
        self,
        words: str,
        function: Callable[[Sequence[str]], Iterable[str]] | Callable[[Operator, Sequence[str]], Iterable[str]],
        *,
        summary: str,
        usage: str = "",
        session: bool = False,
        threaded: bool = False,
    ) -> object:
        """Register a command.

        Args:
            words: its full name, such as `show eventer debug sockets`; levels on the way are made as needed.
            function: given the words after the name, yields lines without line ends. Called on the loop of the
                session, so it has to be quick, unless `threaded`. ValueError and LookupError refuse the arguments:
                their text is shown.
            summary: one line of what it is for.
            usage: its arguments, such as `NAME [lines]`.
            session: the function is given the `Operator` first, then the words.
            threaded: the function may block: it is called, and what it returns is walked and closed, on a thread of
                its own. When the operator interrupts it or leaves, a generator is closed as soon as it yields, and
                what it is in the middle of ends by itself. The commands of one session never run at the same time.

        Returns:
            A registration; its `remove()` takes the command back.

        Raises:
            CommandExists: those words are taken; the message names both owners.
            ConsoleError: the words are none, or lead through a command that has no sub-commands.
        """

    def mode(
        self, words: str, enter: Callable[[Operator, Sequence[str]], Mode], *, summary: str, usage: str = ""
    ) -> object:
        """Register a command that leads into a mode: a level of commands with a prompt of its own, left by `exit`.

        Args:
            words: as for `command`.
            enter: given the `Operator` and the words after the name, makes the mode of that one session. Called on
                the loop of the session, so it has to be quick. It may refuse its arguments as a command does.
            summary: as for `command`.
            usage: as for `command`.

        Returns:
            A registration; its `remove()` takes the command back. Sessions that are in the mode stay there.

        Raises:
            CommandExists: as for `command`.
            ConsoleError: as for `command`.
        """


class Mode(Protocol):
    """What a plugin makes for a session that enters its mode.

    It may have a method `close()` too: called once when the session has left the mode, by `exit` or by ending, and when
    none of its commands is running any more. It is quick, and called on the session's loop, or, where an interrupted
    command outlives its session, on that command's thread. A text that it returns is a last word to whoever has left by
    `exit`.

    Attributes:
        prompt: what to ask with, `conf:/listeners# ` for one. Asked for before each line, on the session's loop.
    """

    @property
    def prompt(self) -> str: ...

    def register(self, commands: CommandRegistry) -> None:
        """Register the commands of the mode; called once, on entry. `help` and `exit` are there already.

        Args:
            commands: the same as the console, for this mode of this session only: `command`, and `mode` for a mode
                below this one.
        """


class Session(Protocol):
    """One operator's session, as `mtev_console_dispatch` sees it. Use it on the thread that the hook is called on.

    Attributes:
        name: `console/<descriptor>`, unique among live sessions.
        peer: where the operator comes from.
        remote_cn: common name of the client certificate; `""` without TLS.
        columns: width of the operator's window in characters.
        user: who the operator is, where that is known; `""` otherwise. May be set; commands and their logs see it.
    """

    user: str

    @property
    def name(self) -> str: ...
    @property
    def peer(self) -> tuple[str, int] | str | None: ...
    @property
    def remote_cn(self) -> str: ...
    @property
    def columns(self) -> int: ...

    def write(self, line: str) -> None:
        """Send a line, without its line end, after what was sent before."""

    def close(self) -> None:
        """End the session after what was sent has gone out."""


@hookspec
def mtev_console_commands(console: CommandRegistry) -> HookResult | None:
    """Register commands on the console; called once, when the console starts.

    Args:
        console: takes commands (`command`), and modes, which are levels of commands with a prompt (`mode`).

    Note:
        Mark the implementation `@hookimpl(optional=True)` in a plugin that works without a console too.
    """


@hookspec
def mtev_console_dispatch(session: Session, line: str) -> HookResult | None:
    """See a line before it is carried out; DONE or ABORT swallow it.

    Called on the session's loop for every line, empty ones and those of modes too. An implementation that fails is
    logged by the kernel and counts as CONTINUE.
    """
