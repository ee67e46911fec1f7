"""The schemas of plugins, put to work on a document: for `--check`, for changes, and as one to print.

1. A plugin's schema (`schema.xsd` beside its manifest) is asked about every element that a claim of the plugin selects,
   from the outermost on. What `require_env` switches off is not looked at.
2. Values are judged as they are read. One that cannot be read is left to whoever says so.
3. A change is refused for errors in those stanzas that it concerns; what was wrong elsewhere stays allowed.
4. A schema that cannot be used refuses nothing: it is reported, once.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from .._apply import chain_of
from .._configuration import Configuration
from .._editing.changes import Change
from .._editing.fragments import own_text
from .._events import Proposal
from .._masking import LABELS, secret_content, shown_attribute, shown_text
from .._names import element_name
from .._origins import substituted
from .._tree import Tree
from .composition import compose
from .schema import SchemaProblem, SchemaSet, missing
from .xsd import SchemaError

if TYPE_CHECKING:
    from mtev_kernel.discovery import Found

__all__ = ["Misfit", "Schemas"]

_log = logging.getLogger("mtev.conf")

_SCHEMA = "schema.xsd"


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something in a document that does not fit a schema, or a schema that cannot be used.

    Args:
        offer: the plugin whose schema it is.
        text: what is wrong; opens with `file:line`.
        severity: `error` or `warning`.
        where: `file:line` of the element, `""` where it is about the schema itself.
        name: of the attribute at fault; of the element, where it is about its text or content.
    """

    offer: Found
    text: str
    severity: Literal["error", "warning"]
    where: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Schema:
    offer: Found
    claims: Sequence[str]
    name: str
    data: bytes


class Schemas:
    """The schemas of the installed plugins, each read and compiled once. Thread-safe."""

    def __init__(self) -> None:
        self._set = SchemaSet()
        self._lock = threading.Lock()
        self._read: dict[tuple[str, str, str, str], bytes | SchemaError | None] = {}
        self._told: set[str] = set()

    def load(self) -> None:
        """Import what judging takes, if it is installed: a second that nobody should wait for with a lock."""
        if not missing():
            importlib.import_module("xmlschema")

    def needs(self, configuration: Configuration, offers: Sequence[Found]) -> str:
        """What to install before the schemas of a document's stanzas can be asked.

        Returns:
            A command, or `""` when it is there, or when no plugin with a schema owns anything in the document.
        """
        if not (advice := missing()):
            return ""
        tree = configuration._tree
        with tree.lock:
            described = any(
                _claimed(tree, each.usable.stanzas, None)
                for each in offers
                if each.usable is not None and self._data(each) is not None
            )
        return advice if described else ""

    def judge(self, proposal: Proposal, offers: Sequence[Found]) -> None:
        """Refuse a proposal for whatever it makes of the stanzas that it concerns and their schemas do not allow.

        Does nothing where xmlschema is not installed. Blocks for as long as the judgement takes.

        Args:
            proposal: see `Proposal`.
            offers: the installed plugins.
        """
        if missing():
            return
        concerned = _Concerned(proposal.changes)
        for each in self._misfits(proposal.configuration._tree, offers, concerned):
            if each.where and each.severity == "error":
                text = each.text.removeprefix(f"{each.where}: ")
                who = f"plugin '{each.offer.name}', distribution {each.offer.label}"
                proposal.refuse(ConfigurationError(f"{text} ({who})", each.where))
            elif not each.where and each.text not in self._told:
                self._told.add(each.text)
                _log.warning("%s", each.text)

    def problems(self, configuration: Configuration, offers: Sequence[Found]) -> list[Misfit]:
        """Whatever in a document does not fit its owner's schema, and schemas that cannot be used.

        Nothing where xmlschema is not installed; see `needs`. Blocks for as long as the judgement takes.

        Args:
            configuration: the document in force in it is judged.
            offers: the installed plugins.
        """
        return [] if missing() else self._misfits(configuration._tree, offers, None)

    def composed(self, offers: Sequence[Found], root: str = "app") -> str:
        """One schema of all stanzas, as text. Needs no xmlschema.

        Args:
            offers: the installed plugins.
            root: name of the document's outermost element.

        Raises:
            ConfigurationError: the name cannot be one.
        """
        schemas = {}
        for offer in offers:
            manifest, data = offer.usable, self._data(offer)
            if isinstance(data, SchemaError):
                _log.warning("%s", data)
            elif manifest is not None and data is not None:
                schemas[manifest.id] = (manifest.stanzas, data)
        return compose(schemas, root)

    def _data(self, offer: Found) -> bytes | SchemaError | None:
        key = (offer.name, offer.distribution, offer.version, offer.folder)
        with self._lock:
            if key not in self._read:
                try:
                    self._read[key] = offer.resource(_SCHEMA)
                except OSError as error:
                    self._read[key] = SchemaError(f"the schema cannot be read: {error.strerror}", _called(offer))
            return self._read[key]

    def _misfits(self, tree: Tree, offers: Sequence[Found], concerned: _Concerned | None) -> list[Misfit]:
        schemas: list[_Schema] = []
        misfits: list[Misfit] = []
        known: set[str] = set()
        for offer in offers:
            manifest = offer.usable
            if manifest is None:
                continue
            try:
                data = self._data(offer)
                if isinstance(data, SchemaError):
                    raise data
                if data is not None:
                    known |= self._set.names(data, _called(offer))
                    schemas.append(_Schema(offer, manifest.stanzas, _called(offer), data))
            except SchemaError as error:
                misfits.append(Misfit(offer, str(error), "warning"))
        seen: set[tuple[etree._Element, str]] = set()
        with tree.lock:
            for schema in schemas:
                try:
                    misfits += self._of(tree, schema, known, seen, concerned)
                except SchemaError as error:
                    misfits.append(Misfit(schema.offer, str(error), "warning"))
        return misfits

    def _of(
        self,
        tree: Tree,
        schema: _Schema,
        known: set[str],
        seen: set[tuple[etree._Element, str]],
        concerned: _Concerned | None,
    ) -> list[Misfit]:
        """The misfits of what one plugin claims; `seen` are those that have been found with other plugins' schemas."""
        found: list[Misfit] = []
        for stanza in _claimed(tree, schema.claims, concerned):
            problems = self._set.validate(
                stanza,
                schema.data,
                schema.name,
                value=lambda element, raw: substituted(tree, element, raw).value,
                applies=_applying(tree),
                known=known,
            )
            for each in problems:
                message = _told(tree, each)
                if message and (each.element, message) not in seen:
                    seen.add((each.element, message))
                    where, name = tree.where(each.element), element_name(each.element)
                    text = f"{where}: <{name}> at {tree.element_path(each.element)}: {message}"
                    found.append(Misfit(schema.offer, text, each.severity, where, each.attribute or name))
        return found


