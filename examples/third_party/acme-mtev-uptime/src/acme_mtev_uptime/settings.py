"""What `<uptime>` says, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from mtev_conf import Configuration, Section
from mtev_kernel import ConfigurationError

__all__ = ["Settings", "read"]

_ATTRIBUTES = ("label", "id", "require_env")
_LONGEST_S = 1e9


@dataclass(frozen=True, slots=True)
class Settings:
    """One `<uptime>`.

    Args:
        label: what the service is called in what others are told.
        milestones_s: when to tell, in seconds since the start, ascending.
    """

    label: str
    milestones_s: tuple[float, ...] = ()


def read(configuration: Configuration) -> Settings:
    """Read the stanza; without one, the label is the name of the root element.

    Raises:
        ConfigurationError: something in it cannot be meant; the message says where.
    """
    label = configuration.root_name
    stanzas = [each for each in configuration.sections("uptime") if each.enabled]
    if not stanzas:
        return Settings(label)
    stanza, *more = stanzas
    if more:
        raise more[0].error(f"there is one at {stanza.where} already; write everything into one")
    _only(stanza, *_ATTRIBUTES)
    for child in stanza.sections("*[not(self::milestone)]"):
        raise child.error("not known in <uptime>; expected <milestone>")
    milestones = [_milestone(each) for each in stanza.sections("milestone") if each.enabled]
    return Settings(stanza.string("label", label), tuple(sorted(set(milestones))))


def _milestone(section: Section) -> float:
    _only(section, "seconds", "require_env")
    seconds = section.number("seconds", maximum=_LONGEST_S)
    if seconds <= 0:
        raise section.error(f"seconds: {seconds:g} is not a time to wait for; write more than 0")
    return seconds


def _only(section: Section, *known: str) -> None:
    for name in section.attributes:
        if name not in known:
            error: ConfigurationError = section.error(f"unknown attribute '{name}'; expected {', '.join(known)}")
            raise error
