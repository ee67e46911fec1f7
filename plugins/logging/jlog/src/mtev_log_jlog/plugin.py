"""The plugin `log.jlog`: offers the log type `jlog`."""

from __future__ import annotations

from mtev_kernel import ConfigurationError, Plugin
from mtev_log import Logs

from .backend import JlogBackend

__all__ = ["LogJlogPlugin"]


class LogJlogPlugin(Plugin):
    """Registers `JlogBackend` with the service `Logs`, which does the rest."""

    def configure(self) -> None:
        """Register the type; refuse options, for they belong to each `<log>`."""
        if self.context.config:
            raise ConfigurationError(
                f"the plugin 'log.jlog' has no options, but its <config> has {', '.join(sorted(self.context.config))}",
                self.context.where,
            )
        self.context.services.require(Logs).register_backend("jlog", JlogBackend)
