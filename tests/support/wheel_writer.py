"""Write a wheel of a project in this repository, without a build backend and without a network.

The project is what `hatchling` would take as well: `[project]`, and one package under `src/`. The same project gives
the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import tomllib
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

__all__ = ["write_wheel"]

_EPOCH = (1980, 1, 1, 0, 0, 0)
_WHEEL = "Wheel-Version: 1.0\nGenerator: mtev-tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_wheel(project: Path, folder: Path) -> Path:
    """Write the wheel of a project into a folder.

    Args:
        project: the folder with its `pyproject.toml`.
        folder: where the wheel goes.

    Returns:
        The wheel.
    """
    pyproject = tomllib.loads((project / "pyproject.toml").read_text())
    meta = pyproject["project"]
    stem = f"{meta['name'].replace('-', '_')}-{meta['version']}"
    info = f"{stem}.dist-info"
    files = dict(_package_files(project, pyproject))
    files[f"{info}/METADATA"] = _metadata(meta).encode()
    files[f"{info}/WHEEL"] = _WHEEL.encode()
    files[f"{info}/entry_points.txt"] = _entry_points(meta).encode()
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return wheel


def _package_files(project: Path, pyproject: dict) -> Iterator[tuple[str, bytes]]:
    options = pyproject.get("tool", {}).get("hatch", {}).get("build", {}).get("targets", {}).get("wheel", {})
    left_out = ["*.pyc", *options.get("exclude", [])]
    source = project / "src"
    package = source / pyproject["project"]["name"].replace("-", "_")
    for path in sorted(package.rglob("*")):
        name = path.relative_to(source).as_posix()
        if path.is_file() and not any(fnmatch(path.name, each) for each in left_out):
            yield name, path.read_bytes()


def _metadata(meta: dict) -> str:
    lines = ["Metadata-Version: 2.4", f"Name: {meta['name']}", f"Version: {meta['version']}"]
    lines += [f"Summary: {meta['description']}", f"Requires-Python: {meta['requires-python']}"]
    lines += [f"Requires-Dist: {each}" for each in meta.get("dependencies", [])]
    return "\n".join(lines) + "\n"


def _entry_points(meta: dict) -> str:
    groups = {"console_scripts": meta.get("scripts", {}), **meta.get("entry-points", {})}
    sections = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in groups.items()
        if points
    ]
    return "\n".join(sections)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
