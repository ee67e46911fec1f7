"""Make a project look installed, offline and without building it: metadata in one directory, its sources in place."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from ..errors import MtevError

__all__ = ["ProjectInstaller", "write_metadata"]


class ProjectInstaller:
    """What the fixture `installed_project` gives.

        installed_project()                    # the project that the test file belongs to
        installed_project("plugins/http")      # another one

    Args:
        site: directory for metadata.
        test_file: where the search for a project begins when none is named.
        prepend: puts a directory first on `sys.path`, and undoes it after the test.
    """

    def __init__(self, site: Path, test_file: Path, prepend: Callable[[str], None]) -> None:
        self._site = site
        self._test_file = test_file
        self._prepend = prepend

    def __call__(self, project: str | Path | None = None) -> str:
        """Make a project look installed.

        Args:
            project: directory with a `pyproject.toml`; by default the nearest one above the test file.

        Returns:
            The distribution's name.

        Raises:
            MtevError: there is no such project, or its metadata is not plain data.
        """
        directory = self._enclosing() if project is None else Path(project).resolve()
        metadata = write_metadata(directory, self._site)
        source = directory / "src"
        self._prepend(str(source if source.is_dir() else directory))
        self._prepend(str(self._site))
        return metadata.name.partition("-")[0].replace("_", "-")

    def _enclosing(self) -> Path:
        for directory in self._test_file.resolve().parents:
            if (directory / "pyproject.toml").is_file():
                return directory
        raise MtevError(f"no pyproject.toml above {self._test_file}")


def write_metadata(project: Path, site: Path) -> Path:
    """Write the metadata that installing a project would write, entry points above all.

    Args:
        project: directory with a `pyproject.toml` whose `[project]` states name and version.
        site: where to; put it on `sys.path`, beside the project's sources.

    Returns:
        The `.dist-info` directory.

    Raises:
        MtevError: the `pyproject.toml` is missing, malformed, or states no name or version.
    """
    file = project / "pyproject.toml"
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError) as error:
        raise MtevError(f"{file}: {error}") from error
    name, version = table.get("name"), table.get("version")
    if not isinstance(name, str) or not isinstance(version, str):
        raise MtevError(f"{file}: [project] must state 'name' and 'version' in plain text")
    directory = site / f"{name.replace('-', '_')}-{version}.dist-info"
    directory.mkdir(parents=True, exist_ok=True)
    requirements = "".join(f"Requires-Dist: {each}\n" for each in table.get("dependencies", ()))
    (directory / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requirements}", encoding="utf-8"
    )
    groups = {"console_scripts": table.get("scripts", {}), **table.get("entry-points", {})}
    (directory / "entry_points.txt").write_text(_entry_points(groups), encoding="utf-8")
    return directory


def _entry_points(groups: Mapping[str, Mapping[str, str]]) -> str:
    sections = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()), ""])
        for group, entries in groups.items()
        if entries
    ]
    return "\n".join(sections)
