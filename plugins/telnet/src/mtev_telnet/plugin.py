"""The plugin: registers the listener type `mtev_console` and gathers everybody's commands."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Iterator

from mtev_conf import Configuration, Section
from mtev_kernel import ConfigurationError, Context, Plugin
from mtev_kernel.errors import attribution
from mtev_listener import Connection, Listeners

from . import hookspecs
from .console import Console
from .desk import Desk, SessionCounter
from .reports import Reports
from .session import ConsoleSession
from .settings import Settings
from .workers import Workers

__all__ = ["LISTENER_TYPE", "TelnetPlugin"]

LISTENER_TYPE = "mtev_console"
"""The listener type of consoles, which is libmtev's."""

_STOP_S = 5.0


class TelnetPlugin(Plugin):
    """The console as a plugin.

    Args:
        context: this plugin's view of the kernel.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        context.hooks.declare(hookspecs)
        self._commands = context.hooks.site(hookspecs.mtev_console_commands)
        self._dispatch = context.hooks.site(hookspecs.mtev_console_dispatch)
        self._desk: Desk | None = None
        self._workers = Workers()
        self.console = Console(self._owner_of)

    def configure(self) -> None:
        """Check the configuration of every console listener; publish the console; register the listener type.

        Raises:
            ConfigurationError: console listeners have options with values that they may not have; all are named.
        """
        configuration = self.context.services.require(Configuration)
        problems = []
        for section in _consoles(configuration):
            try:
                Settings.parse(section.hash("config"))
            except ValueError as error:
                problems.append(section.error(f"console: {error}"))
        if problems:
            raise ConfigurationError.combined(problems)
        self._desk = Desk(
            root=self.console.root,
            prompt=f"{configuration.root_name}# ",
            dispatch=self._dispatch,
            counter=SessionCounter(),
            log=self.context.log,
            workers=self._workers,
        )
        self.context.services.publish(Console, self.console)
        self.context.services.require(Listeners).register_type(
            LISTENER_TYPE, self._session, summary="the operator's console"
        )

    def start(self) -> None:
        """Gather commands."""
        Reports(self.context).register(self.console)
        if self._commands.call is not None:
            self._commands.call(self.console)
        for section in _consoles(self.context.services.require(Configuration)):
            if "history_file" in section.hash("config"):
                self.context.log.warning(
                    "%s: console: history_file is not used: this version of the console keeps no history", section.where
                )

    def post_init(self) -> None:
        """Warn of consoles that others than this host can reach, since a console asks nobody who they are."""
        for bound in self.context.services.require(Listeners).bound:
            if bound.type == LISTENER_TYPE and not _is_local(bound.address):
                self.context.log.warning(
                    "%s: the console on %s port %s has no authentication and is reachable from other hosts: whoever "
                    "connects can run every command; bind it to 127.0.0.1 or guard the port",
                    bound.where,
                    bound.address,
                    bound.port,
                )

    def stop(self) -> None:
        """Let go of commands that run on threads still, and give them a while to end."""
        for name in self._workers.stop(_STOP_S):
            self.context.log.warning("'%s' has not ended within %g s and is left behind", name, _STOP_S)

    def _session(self, connection: Connection) -> asyncio.BaseProtocol:
        assert self._desk is not None
        return ConsoleSession(connection, self._desk)

    def _owner_of(self, function: Callable[..., object]) -> str:
        """Name the plugin whose implementation of `mtev_console_commands` lives closest to a command's function."""
        target = getattr(function, "func", function)
        owner = getattr(target, "__self__", None)
        module = type(owner).__module__ if owner is not None else str(getattr(target, "__module__", ""))
        best = (len(_shared(module, __name__)), attribution(self.context.name, self.context.distribution))
        for point in self.context.hooks.describe():
            if point.name != hookspecs.mtev_console_commands.__name__:
                continue
            for each in point.attached:
                if owner is not None and owner is getattr(each.function, "__self__", None):
                    return attribution(each.plugin, each.distribution)
                shared = len(_shared(module, str(getattr(each.function, "__module__", ""))))
                best = max(best, (shared, attribution(each.plugin, each.distribution)), key=lambda found: found[0])
        return best[1] if best[0] else module


def _consoles(configuration: Configuration) -> Iterator[Section]:
    for section in configuration.sections("listeners//listener"):
        if section.enabled and section.string("type", "") == LISTENER_TYPE:
            yield section


def _shared(one: str, other: str) -> list[str]:
    """The dotted names that two modules have in common, from the left."""
    common = []
    for left, right in zip(one.split("."), other.split("."), strict=False):
        if left != right:
            break
        common.append(left)
    return common


def _is_local(address: str) -> bool:
    if address.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
