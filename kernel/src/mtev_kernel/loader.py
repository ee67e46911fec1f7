"""The DSO-style loader: turn an entry point into a factory, one name at a time, behind a guard.

stevedore does the loading. Its entry points come from our own discovery, which spares us its disk cache; what it lets
escape (`assert` and `sys.exit` at import) is caught here.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import NoReturn, Protocol, cast, runtime_checkable

from .discovery import FACTORIES, Found
from .document import ModuleRequest
from .errors import LoadError, describe
from .plugin import Factory

__all__ = ["Loader", "load_factory"]


@runtime_checkable
class Loader(Protocol):
    """What the plugin behind a `<loader>` implements beside `Plugin`: it knows how to load another kind of generics."""

    def load(self, request: ModuleRequest) -> Factory:
        """Load what a `<generic loader="...">` asks for. May block; the loader itself is configured by then.

        Raises:
            MtevError: it cannot be loaded; the message names `request.where`.
        """


def load_factory(found: Found) -> Factory:
    """Import a plugin's factory. Blocks for as long as the import does; run it where that is bearable.

    Raises:
        LoadError: the import failed in any way, or what it gave cannot be called.
    """
    from stevedore import NamedExtensionManager  # takes 100 ms to import; listings do without

    if found.entry_point is None:
        raise LoadError(f"the distribution {found.label} has no factory for plugin '{found.name}'")
    entry_point = found.entry_point

    class OneEntryPoint(NamedExtensionManager[object]):
        def list_entry_points(self) -> list[importlib.metadata.EntryPoint]:
            return [entry_point]

    def failed(manager: object, culprit: object, error: BaseException) -> NoReturn:
        raise error

    try:
        manager = OneEntryPoint(
            FACTORIES, [entry_point.name], on_load_failure_callback=failed, on_missing_entrypoints_callback=None
        )
        plugin: object = manager.extensions[0].plugin
    except (Exception, SystemExit) as error:
        raise LoadError(f"{entry_point.value} cannot be imported: {describe(error)}") from error
    if not callable(plugin):
        raise LoadError(f"{entry_point.value} is {plugin!r}, which cannot be called; expected a factory")
    return cast("Callable[..., object]", plugin)  # type: ignore[return-value]  # what it returns is checked on use
