"""Have the provider of the configuration look its document through, for `--check`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import cast

from ._assembly import Assembly
from ._steps import perform
from .document import Finding, Inspector
from .errors import MtevError, describe

__all__ = ["inspected"]

_log = logging.getLogger("mtev.kernel")


async def inspected(assembly: Assembly, limit_s: float) -> Sequence[Finding]:
    """What the provider finds in the document in force; nothing where it does not know how to look.

    Args:
        assembly: what the service is made of.
        limit_s: how long the provider may take, in seconds.

    Returns:
        The findings. A provider that fails at it is one more.
    """
    reader = assembly.reader
    provider: object = None if reader is None else reader.plugin
    if reader is None or not isinstance(provider, Inspector):
        return []
    try:
        return cast("Sequence[Finding]", await perform(provider.inspect, limit_s, f"inspect {reader.enabled.name}"))
    except Exception as error:  # whatever a plugin raises is attributed to it
        text = f"the document could not be looked through: {describe(error)}"
        _log.error("%s: %s", reader.who, text, exc_info=None if isinstance(error, MtevError) else error)
        return [Finding(text, "error", reader.enabled.name, reader.enabled.distribution)]
