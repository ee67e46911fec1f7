"""Hook points of the console, and what their implementations are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from mtev_kernel import HookResult, hookspec

__all__ = ["CommandRegistry", "Session", "mtev_console_commands", "mtev_console_dispatch"]


class CommandRegistry(Protocol):
    """Where commands are registered: the console, as `mtev_console_commands` hands it out."""

    def command(
        self, words: str, function: Callable[[Sequence[str]], Iterable[str]], *, summary: str, usage: str = ""
    ) -> object:
        """Register a command.

        Args:
            words: its full name, such as `show eventer debug sockets`; levels on the way are made as needed.
            function: given the words after the name, yields lines without line ends. Called on the loop of the
                session, so it has to be quick. ValueError and LookupError refuse the arguments: their text is shown.
            summary: one line of what it is for.
            usage: its arguments, such as `NAME [lines]`.

        Returns:
            A registration; its `remove()` takes the command back.

        Raises:
            CommandExists: those words are taken; the message names both owners.
            ConsoleError: the words are none, or lead through a command that has no sub-commands.
        """


class Session(Protocol):
    """One operator's session, as `mtev_console_dispatch` sees it. Use it on the thread that the hook is called on.

    Attributes:
        name: `console/<descriptor>`, unique among live sessions.
        peer: where the operator comes from.
        remote_cn: common name of the client certificate; `""` without TLS.
        columns: width of the operator's window in characters.
    """

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

    Mark the implementation `@hookimpl(optional=True)` in a plugin that works without a console too.
    """


@hookspec
def mtev_console_dispatch(session: Session, line: str) -> HookResult | None:
    """See a line before it is carried out; DONE or ABORT swallow it.

    Called on the session's loop for every line, empty ones too. An implementation that fails is logged by the kernel
    and counts as CONTINUE.
    """
