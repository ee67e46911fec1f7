"""The stanza `<conf>`: how the configuration itself is kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, cast

from mtev_kernel.errors import ConfigurationError

from ._configuration import Configuration
from ._section import Section

__all__ = ["ConfSettings", "WriteBack", "read_settings"]

WriteBack = Literal["explicit", "coalesced", "journal"]

_KNOWN = ("write", "write_back", "write_delay", "history", "rest_write", "schemas", "journal", "id", "require_env")


@dataclass(frozen=True, slots=True)
class ConfSettings:
    """What `<conf>` says.

    Args:
        write: whether files may be written at all.
        write_back: when they are: on demand; some time after each change; or on demand, with each change in a journal.
        write_delay_s: how long changes are gathered before they are written.
        history: how many generations are kept.
        rest_write: whether the document can be changed over REST.
        schemas: whether changes and reloads are held to the plugins' schemas.
        journal: absolute path of the journal.
        where: the place of the stanza, or `""`.
    """

    write: bool = True
    write_back: WriteBack = "explicit"
    write_delay_s: float = 1.0
    history: int = 20
    rest_write: bool = False
    schemas: bool = True
    journal: str = ""
    where: str = ""


def read_settings(configuration: Configuration) -> ConfSettings:
    """Read `<conf>`; the last one counts where there are several.

    Raises:
        ConfigurationError: a value is malformed, or an attribute or element is not known.
    """
    default = os.path.join(os.path.dirname(configuration.path), f".{os.path.basename(configuration.path)}.journal")
    stanzas = [each for each in configuration.sections("conf") if each.enabled]
    if not stanzas:
        return ConfSettings(journal=default)
    stanza = stanzas[-1]
    problems = [*_unknown(stanza)]
    settings = ConfSettings(
        write=stanza.boolean("write", True),
        write_back=cast("WriteBack", stanza.choice("write_back", ("explicit", "coalesced", "journal"), "explicit")),
        write_delay_s=stanza.duration("write_delay", 1.0, minimum=0.01, maximum=86_400),
        history=stanza.integer("history", 20, minimum=1, maximum=10_000),
        rest_write=stanza.boolean("rest_write", False),
        schemas=stanza.boolean("schemas", True),
        journal=stanza.filename("journal", default),
        where=stanza.where,
    )
    if not settings.write and settings.write_back != "explicit":
        problems.append(stanza.error(f"write='off' leaves nothing to write_back='{settings.write_back}'"))
    if problems:
        raise ConfigurationError.combined(problems)
    return settings


def _unknown(stanza: Section) -> list[ConfigurationError]:
    problems = []
    for name in stanza.attributes:
        if name not in _KNOWN:
            near = get_close_matches(name, _KNOWN, n=1)
            advice = f"; did you mean '{near[0]}'?" if near else f"; there are {', '.join(_KNOWN)}"
            problems.append(stanza.error(f"there is no attribute '{name}'{advice}"))
    problems += [stray.error("not expected in <conf>, which has attributes only") for stray in stanza.sections("*")]
    return problems
