"""The command tree: which command a word means.

A `State` is one level: a set of commands by name. A `Command` either does something or, as a *delegate*, opens the
level below it. Rules of `State.match`, which are libmtev's:

1. Upper and lower case are the same.
2. A command of exactly that name is meant.
3. Otherwise the one command that begins with the word is meant, except `exit`, which has to be written in full.
4. When several begin with it, the word is ambiguous (and `exit` counts as one of them).
5. Otherwise nothing is meant. A command named `""`, where a level has one, then takes the whole line (see `shell`).

Levels are read by sessions on many threads while plugins come and go: a change replaces the level's table, it never
changes the one that a reader may be walking over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from .errors import CommandExists, ConsoleError

if TYPE_CHECKING:
    from .shell import Shell

__all__ = ["Command", "Handler", "Match", "State"]

Handler = Callable[["Shell", Sequence[str]], Iterable[str]]
"""What a command does: given the shell and the words after its name, yields lines without line ends."""

_IN_FULL = "exit"


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """One command of one level; exactly one of `handler` and `state` is set.

    Args:
        name: the word that means it.
        handler: what it does.
        state: the level that it opens, for a delegate.
        summary: one line of what it is for.
        usage: its arguments, such as `NAME [lines]`.
        owner: who registered it, as messages name them.
        threaded: the handler may block: it is called, and what it returns is walked, on a thread of its own.
    """

    name: str
    handler: Handler | None = None
    state: State | None = None
    summary: str = ""
    usage: str = ""
    owner: str = ""
    threaded: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """What a word means: one command, or several candidates, or nothing."""

    command: Command | None = None
    candidates: tuple[Command, ...] = ()


class State:
    """One level of the tree. Thread-safe.

    Args:
        always: commands that this level and every one made below it have from the start (`help`).
        lock: held while the tree changes; one for all levels of a tree.
    """

    def __init__(self, always: Sequence[Command] = (), lock: threading.Lock | None = None) -> None:
        self._always = tuple(always)
        self._lock = lock or threading.Lock()
        self._commands: Mapping[str, Command] = MappingProxyType({_key(each.name): each for each in self._always})

    def __iter__(self) -> Iterator[Command]:
        """The commands by name."""
        return iter([command for _, command in sorted(self._commands.items())])

    @property
    def idle(self) -> bool:
        """Whether the level holds nothing but what every level has."""
        return len(self._commands) == len(self._always)

    def find(self, name: str) -> Command | None:
        """The command of exactly that name, in any case."""
        return self._commands.get(_key(name))

    def match(self, word: str) -> Match:
        """The command that a word means, by the rules above."""
        exact = self.find(word)
        if exact is not None:
            return Match(exact)
        key = _key(word)
        found = [command for name, command in sorted(self._commands.items()) if name.startswith(key)]
        if len(found) > 1:
            return Match(None, tuple(found))
        if found and _key(found[0].name) != _IN_FULL:
            return Match(found[0])
        return Match()

    def add(self, path: Sequence[str], command: Command) -> None:
        """Put a command below this level; levels on the way are made as needed.

        Args:
            path: the words before the command's own name.
            command: what to add.

        Raises:
            CommandExists: the name is taken there.
            ConsoleError: a word of the path is a command that has no sub-commands.
        """
        words = " ".join((*path, command.name))
        with self._lock:
            state = self
            for depth, name in enumerate(path, start=1):
                found = state.find(name)
                if found is None:
                    break
                if found.state is None:
                    raise ConsoleError(
                        f"{command.owner} registers the console command '{words}', but {_owner(found)} registered "
                        f"'{' '.join(path[:depth])}' as a command without sub-commands"
                    )
                state = found.state
            else:
                taken = state.find(command.name)
                if taken is not None:
                    raise CommandExists(
                        f"{command.owner} registers the console command '{words}', which {_owner(taken)} "
                        "registered already; remove one of them or give it another name"
                    )
            self._reach(path, command.owner)._put(command)

    def remove(self, path: Sequence[str], command: Command) -> None:
        """Take back a command, and levels on the way that are empty without it. Harmless to repeat."""
        with self._lock:
            levels = [self]
            for name in path:
                found = levels[-1].find(name)
                if found is None or found.state is None:
                    return
                levels.append(found.state)
            if levels[-1].find(command.name) is not command:
                return
            levels[-1]._drop(command.name)
            for name, level, above in zip(reversed(path), reversed(levels), reversed(levels[:-1]), strict=False):
                if not level.idle:
                    return
                above._drop(name)

    def _reach(self, path: Sequence[str], owner: str) -> State:
        state = self
        for name in path:
            found = state.find(name)
            if found is None or found.state is None:
                below = State(self._always, self._lock)
                state._put(Command(name, state=below, owner=owner))
                state = below
            else:
                state = found.state
        return state

    def _put(self, command: Command) -> None:
        self._commands = MappingProxyType({**self._commands, _key(command.name): command})

    def _drop(self, name: str) -> None:
        self._commands = MappingProxyType({key: each for key, each in self._commands.items() if key != _key(name)})


def _key(name: str) -> str:
    return name.casefold()


def _owner(command: Command) -> str:
    return command.owner or "the console itself"
