"""The plugin `conf`: opens the document for the kernel, publishes it as a `Configuration`, keeps it in its files."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from mtev_kernel.document import Finding
from mtev_kernel.errors import ConfigurationError
from mtev_kernel.hooks import hookimpl
from mtev_kernel.plugin import Context, Plugin
from mtev_kernel.records import PluginOffers, ProblemListing

from . import hookspecs
from ._apply import Policies, Policy, Rule
from ._configuration import Configuration
from ._disk.journalling import ChangeJournal
from ._events import ChangeEvent, Proposal
from ._history import Generation
from ._settings import ConfSettings, read_settings

if TYPE_CHECKING:
    from mtev_kernel.discovery import Found
    from mtev_kernel.document import Document

    from ._checking.schemas import Schemas
    from ._operating.console import CommandRegistry
    from ._operating.rest import RestRegistry

__all__ = ["ConfPlugin"]

_AGAIN_S = 30.0
_RECORDED = 20
_SUPERVISION = {"lockfile", "workingdir"}


class ConfPlugin(Plugin):
    """Provides the configuration, as the kernel's `ConfigurationProvider` and as the service `Configuration`.

    Attributes:
        configuration: what it publishes: one object for the life of the plugin, with the document in force inside.

    Args:
        context: this plugin's view of the kernel.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        context.hooks.declare(hookspecs)
        self.configuration = Configuration()
        self._path = ""
        self._settings = ConfSettings()
        self._schemas: Schemas | None = None
        self._fault: ConfigurationError | None = None
        self._changing = context.hooks.site(hookspecs.mtev_conf_changing)
        self._changed = context.hooks.site(hookspecs.mtev_conf_changed)
        fixup, interpolate = context.hooks.site(hookspecs.value_fixup), context.hooks.site(hookspecs.value_interpolate)
        self.configuration.facilities.fixup = lambda: fixup.call
        self.configuration.facilities.interpolate = lambda: interpolate.call
        self.configuration.prepare_with(self._prepare)
        self.configuration.judge(self._judge)
        self.configuration.subscribe(self._tell)
        context.services.publish(Configuration, self.configuration)

    # As `ConfigurationProvider`

    def open(self, path: str) -> Document:
        """Read and parse a file, and put it in force. Blocks on the file system.

        Changes that a journal holds are carried out again.

        Raises:
            ConfigurationError: it is malformed, or uses what is refused; what was in force stays.
            OSError: it cannot be read.
        """
        fresh = self._load(path)
        try:
            self._settings = read_settings(fresh)
        except ConfigurationError as error:
            # Told when this plugin is configured, beside what the others have to say. Until then nothing is written.
            self._fault = error
            self._settings = ConfSettings(write=False, where=error.where)
        self._path = fresh.path
        self.configuration.set_policies(self._policies())
        self.configuration.keep_history(self._settings.history)
        self.configuration.adopt(fresh)
        self._keep_journal()
        self._set_writes()
        for name in sorted(_SUPERVISION & fresh.root.attributes.keys()):
            self.context.warn(
                f"{fresh.root.where}: {name}= has no effect: this process stays in the foreground and where it was "
                "started; leave that to the system's supervisor"
            )
        return self.configuration.document()

    def reload(self) -> Document:
        """Read the same files again, in the environment as it is now. Blocks on the file system.

        The whole document is checked and everybody asked before it takes the place of the one in force.

        Raises:
            ConfigurationError: as `open`; or nothing has been opened, the root has another name, or changes that are
                not in the files would be lost.
            ChangeRefused: somebody refused it.
            OSError: as `open`.
        """
        if not self._path:
            raise ConfigurationError("there is no configuration to read again: none has been opened")
        fresh = self._load(self._path)
        if fresh.root_name != self.configuration.root_name:
            raise fresh.root.error(
                f"the root element was <{self.configuration.root_name}> before; it names the application and cannot "
                "change while the service runs"
            )
        self.configuration.check_unsaved()
        self.configuration.adopt(fresh, "reload")
        for pending in self.configuration.pending():
            if pending.generation == self.configuration.generation:
                who = f"plugin '{pending.plugin}'" if pending.policy == "restart-plugin" else "the service"
                self.context.log.warning("%s changed: in force once %s is restarted", pending.change.path, who)
        return self.configuration.document()

    # As `Inspector`, `SchemaComposer` and `SampleComposer`

    def inspect(self) -> Sequence[Finding]:
        """What is wrong with the document beyond what plugins notice; see `_checking.inspect`."""
        from ._checking.inspect import findings

        kernel = self.context.services.find(ProblemListing)
        told = [problem.message for problem in kernel.problems] if kernel is not None else []
        return findings(self.configuration, self._offers(), self._loaded_schemas(), told)

    def compose_schema(self, offers: Sequence[Found], root: str) -> str:
        """One schema of all stanzas, below a root of this name.

        Raises:
            ConfigurationError: the name cannot be one.
        """
        return self._loaded_schemas().composed(offers, root)

    def compose_samples(self, offers: Sequence[Found]) -> str:
        """One commented sample document of the given plugins."""
        from ._samples import compose_samples

        return compose_samples(offers)

    # As a plugin

    def configure(self) -> None:
        """Refuse a malformed stanza, and options: this plugin has its stanza for them."""
        if self._fault is not None:
            raise self._fault
        if self.context.config:
            raise ConfigurationError(
                f"the plugin 'conf' has no options, but its <config> has {', '.join(sorted(self.context.config))}; "
                "what can be said about it is said in <conf>",
                self.context.where,
            )

    async def run(self) -> None:
        """Write what is to be written, gathered for `write_delay`."""
        loop, wanted = asyncio.get_running_loop(), asyncio.Event()

        def call() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone: stop() writes what is left
                loop.call_soon_threadsafe(wanted.set)

        self.configuration.when_write_is_requested(call)
        if self.configuration.write_requested:
            wanted.set()
        while True:
            await wanted.wait()
            await asyncio.sleep(self._settings.write_delay_s)
            wanted.clear()
            if self.configuration.write_requested:
                await asyncio.to_thread(self._write)
            if self.configuration.write_requested:
                loop.call_later(_AGAIN_S, wanted.set)  # it failed; what is full or read-only may be mended meanwhile

    def stop(self) -> None:
        """Write what still waits to be written."""
        if self.configuration.write_requested or (
            self._settings.write_back == "journal" and self._settings.write and self.configuration.unsaved()
        ):
            self._write()

    @hookimpl
    def mtev_plugin_state(self, plugin: str, old: str, new: str) -> None:
        """What waited for the restart of a plugin is in force once it runs again."""
        if new == "running" and old == "started":
            self.configuration.restarted(plugin)

    @hookimpl(optional=True)
    def mtev_console_commands(self, console: CommandRegistry) -> None:
        """Register `show conf`, `configure ...` and `write ...`."""
        from ._operating.console import register_commands

        register_commands(console, self.configuration, self.context)

    @hookimpl(optional=True)
    def mtev_rest_routes(self, rest: RestRegistry) -> None:
        """Register `/mtev/conf...`."""
        from ._operating.rest import register_routes

        register_routes(rest, self.configuration, lambda: self._settings)

    def _load(self, path: str) -> Configuration:
        return Configuration.load(path, notice=self.context.warn, facilities=self.configuration.facilities)

    def _offers(self) -> Sequence[Found]:
        kernel = self.context.services.find(PluginOffers)
        return () if kernel is None else kernel.offers()

    def _loaded_schemas(self) -> Schemas:
        if self._schemas is None:
            from ._checking.schemas import Schemas  # costs what most commands do not need

            self._schemas = Schemas()
        return self._schemas

    def _policies(self) -> Policies:
        stated, owned = [], []
        for offer in self._offers():
            manifest = offer.usable
            if manifest is not None:
                stated += [
                    Rule(manifest.id, pattern, cast("Policy", policy)) for pattern, policy in manifest.apply.items()
                ]
                owned += [Rule(manifest.id, each, stated=False) for each in manifest.stanzas if _is_plain(each)]
        return Policies([*stated, *owned])

    def _keep_journal(self) -> None:
        if not self._settings.journal:
            return
        journal = ChangeJournal(self._settings.journal)
        if journal.present:
            self.configuration.replay(journal)
        if self._settings.write_back == "journal" or journal.present:
            self.configuration.keep_journal(journal)

    def _set_writes(self) -> None:
        settings = self._settings
        self.configuration.disable_writes("" if settings.write else f"{settings.where}: <conf write='off'>")

    def _prepare(self) -> None:
        if self._settings.schemas:
            self._loaded_schemas().load()

    def _judge(self, proposal: Proposal) -> None:
        read_settings(proposal.configuration)
        if self._settings.schemas:
            self._loaded_schemas().judge(proposal, self._offers())
        if (call := self._changing.call) is not None and call(proposal) and not proposal.refusals:
            proposal.refuse("a plugin refuses it without a reason; the log may say more")

    def _tell(self, event: ChangeEvent) -> None:
        if event.concerns("conf"):
            self._settings = replace(
                read_settings(event.configuration), write_back=self._settings.write_back, journal=self._settings.journal
            )
            self.configuration.keep_history(self._settings.history)
            self._set_writes()
        self._record(event.generation)
        if self._settings.write_back == "coalesced" and event.generation.kind in ("change", "rollback"):
            self.configuration.request_write()
        if (call := self._changed.call) is not None:
            call(event)

    def _record(self, generation: Generation) -> None:
        if generation.kind == "load":
            return
        who = f" by {generation.who}" if generation.who else ""
        why = f" ({generation.why})" if generation.why else ""
        self.context.log.info("generation %d: %s%s%s", generation.number, generation.kind, who, why)
        for change in generation.changes[:_RECORDED]:  # without values: a log is no place for what may be secret
            self.context.log.info("generation %d: %s %s", generation.number, change.kind, change.path)
        if (more := len(generation.changes) - _RECORDED) > 0:
            self.context.log.info("generation %d: and %d more", generation.number, more)

    def _write(self) -> None:
        try:
            paths = self.configuration.write()
        except ConfigurationError as error:
            self.context.degraded(f"the configuration cannot be written: {error}")
            self.context.log.error("the configuration cannot be written, and stays in memory: %s", error)
        else:
            self.context.healthy()
            self.context.log.info("configuration written: %s", ", ".join(paths) or "nothing had changed")


def _is_plain(claim: str) -> bool:
    return not set(claim) & set("[]@*|/")
