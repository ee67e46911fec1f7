"""What `<logs>` says, as plain settings. Reads the document; touches nothing else.

Every attribute of a `<log>` is looked for on the element itself and then on those that enclose it, and `<outlet>`
elements count likewise, all of them, so a container can speak for many logs. Meeting a `<log>` resets its stream:
enabled, no outlets but the configured ones. Attributes that only some types understand (`rotate_bytes`, for one) are
handed to the backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from mtev_conf import Configuration, Section
from mtev_kernel import ConfigurationError

from .backend import BackendSettings
from .errors import FilterError, GraphError
from .filters import Filter
from .formats import FORMATS
from .gates import GateSettings, parse_rate
from .graph import Graph, check_name
from .handover import QUEUE_LINES, Overflow, SinkOptions

__all__ = ["StreamSettings", "build_graph", "read_rest_write", "read_streams"]

_LOG = (
    "name",
    "type",
    "path",
    "format",
    "utc",
    "disabled",
    "debug",
    "timestamps",
    "facility",
    "stats",
    "rate_limit",
    "dedup_seconds",
    "queue_lines",
    "overflow",
    "require_env",
)
_OF_BACKENDS = ("rotate_seconds", "rotate_bytes", "retain_seconds", "retain_bytes")
_MAX_QUEUE = 10_000_000
_OUTLET = ("name", "filter", "require_env")
_ANYWHERE = ("id", "inherit")


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """One `<log>`.

    Args:
        backend: what its backend is made from; of type `""` when the stream has none of its own.
        enabled: whether it passes anything on.
        timestamps, facility, debug: flags; None where the document does not say.
        outlets: the streams that it feeds, in document order, with the section and the filter of each `<outlet>`.
        options: how its lines are handed to the backend.
        gate: which of its lines are held back.
        counted: whether its lines are counted.
        section: the `<log>`.
    """

    backend: BackendSettings
    enabled: bool
    timestamps: bool | None
    facility: bool | None
    debug: bool | None
    outlets: tuple[tuple[str, Section, Filter | None], ...]
    section: Section
    options: SinkOptions = field(default_factory=SinkOptions)
    gate: GateSettings = field(default_factory=GateSettings)
    counted: bool = False

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


def read_rest_write(configuration: Configuration) -> bool:
    """Whether streams may be changed over REST: a `<logs>` says `rest_write="on"`, and none says otherwise.

    Raises:
        ConfigurationError: one says neither.
    """
    stated = [section.boolean("rest_write", None) for section in configuration.sections("logs") if section.enabled]
    return True in stated and False not in stated


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
        for outlet, section, passing in each.outlets:
            try:
                graph.connect(each.name, outlet, passing)
            except GraphError as error:
                raise section.error(f"of the log '{each.name}': {error}") from None
    return graph


def _check_element(section: Section) -> list[str]:
    name = section.name
    if name == "outlet":
        known: tuple[str, ...] = _OUTLET
    else:
        known = (*_LOG, *_OF_BACKENDS, *_ANYWHERE, *(("rest_write",) if name == "logs" else ()))
    notices = []
    for attribute in section.attributes:
        if ":" in attribute:
            continue
        if attribute not in known:
            near = get_close_matches(attribute, known, n=1)
            advice = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
            raise section.error(f"unknown attribute '{attribute}'; {advice}")
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
        utc=section.boolean("utc", False),
        options={key: value for key in _OF_BACKENDS if (value := section.optional(key)) is not None},
        where=section.where,
    )
    outlets: dict[str, tuple[Section, Filter | None]] = {}
    for outlet in section.sections("ancestor-or-self::*/outlet"):
        if not outlet.enabled:
            continue
        target = outlet.attributes.get("name")
        if target is None:
            raise outlet.error("the attribute 'name' is required: the log that gets the lines too")
        _checked(target, outlet)
        outlets.setdefault(target, (outlet, _filter(outlet)))
    return StreamSettings(
        backend=backend,
        enabled=not section.boolean("disabled", False),
        timestamps=section.boolean("timestamps", None),
        facility=section.boolean("facility", None),
        debug=section.boolean("debug", None),
        outlets=tuple((target, *rest) for target, rest in outlets.items()),
        section=section,
        options=SinkOptions(
            queue_lines=section.integer("queue_lines", QUEUE_LINES, minimum=1, maximum=_MAX_QUEUE),
            overflow=Overflow(section.choice("overflow", tuple(each.value for each in Overflow), Overflow.DROP.value)),
        ),
        gate=_gate(section),
        counted=section.boolean("stats", False),
    )


def _filter(outlet: Section) -> Filter | None:
    text = outlet.attributes.get("filter")
    if text is None:
        return None
    try:
        return Filter(text)
    except FilterError as error:
        raise outlet.error(str(error)) from None


def _gate(section: Section) -> GateSettings:
    lines, period_s = 0, 1
    if rate := section.optional("rate_limit"):
        try:
            lines, period_s = parse_rate(rate)
        except ValueError as error:
            raise section.error(f"rate_limit: {error}") from None
    return GateSettings(lines, period_s, section.number("dedup_seconds", 0.0, minimum=0.0, maximum=86400.0))


def _checked(name: str, section: Section) -> None:
    try:
        check_name(name)
    except ValueError as error:
        raise section.error(f"name: {error}") from None
