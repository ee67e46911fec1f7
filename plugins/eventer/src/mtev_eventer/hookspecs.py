"""The hook points of mtev-eventer."""

from __future__ import annotations

from mtev_kernel import HookResult, hookspec

__all__ = ["eventer_started"]


@hookspec
async def eventer_started() -> HookResult | None:
    """Every loop of every pool turns, and every plugin has started. Called once.

    Note:
        libmtev's hook of the same name. Called on the kernel's loop, not on one of the eventer's; the service does not
        count as ready before the implementations are done. The result is ignored.
    """
