"""A `Context` without a kernel, for tests of a plugin alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future

from ..hooks import HookFailure, HookRegistry, PluginHooks
from ..manifest import Manifest, parse_manifest
from ..plugin import Context
from ..services import PluginServices, ServiceRegistry

__all__ = ["ContextMaker", "RecordingControl", "StandaloneContext"]


class RecordingControl:
    """Stands for the kernel, and keeps what a plugin asks of it.

    Attributes:
        warnings: what it warned of, in order.
        reasons: why the plugin is degraded, in order; emptied by `healthy`.
        stops: with which reasons it asked the service to stop.
        reloads: what it was given for each reload that it asked for. They have not ended: end them as the test wants.
        spawned: functions that it wants to have run, by task name. They are not run.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.reasons: list[str] = []
        self.stops: list[str] = []
        self.reloads: list[Future[None]] = []
        self.spawned: dict[str, Callable[[], Awaitable[None]]] = {}

    def warn(self, plugin: str, distribution: str, message: str) -> None:
        self.warnings.append(message)

    def degraded(self, plugin: str, reason: str) -> None:
        self.reasons.append(reason)

    def healthy(self, plugin: str) -> None:
        self.reasons.clear()

    def request_stop(self, reason: str) -> None:
        self.stops.append(reason)

    def reload(self) -> Future[None]:
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # as the kernel's: it cannot be cancelled
        self.reloads.append(future)
        return future

    def spawn(self, plugin: str, function: Callable[[], Awaitable[None]], name: str) -> None:
        self.spawned[name] = function


class StandaloneContext(Context):
    """A context with its own hooks and services.

    Attributes:
        control: what the plugin asked of the kernel.
        hook_registry: every hook point that the plugin declared or was given.
        service_registry: every service that the plugin published or was given.
    """

    __slots__ = ("control", "hook_registry", "service_registry")

    def __init__(
        self, *, name: str, manifest: Manifest, distribution: str, config: Mapping[str, str], where: str
    ) -> None:
        self.control = RecordingControl()
        self.hook_registry = HookRegistry(_raise)
        self.service_registry = ServiceRegistry()
        super().__init__(
            name=name,
            manifest=manifest,
            distribution=distribution,
            config=config,
            where=where,
            hooks=PluginHooks(self.hook_registry, name, distribution),
            services=PluginServices(self.service_registry, name, distribution),
            control=self.control,
        )


class ContextMaker:
    """What the fixture `make_context` gives.

    context = make_context(config={"greeting": "hello"})
    plugin = GreeterPlugin(context)
    context.hooks.attach(plugin)        # what a kernel does right after construction
    """

    def __call__(
        self,
        name: str = "test",
        *,
        manifest: Manifest | str | None = None,
        distribution: str = "test 0",
        config: Mapping[str, str] | None = None,
        where: str = "test.conf:1",
        hooks: Iterable[object] = (),
        services: Mapping[type, object] | None = None,
    ) -> StandaloneContext:
        """Make a context.

        Args:
            name: instance name.
            manifest: a manifest or its text; by default, one that says nothing.
            distribution: where the plugin pretends to come from.
            config: its `<config>` hash.
            where: what enabled it.
            hooks: modules or classes whose hook specifications others would have declared.
            services: what others would have published.

        Raises:
            ManifestError: the manifest's text cannot be used.
        """
        if manifest is None:
            manifest = Manifest(id=name, summary="", api=(1, 0))
        elif isinstance(manifest, str):
            manifest = parse_manifest(manifest)
        context = StandaloneContext(
            name=name, manifest=manifest, distribution=distribution, config=config or {}, where=where
        )
        for namespace in hooks:
            context.hook_registry.declare("another", "another 0", namespace)
        for key, service in (services or {}).items():
            context.service_registry.publish(key, service, "another", "another 0")
        return context


def _raise(failure: HookFailure) -> None:
    raise failure.error
