"""Assemble a service: from a document and from what is installed to plugin instances in an order.

Nothing is started here, and nothing is imported but what the document asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from ._steps import perform
from .discovery import Found, discover, hint
from .document import ConfigurationProvider, Document, OnError
from .enabling import LEFT_OUT, Enabled, Selection, select
from .errors import ConfigurationError, LoadError, MissingRequirement, MtevError, attribution
from .hooks import HookRegistry, PluginHooks
from .lifecycle import Participant, State
from .loader import Loader, load_factory
from .manifest import Manifest
from .plugin import Context, Factory, Plugin, PluginControl
from .records import InlinePlugin, Options, PluginRecord
from .resolve import resolve
from .services import PluginServices, ServiceRegistry

__all__ = ["CONFIGURATION", "Assembly", "Instance"]

CONFIGURATION = "configuration"
"""The name that a plugin provides when it can read a configuration document."""


@dataclass(slots=True)
class Instance:
    """An enabled plugin with all that belongs to it while the kernel runs."""

    enabled: Enabled
    context: Context
    plugin: Plugin | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def who(self) -> str:
        """How messages name it."""
        return attribution(self.enabled.name, self.enabled.distribution)


class Assembly:
    """What one kernel is made of.

    Args:
        found: offers to choose from; None for whatever is installed.
        inline: plugins to add to them; they hide installed ones of the same id.
        options: of these, `safe_mode` refuses third-party offers, and `strict` makes every policy `fail`.
        hooks, services, control: what each plugin's `Context` is made of.
    """

    def __init__(
        self,
        found: Sequence[Found] | None,
        inline: Sequence[InlinePlugin],
        options: Options,
        hooks: HookRegistry,
        services: ServiceRegistry,
        control: PluginControl,
    ) -> None:
        self._inline = {each.manifest.id: each for each in inline}
        self.found = [
            *(each for each in (discover() if found is None else found) if each.name not in self._inline),
            *(
                Found(name, each.manifest, each.distribution, "", "third-party", "")
                for name, each in self._inline.items()
            ),
        ]
        if options.safe_mode:
            self.found = [
                replace(each, error=LEFT_OUT)
                if each.origin == "third-party" and each.name not in self._inline and not each.error
                else each
                for each in self.found
            ]
        self._strict = options.strict
        self._hooks = hooks
        self._services = services
        self._control = control
        self.instances: dict[str, Instance] = {}
        self.provider: ConfigurationProvider | None = None
        self._provider_id = ""

    async def open(self, path: str | None, limit_s: float) -> Document:
        """Read the configuration through the plugin that can.

        Raises:
            MissingRequirement: no usable plugin can.
            MtevError: that plugin cannot be loaded, or the document is malformed.
            OSError: the file cannot be opened.
        """
        if path is None:
            raise ConfigurationError("no configuration file was given")
        provider = await self.load_provider(limit_s)
        return await self.read(lambda: provider.open(path), limit_s)

    async def load_provider(self, limit_s: float) -> ConfigurationProvider:
        """Load the plugin that can read a configuration, and no other.

        Raises:
            MissingRequirement: no usable plugin can.
            MtevError: it cannot be loaded.
        """
        readers = sorted(each.name for each in self.found if each.usable and CONFIGURATION in each.usable.provides)
        if not readers:
            raise MissingRequirement(
                f"no installed plugin can read a configuration (provides '{CONFIGURATION}'): "
                f"{hint('plugin', CONFIGURATION)}"
            )
        found = next(each for each in self.found if each.name == readers[0])
        assert found.manifest is not None
        instance = self._instance(Enabled(found.name, found.manifest, found, "it reads the configuration", "fail"))
        self.instances[found.name], self._provider_id = instance, found.name
        await perform(lambda: self.construct(instance), limit_s, f"load {found.name}")
        provider: object = instance.plugin
        if not isinstance(provider, ConfigurationProvider):
            raise LoadError(f"{instance.who} provides '{CONFIGURATION}', but has no open() and reload()")
        self.provider = provider
        return provider

    @property
    def reader(self) -> Instance | None:
        """The instance that reads the configuration, once it is loaded."""
        return self.instances.get(self._provider_id)

    async def read(self, function: Callable[[], Document], limit_s: float) -> Document:
        """Read a document on a thread of its own, within a limit."""
        return cast("Document", await perform(function, limit_s, "read the configuration"))

    def plan(self, document: Document) -> tuple[Selection, list[Participant], dict[str, MtevError]]:
        """Decide what the document enables and in which order; make an instance of each, constructing none.

        Returns:
            The selection, the participants in order, and what is known already to be wrong with some of them.

        Raises:
            ConfigurationError: the document's `<modules>` is malformed.
        """
        selection = select(self.found, document, [self._provider_id] if self._provider_id else [])
        for enabled in selection.enabled:
            if (existing := self.instances.get(enabled.name)) is not None:
                existing.enabled = enabled
            else:
                self.instances[enabled.name] = self._instance(enabled)
        resolution = resolve(selection.enabled, self._advise)
        order = [
            Participant(name, resolution.requirements[name], self.policy(self.instances[name]))
            for name in resolution.order
        ]
        problems: dict[str, MtevError] = dict(resolution.problems)
        problems.update({each.name: each.problem for each in selection.enabled if each.problem is not None})
        return selection, order, problems

    def policy(self, instance: Instance) -> OnError:
        """The failure policy in force for an instance."""
        return "fail" if self._strict else instance.enabled.on_error

    def construct(self, instance: Instance) -> None:
        """Import and construct a plugin, and attach its hooks. May block; harmless to repeat.

        Raises:
            LoadError: its code cannot be imported, or its factory does not make a plugin.
            Exception: whatever the factory raised.
        """
        if instance.plugin is not None:
            return
        plugin: object = self._factory(instance.enabled)(instance.context)
        if not isinstance(plugin, Plugin):
            raise LoadError(f"its factory made {plugin!r}; expected a mtev_kernel.Plugin")
        instance.context.hooks.attach(plugin)
        instance.plugin = plugin

    def records(self, states: Mapping[str, tuple[State, str]]) -> list[PluginRecord]:
        """Every plugin found, enabled or not, by name."""
        enabled = {name: instance.enabled for name, instance in list(self.instances.items())}
        taken = {each.found.name for each in enabled.values() if each.found is not None}
        records = [
            _record(each, *states.get(name, (State.FOUND, "")), self.instances[name].seconds)
            for name, each in enabled.items()
        ]
        for each in self.found:
            if each.name not in taken:
                manifest = each.manifest or Manifest(id=each.name, summary="", api=(0, 0), status="")
                state, cause = (State.REFUSED, each.error) if each.error else (State.DISABLED, "nothing asks for it")
                records.append(_record(Enabled(each.name, manifest, each, "", "fail"), state, cause, {}))
        return sorted(records, key=lambda record: record.name)

    def _instance(self, enabled: Enabled) -> Instance:
        context = Context(
            name=enabled.name,
            manifest=enabled.manifest,
            distribution=enabled.distribution,
            config=enabled.request.config if enabled.request else {},
            where=enabled.where,
            hooks=PluginHooks(self._hooks, enabled.name, enabled.distribution),
            services=PluginServices(self._services, enabled.name, enabled.distribution),
            control=self._control,
        )
        return Instance(enabled, context)

    def _factory(self, enabled: Enabled) -> Factory:
        if enabled.manifest.id in self._inline:
            return self._inline[enabled.manifest.id].factory
        if enabled.request is not None and enabled.request.loader:
            loading = self.instances.get(enabled.request.loader)
            loader: object = None if loading is None else loading.plugin
            if not isinstance(loader, Loader):
                raise LoadError(f"{enabled.request.where}: '{enabled.request.loader}' is not a loader")
            return loader.load(enabled.request)
        assert enabled.found is not None
        return load_factory(enabled.found)

    def _advise(self, name: str) -> str:
        for each in self.found:
            if each.error and (each.name == name or (each.manifest and name in each.manifest.names)):
                return f"{attribution(each.name, each.label)} offers it but cannot be used: {each.error}"
        return hint("plugin", name)


def _record(enabled: Enabled, state: State, cause: str, seconds: Mapping[str, float]) -> PluginRecord:
    found, manifest = enabled.found, enabled.manifest
    return PluginRecord(
        name=enabled.name,
        plugin=manifest.id,
        version=found.version if found else "",
        distribution=found.distribution if found else "",
        origin=found.origin if found else "",
        status=manifest.status,
        state=str(state),
        api=".".join(map(str, manifest.api)),
        cause=cause,
        where=enabled.where,
        seconds=dict(seconds),
    )
