"""The console: the command tree that all sessions share, and who put what there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, cast, overload

from .errors import ConsoleError, LineError
from .hookspecs import Mode, Operator
from .shell import Shell, basic_state, printable
from .tokenizer import tokenize
from .tree import Command, Handler, State

__all__ = ["Console", "Enter", "Function", "Registration", "SessionFunction"]

Function = Callable[[Sequence[str]], Iterable[str]]
"""What a plugin's command does: given the words after its name, yields lines without line ends."""

SessionFunction = Callable[[Operator, Sequence[str]], Iterable[str]]
"""The same, for a command that wants to know whose it is."""

Enter = Callable[[Operator, Sequence[str]], Mode]
"""What leads into a plugin's mode: given whose session and the words after its name, makes the mode."""


class Registration:
    """A registered command; `remove` takes it back. Thread-safe."""

    def __init__(self, root: State, path: Sequence[str], command: Command) -> None:
        self._root = root
        self._path = tuple(path)
        self._command = command

    def remove(self) -> None:
        """Take the command back; harmless to repeat. A session that runs it finishes it; one that is in it stays."""
        self._root.remove(self._path, self._command)


class Console:
    """The registry of commands, published as a service; also that of a mode. Thread-safe; nothing here blocks.

    Args:
        owner_of: names the plugin that a function belongs to, for messages and `help`.

    Attributes:
        root: the top level of the command tree.
    """

    def __init__(self, owner_of: Callable[[Callable[..., object]], str] | None = None) -> None:
        self._owner_of = owner_of or _qualified_name
        self.root = basic_state()

    @overload
    def command(
        self,
        words: str,
        function: Function,
        *,
        summary: str,
        usage: str = "",
        session: Literal[False] = False,
        threaded: bool = False,
    ) -> Registration: ...
    @overload
    def command(
        self,
        words: str,
        function: SessionFunction,
        *,
        summary: str,
        usage: str = "",
        session: Literal[True],
        threaded: bool = False,
    ) -> Registration: ...
    def command(
        self,
        words: str,
        function: Function | SessionFunction,
        *,
        summary: str,
        usage: str = "",
        session: bool = False,
        threaded: bool = False,
    ) -> Registration:
        """Register a command; see `CommandRegistry.command` in `hookspecs`.

        Args:
            words: its full name, split as a command line is. The last word may be `""`: such a command takes the
                lines whose first word means nothing on its level, that word included.
            function: what it does.
            summary: one line of what it is for.
            usage: its arguments.
            session: the function is given the `Operator` before the words.
            threaded: the function may block; it gets a thread of its own.

        Raises:
            CommandExists: those words are taken; the message names both owners.
            ConsoleError: the words or the summary are missing or malformed, or lead through a command that has no
                sub-commands.
        """
        if session:
            with_session = cast("SessionFunction", function)

            def handler(shell: Shell, arguments: Sequence[str]) -> Iterable[str]:
                return with_session(shell.operator, arguments)
        else:
            plain = cast("Function", function)

            def handler(shell: Shell, arguments: Sequence[str]) -> Iterable[str]:
                return plain(arguments)

        return self._add(words, handler, self._owner_of(function), summary=summary, usage=usage, threaded=threaded)

    def mode(self, words: str, enter: Enter, *, summary: str, usage: str = "") -> Registration:
        """Register a command that leads into a mode; see `CommandRegistry.mode` in `hookspecs`.

        Args:
            words: as for `command`.
            enter: makes the mode of one session.
            summary: one line of what it is for.
            usage: its arguments.

        Raises:
            CommandExists: as for `command`.
            ConsoleError: as for `command`.
        """
        owner = self._owner_of(enter)

        def handler(shell: Shell, arguments: Sequence[str]) -> Iterable[str]:
            _enter(shell, enter(shell.operator, arguments), shell.command, owner)
            return ()

        return self._add(words, handler, owner, summary=summary, usage=usage)

    def _add(
        self, words: str, handler: Handler, owner: str, *, summary: str, usage: str, threaded: bool = False
    ) -> Registration:
        try:
            name = tokenize(words)
        except LineError as error:
            raise ConsoleError(f"{owner} registers a console command {words!r}: {error}") from error
        if not name or "" in name[:-1] or any(printable(word) != word or word == "?" for word in name):
            raise ConsoleError(
                f"{owner} registers a console command {words!r}; expected printable words such as 'show eventer'"
            )
        if not summary.strip() or printable(summary + usage) != summary + usage:
            raise ConsoleError(f"{owner} registers the console command '{words}' without a summary of one line")
        command = Command(name[-1], handler, summary=summary.strip(), usage=usage, owner=owner, threaded=threaded)
        self.root.add(name[:-1], command)
        return Registration(self.root, name[:-1], command)


def _enter(shell: Shell, mode: Mode, name: str, owner: str) -> None:
    """Put a session into a mode that was just made for it."""
    close: Callable[[], object] | None = getattr(mode, "close", None)
    try:
        register = getattr(mode, "register", None)
        if register is None:
            raise TypeError(
                f"{owner}: the console mode '{name}' is a {type(mode).__name__}; expected an object with "
                "'prompt' and 'register'"
            )
        console = Console(lambda function: owner)
        register(console)
    except BaseException:
        if close is not None:
            close()
        raise
    shell.push(name, console.root, lambda: mode.prompt, close)


def _qualified_name(function: Callable[..., object]) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', type(function).__name__)}"
