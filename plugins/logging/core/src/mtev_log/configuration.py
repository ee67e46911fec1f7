"""What `<logs>` says, as plain settings. Reads the document; touches nothing else.

Every attribute of a `<log>` is looked for on the element itself and then on those that enclose it, and `<outlet>`
elements count likewise, all of them, so a container can speak for many logs. Meeting a `<log>` resets its stream:
enabled, no outlets but the configured ones. Attributes of libmtev that have no effect here yet are reported; a `filter`
is refused, because lines that it should hold back would pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from mtev_conf import Configuration, Section
from mtev_kernel import ConfigurationError

from .backend import BackendSettings
from .errors import GraphError
from .formats import FORMATS
from .graph import Graph, check_name

__all__ = ["StreamSettings", "build_graph", "read_streams"]

_LOG = ("name", "type", "path", "format", "disabled", "debug", "timestamps", "facility", "require_env")
_WITHOUT_EFFECT = {
    "rotate_seconds": "the file is not rotated; use logrotate, which is noticed",
    "rotate_bytes": "the file is not rotated; use logrotate, which is noticed",
    "retain_seconds": "old files are not deleted",
    "retain_bytes": "old files are not deleted",
    "stats": "lines are not counted by stream",
    "dedup_seconds": "repeated lines are all written (libmtev ignores it too)",
}
_OUTLET = ("name", "require_env")
_ANYWHERE = ("id", "inherit")


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """One `<log>`.

    Args:
        backend: what its backend is made from; of type `""` when the stream has none of its own.
        enabled: whether it passes anything on.
        timestamps, facility, debug: flags; None where the document does not say.
        outlets: the streams that it feeds, in document order, with the section of each `<outlet>`.
        section: the `<log>`.
    """

    backend: BackendSettings
    enabled: bool
    timestamps: bool | None
    facility: bool | None
    debug: bool | None
    outlets: tuple[tuple[str, Section], ...]
    section: Section

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.backend.name


def read_streams(configuration: Configuration) -> tuple[list[StreamSettings], list[str]]:
    """Read every `<log>` that its `require_env` does not switch off, in document order.

    Returns:
        The settings, each name once (the last one counts), and notices about what has no effect.

    Raises:
        ConfigurationError: something is wrong; with more than one fault, the message has a line for each.
    """
    problems: list[ConfigurationError] = []
    notices: list[str] = []
    for section in configuration.sections("logs/descendant-or-self::*[not(ancestor-or-self::config)]"):
        try:
            notices += _check_element(section)
        except ConfigurationError as error:
            problems.append(error)
    found: dict[str, StreamSettings] = {}
    for section in configuration.sections("logs//log[not(ancestor::config)]"):
        try:
            if not section.enabled:
                continue
            settings = _read(section)
        except ConfigurationError as error:
            problems.append(error)
            continue
        if earlier := found.pop(settings.name, None):
            notices.append(
                f"{section.where}: <log>: '{settings.name}' was configured before, at {earlier.section.where}; "
                "this one replaces it"
            )
        found[settings.name] = settings
    if problems:
        raise ConfigurationError.combined(problems)
    notices += [
        f"{each.section.where}: <log>: '{each.name}' has neither a type nor an outlet, so its lines go nowhere"
        for each in found.values()
        if each.enabled and not each.backend.type and not each.outlets and each.name != "stderr"
    ]
    return list(found.values()), notices


def build_graph(streams: Sequence[StreamSettings]) -> Graph:
    """The graph that the settings describe, the built-in streams included.

    Raises:
        ConfigurationError: outlets form a cycle; the message names the way round.
    """
    graph = Graph()
    for each in streams:
        node = graph.reset(each.name)
        node.enabled = each.enabled
        stated = {
            flag: value
            for flag, value in (("timestamps", each.timestamps), ("facility", each.facility), ("debug", each.debug))
            if value is not None
        }
        node.flags = replace(node.flags, **stated)
        node.sink = bool(each.backend.type) or each.name == "stderr"
    for each in streams:
        for outlet, section in each.outlets:
            try:
                graph.connect(each.name, outlet)
            except GraphError as error:
                raise section.error(f"of the log '{each.name}': {error}") from None
    return graph


def _check_element(section: Section) -> list[str]:
    name = section.name
    if name == "outlet":
        known: tuple[str, ...] = _OUTLET
        if "filter" in section.attributes:
            raise section.error(
                "filter: filters do not exist in this version, and without it lines would pass that it holds back; "
                "take the <outlet> or its filter out"
            )
    else:
        known = (*_LOG, *_WITHOUT_EFFECT, *_ANYWHERE)
    notices = []
    for attribute in section.attributes:
        if ":" in attribute:
            continue
        if attribute not in known:
            near = get_close_matches(attribute, known, n=1)
            advice = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
            raise section.error(f"unknown attribute '{attribute}'; {advice}")
        if attribute in _WITHOUT_EFFECT and name != "outlet":
            notices.append(
                f"{section.where}: <{name}>: {attribute} has no effect in this version: {_WITHOUT_EFFECT[attribute]}"
            )
    if name not in ("log", "outlet", "logs") and not section.sections("*"):
        notices.append(f"{section.where}: <{name}>: it holds no <log>, so it has no effect")
    return notices


def _read(section: Section) -> StreamSettings:
    name = section.string("name")
    _checked(name, section)
    kind = section.optional("type") or ""
    path = section.optional("path") or ""
    if name == "stderr" and (kind or path):
        raise section.error(
            "'stderr' is the standard error of the process: it takes flags, a format and outlets, but no "
            f"{'type' if kind else 'path'}"
        )
    if path and not kind:
        raise section.error(f"path='{path}' says where, but no type says how; write type='file', for one")
    backend = BackendSettings(
        name=name,
        type=kind,
        path=path,
        format=section.choice("format", tuple(FORMATS), "plain"),
        config=section.hash(),
        own=frozenset(each.attributes.get("name", each.name) for each in section.sections("config/*")),
        where=section.where,
    )
    outlets: dict[str, Section] = {}
    for outlet in section.sections("ancestor-or-self::*/outlet"):
        if not outlet.enabled:
            continue
        target = outlet.attributes.get("name")
        if target is None:
            raise outlet.error("the attribute 'name' is required: the log that gets the lines too")
        _checked(target, outlet)
        outlets.setdefault(target, outlet)
    return StreamSettings(
        backend=backend,
        enabled=not section.boolean("disabled", False),
        timestamps=section.boolean("timestamps", None),
        facility=section.boolean("facility", None),
        debug=section.boolean("debug", None),
        outlets=tuple(outlets.items()),
        section=section,
    )


def _checked(name: str, section: Section) -> None:
    try:
        check_name(name)
    except ValueError as error:
        raise section.error(f"name: {error}") from None
