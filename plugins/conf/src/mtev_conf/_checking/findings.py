"""What an inspection of a document finds, each thing once. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from mtev_kernel.document import Finding

if TYPE_CHECKING:
    from mtev_kernel.discovery import Found

__all__ = ["Report"]

_TAG = re.compile(r"<[^>]*>: ")


class Report:
    """Collects findings, and leaves out what somebody has said already.

    Attributes:
        findings: what has been added.

    Args:
        told: messages about the same document; those with several lines say something with each.
    """

    def __init__(self, told: Iterable[str] = ()) -> None:
        self.findings: list[Finding] = []
        self._told = [line.strip() for message in told for line in message.splitlines()]
        self._added: set[str] = set()

    def add(
        self,
        message: str,
        severity: Literal["error", "warning"] = "warning",
        *,
        offer: Found | None = None,
        core: str = "",
    ) -> None:
        """Add a finding, unless it has been said.

        Args:
            message: opens with `file:line`.
            severity: `error` or `warning`.
            offer: the plugin whose part of the document it is about.
            core: the part of the message that another one has to hold to say the same; the whole when empty.
        """
        core = core or message
        if message in self._added or any(core in line for line in self._told):
            return
        self._added.add(message)
        plugin, distribution = ("", "") if offer is None else (offer.name, offer.label)
        self.findings.append(Finding(message, severity, plugin, distribution))

    def says(self, *texts: str) -> bool:
        """Whether one of the messages that were there before holds all these texts."""
        return any(all(text in line for text in texts) for line in self._told)

    def names(self, where: str, name: str) -> bool:
        """Whether one of the messages that were there before is about a thing of this name in a place.

        Args:
            where: `file:line`.
            name: of an attribute or an option.
        """
        word = re.compile(rf"(?<![\w.:-]){re.escape(name)}(?![\w.-])")
        opening = f"{where}: "
        return any(
            line.startswith(opening) and word.search(_TAG.sub("", line[len(opening) :], count=1)) for line in self._told
        )
