"""Decide which plugins a document enables, and say why. Pure: metadata and plain data in, decisions out.

A plugin is enabled when the document asks for it under `<modules>`, holds something that it owns, or when an enabled
plugin requires it. Being installed is not enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from .discovery import Found, hint
from .document import Document, ModuleRequest, OnError
from .errors import ConfigurationError, LoadError, MtevError
from .manifest import Manifest

__all__ = ["LEFT_OUT", "Enabled", "Selection", "foreign_manifest", "select"]

LEFT_OUT = "it is third-party, and --safe-mode leaves those out"
"""The error of an offer that the operator does without on purpose: no fault of anybody's."""

_SEVERITY: dict[OnError, int] = {"ignore": 0, "retry": 1, "fail": 2}
_REQUIRED_BY = "required by plugin "
KERNEL_STANZA = "modules"


@dataclass(frozen=True, slots=True)
class Enabled:
    """A plugin instance that the document enables.

    Args:
        name: the instance name.
        manifest: its manifest; for something that cannot be found, a stand-in with the name that was asked for.
        found: the offer it comes from; None for what a `<loader>` loads and for what cannot be found.
        where: `file:line` of what enabled it, or a sentence.
        on_error: the failure policy.
        request: the element under `<modules>`, if there is one.
        problem: why it cannot be loaded, when that is known already.
    """

    name: str
    manifest: Manifest
    found: Found | None
    where: str
    on_error: OnError
    request: ModuleRequest | None = None
    problem: MtevError | None = None

    @property
    def distribution(self) -> str:
        """`name version` of the distribution, or a word for what comes from none."""
        if self.found is not None:
            return self.found.label
        return f"loaded by '{self.request.loader}'" if self.request and self.request.loader else ""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a document enables, and what an operator should know of the rest, each with its place."""

    enabled: tuple[Enabled, ...]
    warnings: tuple[str, ...]


def select(found: Sequence[Found], document: Document, always: Iterable[str] = ()) -> Selection:
    """Decide what the document enables.

    Args:
        found: every offer, refused ones included: what is asked for and refused is enabled with that problem.
        document: the configuration.
        always: ids that are enabled in any case; the configuration provider, in practice.

    Raises:
        ConfigurationError: the document's `<modules>` is malformed.
    """
    usable = {each.name: each for each in found if each.usable}
    chosen = {name: _plain(usable[name], "it reads the configuration") for name in always if name in usable}
    warnings: list[str] = []
    _add_requested(chosen, found, document.modules(), warnings)
    asked_for = {each.manifest.id for each in chosen.values()}
    claimed: set[str] = set()
    for each in found:
        claims = each.manifest.stanzas if each.manifest else ()
        claimed.update(claims)
        where = next(filter(None, map(document.find, claims)), None)
        if where is None or each.name in asked_for:
            continue
        if each.error == LEFT_OUT:
            warnings.append(f"{where}: plugin '{each.name}' ({each.label}) is left out: {LEFT_OUT}")
        else:
            chosen[each.name] = _plain(each, where)
    _add_required(chosen, usable)
    for stanza in document.stanzas():
        if stanza.name != KERNEL_STANZA and stanza.name not in claimed:
            advice = hint("stanza", stanza.name)
            remedy = f": {advice}" if advice else "; it has no effect here"
            warnings.append(f"{stanza.where}: no installed plugin owns <{stanza.name}>{remedy}")
    return Selection(tuple(chosen.values()), tuple(warnings))


def foreign_manifest(name: str, request: ModuleRequest) -> Manifest:
    """A stand-in manifest for what has none: something that a loader loads, or that cannot be found or read."""
    requires = tuple(filter(None, [request.loader]))
    return Manifest(id=name, summary="", api=(0, 0), requires=requires, symbol=request.symbol)


def _plain(found: Found, where: str) -> Enabled:
    assert found.manifest is not None
    problem = LoadError(f"{where}: it cannot be used: {found.error}") if found.error else None
    return Enabled(found.name, found.manifest, found, where, "fail", problem=problem)


def _add_requested(
    chosen: dict[str, Enabled], found: Sequence[Found], requests: Sequence[ModuleRequest], warnings: list[str]
) -> None:
    # Loaders first, as they are what loads some of the generics.
    for request in sorted(requests, key=lambda each: each.kind != "loader"):
        offer, problem = (None, None) if request.loader else _image(request, found)
        if offer is not None and offer.error == LEFT_OUT:
            warnings.append(f"{request.where}: {_tag(request)} ({offer.label}) is left out: {LEFT_OUT}")
            continue
        short = (offer.symbol, offer.name.rpartition(".")[2]) if offer is not None else ()
        name = offer.name if offer is not None and request.name in short else request.name
        manifest = (offer and offer.manifest) or foreign_manifest(offer.name if offer else name, request)
        if (other := chosen.get(name)) and other.request is not None:
            problem = ConfigurationError(
                f'<{request.kind} name="{request.name}"> stands more than once (also at {other.where}); '
                f'write name="another:{request.symbol}" for a second instance',
                request.where,
            )
            name = f"{name} at {request.where}"
        chosen[name] = Enabled(name, manifest, offer, request.where, request.on_error or "fail", request, problem)


def _image(request: ModuleRequest, found: Sequence[Found]) -> tuple[Found | None, MtevError | None]:
    """The offer that a request means, refused or not, and why it cannot be loaded."""
    offers = [
        each
        for each in found
        if request.image == each.name or (each.manifest and request.image in each.manifest.images)
    ]
    fitting = [each for each in offers if request.symbol in (each.name, each.symbol)]
    usable = [each for each in fitting if each.usable]
    if len(usable) == 1:
        return usable[0], None
    refused = [each for each in fitting or offers if each.error]
    if refused and not usable:
        return refused[0], LoadError(f"{request.where}: {_tag(request)}: it cannot be used: {refused[0].error}")
    if not offers:
        return None, _unknown_image(_tag(request), request, found)
    symbols = ", ".join(sorted(each.symbol for each in offers))
    return offers[0], ConfigurationError(
        f"{_tag(request)}: the image '{request.image}' ({offers[0].label}) has no '{request.symbol}', but {symbols}. "
        f'The part of the name after the colon says which: name="{request.name}:{symbols.split(", ")[0]}"',
        request.where,
    )


def _tag(request: ModuleRequest) -> str:
    return f'<{request.kind} image="{request.image}" name="{request.name}">'


def _unknown_image(tag: str, request: ModuleRequest, found: Sequence[Found]) -> MtevError:
    if request.image.startswith("/") or request.image.endswith(".so"):
        return ConfigurationError(
            f"{tag}: a C module cannot be loaded here; name the plugin that replaces it", request.where
        )
    names = [name for each in found if each.manifest for name in (each.name, *each.manifest.images)]
    near = get_close_matches(request.image, names, n=1)
    # What somebody is known to offer is no misspelling of something else: http2 is not http.
    advice = hint("plugin", request.image) or (f"did you mean '{near[0]}'?" if near else "")
    text = f"{request.where}: {tag}: no installed distribution offers the image '{request.image}'"
    return LoadError("; ".join(filter(None, (text, advice))))


def _add_required(chosen: dict[str, Enabled], usable: dict[str, Found]) -> None:
    waiting = list(chosen.values())
    while waiting:
        wanting = waiting.pop()
        for name in wanting.manifest.requires:
            carriers = [each for each in chosen.values() if name in (each.name, *each.manifest.names)]
            if not carriers and (offer := _provider(name, usable)) is not None:
                carriers = [_plain(offer, f"{_REQUIRED_BY}'{wanting.name}'")]
            for carrier in carriers:
                # What only an ignorable plugin needs must not take the service down either.
                lesser = _SEVERITY[carrier.on_error] < _SEVERITY[wanting.on_error]
                if carrier.name not in chosen or (carrier.where.startswith(_REQUIRED_BY) and lesser):
                    chosen[carrier.name] = replace(carrier, on_error=wanting.on_error)
                    waiting.append(chosen[carrier.name])


def _provider(name: str, usable: dict[str, Found]) -> Found | None:
    if name in usable:
        return usable[name]
    providers = sorted(each.name for each in usable.values() if each.manifest and name in each.manifest.provides)
    return usable[providers[0]] if providers else None
