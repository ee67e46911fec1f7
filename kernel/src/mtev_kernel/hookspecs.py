"""The kernel's own hook points. They are about plugins as such; everything else is declared by plugins."""

from __future__ import annotations

from ._compile import HookResult
from .hooks import hookspec

__all__ = ["dso_post_init", "mtev_plugin_state", "mtev_reload", "mtev_stopping"]


@hookspec
async def dso_post_init() -> HookResult | None:
    """Every plugin has started and done its own post-init; called once, before the service counts as ready.

    Returns:
        ABORT to fail the start.

    Note:
        libmtev's hook of the same name. An implementation that raises fails its plugin, under its `on-error` policy.
    """


@hookspec
def mtev_stopping(reason: str) -> HookResult | None:
    """The service begins to drain: take no new work from now on. Called once, before the first `drain`.

    Args:
        reason: why it stops, in words.

    Note:
        Called on the kernel's loop; must not block. The result is ignored.
    """


@hookspec
async def mtev_reload() -> HookResult | None:
    """The configuration was read again, without errors, and is in force.

    Note:
        Called after SIGHUP, or when a plugin asks for a reload. The result is ignored.
    """


@hookspec
def mtev_plugin_state(plugin: str, old: str, new: str, cause: str) -> HookResult | None:
    """A plugin's state changed.

    Args:
        plugin: its instance name.
        old: the state before.
        new: the state now.
        cause: why, where there is a reason to give, else `""`.

    Note:
        Called on the kernel's loop; must not block. The result is ignored.
    """
