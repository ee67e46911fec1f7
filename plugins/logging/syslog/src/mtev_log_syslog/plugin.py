"""The plugin `log.syslog`: offers the log types `syslog` and `journald`."""

from __future__ import annotations

from functools import partial

from mtev_conf import Configuration
from mtev_kernel import ConfigurationError, Plugin
from mtev_log import Logs

from .backend import SyslogBackend
from .journald import JournaldBackend

__all__ = ["LogSyslogPlugin"]


class LogSyslogPlugin(Plugin):
    """Registers the backends with the service `Logs`, which does the rest."""

    def configure(self) -> None:
        """Register the types; refuse options, for they belong to each `<log>`."""
        if self.context.config:
            names = ", ".join(sorted(self.context.config))
            raise ConfigurationError(
                f"the plugin 'log.syslog' has no options, but its <config> has {names}", self.context.where
            )
        services = self.context.services
        service = services.require(Configuration).root_name
        logs = services.require(Logs)
        logs.register_backend("syslog", partial(SyslogBackend, service=service))
        logs.register_backend("journald", partial(JournaldBackend, service=service))
