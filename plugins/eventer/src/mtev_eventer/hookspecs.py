"""The hook points of mtev-eventer."""

from __future__ import annotations

from collections.abc import Sequence

from mtev_kernel import HookResult, hookspec

__all__ = ["eventer_loop_blocked", "eventer_started"]


@hookspec
async def eventer_started() -> HookResult | None:
    """Every loop of every pool turns, and every plugin has started. Called once.

    Note:
        libmtev's hook of the same name. Called on the kernel's loop, not on one of the eventer's; the service does not
        count as ready before the implementations are done. The result is ignored.
    """


@hookspec
def eventer_loop_blocked(loop: str, blocked_s: float, where: Sequence[str]) -> HookResult | None:
    """A loop has not turned for a while, or turns again.

    Args:
        loop: its name, such as `e:default/0`.
        blocked_s: for how long it has not turned, in seconds, or had not.
        where: what its thread does, the innermost frame last; empty when it turns again.

    Note:
        Called on a thread of the eventer's, or on that loop. Must be quick. The result is ignored.
    """
