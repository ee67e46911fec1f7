"""A document as the kernel sees it: its stanzas, the modules that it asks for, and its text with secrets masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from lxml import etree

from mtev_kernel.document import ModuleRequest, OnError, Stanza
from mtev_kernel.errors import ConfigurationError

from ._masking import masked_copy
from ._section import Section
from ._tree import Tree

__all__ = ["TreeDocument"]

_POLICIES = ("fail", "ignore", "retry")
_CONSUMED = ("image", "name", "loader", "on-error", "require_env", "directory")


class TreeDocument:
    """One parsed document, in the kernel's terms. Never changes, and may be read from any thread."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._root = Section(tree, tree.root)

    @property
    def path(self) -> str:
        """Absolute path of the file, or a name in angle brackets."""
        return self._tree.path

    def stanzas(self) -> Sequence[Stanza]:
        """The top-level elements, in document order; those that `require_env` switches off are left out."""
        return [Stanza(each.name, each.where) for each in self._root.sections("*") if each.enabled]

    def find(self, claim: str) -> str | None:
        """Where the first element selected by a claim stands that `require_env` does not switch off, or None.

        Args:
            claim: name of a top-level element, or XPath below the root.

        Raises:
            ConfigurationError: the claim is not well formed.
        """
        return next((each.where for each in self._root.sections(claim) if each.enabled), None)

    def modules(self) -> Sequence[ModuleRequest]:
        """What every `<generic>` and `<loader>` under a `<modules>` asks for, in document order.

        Those that `require_env` switches off are left out, unread.

        Raises:
            ConfigurationError: some are malformed; the message has a line for each.
        """
        for stanza in self._root.sections("//modules[@directory]"):
            self._tree.notice(
                stanza.where,
                "<modules directory=…> is not used: plugins are installed distributions, found without a search path",
            )
        for stray in self._root.sections("//modules//module"):
            self._tree.notice(stray.where, "<module> asks for nothing; write <generic image=… name=…> to load a plugin")
        requests: list[ModuleRequest] = []
        problems: list[ConfigurationError] = []
        for section in self._root.sections("//modules//generic | //modules//loader"):
            if section.enabled:
                request = _request(section, problems)
                if request is not None:
                    requests.append(request)
        if problems:
            raise ConfigurationError.combined(problems)
        return requests

    def dump(self) -> str:
        """The document with everything substituted, secrets masked, comments left out.

        An element whose own `require_env` does not hold is marked by a comment before it.
        """
        root = masked_copy(self._tree)
        heading = f"<!-- {self._tree.path.replace('--', '- -')} -->"
        return f"{heading}\n{etree.tostring(root, encoding='unicode').strip()}\n"


def _request(section: Section, problems: list[ConfigurationError]) -> ModuleRequest | None:
    found = len(problems)
    kind = cast("Literal['generic', 'loader']", section.name)
    example = f"write <{kind} image=… name=…>"
    image, name = section.optional("image") or "", section.optional("name") or ""
    if not image:
        problems.append(section.error(f"image is missing: which plugin to load; {example}"))
    if not name:
        problems.append(section.error(f"name is missing: what the instance is called; {example}"))
    elif name.endswith(":"):
        problems.append(section.error(f"name='{name}' has no symbol after its colon; write name=\"prefix:symbol\""))
    loader = section.optional("loader") or ""
    if kind == "loader":
        if "loader" in section.attributes:
            problems.append(section.error("a <loader> is loaded by the kernel itself; take its attribute 'loader' out"))
        loader = ""
    on_error: OnError | None = None
    try:
        on_error = cast("OnError | None", section.choice("on-error", _POLICIES, None))
    except ConfigurationError as error:
        problems.append(error)
    config: dict[str, str] = {}
    includes = section.sections("include")
    try:
        config = (includes[0] if len(includes) == 1 else section).hash()
    except ConfigurationError as error:
        problems.append(error)
    if len(problems) > found:
        return None
    attributes = {
        key: value
        for each in section.sections("ancestor-or-self::*")
        for key, value in each.attributes.items()
        if key not in _CONSUMED
    }
    return ModuleRequest(kind, image, name, section.where, loader, on_error, config, attributes)
