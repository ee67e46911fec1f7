"""Reading `<rest>`: the settings in its attributes, the lists and policies in it. Fails closed.

Whatever could make a list let in more than its author meant is refused when it is read: an expression or network that
does not compile, an attribute or element that nobody knows, a name that is not there.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from mtev_conf import Configuration, Section
from mtev_kernel import ConfigurationError

from ._acl import AccessList, AccessLists, Conditions, Rule, RuleError
from ._compression import ENCODINGS, Compression
from ._cors import CorsPolicy
from ._engine import EngineSettings
from ._finishing import Finishing
from ._headers import check_header
from ._request import BodyLimits
from ._time_limit import DEFAULT_TIME_LIMIT_S

__all__ = ["ENGINES", "RestSettings", "read_access", "read_finishing", "read_settings"]

ENGINES = ("aiohttp",)
"""The engines that `<rest engine="">` may name."""

_PATTERNS = ("user", "auth", "cn", "url")
_LISTENER = "listener_"
_COMMON = ("id", "require_env")
_SETTINGS = (
    "engine",
    "body_limit_bytes",
    "body_timeout_ms",
    "drain_timeout_ms",
    "header_count",
    "header_limit_bytes",
    "keepalive_timeout_ms",
    "linger_timeout_ms",
    "request_ids",
    "requests_per_connection",
    "target_limit_bytes",
    "time_limit_ms",
    "write_timeout_ms",
)
_CORS = ("url", "origin", "methods", "headers", "exposed", "credentials", "max_age")
_COMPRESSION = ("encodings", "level", "min_bytes", "types")
_MAX_MS = 24 * 3600 * 1000
_ORIGIN = re.compile(r"\*|null|[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s*?#]+")


@dataclass(frozen=True, slots=True)
class RestSettings:
    """The attributes of `<rest>`.

    Args:
        engine: one of `ENGINES`.
        drain_timeout_s: how long requests under way may take once the service stops.
        limits: what the engine holds its peers to.
        time_limit_s: how long a handler may take until it has a response; 0 for as long as it wants.
        request_ids: whether responses carry `X-Request-Id`.
    """

    engine: str = ENGINES[0]
    drain_timeout_s: float = 8.0
    limits: EngineSettings = field(default_factory=EngineSettings)
    time_limit_s: float = DEFAULT_TIME_LIMIT_S
    request_ids: bool = True


def read_settings(configuration: Configuration) -> RestSettings:
    """The settings of a service.

    Raises:
        ConfigurationError: a value is malformed, an attribute is unknown, or two `<rest>` elements have settings.
    """
    holders = []
    for rest in _stanzas(configuration):
        _known(rest, (*_SETTINGS, *_COMMON))
        if any(name in rest.attributes for name in _SETTINGS):
            holders.append(rest)
    if not holders:
        return RestSettings()
    if len(holders) > 1:
        raise holders[1].error(f"the settings of REST are at {holders[0].where} already; write them in one place")
    rest = holders[0]
    default = EngineSettings()
    limits = EngineSettings(
        keepalive_timeout_s=_seconds(rest, "keepalive_timeout_ms", default.keepalive_timeout_s),
        header_limit_bytes=rest.integer("header_limit_bytes", default.header_limit_bytes, minimum=64, maximum=1 << 20),
        header_count=rest.integer("header_count", default.header_count, minimum=1, maximum=10_000),
        target_limit_bytes=rest.integer("target_limit_bytes", default.target_limit_bytes, minimum=64, maximum=1 << 20),
        linger_timeout_s=_seconds(rest, "linger_timeout_ms", default.linger_timeout_s),
        body=BodyLimits(
            rest.integer("body_limit_bytes", default.body.size_bytes, minimum=0, maximum=1 << 40),
            _seconds(rest, "body_timeout_ms", default.body.timeout_s),
        ),
        write_timeout_s=_seconds(rest, "write_timeout_ms", default.write_timeout_s),
        requests_per_connection=rest.integer("requests_per_connection", 0, minimum=0, maximum=1 << 31),
    )
    plain = RestSettings()
    return RestSettings(
        rest.choice("engine", ENGINES, plain.engine),
        _seconds(rest, "drain_timeout_ms", plain.drain_timeout_s),
        limits,
        _seconds(rest, "time_limit_ms", plain.time_limit_s, minimum=0),
        rest.boolean("request_ids", plain.request_ids),
    )


def read_finishing(configuration: Configuration) -> Finishing:
    """What every response of a service gets on its way out.

    Raises:
        ConfigurationError: a value is malformed, an attribute is unknown, or something is there twice.
    """
    cors, compressions, request_ids = [], [], RestSettings().request_ids
    for rest in _stanzas(configuration):
        request_ids = rest.boolean("request_ids", request_ids)
        cors += [_cors(section) for section in rest.sections("cors") if section.enabled]
        compressions += [section for section in rest.sections("compression") if section.enabled]
    if len(compressions) > 1:
        raise compressions[1].error(f"compression is set at {compressions[0].where} already; write it in one place")
    compression = _compression(compressions[0]) if compressions else Compression()
    return Finishing(compression, tuple(cors), request_ids)


def read_access(configuration: Configuration) -> AccessLists:
    """The access control lists of a service, in document order. Those that `require_env` switches off are left out.

    Raises:
        ConfigurationError: something is in them that is not understood.
    """
    stanzas = _stanzas(configuration)
    for rest in stanzas:
        _check_shape(rest)
    lists = [_list(acl) for acl in configuration.sections("//rest//acl") if acl.enabled]
    absent = f"{configuration.path} has no {'<acl> in its <rest>' if stanzas else '<rest>'}"
    try:
        return AccessLists(tuple(lists), absent)
    except RuleError as error:
        raise ConfigurationError(f"<rule>: {error}", error.where) from None


def _stanzas(configuration: Configuration) -> list[Section]:
    return [rest for rest in configuration.sections("//rest") if rest.enabled]


def _check_shape(rest: Section) -> None:
    """Refuse what is no part of a list; a misspelt `<acl type="deny">` would let in what it was to keep out."""
    for stray in rest.sections(".//rule[not(parent::acl)]"):
        raise stray.error("a <rule> belongs into an <acl>")
    for stray in rest.sections(".//acl/*[not(self::rule)] | .//rule/*"):
        raise stray.error("not expected here; an <acl> holds <rule> elements, and those hold nothing")
    for stray in rest.sections("cors/* | compression/* | .//*[not(parent::rest)][self::cors or self::compression]"):
        raise stray.error("not expected here; <cors> and <compression> stand in <rest>, and hold nothing")
    for stray in rest.sections(".//*[not(self::acl or self::rule or self::cors or self::compression or .//acl)]"):
        raise stray.error(
            "not known in <rest>; expected <acl>, <cors>, <compression>, or an element that holds an <acl>"
        )
    for between in rest.sections(".//*[not(self::acl) and .//acl]"):
        _known(between, _COMMON)


def _cors(section: Section) -> CorsPolicy:
    _known(section, (*_CORS, *_COMMON), conditional=False)
    own = section.attributes
    origins = own.get("origin", "").split()
    if not origins:
        raise section.error("it names no origin; expected some such as https://console.example.net, or '*'")
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise section.error(f"'{origin}' is no origin; expected one such as https://console.example.net, or '*'")
    url = _pattern(section, "url", own["url"]) if "url" in own else None
    try:
        return CorsPolicy(
            origins,
            tuple(own.get("methods", "").upper().split()),
            tuple(own.get("headers", "").split()),
            tuple(_field_name(section, name) for name in own.get("exposed", "").split()),
            section.boolean("credentials", False),
            section.integer("max_age", 600, minimum=0, maximum=86400),
            url,
        )
    except ValueError as error:
        raise section.error(str(error)) from None


def _field_name(section: Section, name: str) -> str:
    try:
        check_header(name, "")
    except ValueError as error:
        raise section.error(str(error)) from None
    return name


def _compression(section: Section) -> Compression:
    _known(section, (*_COMPRESSION, *_COMMON), conditional=False)
    own, plain = section.attributes, Compression()
    encodings = tuple(own["encodings"].split()) if "encodings" in own else plain.encodings
    for encoding in encodings:
        if encoding not in ENCODINGS:
            raise section.error(f"the encoding '{encoding}' cannot be made; expected {', '.join(ENCODINGS)}")
    return Compression(
        encodings,
        section.integer("min_bytes", plain.min_bytes, minimum=1, maximum=1 << 40),
        tuple(own["types"].split()) if "types" in own else plain.types,
        section.integer("level", plain.level, minimum=1, maximum=9),
    )


def _list(section: Section) -> AccessList:
    _known(section, (*_PATTERNS, *_COMMON, "ip", "type"))
    rules = tuple(_rule(rule) for rule in section.sections("rule") if rule.enabled)
    return AccessList(_conditions(section), _allows(section), section.where, rules)


def _rule(section: Section) -> Rule:
    _known(section, (*_PATTERNS, *_COMMON, "ip", "type", "name", "skipto"))
    own = section.attributes
    for name in ("name", "skipto"):
        if own.get(name) == "":
            raise section.error(f"{name} is empty")
    if "type" in own and "skipto" in own:
        raise section.error("it has a type and a skipto; one rule either decides or goes on elsewhere")
    return Rule(_conditions(section), _allows(section), section.where, own.get("name", ""), own.get("skipto", ""))


def _allows(section: Section) -> bool:
    kind = section.attributes.get("type", "deny")
    if kind not in ("allow", "deny"):
        raise section.error(f"type='{kind}' is neither 'allow' nor 'deny'")
    return kind == "allow"


def _conditions(section: Section) -> Conditions:
    own = section.attributes
    patterns = {name: _pattern(section, name, own[name]) for name in _PATTERNS if name in own}
    listener = tuple(
        (name.removeprefix(_LISTENER), _pattern(section, name, text))
        for name, text in own.items()
        if name.startswith(_LISTENER)
    )
    network = None
    if "ip" in own:
        try:
            network = ipaddress.ip_network(own["ip"].strip(), strict=False)
        except ValueError:
            raise section.error(f"ip='{own['ip']}' is neither an address nor a network such as 10.0.0.0/8") from None
    return Conditions(ip=network, listener=listener, **patterns)


def _pattern(section: Section, name: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise section.error(f"{name}='{text}' is not a regular expression: {error}") from None


def _known(section: Section, names: tuple[str, ...], *, conditional: bool | None = None) -> None:
    if conditional is None:
        conditional = "url" in names
    for name in section.attributes:
        if name in names or (conditional and name.startswith(_LISTENER) and name != _LISTENER):
            continue
        expected = ", ".join(names) + (f", {_LISTENER}KEY" if conditional else "")
        raise section.error(f"the attribute '{name}' is not known; expected {expected}")


def _seconds(section: Section, name: str, default_s: float, *, minimum: int = 1) -> float:
    value = section.integer(name, None, minimum=minimum, maximum=_MAX_MS)
    return default_s if value is None else value / 1000
