"""What a plugin is: an object with a few steps, made by a factory from a `Context`.

    construct   no side effects: keep the context, build your objects, declare your hook points   (libmtev: onload)
    configure   read and validate your own configuration; open no sockets                          (libmtev: config)
    validate    every plugin is configured: check what others registered with you
    start       act: bind, connect, spawn                                                          (libmtev: init)
    post_init   every plugin has started: begin to take work                                       (libmtev: post-init)
    run         optional: something that goes on for as long as the service does
    drain       finish what was accepted, take nothing new
    stop        release everything; called after every attempt to start, however far it came

Steps run in the order of requirements, `drain` and `stop` in the reverse of it. A step is a plain method or an
`async` one. Plain ones run on a thread of their own, so they may block; `async` ones run on the kernel's loop, so
they may not. Every step has a time limit.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from .discovery import hint
from .manifest import Manifest

if TYPE_CHECKING:
    from .hooks import PluginHooks
    from .services import PluginServices

__all__ = ["Context", "Factory", "Plugin", "PluginControl"]


class PluginControl(Protocol):
    """What a plugin may ask of the kernel that runs it. Thread-safe."""

    def warn(self, plugin: str, distribution: str, message: str) -> None: ...
    def degraded(self, plugin: str, reason: str) -> None: ...
    def healthy(self, plugin: str) -> None: ...
    def request_stop(self, reason: str) -> None: ...
    def reload(self) -> Future[None]: ...
    def spawn(self, plugin: str, function: Callable[[], Awaitable[None]], name: str) -> None: ...


class Context:
    """A plugin's view of the kernel: who it is, how it was asked for, and what it may reach.

    Attributes:
        name: the instance name: the plugin id, or the `name` of its `<generic>`.
        manifest: the plugin's own manifest.
        distribution: `name version` of the distribution that it came in.
        config: the `<config>` hash of its `<generic>`; empty when the plugin was enabled otherwise.
        where: `file:line` of what enabled it, or a sentence ("required by plugin 'http'").
        hooks: declare hook points, attach implementations, obtain compiled call sites.
        services: publish objects for others, require theirs.
        log: a standard-library logger named `mtev.<name>`.
    """

    __slots__ = ("_control", "config", "distribution", "hooks", "log", "manifest", "name", "services", "where")

    def __init__(
        self,
        *,
        name: str,
        manifest: Manifest,
        distribution: str,
        config: Mapping[str, str],
        where: str,
        hooks: PluginHooks,
        services: PluginServices,
        control: PluginControl,
    ) -> None:
        self.name = name
        self.manifest = manifest
        self.distribution = distribution
        self.config: Mapping[str, str] = MappingProxyType(dict(config))
        self.where = where
        self.hooks = hooks
        self.services = services
        self.log = logging.getLogger(f"mtev.{name}")
        self._control = control

    def warn(self, message: str) -> None:
        """Report something that works, but hardly as it was meant: logged, and listed by `--check`. Thread-safe.

        Args:
            message: what, and what to do; opens with `file:line: ` where there is such a place.
        """
        self.log.warning("%s", message)
        self._control.warn(self.name, self.distribution, message)

    def degraded(self, reason: str) -> None:
        """Say that this plugin works, but not as it should; shown wherever states are shown. Thread-safe."""
        self._control.degraded(self.name, reason)

    def healthy(self) -> None:
        """Take back `degraded`. Thread-safe."""
        self._control.healthy(self.name)

    def request_stop(self, reason: str) -> None:
        """Ask the kernel to drain and stop the whole service. Thread-safe; returns at once."""
        self._control.request_stop(f"plugin '{self.name}': {reason}")

    def reload(self) -> Future[None]:
        """Have the configuration read again, as on SIGHUP. Thread-safe; returns at once.

        Returns:
            What ends when the new configuration is in force and everybody has been told (`mtev_reload`), or with the
            exception that says why it was refused: then the one before it stays. It can be waited for once the service
            is ready, from any thread but the kernel's loop, where `await asyncio.wrap_future(...)` does it. Neither in
            a step nor in an implementation of `mtev_reload`: the kernel waits for those first. Requests that come
            before the reading begins share it. It cannot be cancelled.
        """
        return self._control.reload()

    def spawn(self, function: Callable[[], Awaitable[None]], name: str) -> None:
        """Run a coroutine function on the kernel's loop until it returns or the plugin stops. Thread-safe.

        It must not block: the loop also serves signals and life-cycle steps. An exception that escapes it fails the
        plugin, under the plugin's `on-error` policy.

        Args:
            function: called without arguments; its awaitable is cancelled before the plugin's `stop`.
            name: what it is called in logs and listings, unique within the plugin.
        """
        self._control.spawn(self.name, function, name)

    def hint(self, kind: str, name: str) -> str:
        """What to install to obtain something that is missing.

        Args:
            kind: `plugin`, `stanza`, `listener-type` or `log-type`.
            name: the missing thing's name.

        Returns:
            A sentence such as `pip install mtev-telnet`, or `""` when nobody is known to offer it.
        """
        return hint(kind, name)


class Plugin:
    """Base class of plugins. Override the steps you need; the defaults do nothing.

    The constructor takes the context and must have no side effects: it runs for `--check` too. Methods marked with
    `hookimpl` are attached to their hooks right after construction and detached after `stop`.

    Args:
        context: this plugin's view of the kernel.
    """

    def __init__(self, context: Context) -> None:
        self.context = context

    def configure(self) -> Awaitable[None] | None:
        """Read and validate this plugin's configuration. Raise `ConfigurationError` for what is wrong with it."""
        return None

    def validate(self) -> Awaitable[None] | None:
        """Check what other plugins registered with this one. Runs when all are configured, also for `--check`."""
        return None

    def start(self) -> Awaitable[None] | None:
        """Acquire what the plugin works with. May fail half way: `stop` is called then too."""
        return None

    def post_init(self) -> Awaitable[None] | None:
        """Begin to take work: every plugin has started."""
        return None

    async def run(self) -> None:
        """Go on for as long as the service does, or return at once. Cancelled before `stop`."""

    def drain(self) -> Awaitable[None] | None:
        """Take no new work and finish what was accepted. Called in reverse order, before any `stop`."""
        return None

    def stop(self) -> Awaitable[None] | None:
        """Release everything. Called once after every attempt to start, also after a failed one."""
        return None


Factory = Callable[[Context], Plugin]
"""What an entry point of the group `mtev.plugins` names: usually the `Plugin` subclass itself."""