class _Concerned:
    """Which elements changes concern: those that they are about, with all that is in these or around them.

    Only names are compared. The paths of earlier changes need not lead anywhere any more.
    """

    def __init__(self, changes: Iterable[Change]) -> None:
        chains: list[list[str]] = []
        for change in changes:
            chains.append(chain_of(change))
            if change.kind == "move" and change.new is not None:
                chains.append(chain_of(Change("remove", change.new.partition("#")[0])))
        # What makes everything apply or not concerns everything; other attributes of the root are nobody's.
        self._everything = ["@require_env"] in chains
        stripped = [chain[:-1] if chain[-1:] and chain[-1].startswith("@") else chain for chain in chains]
        self._chains = [chain for chain in stripped if chain]

    def claim(self, claim: str) -> bool:
        """Whether a claim may select what is concerned; saves to look for what is not."""
        opening, *_ = claim.replace("[", "/").split("/")
        if self._everything or opening in ("", "include", "*") or not opening.replace("_", "").isalnum():
            return True
        return any(chain[0] == opening for chain in self._chains)

    def element(self, element: etree._Element) -> bool:
        """Whether an element is concerned."""
        if self._everything:
            return True
        line = [element_name(each) for each in (element, *element.iterancestors())][-2::-1]
        names = [name for name in line if name != "include"]
        return any(all(one == other for one, other in zip(names, chain, strict=False)) for chain in self._chains)


def _claimed(tree: Tree, claims: Iterable[str], concerned: _Concerned | None) -> list[etree._Element]:
    """The outermost of the elements that claims select and that count."""
    selected: dict[etree._Element, None] = {}
    for claim in claims:
        if concerned is not None and not concerned.claim(claim):
            continue
        try:
            elements = tree.select_below_root(claim, {})
        except ConfigurationError:
            continue  # the kernel has refused to start with such a claim
        selected |= dict.fromkeys(elements)
    return [
        each
        for each in selected
        if not any(around in selected for around in each.iterancestors())
        and (concerned is None or concerned.element(each))
        and tree.applies(each)
    ]


def _applying(tree: Tree) -> Callable[[etree._Element], bool]:
    def applies(element: etree._Element) -> bool:
        # What is around it has been asked already, but for the dropped root of an included file.
        behind_include = element.getparent() in tree.containers
        return tree.applies(element) if behind_include else tree.condition_holds(element)

    return applies


def _told(tree: Tree, problem: SchemaProblem) -> str:
    """What to say of a problem, without the value if that is a secret.

    Nothing if it is about a value that cannot be read: that has to be said, and others do so.
    """
    element, name = problem.element, problem.attribute
    raw = own_text(element) if name is None else element.get(name, "")
    text = substituted(tree, element, raw, name or "")
    if text.problem:
        return ""
    names = [element_name(each) for each in (element, *element.iterancestors())]
    secret = secret_content(names, [element.get(label, "") for label in LABELS])
    if name is None:
        shown = shown_text(text.value, secret=secret, used=text.used)
    else:
        shown = shown_attribute(names[0], name, text.value, secret=secret, used=text.used)
    if problem.severity == "error" and (shown != text.value or (text.replaced and text.secret)):
        return f"{name or 'its text'}: the value, which is a secret, is not of the kind that is expected here"
    return problem.message


def _called(offer: Found) -> str:
    """What a plugin's schema is called in messages."""
    return f"{Path(offer.folder).name or offer.name}/{_SCHEMA}"
