"""What to do when the configuration of the listeners changes. Pure.

A listener that stays where it is keeps its sockets, and goes by its new settings for what begins from then on. One that
moves, or accepts in another way, is closed and opened anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ._settings import ListenerSettings

__all__ = ["Changes", "changes"]


@dataclass(slots=True)
class Changes:
    """The way from one set of listeners to another.

    Args:
        keep: listeners that stay, by their number in the old set, with their new settings.
        close: numbers in the old set.
        open: new ones, in order.
    """

    keep: dict[int, ListenerSettings] = field(default_factory=dict)
    close: list[int] = field(default_factory=list)
    open: list[ListenerSettings] = field(default_factory=list)


def changes(old: Sequence[ListenerSettings], new: Sequence[ListenerSettings]) -> Changes:
    """Find out what to do.

    Args:
        old: the listeners there are.
        new: those that are wanted.
    """
    there: dict[object, list[int]] = {}
    for number, settings in enumerate(old):
        there.setdefault(_place(settings), []).append(number)
    found = Changes()
    for settings in new:
        numbers = there.get(_place(settings))
        if numbers:
            found.keep[numbers.pop(0)] = settings
        else:
            found.open.append(settings)
    found.close = [number for number in range(len(old)) if number not in found.keep]
    return found


def _place(settings: ListenerSettings) -> object:
    """What a listener cannot change without new sockets, or another protocol."""
    return (
        settings.type,
        settings.address,
        settings.systemd,
        settings.fanout,
        settings.fanout_pool,
        settings.accept,
        settings.accept_thread,
    )
