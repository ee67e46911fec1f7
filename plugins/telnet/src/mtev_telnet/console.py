"""The console: the command tree that all sessions share, and who put what there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .errors import ConsoleError, LineError
from .shell import Shell, basic_state, printable
from .tokenizer import tokenize
from .tree import Command, State

__all__ = ["Console", "Function", "Registration"]

Function = Callable[[Sequence[str]], Iterable[str]]
"""What a plugin's command does: given the words after its name, yields lines without line ends."""


class Registration:
    """A registered command; `remove` takes it back. Thread-safe."""

    def __init__(self, root: State, path: Sequence[str], command: Command) -> None:
        self._root = root
        self._path = tuple(path)
        self._command = command

    def remove(self) -> None:
        """Take the command back; harmless to repeat. A session that runs it finishes it."""
        self._root.remove(self._path, self._command)


class Console:
    """The registry of commands, published as a service. Thread-safe; nothing here blocks.

    Args:
        owner_of: names the plugin that a function belongs to, for messages and `help`.

    Attributes:
        root: the top level of the command tree.
    """

    def __init__(self, owner_of: Callable[[Function], str] | None = None) -> None:
        self._owner_of = owner_of or _qualified_name
        self.root = basic_state()

    def command(self, words: str, function: Function, *, summary: str, usage: str = "") -> Registration:
        """Register a command; see `CommandRegistry.command` in `hookspecs`.

        Args:
            words: its full name, split as a command line is. The last word may be `""`: such a command takes the
                lines whose first word means nothing on its level, that word included.
            function: what it does.
            summary: one line of what it is for.
            usage: its arguments.

        Raises:
            CommandExists: those words are taken; the message names both owners.
            ConsoleError: the words or the summary are missing or malformed, or lead through a command that has no
                sub-commands.
        """
        owner = self._owner_of(function)
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

        def handler(_: Shell, arguments: Sequence[str]) -> Iterable[str]:
            return function(arguments)

        command = Command(name[-1], handler, summary=summary.strip(), usage=usage, owner=owner)
        self.root.add(name[:-1], command)
        return Registration(self.root, name[:-1], command)


def _qualified_name(function: Function) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', type(function).__name__)}"
