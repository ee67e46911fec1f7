"""The plugin `log.memory`: offers the log type `memory`, and shows such logs over REST and on the console."""

from __future__ import annotations

from mtev_kernel import ConfigurationError, Context, Plugin, hookimpl
from mtev_log import Logs

from .backend import MemoryBackend
from .console import CommandRegistry, register_command
from .rest import LogLines, RestRoutes

__all__ = ["LogMemoryPlugin"]


class LogMemoryPlugin(Plugin):
    """Registers `MemoryBackend` with the service `Logs`.

    Args:
        context: this plugin's view of the kernel.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._logs = context.services.require(Logs)
        self._lines = LogLines(self._logs)

    def configure(self) -> None:
        """Register the type; refuse options, for they belong to each `<log>`."""
        if self.context.config:
            raise ConfigurationError(
                "the plugin 'log.memory' has no options, but its <config> has "
                f"{', '.join(sorted(self.context.config))}",
                self.context.where,
            )
        self._logs.register_backend("memory", MemoryBackend)

    @hookimpl(optional=True)
    def mtev_rest_routes(self, rest: RestRoutes) -> None:
        """Add the route of memory logs."""
        self._lines.register(rest)

    @hookimpl
    def mtev_stopping(self) -> None:
        """Answer those who wait for lines, for the end of the service waits for them."""
        self._lines.end_waits()

    @hookimpl(optional=True)
    def mtev_console_commands(self, console: CommandRegistry) -> None:
        """Register the command that shows memory logs."""
        register_command(console, self._logs)
