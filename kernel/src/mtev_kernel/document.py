"""What the kernel needs to know of a configuration document, and nothing more.

The kernel does not read configuration. A plugin that `provides = ["configuration"]` does, and its plugin object has a
method `open` (see `ConfigurationProvider`). What comes back is a `Document`: plain data about which stanzas there are
and which modules the operator asked for. Whatever else the provider offers to other plugins is a service of its own.

Three more abilities are optional, and looked for by their Protocol on the same plugin object: `Inspector` (for
`--check`), `SchemaComposer` and `SampleComposer` (for the commands `schema` and `sample-config`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from .discovery import Found

__all__ = [
    "ConfigurationProvider",
    "Document",
    "Finding",
    "Inspector",
    "ModuleRequest",
    "OnError",
    "SampleComposer",
    "SchemaComposer",
    "Stanza",
]

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


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a provider finds in its document, beyond what the plugins themselves say of it.

    Args:
        message: what is wrong and what to do; opens with `file:line: ` or `file:line:column: `.
        severity: `error` for what cannot be meant, `warning` for what can, but hardly is.
        plugin: whose part of the document it is about, or `""`.
        distribution: `name version` of where that plugin comes from, or `""`.
    """

    message: str
    severity: Literal["error", "warning"]
    plugin: str = ""
    distribution: str = ""


@runtime_checkable
class Inspector(Protocol):
    """A provider that can look a document through: schemas, misspelt names, references to what is not there."""

    def inspect(self) -> Sequence[Finding]:
        """Everything that is wrong with the document in force, not only the first of it.

        Called once at the end of a check, on a thread, also when the document asks for modules that cannot be or
        plugins failed. May block on the file system; opens no socket. What has been found before is in the kernel's
        service `ProblemListing`; what is installed, with its schemas, in `PluginOffers`.
        """


@runtime_checkable
class SchemaComposer(Protocol):
    """A provider that can describe a whole document in the schema language of its format."""

    def compose_schema(self, offers: Sequence[Found], root: str) -> str:
        """One schema of everything that the offers say of their stanzas, as text. Needs no document; may block.

        Args:
            offers: plugins that can be used, by name; their schemas are resources beside their manifests.
            root: name of the document's outermost element.

        Raises:
            ConfigurationError: the name cannot be one.
        """


@runtime_checkable
class SampleComposer(Protocol):
    """A provider that can show what a document may look like."""

    def compose_samples(self, offers: Sequence[Found]) -> str:
        """One commented document made of the offers' samples, as text. Needs no document; may block.

        Args:
            offers: plugins that can be used, in the order in which they are to appear. One without a sample is
                mentioned in a comment.
        """
