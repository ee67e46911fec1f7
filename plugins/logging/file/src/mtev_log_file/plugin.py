"""The plugin `log.file`: offers the log types `file` and `file_synch`."""

from __future__ import annotations

from mtev_kernel import ConfigurationError, Plugin
from mtev_log import Logs

from .backend import FileBackend
from .rotation import ATTRIBUTES

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
        logs.register_backend("file", FileBackend, attributes=ATTRIBUTES)
        logs.register_backend("file_synch", FileBackend, synchronous=True, attributes=ATTRIBUTES)
