"""What `--list-plugins` says, as plain data: from metadata alone, from a configuration, or from a checked kernel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..discovery import Found, discover
from ..errors import MtevError, describe
from ..exitcodes import ExitCode

if TYPE_CHECKING:
    from ..hooks import HookDescription, HookRegistry
    from ..records import Options, PluginRecord

__all__ = ["Attached", "Hook", "Listing", "Plugin", "checked", "installed", "planned"]

_BROKEN = ("refused", "failed")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A line of the listing. `error` says what is wrong, `where` what enabled it or why nothing did."""

    id: str
    name: str
    version: str
    distribution: str
    origin: str
    status: str
    state: str
    api: str
    error: str
    where: str
    summary: str = ""
    security: str = ""
    location: str = ""
    requires: Sequence[str] = ()
    after: Sequence[str] = ()
    provides: Sequence[str] = ()
    stanzas: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Attached:
    """Who is attached to a hook point."""

    plugin: str
    distribution: str


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook point. `ordered` says whether `attached` is in calling order; a manifest cannot know that."""

    name: str
    owner: str
    kind: str
    returns: str
    summary: str
    signature: str
    ordered: bool
    attached: Sequence[Attached]


@dataclass(frozen=True, slots=True)
class Listing:
    """All of it.

    Args:
        plugins: by name.
        hooks: by name; empty where they were not asked for.
        configuration: the file that was taken into account, or None.
        trouble: why the configuration could not be taken into account.
        code: exit code that `trouble` leads to.
    """

    plugins: Sequence[Plugin]
    hooks: Sequence[Hook] = ()
    configuration: str | None = None
    trouble: Sequence[str] = ()
    code: ExitCode = ExitCode.OK

    @property
    def broken(self) -> bool:
        """Whether something is wrong with any plugin."""
        return any(each.state in _BROKEN for each in self.plugins)


def installed(*, hooks: bool = False) -> Listing:
    """List what is installed, from metadata and manifests; imports no plugin."""
    return _of(discover(), hooks=hooks)


async def planned(path: str, options: Options) -> Listing:
    """List what a configuration enables. Imports nothing but the plugin that reads it.

    A configuration that cannot be read is told as `trouble`, beside a listing without it.
    """
    from ..lifecycle import State
    from ._opened import assembly_for, opened

    assembly = assembly_for(path, options)
    try:
        document = await opened(assembly, path, options)
        _, _, problems = assembly.plan(document)
    except MtevError as error:
        return _of(assembly.found, trouble=describe(error), code=error.exit_code)
    failed = {name: (State.FAILED, describe(problem)) for name, problem in problems.items()}
    return Listing(_from_records(assembly.records(failed), assembly.found), configuration=document.path)


async def checked(path: str, options: Options) -> Listing:
    """List what a configuration enables and who is attached to which hook, from a kernel that configured it all."""
    from ..kernel import Kernel
    from ._opened import assembly_for

    kernel = Kernel(path, options=options)
    for problem in await kernel.check(inspect=False):
        if problem.severity == "error" and not problem.plugin:  # of the configuration as such: nothing was enabled
            return _of(assembly_for(path, options).found, hooks=True, trouble=problem.message, code=problem.code)
    assert kernel.document is not None
    return Listing(
        _from_records(kernel.plugins(), discover()), _hooks_of_kernel(kernel.hooks), configuration=kernel.document.path
    )


def _of(found: Sequence[Found], *, hooks: bool = False, trouble: str = "", code: ExitCode = ExitCode.OK) -> Listing:
    return Listing(
        [_from_found(each) for each in found],
        _hooks_of_manifests(found) if hooks else (),
        trouble=(trouble,) if trouble else (),
        code=code,
    )


def _from_found(found: Found) -> Plugin:
    manifest = found.manifest
    plugin = Plugin(
        id=found.name,
        name=found.name,
        version=found.version,
        distribution=found.distribution,
        origin=found.origin,
        status=manifest.status if manifest else "",
        state="refused" if found.error else "found",
        api=".".join(map(str, manifest.api)) if manifest else "",
        error=found.error,
        where="",
    )
    return _with_details(plugin, found)


def _from_records(records: Iterable[PluginRecord], found: Iterable[Found]) -> list[Plugin]:
    offers = {(each.name, each.distribution): each for each in found}
    plugins = []
    for record in records:
        offer = offers.get((record.plugin, record.distribution))
        broken = record.state in _BROKEN
        known = offer is None or offer.manifest is not None
        plugin = Plugin(
            id=record.plugin,
            name=record.name,
            version=record.version,
            distribution=record.distribution,
            origin=record.origin,
            status=record.status if known else "",
            state="enabled" if record.state == "found" else record.state,
            api=record.api if known else "",
            error=record.cause if broken else "",
            where=record.where or ("" if broken else record.cause),
        )
        plugins.append(_with_details(plugin, offer) if offer else plugin)
    return plugins


def _with_details(plugin: Plugin, found: Found) -> Plugin:
    manifest = found.manifest
    if manifest is None:
        return replace(plugin, location=found.location)
    return replace(
        plugin,
        location=found.location,
        summary=manifest.summary,
        security=manifest.security,
        requires=manifest.requires,
        after=manifest.after,
        provides=manifest.provides,
        stanzas=manifest.stanzas,
    )


def _hooks_of_manifests(found: Iterable[Found]) -> list[Hook]:
    from .. import hookspecs
    from ..hooks import HookRegistry

    registry = HookRegistry(lambda failure: None)
    registry.declare("kernel", "mtev-kernel", hookspecs)
    usable = [(each, each.usable) for each in found]
    owners = {name: each.name for each, manifest in usable if manifest for name in manifest.hooks}
    attached: dict[str, list[Attached]] = {name: [] for name in owners}
    for each, manifest in usable:
        for name in manifest.implements if manifest else ():
            attached.setdefault(name, []).append(Attached(each.name, each.label))
    hooks = [_hook(each, attached.pop(each.name, []), ordered=False) for each in registry.describe()]
    hooks += [
        Hook(name, owners.get(name, ""), "", "", "", "", ordered=False, attached=members)
        for name, members in attached.items()
    ]
    return sorted(hooks, key=lambda hook: hook.name)


def _hooks_of_kernel(registry: HookRegistry) -> list[Hook]:
    return [
        _hook(each, [Attached(member.plugin, member.distribution) for member in each.attached], ordered=True)
        for each in registry.describe()
    ]


def _hook(description: HookDescription, attached: Sequence[Attached], *, ordered: bool) -> Hook:
    return Hook(
        description.name,
        description.owner,
        description.kind,
        description.returns,
        description.summary,
        description.signature,
        ordered,
        attached,
    )
