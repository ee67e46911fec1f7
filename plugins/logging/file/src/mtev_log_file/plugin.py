"""The plugin `log.file`: offers the log types `file` and `file_synch`."""

from __future__ import annotations

from mtev_kernel import ConfigurationError, Plugin
from mtev_log import Logs

from .backend import FileBackend

__all__ = ["LogFilePlugin"]


class LogFilePlugin(Plugin):
    """Registers `FileBackend` with the service `Logs`, which does the rest."""

    def configure(self) -> None:
        """Register the types; refuse options, for they belong to each `<log>`."""
        if self.context.config:
            raise ConfigurationError(
                f"the plugin 'log.file' has no options, but its <config> has {', '.join(sorted(self.context.config))}",
                self.context.where,
            )
        logs = self.context.services.require(Logs)
        for name in ("file", "file_synch"):
            logs.register_backend(name, FileBackend)
