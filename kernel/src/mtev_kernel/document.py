"""What the kernel needs to know of a configuration document, and nothing more.

The kernel does not read configuration. A plugin that `provides = ["configuration"]` does, and its plugin object has a
method `open` (see `ConfigurationProvider`). What comes back is a `Document`: plain data about which stanzas there are
and which modules the operator asked for. Whatever else the provider offers to other plugins is a service of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

__all__ = ["ConfigurationProvider", "Document", "ModuleRequest", "OnError", "Stanza"]

OnError = Literal["fail", "ignore", "retry"]
"""What becomes of the service when a plugin fails: it stops, it goes on without, or the plugin is tried again."""


@dataclass(frozen=True, slots=True)
class Stanza:
    """A top-level element of the document.

    Args:
        name: its element name.
        where: `file:line` of the element.
    """

    name: str
    where: str


@dataclass(frozen=True, slots=True)
class ModuleRequest:
    """One `<generic>` or `<loader>` under `<modules>`, already judged by its `require_env`.

    Args:
        kind: `generic` or `loader`.
        image: what to load: a plugin id, or another name that a manifest lists under `images`; for a generic with a
            `loader`, whatever that loader understands.
        name: the instance name. `prefix:symbol` makes one image usable more than once; the symbol is what follows
            the last colon, the whole is the name under which the instance is known.
        where: `file:line` of the element.
        loader: name of the `<loader>` instance that loads this generic; `""` for the built-in one.
        on_error: the failure policy in force at this element; None where the document states none.
        config: the merged `<config>` hash.
        attributes: the remaining attributes in force here, inherited ones included (time limits, for one).
    """

    kind: Literal["generic", "loader"]
    image: str
    name: str
    where: str
    loader: str = ""
    on_error: OnError | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def symbol(self) -> str:
        """The part of `name` after its last colon: which export of the image is meant."""
        return self.name.rpartition(":")[2]


@runtime_checkable
class Document(Protocol):
    """A parsed configuration as the kernel sees it. Implementations are safe to read from any thread."""

    @property
    def path(self) -> str:
        """Absolute path of the main file, or a name in angle brackets for a document that is in no file."""

    def stanzas(self) -> Sequence[Stanza]:
        """The top-level elements, in document order, `<modules>` included."""

    def find(self, claim: str) -> str | None:
        """Where the first element selected by a manifest's claim stands.

        Args:
            claim: an entry of a manifest's `stanzas`: the name of a top-level element, or a path in the provider's
                own language (XPath below the root, for `mtev-conf`).

        Returns:
            `file:line`, or None when the document holds no such element.

        Raises:
            ConfigurationError: the claim is not well formed.
        """

    def modules(self) -> Sequence[ModuleRequest]:
        """The modules asked for, in document order, those that `require_env` switches off left out.

        Raises:
            ConfigurationError: a `<generic>` or `<loader>` is malformed.
        """

    def dump(self) -> str:
        """The effective document as text, secrets masked. What `--dump-config` prints."""


@runtime_checkable
class ConfigurationProvider(Protocol):
    """What a plugin that `provides = ["configuration"]` implements beside `Plugin`."""

    def open(self, path: str) -> Document:
        """Read and parse a document. May block on the file system; opens no socket, starts nothing.

        Raises:
            ConfigurationError: the file is unreadable or malformed; the message says where.
            OSError: the file cannot be opened.
        """

    def reload(self) -> Document:
        """Read the same document again. When that fails the document in force stays in force.

        Raises:
            ConfigurationError: as `open`.
            OSError: as `open`.
        """
