"""Find installed plugins by their metadata, importing none of them.

A distribution offers a plugin with two entry points of one name: `mtev.manifests` gives `package:file` of the manifest,
`mtev.plugins` the factory. What is wrong with a distribution is a result with a cause, and never hides another one.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import ManifestError
from .manifest import Manifest, api_problem, parse_manifest

__all__ = ["FACTORIES", "MANIFESTS", "Found", "catalog", "discover", "hint"]

MANIFESTS = "mtev.manifests"
FACTORIES = "mtev.plugins"


@dataclass(frozen=True, slots=True)
class Found:
    """One plugin that some installed distribution claims to offer.

    Args:
        name: the plugin's id, which is also the name of both entry points.
        manifest: None when it cannot be used at all.
        distribution: name of the distribution.
        version: the distribution's version.
        origin: `first-party` for distributions of this project, else `third-party`.
        location: where the distribution is installed.
        error: why the plugin is refused; `""` when it can be used.
        entry_point: the factory's entry point.
        folder: directory that its manifest stands in; `""` where that is not known.
    """

    name: str
    manifest: Manifest | None
    distribution: str
    version: str
    origin: str
    location: str
    error: str = ""
    entry_point: importlib.metadata.EntryPoint | None = None
    folder: str = ""

    @property
    def label(self) -> str:
        """The distribution as messages name it: `name version`."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def symbol(self) -> str:
        """What a `<generic name=>` calls it: by the manifest, or by its name where there is none."""
        return self.manifest.symbol if self.manifest else self.name.rpartition(".")[2]

    @property
    def usable(self) -> Manifest | None:
        """The manifest when the plugin can be used, else None."""
        return None if self.error else self.manifest

    def resource(self, name: str) -> bytes | None:
        """A file that stands beside the manifest, such as `schema.xsd` or `sample.xml`. Imports nothing.

        Args:
            name: its name, without a directory.

        Returns:
            Its content, or None when there is no such file. Blocks on the file system.

        Raises:
            ValueError: the name is none of a file in that directory.
            OSError: it is there, and cannot be read.
        """
        if name in ("", ".", "..") or not set(name).isdisjoint("/\\\0"):
            raise ValueError(f"'{name}' is not the name of a file beside a manifest; leave directories out")
        file = Path(self.folder, name)
        return file.read_bytes() if self.folder and file.is_file() else None


def discover(path: Sequence[str] | None = None) -> list[Found]:
    """Find every plugin that an installed distribution offers, broken ones included, by name.

    Args:
        path: directories to search instead of `sys.path`.

    Returns:
        One entry per offer. Offers of one name by several distributions are all refused.
    """
    found: list[Found] = []
    for distribution in _distributions(path):
        found.extend(_offers(distribution))
    owners: dict[str, list[str]] = {}
    for each in found:
        owners.setdefault(each.name, []).append(each.label)
    return sorted(
        (
            replace(each, error=_doubled(each, owners[each.name])) if len(owners[each.name]) > 1 else each
            for each in found
        ),
        key=lambda each: (each.name, each.distribution),
    )


def catalog() -> Mapping[str, Mapping[str, str]]:
    """The packaged tables of who offers what; see `catalog.toml`."""
    return tomllib.loads(Path(__file__).with_name("catalog.toml").read_text(encoding="utf-8"))


def hint(kind: str, name: str) -> str:
    """What to install to obtain something, as `pip install mtev-x`, or `""`.

    Args:
        kind: `plugin`, `stanza`, `listener-type` or `log-type`.
        name: its name; for `plugin`, an id or a provided name.
    """
    tables = catalog()
    table = {**tables["names"], **tables["plugins"]} if kind == "plugin" else tables.get(f"{kind}s", {})
    return f"pip install {table[name]}" if name in table else ""


def _distributions(path: Sequence[str] | None) -> Iterator[importlib.metadata.Distribution]:
    seen: set[str] = set()
    found: Iterable[importlib.metadata.Distribution] = (
        importlib.metadata.distributions() if path is None else importlib.metadata.distributions(path=list(path))
    )
    for distribution in found:
        text = distribution.read_text("entry_points.txt") or ""
        if MANIFESTS not in text and FACTORIES not in text:
            continue
        name = _normal(_metadata(distribution, "Name"))
        if name not in seen:
            seen.add(name)
            yield distribution


def _offers(distribution: importlib.metadata.Distribution) -> Iterator[Found]:
    label, version = _metadata(distribution, "Name"), _metadata(distribution, "Version")
    first_party = _normal(label) in {*catalog()["plugins"].values(), "mtev-kernel"}
    origin = "first-party" if first_party else "third-party"
    location = str(distribution.locate_file(""))
    try:
        entry_points = list(distribution.entry_points)
    except Exception as error:  # whatever a damaged entry_points.txt makes the standard library raise
        yield Found(
            _normal(label), None, label, version, origin, location, f"its entry_points.txt cannot be read: {error}"
        )
        return
    manifests = {each.name: each for each in entry_points if each.group == MANIFESTS}
    factories = {each.name: each for each in entry_points if each.group == FACTORIES}
    for name in sorted(manifests.keys() | factories.keys()):
        base = Found(name, None, label, version, origin, location, entry_point=factories.get(name))
        if name not in manifests:
            problem = f"it has no entry point '{name}' in the group '{MANIFESTS}': the manifest is missing"
            yield replace(base, error=problem)
            continue
        try:
            file = _locate(manifests[name], distribution)
            base = replace(base, folder=str(file.parent))
            manifest = _read_manifest(file)
        except ManifestError as error:
            yield replace(base, error=str(error))
            continue
        if name not in factories:
            problem = f"it has no entry point '{name}' in the group '{FACTORIES}': the factory is missing"
        elif manifest.id != name:
            problem = f"its manifest says id = '{manifest.id}', but its entry points are named '{name}'"
        else:
            problem = api_problem(manifest)
        yield replace(base, manifest=manifest, error=problem)


def _locate(entry_point: importlib.metadata.EntryPoint, distribution: importlib.metadata.Distribution) -> Path:
    """The manifest's file. What else a plugin says without being imported stands beside it."""
    package, colon, file = entry_point.value.partition(":")
    parts = package.split(".")
    if not colon or not file or not all(part.isidentifier() for part in parts):
        raise ManifestError(
            f"the entry point '{entry_point.name}' of '{MANIFESTS}' is '{entry_point.value}'; expected 'package:file'"
        )
    candidates = [Path(str(distribution.locate_file("/".join([*parts, file]))))]
    candidates += [Path(place, *parts[1:], file) for place in _package_places(parts[0])]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ManifestError(f"the manifest {entry_point.value} is not there; was it left out of the wheel?")


def _read_manifest(file: Path) -> Manifest:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"the manifest {file} cannot be read: {error}") from error
    return parse_manifest(text, str(file))


def _package_places(package: str) -> list[str]:
    # A top-level package is located without being imported; this finds editable installs too.
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    return list(spec.submodule_search_locations or []) if spec is not None else []


def _doubled(found: Found, owners: Sequence[str]) -> str:
    others = ", ".join(sorted(owners))
    return f"the plugin id '{found.name}' is offered more than once ({others}): uninstall all but one"


def _metadata(distribution: importlib.metadata.Distribution, field: str) -> str:
    try:
        return str(distribution.metadata[field] or "unknown")
    except Exception:  # metadata that the standard library cannot parse; the rest must still be listed
        return "unknown"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
