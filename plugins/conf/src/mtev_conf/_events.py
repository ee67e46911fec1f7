"""What is told of a change: before it comes into force, so that it can be refused, and afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mtev_kernel.errors import ConfigurationError

from ._apply import chain_of
from ._editing.changes import Change
from ._history import Generation

if TYPE_CHECKING:
    from ._configuration import Configuration

__all__ = ["ChangeEvent", "ChangeRefused", "Proposal"]


class ChangeRefused(ConfigurationError):
    """A change or a reload was refused by a plugin, a schema or a check; nothing of it is in force."""


@dataclass(slots=True)
class Proposal:
    """A configuration that is about to come into force, for whoever may refuse it.

    Args:
        configuration: shows the document as it would be.
        changes: what is different from the one in force, in order.
        who: who asks for it, or `""`.
        why: a word of theirs, or `""`.
        shared: whether any of it is in something with an `id`; None where that has to be found out.
        refusals: why it cannot come into force, as far as anybody has said so.
    """

    configuration: Configuration
    changes: Sequence[Change]
    who: str = ""
    why: str = ""
    shared: bool | None = None
    refusals: list[ConfigurationError] = field(default_factory=list)

    def refuse(self, reason: str | ConfigurationError) -> None:
        """Refuse it. All that is refused is reported together.

        Args:
            reason: a sentence, or an error with its place.
        """
        self.refusals.append(ConfigurationError(reason) if isinstance(reason, str) else reason)

    def concerns(self, *stanzas: str) -> bool:
        """See `ChangeEvent.concerns`."""
        return _concerns(self.configuration, self.changes, stanzas, self.shared)


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """A change that is in force.

    Args:
        configuration: the configuration.
        generation: its generation, with the changes in order.
        shared: as for `Proposal`.
    """

    configuration: Configuration
    generation: Generation
    shared: bool | None = None

    @property
    def changes(self) -> Sequence[Change]:
        """What changed, in order."""
        return self.generation.changes

    def concerns(self, *stanzas: str) -> bool:
        """Whether any change may mean something to the elements of these names.

        That is so when it is inside one of them, or is one of them; when everybody inherits it (an attribute of the
        root, a `<config>` directly below it); and when it is in something with an `id`, which may be inherited from
        anywhere.
        """
        return _concerns(self.configuration, self.changes, stanzas, self.shared)


def _concerns(
    configuration: Configuration, changes: Sequence[Change], stanzas: Sequence[str], shared: bool | None
) -> bool:
    if shared:
        return True
    for change in changes:
        chain = chain_of(change)
        if not chain or chain[0] == "config" or chain[0].startswith("@") or not set(stanzas).isdisjoint(chain):
            return True
        if chain[-1] in ("@id", "@inherit") or (shared is None and _has_id(configuration, change.path)):
            return True
        if change.kind == "move":
            return True
        subtree = (change.new or change.old or "") if change.kind in ("add", "remove") else ""
        if " id=" in subtree or any(f"<{name}" in subtree for name in stanzas):
            return True
    return False


def _has_id(configuration: Configuration, path: str) -> bool:
    """Whether an element on a path, itself included, carries an `id`."""
    element = configuration.nearest(path)._element
    return "id" in element.attrib or any("id" in each.attrib for each in element.iterancestors())
