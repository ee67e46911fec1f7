"""Decide which plugins a document enables, and say why. Pure: metadata and plain data in, decisions out.

A plugin is enabled when the document asks for it under `<modules>`, holds something that it owns, or when an enabled
plugin requires it. Being installed is not enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from .discovery import Found, hint
from .document import Document, ModuleRequest, OnError, Stanza
from .errors import ConfigurationError, LoadError, MtevError
from .manifest import Manifest

__all__ = ["Enabled", "Selection", "foreign_manifest", "select", "unclaimed_stanza"]

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
    """What a document enables, and which of its stanzas nobody owns."""

    enabled: tuple[Enabled, ...]
    unclaimed: tuple[Stanza, ...]


def select(found: Sequence[Found], document: Document, always: Iterable[str] = ()) -> Selection:
    """Decide what the document enables.

    Args:
        found: every offer, refused ones included (they explain what is missing).
        document: the configuration.
        always: ids that are enabled in any case; the configuration provider, in practice.

    Raises:
        ConfigurationError: the document's `<modules>` is malformed.
    """
    usable = {each.name: each for each in found if each.usable}
    chosen: dict[str, Enabled] = {}
    for name in always:
        if name in usable:
            chosen[name] = _plain(usable[name], "it reads the configuration")
    _add_requested(chosen, found, document.modules())
    asked_for = {each.manifest.id for each in chosen.values()}
    for each in usable.values():
        if each.name in asked_for or each.manifest is None:
            continue
        for claim in each.manifest.stanzas:
            if where := document.find(claim):
                chosen[each.name] = _plain(each, where)
                break
    _add_required(chosen, usable)
    claimed = {claim for each in usable.values() if each.manifest for claim in each.manifest.stanzas}
    unclaimed = tuple(
        stanza for stanza in document.stanzas() if stanza.name != KERNEL_STANZA and stanza.name not in claimed
    )
    return Selection(tuple(chosen.values()), unclaimed)


def unclaimed_stanza(stanza: Stanza, found: Iterable[Found]) -> str:
    """Report a stanza that no usable plugin owns: a refused owner, a distribution to install, or nothing known."""
    for each in found:
        if each.manifest and stanza.name in each.manifest.stanzas:
            return f"<{stanza.name}> belongs to plugin '{each.name}' ({each.label}), which cannot be used: {each.error}"
    advice = hint("stanza", stanza.name)
    return f"no installed plugin owns <{stanza.name}>" + (f": {advice}" if advice else "; it has no effect here")


def foreign_manifest(request: ModuleRequest) -> Manifest:
    """A stand-in manifest for what has none: something that a loader loads, or that cannot be found."""
    requires = tuple(filter(None, [request.loader]))
    return Manifest(id=request.name, summary="", api=(0, 0), requires=requires, symbol=request.symbol)


def _plain(found: Found, where: str) -> Enabled:
    assert found.manifest is not None
    return Enabled(found.name, found.manifest, found, where, "fail")


def _add_requested(chosen: dict[str, Enabled], found: Sequence[Found], requests: Sequence[ModuleRequest]) -> None:
    # Loaders first, as they are what loads some of the generics.
    for request in sorted(requests, key=lambda each: each.kind != "loader"):
        on_error = request.on_error or "fail"
        problem: MtevError | None = None
        offer: Found | None = None
        if not request.loader:
            try:
                offer = _image(request, found)
            except MtevError as error:
                problem = error
        manifest = offer.manifest if offer and offer.manifest else foreign_manifest(request)
        name = request.name if request.name != manifest.symbol else manifest.id
        if offer is None:
            name = request.name
        if (other := chosen.get(name)) and other.request is not None:
            problem = ConfigurationError(
                f'<{request.kind} name="{request.name}"> stands more than once (also at {other.where}); '
                f'write name="another:{request.symbol}" for a second instance',
                request.where,
            )
            name = f"{name} at {request.where}"
        chosen[name] = Enabled(name, manifest, offer, request.where, on_error, request, problem)


def _image(request: ModuleRequest, found: Sequence[Found]) -> Found:
    offers = [
        each
        for each in found
        if request.image == each.name or (each.manifest and request.image in each.manifest.images)
    ]
    fitting = [each for each in offers if not each.manifest or request.symbol in (each.name, each.manifest.symbol)]
    usable = [each for each in fitting if each.usable]
    if len(usable) == 1:
        return usable[0]
    tag = f'<{request.kind} image="{request.image}" name="{request.name}">'
    if fitting:
        refused = fitting[0]
        raise LoadError(
            f"{request.where}: {tag}: plugin '{refused.name}' ({refused.label}) cannot be used: {refused.error}"
        )
    if offers:
        symbols = ", ".join(sorted(each.manifest.symbol for each in offers if each.manifest))
        raise ConfigurationError(
            f"{tag}: the image '{request.image}' ({offers[0].label}) has no '{request.symbol}'; it has {symbols}. "
            f'The part of the name after the colon says which: name="{request.name}:{symbols.split(", ")[0]}"',
            request.where,
        )
    raise _unknown_image(tag, request, found)


def _unknown_image(tag: str, request: ModuleRequest, found: Sequence[Found]) -> MtevError:
    if request.image.startswith("/") or request.image.endswith(".so"):
        return ConfigurationError(
            f"{tag}: a C module cannot be loaded here; name the plugin that replaces it", request.where
        )
    names = [name for each in found if each.manifest for name in (each.name, *each.manifest.images)]
    near = get_close_matches(request.image, names, n=1)
    advice = f"did you mean '{near[0]}'?" if near else hint("plugin", request.image)
    return LoadError(
        f"{request.where}: {tag}: no installed distribution offers the image '{request.image}'"
        + (f"; {advice}" if advice else "")
    )


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
