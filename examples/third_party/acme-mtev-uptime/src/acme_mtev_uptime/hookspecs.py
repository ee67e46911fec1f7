"""The hook point that this plugin offers to others."""

from __future__ import annotations

from mtev_kernel import HookResult, hookspec

__all__ = ["acme_uptime_reached"]


@hookspec
def acme_uptime_reached(label: str, seconds: float) -> HookResult | None:
    """The service has been up for as long as a `<milestone>` says.

    Args:
        label: of the `<uptime>` stanza.
        seconds: of the milestone.

    Returns:
        DONE when the milestone is announced by now; otherwise it is logged.

    Note:
        Called on the kernel's loop, once for each milestone; must not block.
    """
