"""`new-plugin`: write a plugin as a third party would, with tests that pass at once and offline.

What is written comes from `templates/common` and `templates/<kind>`: files whose names end in `.tmpl`, where
`__package__` in a path and `string.Template` fields in a text are filled in.
"""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

from ..discovery import catalog
from ..errors import MtevError
from ..exitcodes import ExitCode
from ._arguments import Arguments
from ._terminal import out
from .version import api_version

__all__ = ["BadName", "Names", "main", "names_for", "rendered"]

_TEMPLATES = Path(__file__).parent.parent / "templates"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*")
_LONGEST = 60
_SUFFIX = ".tmpl"

_KINDS = {  # what each kind needs beside mtev-kernel, and what it is
    "hook": ((), "Watches the states of a service's plugins, and lets others take part."),
    "rest": (("mtev-http", "mtev-listener"), "Adds an endpoint to the REST service."),
    "log-backend": (("mtev-log",), "Writes log lines to files whose names hold a date."),
    "listener": (("mtev-listener",), "Speaks a line protocol behind a listener."),
}


class BadName(MtevError):
    """The name cannot be a plugin's."""

    exit_code = ExitCode.USAGE


class CannotWrite(MtevError):
    """The directory is not empty, or cannot be written to."""


@dataclass(frozen=True, slots=True)
class Names:
    """One name in all the forms that a plugin needs."""

    distribution: str
    package: str
    id: str
    symbol: str
    class_name: str


def names_for(name: str) -> Names:
    """Derive every name from that of the distribution.

    Raises:
        BadName: it is malformed, or taken by Python or by this project.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise BadName(
            f"'{name}' cannot be the name of a plugin's distribution: expected lower-case words of letters and digits "
            f"joined by '-', at most {_LONGEST} characters, such as acme-greeter"
        )
    package, plugin = name.replace("-", "_"), name.replace("-", ".")
    if name.partition("-")[0] == "mtev" or plugin in catalog()["plugins"]:
        raise BadName(f"'{name}' is reserved for plugins of this project; put a name of yours before it: acme-{name}")
    if keyword.iskeyword(package) or keyword.issoftkeyword(package) or package in sys.stdlib_module_names:
        raise BadName(f"'{package}' is a word or module of Python; put a name of yours before it: acme-{name}")
    words = name.split("-")
    return Names(name, package, plugin, words[-1], "".join(word.capitalize() for word in words))


def rendered(names: Names, kind: str) -> dict[Path, str]:
    """Every file of a new plugin, by path below its directory."""
    requirements, summary = _KINDS[kind]
    fields = {
        **asdict(names),
        "api": api_version(),
        "summary": summary,
        "dependencies": ", ".join(f'"{each}>=0.1,<1"' for each in (*sorted(requirements), "mtev-kernel")),
    }
    files = {}
    for root in (_TEMPLATES / "common", _TEMPLATES / kind):
        for template in sorted(root.rglob(f"*{_SUFFIX}")):
            relative = str(template.relative_to(root)).removesuffix(_SUFFIX).replace("__package__", names.package)
            files[Path(relative)] = Template(template.read_text(encoding="utf-8")).substitute(fields)
    return files


def main(arguments: Arguments) -> int:
    """Write the plugin and say what to do next."""
    names = names_for(arguments.name)
    directory = Path(arguments.directory or names.distribution)
    files = rendered(names, arguments.kind)
    try:
        _write(directory, files)
    except OSError as error:
        raise CannotWrite(f"{error.filename or directory}: {error.strerror}") from error
    for path in sorted(files):
        out(f"wrote {directory / path}")
    out(
        f"\nPlugin '{names.id}' in the package {names.package}. Next:\n\n"
        f"    cd {directory}\n"
        "    python -m pytest               # passes already\n"
        "    python -m pip install -e .     # then it is found like any other:\n"
        "    mtev-kernel --list-plugins\n"
        f"\nREADME.md and src/{names.package}/sample.xml show how a configuration asks for it."
    )
    return ExitCode.OK


def _write(directory: Path, files: dict[Path, str]) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise CannotWrite(f"{directory} is there already and not an empty directory; nothing was written")
    for path, text in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
