"""The hook points of mtev-conf: values on their way to the reader, and changes on their way into force."""

from __future__ import annotations

from mtev_kernel import ABORT, HookResult, hookspec

from ._events import ChangeEvent, Proposal

__all__ = ["mtev_conf_changed", "mtev_conf_changing", "value_fixup", "value_interpolate"]


@hookspec(on_error=ABORT)
def mtev_conf_changing(proposal: Proposal) -> HookResult | None:
    """A change or a reload is about to come into force: refuse it if you could not work with it.

    Args:
        proposal: shows the document as it would be, and what is different; `proposal.refuse(reason)` keeps it out.

    Returns:
        ABORT to refuse it without a reason. An implementation that raises refuses it too.

    Note:
        Called on the thread that makes the change, with the document locked: it may read, but must not wait for another
        thread.
    """


@hookspec
def mtev_conf_changed(event: ChangeEvent) -> HookResult | None:
    """A change or a reload is in force: apply what of it can be applied while you run.

    Args:
        event: the configuration, and what is different. `event.concerns("logs")`: whether it may matter to a stanza.

    Note:
        Called on the thread that made the change, which waits for it; in the order of the generations. It may read, but
        not change, the configuration. The result is ignored.
    """


@hookspec(returns="first")
def value_fixup(path: str, name: str, value: str) -> str | None:
    """A value is about to be handed to whoever reads it: replace it, or leave it.

    Args:
        path: of the element, such as `/app/listeners[1]/listener[2]`.
        name: of the attribute, or `""` for the element's text.
        value: with everything substituted.

    Returns:
        What to hand over instead, or None. The first that is not None counts.

    Note:
        Called on whichever thread reads, with the document locked; must not block. While anybody is attached, nothing
        that was read is kept for the next time. (libmtev's hook of this name; here it sees values of hashes too.)
    """


@hookspec(returns="first")
def value_interpolate(facility: str, key: str, path: str) -> str | None:
    """A value asks for `{{FACILITY:fallback:{KEY}}}`, and the facility is not registered.

    Args:
        facility: what stands before the first colon.
        key: what stands between the inner braces.
        path: of the element that the value stands in.

    Returns:
        What to put in, or None for the fallback. The first that is not None counts.

    Note:
        As `value_fixup`. A facility of your own is better registered: `configuration.facilities.register`.
    """
