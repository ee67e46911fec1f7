"""The plugin `log`: wires the streams to the kernel, the configuration and the standard library."""

from __future__ import annotations

import asyncio
import logging

from mtev_conf import ChangeEvent, Configuration, Proposal
from mtev_kernel import ConfigurationError, Context, Plugin, hookimpl

from . import hookspecs
from ._metrics import Metrics, register_metrics
from .bridge import Bridge
from .configuration import StreamSettings, build_graph, read_rest_write, read_streams
from .console import CommandRegistry, register
from .errors import LogError
from .logs import Logs
from .rest import LogRoutes, RestRegistry

__all__ = ["LogPlugin"]


class LogPlugin(Plugin):
    """Publishes the service `Logs`, configured by `<logs>`; declares the hook `mtev_log_line`.

    Args:
        context: this plugin's view of the kernel.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        context.hooks.declare(hookspecs)
        self._logs = Logs(
            context.hooks.site(hookspecs.mtev_log_line),
            plain_site=context.hooks.site(hookspecs.mtev_log_plain),
            flatbuffer_site=context.hooks.site(hookspecs.mtev_log_flatbuffer),
            degraded=context.degraded,
            healthy=context.healthy,
        )
        self._bridge = Bridge(self._logs)
        self._wanted: list[StreamSettings] = []
        self._debug = False
        self._rest_write = False
        context.services.publish(Logs, self._logs)

    def configure(self) -> None:
        """Read `<logs>`; say what of it has no effect."""
        if self.context.config:
            raise ConfigurationError(
                f"the plugin 'log' has no options, but its <config> has {', '.join(sorted(self.context.config))}; "
                "streams are configured in <logs>",
                self.context.where,
            )
        self._wanted = self._read()
        build_graph(self._wanted)

    def validate(self) -> None:
        """Make the backends: every plugin has registered its types by now."""
        self._logs.configure(self._wanted, self._hint)
        for notice in self._logs.without_effect(self._wanted):
            self.context.warn(notice)

    def start(self) -> None:
        """Open the backends; from now on the standard library's logging goes into the streams.

        A root logger that lets DEBUG through (the command line's `--debug`) enables the stream `debug`, as in libmtev.
        """
        self._debug = logging.getLogger().level == logging.DEBUG
        self._logs.open()
        self._enable_debug()
        self._bridge.install()
        if (call := self.context.hooks.site(hookspecs.mtev_log_streams).call) is not None:
            call(self._logs)

    def stop(self) -> None:
        """Give the standard library's logging back, then write out and close everything."""
        self._bridge.remove()
        self._logs.close()

    @hookimpl
    def mtev_conf_changing(self, proposal: Proposal) -> None:
        """Refuse a document whose `<logs>` cannot be followed."""
        if proposal.concerns("logs"):
            try:
                read_rest_write(proposal.configuration)
                self._logs.check(read_streams(proposal.configuration)[0], self._hint)
            except ConfigurationError as error:
                proposal.refuse(error)
            except LogError as error:
                proposal.refuse(str(error))

    @hookimpl
    def mtev_conf_changed(self, event: ChangeEvent) -> None:
        """Make the streams what the document says after a transaction; after a reload, `mtev_reload` does."""
        if event.generation.kind != "reload" and event.concerns("logs"):
            self._reload()

    @hookimpl
    async def mtev_reload(self) -> None:
        """Make the streams what the document says now, and reopen every backend, whatever has changed."""
        await asyncio.to_thread(self._reload)

    @hookimpl(optional=True)
    def mtev_console_commands(self, console: CommandRegistry) -> None:
        """Register the commands about streams."""
        register(console, self._logs)

    @hookimpl(optional=True)
    def mtev_rest_routes(self, rest: RestRegistry) -> None:
        """Add the routes that show and change streams."""
        LogRoutes(self._logs, lambda: self._rest_write, self.context.log).register(rest)

    @hookimpl(optional=True)
    def mtev_stats_metrics(self, stats: Metrics) -> None:
        """Show how the streams and their backends do."""
        register_metrics(stats, self._logs)

    def _reload(self) -> None:
        try:
            self._logs.configure(self._read(), self._hint)
            self._enable_debug()
        except ConfigurationError as error:
            self.context.log.error("the logs stay as they were: %s", error)

    def _enable_debug(self) -> None:
        if self._debug:
            self._logs.set_flags("debug", enabled=True, debug=True)

    def _read(self) -> list[StreamSettings]:
        configuration = self.context.services.require(Configuration)
        wanted, notices = read_streams(configuration)
        self._rest_write = read_rest_write(configuration)
        for notice in notices:
            self.context.warn(notice)
        return wanted

    def _hint(self, kind: str) -> str:
        return self.context.hint("log-type", kind)
