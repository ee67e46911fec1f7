"""Manifests: what a plugin says of itself without being imported.

A manifest is a `plugin.toml` inside the plugin's package. Parsing is pure; `discovery` finds the files.

    id = "acme.greeter"                 # dotted, lower case; unique among what is installed
    summary = "Greets over REST."
    api = "1.0"                         # plugin API, major.minor
    requires = ["http"]                 # started before this one, and enabled with it
    after = ["log"]                     # started before this one when it is enabled anyway
    provides = ["greetings"]            # further names under which others may require it
    stanzas = ["greeter"]               # what it owns in the document; its presence enables the plugin
    images = ["acme_greeter"]           # further values of <generic image=> that mean this plugin
    symbol = "greeter"                  # the part of <generic name=> after the colon; default: the id's last part
    hooks = ["greeting_made"]           # hook points that it declares for others
    implements = ["mtev_rest_routes"]   # hook points that it attaches to
    status = "stable"                   # experimental, beta, stable, deprecated
    security = "answers requests of anybody the REST ACL lets in"

    [apply]                             # what it takes for a change of the document to come into force
    "greeter" = "restart-process"
    "greeter/@greeting" = "live"        # the plugin looks at it again when `mtev_reload` is called
    "greeter/visitor" = "live"

The keys of `[apply]` are claims, as in `stanzas`, that select elements or attributes; each speaks of what it selects
and of all that is in it. The most specific entry decides about a thing: the one that selects it, else the one that
selects the nearest element around it; of two that select the same, the later one. What a stanza of the plugin's holds
and no entry speaks of is "restart-process". Values: "live": the plugin takes the change over while it runs;
"restart-plugin": once this plugin, and what requires it, has been stopped and started; "restart-process": with the
next start of the service. Promise no more than the code keeps: whoever changes a document is told what this table says.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType

from .errors import ManifestError

__all__ = ["API_VERSION", "APPLY_POLICIES", "STATUSES", "Manifest", "api_problem", "parse_manifest"]

API_VERSION = (1, 0)
"""The plugin API of this kernel, (major, minor). Independent of the distribution's version."""

STATUSES = ("experimental", "beta", "stable", "deprecated")

APPLY_POLICIES = ("live", "restart-plugin", "restart-process")
"""What `[apply]` may say of a change, from the least to do to the most."""

_ID = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*")
_API = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
_TEXTS = ("id", "summary", "api", "symbol", "status", "security")
_LISTS = ("requires", "after", "provides", "stanzas", "images", "hooks", "implements")
_FIELDS = (*_TEXTS, *_LISTS, "apply")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A valid manifest; see the module's own text for what each field means. Immutable."""

    id: str
    summary: str
    api: tuple[int, int]
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    stanzas: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    symbol: str = ""
    hooks: tuple[str, ...] = ()
    implements: tuple[str, ...] = ()
    status: str = "beta"
    security: str = ""
    apply: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "apply", MappingProxyType(dict(self.apply)))

    @property
    def names(self) -> frozenset[str]:
        """Every name under which another plugin may require this one."""
        return frozenset((self.id, *self.provides))


def parse_manifest(text: str, origin: str = "plugin.toml") -> Manifest:
    """Parse and check a manifest.

    Args:
        text: TOML.
        origin: what to call the file in messages.

    Raises:
        ManifestError: it is not TOML, or a field is missing, unknown, or has a value that it may not have.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{origin}: not valid TOML: {error}") from error
    for key in table:
        if key not in _FIELDS:
            raise ManifestError(f"{origin}: unknown field '{key}'{_suggestion(key, _FIELDS)}")
    texts = {key: _text(table, key, origin) for key in _TEXTS}
    lists = {key: _names(table, key, origin) for key in _LISTS}
    for key in ("id", "summary", "api"):
        if not texts[key]:
            raise ManifestError(f"{origin}: the field '{key}' is required")
    if not _ID.fullmatch(texts["id"]):
        raise ManifestError(
            f"{origin}: id = '{texts['id']}' is not a plugin id; expected dotted lower-case words such as 'log.file'"
        )
    api = _API.fullmatch(texts["api"])
    if api is None:
        raise ManifestError(f"{origin}: api = '{texts['api']}' is not a version; expected 'major.minor' such as '1.0'")
    status = texts["status"] or "beta"
    if status not in STATUSES:
        raise ManifestError(f"{origin}: status = '{status}' is none of {', '.join(STATUSES)}")
    own = {texts["id"], *lists["provides"]}
    if selfish := own.intersection(lists["requires"] + lists["after"]):
        raise ManifestError(f"{origin}: the plugin cannot require itself ('{min(selfish)}')")
    return Manifest(
        id=texts["id"],
        summary=texts["summary"],
        api=(int(api[1]), int(api[2])),
        symbol=texts["symbol"] or texts["id"].rpartition(".")[2],
        status=status,
        security=texts["security"],
        apply=_policies(table, origin),
        **lists,
    )


def api_problem(manifest: Manifest) -> str:
    """Why this kernel cannot run a plugin of that API, as a sentence that says what to upgrade; `""` when it can.

    A plugin runs when its major number is the kernel's and its minor number is not above the kernel's.
    """
    have = ".".join(map(str, API_VERSION))
    want = ".".join(map(str, manifest.api))
    if manifest.api[0] < API_VERSION[0]:
        return f"it was written for plugin API {want} and this kernel has {have}: upgrade the plugin's distribution"
    if manifest.api > API_VERSION:
        return f"it needs plugin API {want} and this kernel has {have}: upgrade mtev-kernel"
    return ""


def _text(table: dict[str, object], key: str, origin: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise ManifestError(f"{origin}: {key} = {value!r} must be a string")
    return value.strip()


def _names(table: dict[str, object], key: str, origin: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise ManifestError(f"{origin}: {key} = {value!r} must be a list of names")
    if len(set(value)) != len(value):
        raise ManifestError(f"{origin}: {key} = {value!r} names something twice")
    return tuple(value)


def _policies(table: dict[str, object], origin: str) -> Mapping[str, str]:
    entries = table.get("apply", {})
    if not isinstance(entries, dict):
        raise ManifestError(f"{origin}: apply = {entries!r} must be a table of claims: [apply]")
    for claim, policy in entries.items():
        if not claim.strip():
            raise ManifestError(f'{origin}: [apply] has an empty claim; write what it is about, such as "logs"')
        if isinstance(policy, dict):  # [apply] with a.b = "live"
            raise ManifestError(f"{origin}: [apply] {claim}.{min(policy)}: a claim with a dot goes in quotes")
        if policy not in APPLY_POLICIES:
            raise ManifestError(
                f'{origin}: [apply] "{claim}" = {policy!r} is none of {", ".join(APPLY_POLICIES)}'
                f"{_suggestion(policy, APPLY_POLICIES)}"
            )
    return {claim.strip(): policy for claim, policy in entries.items()}


def _suggestion(word: object, known: tuple[str, ...]) -> str:
    near = get_close_matches(str(word), known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
