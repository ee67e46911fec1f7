"""What `--check` says of a document beyond what plugins say: all of it, each thing once and with its place.

1. Stanzas are held to the schemas of their owners, and names that look misspelt are pointed out (`schemas`).
2. References lead somewhere, and not in a circle (`references`).
3. What values ask for is there: variables of the environment, files, facilities.
4. Certificates and keys can be read (`certificates`).
5. Where `<conf>` asks for writing, the files can be written.

What `require_env` switches off is not looked at, and nothing is expected of elements that are the application's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lxml import etree

from mtev_kernel.document import Finding
from mtev_kernel.errors import ConfigurationError

from .._configuration import Configuration
from .._document import top_level
from .._editing.fragments import own_text
from .._names import element_name, is_element, own_attributes
from .._origins import Substituted, shown_key, substituted
from .._settings import ConfSettings, read_settings
from .._tree import Tree
from .._values.expansion import Used
from .certificates import inspect_certificates
from .findings import Report
from .references import References
from .schemas import Schemas
from .xsd import nearest

if TYPE_CHECKING:
    from mtev_kernel.discovery import Found

__all__ = ["findings"]

_EVERYWHERE = ("config", "include", "modules")


def findings(
    configuration: Configuration, offers: Sequence[Found], schemas: Schemas, told: Iterable[str] = ()
) -> list[Finding]:
    """Look the document in force through. Thread-safe; blocks on the file system.

    Args:
        configuration: its document is looked through. What is among its notices is not said again.
        offers: the installed plugins.
        schemas: their schemas.
        told: messages of others about the same document, which are not repeated either.
    """
    inspection = _Inspection(configuration, offers, schemas, Report(told))
    with configuration._tree.lock:
        inspection.run()
    return inspection.report.findings


class _Inspection:
    """One inspection of one document, whose lock is held."""

    def __init__(self, configuration: Configuration, offers: Sequence[Found], schemas: Schemas, report: Report) -> None:
        self._configuration = configuration
        self._tree: Tree = configuration._tree
        self._offers = offers
        self._schemas = schemas
        self.report = report
        self._claims = {claim for each in offers if each.usable for claim in each.usable.stanzas}

    def run(self) -> None:
        """All of it."""
        try:
            settings = read_settings(self._configuration)
        except ConfigurationError:  # with which the plugin has refused to open the document
            settings = ConfSettings(write=False)
        self._fit_stanzas(settings)
        self._check_names()
        References(self._tree, self._applies).inspect(self.report, self._claims)
        self._check_values()
        inspect_certificates(self._tree, self.report, self._applies)
        self._check_writable(settings)

    def _applies(self, element: etree._Element) -> bool:
        try:
            return self._tree.applies(element)
        except ConfigurationError as error:
            self.report.add(str(error), "error")
            return False

    # Stanzas and their names

    def _fit_stanzas(self, settings: ConfSettings) -> None:
        if not settings.schemas:
            return
        stated = any("schemas" in each.attributes for each in self._configuration.sections("conf") if each.enabled)
        if stated and (advice := self._schemas.needs(self._configuration, self._offers)):
            self.report.add(f"{settings.where}: plugins' schemas are not looked at without xmlschema: {advice}")
        for each in self._schemas.problems(self._configuration, self._offers):
            if not (each.where and self.report.names(each.where, each.name)):
                self.report.add(each.text, each.severity, offer=each.offer)

    def _check_names(self) -> None:
        known = [claim for claim in (*sorted(self._claims), *_EVERYWHERE) if claim.replace("_", "").isalnum()]
        for element in top_level(self._tree):
            name, where = element_name(element), self._tree.where(element)
            if not self._applies(element):
                continue
            if name == "include":
                self.report.add(f"{where}: <include> names no file, so it brings nothing in; write <include file=…>")
            elif name not in known and (near := nearest(name, known)):
                self.report.add(f"{where}: unknown element <{name}>: did you mean <{near}>?")

    # What values ask for

    def _check_values(self) -> None:
        found = self._tree.root.xpath("descendant-or-self::*[@*[contains(., '{')] or text()[contains(., '{')]]")
        assert isinstance(found, list)
        for element in found:
            assert isinstance(element, etree._Element)
            if not self._applies(element):
                continue
            where, tag = self._tree.where(element), element_name(element)
            for name, raw in {**own_attributes(element), "": own_text(element)}.items():
                if "{" in raw:
                    text = substituted(self._tree, element, raw, name)
                    self._check_value(text, where, f"<{tag}>", name or "its text")
        for source in self._tree.sources:
            # These attributes belong to a root that is dropped; paths in them start from its file.
            nodes = [each for each in self._tree.nodes_of(source, source.top) if is_element(each)]
            if source.kind == "include" and self._applies(nodes[0] if nodes else source.top):
                for name, raw in source.attributes.items():
                    text = substituted(self._tree, nodes[0] if nodes else source.top, raw, name)
                    self._check_value(text, source.path, "the root of the included file", name)

    def _check_value(self, text: Substituted, where: str, owner: str, name: str) -> None:
        if text.problem:
            self.report.add(
                f"{where}: {owner}: {name}: {text.problem}", "error", core=f"{where}: {owner}: {text.problem}"
            )
        for notice in text.notices:
            if f"{where}: {notice}" not in self._tree.notices:
                self.report.add(f"{where}: {notice}")
        for use in text.used:
            if use.missing and use.facility in self._tree._table(self._tree.root):
                self.report.add(f"{where}: {owner}: {name} asks for {_wanted(use, text.raw)}")

    # Files

    def _check_writable(self, settings: ConfSettings) -> None:
        """Warn of files that could not be written, where somebody has asked for writing."""
        stanzas = [each for each in self._configuration.sections("conf") if self._applies(each._element)]
        asked = settings.write_back != "explicit" or any("write" in each.attributes for each in stanzas[-1:])
        if not (asked and settings.write):
            return
        wish = f"while the configuration is to be written ({settings.where})"
        told: set[str] = set()
        for source in self._tree.sources:
            folder = _folder_of(source.path)
            if not source.readonly and source.kind != "leaf" and folder not in told and _is_closed(folder):
                told.add(folder)
                where = source.included_at or source.path
                self.report.add(f"{where}: {source.path} cannot be written, {wish}: nothing can be put into {folder}")
        for store in self._tree.stores.values():
            folder = store.directory
            while not os.path.lexists(folder) and folder != _folder_of(folder):
                folder = _folder_of(folder)
            if folder not in told and _is_closed(folder):
                told.add(folder)
                tag = f"<{element_name(store.element)} backingstore='{store.directory}'>"
                where = self._tree.where(store.element)
                self.report.add(f"{where}: {tag}: it cannot be written, {wish}: nothing can be put into {folder}")


def _wanted(use: Used, raw: str) -> str:
    key = shown_key(use, raw)
    if use.facility == "ENV":
        return f"the environment variable '{key}', which is not set, and has no default; set it, or write a default"
    if use.facility == "FILE":
        return f"the file '{key}', which is not there, and has no fallback; put it there, or write a fallback"
    return f"{use.facility} '{key}', which has no value, and has no fallback; set it, or write a fallback"


def _folder_of(path: str) -> str:
    return os.path.dirname(os.path.realpath(path))  # noqa: PTH120  # what is replaced is the target of a link


def _is_closed(folder: str) -> bool:
    """Whether this process may not make files in a folder that is there."""
    ids = os.access in os.supports_effective_ids
    return os.path.isdir(folder) and not os.access(folder, os.W_OK | os.X_OK, effective_ids=ids)  # noqa: PTH112  # a name in brackets has no folder
