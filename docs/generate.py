"""Fill the generated parts of the documentation from the code, so that they cannot say anything else.

    python docs/generate.py           # write what is out of date
    python docs/generate.py --check   # only name it; exit code 1 when there is something

Everything has to be installed: ./run-demo makes such an environment in .venv. A generated part of a page stands between
two comments, of which the first says what it is; everything round it is written by hand:

    <!-- generated: hooks -->
    <!-- end of generated -->

What can be generated is in `PARTS`. tests/docs fails for a page that is out of date.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from mtev_http import Rest
from mtev_kernel import discover, exitcodes, hookspecs
from mtev_kernel.cli._arguments import build_parser
from mtev_kernel.discovery import Found
from mtev_kernel.hooks import HookDescription, HookRegistry
from mtev_kernel.records import Options
from mtev_kernel.testing import KernelStarter
from mtev_telnet import Console

__all__ = ["PARTS", "ROOT", "Command", "Offered", "fill", "hook_points", "offered", "ours", "pages", "stale"]

ROOT = Path(__file__).resolve().parent.parent

_PART = re.compile(
    r"(<!-- generated: (?P<name>[\w-]+)(?: (?P<of>[\w.-]+))? -->\n).*?(<!-- end of generated -->)", re.DOTALL
)
_SECTION = re.compile(r"^(Args|Returns|Raises|Note|Attributes):\n((?:[ ]{4}.*\n?|\n)+)", re.MULTILINE)
_CONFIGURATION = re.compile(r"^## (Configuration\b.*|For operators|`<\w+>`)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook point: what the registry says of it, its specification, and the distribution that declares it."""

    facts: HookDescription
    function: Callable[..., object]
    distribution: str


@dataclass(frozen=True, slots=True)
class Command:
    """A console command of a running service."""

    words: str
    usage: str
    summary: str
    plugin: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A REST route of a running service."""

    method: str
    base: str
    expression: str
    summary: str
    plugin: str


@dataclass(frozen=True, slots=True)
class Offered:
    """What a service with every plugin of ours offers."""

    commands: tuple[Command, ...]
    endpoints: tuple[Endpoint, ...]


# What there is


def ours() -> list[Found]:
    """Every plugin of this repository's distributions, by id."""
    return [each for each in discover() if each.origin == "first-party" and each.usable]


def hook_points() -> list[Hook]:
    """Every hook point that the kernel or a plugin of ours declares, by owner and name; found through the manifests."""
    registry = HookRegistry(lambda failure: None)
    registry.declare("kernel", "mtev-kernel", hookspecs)
    homes: dict[str, tuple[ModuleType, str]] = {"kernel": (hookspecs, "mtev-kernel")}
    for each in ours():
        if each.usable and each.usable.hooks:
            module = importlib.import_module(f"{_package(each)}.hookspecs")
            registry.declare(each.name, each.distribution, module)
            homes[each.name] = (module, each.distribution)
    points = []
    for facts in registry.describe():
        module, distribution = homes[facts.owner]
        points.append(Hook(facts, getattr(module, facts.name), distribution))
    return sorted(points, key=lambda hook: (hook.facts.owner != "kernel", hook.facts.owner, hook.facts.name))


@cache
def offered() -> Offered:
    """Start a service with every plugin of ours, ask for its commands and routes, and stop it. It opens no socket."""
    modules = "".join(
        f'<generic image="{each.name}" name="{each.usable.symbol}"/>' for each in ours() if each.usable
    )
    plugins = {_package(each): each.name for each in ours()}
    with tempfile.TemporaryDirectory() as folder:
        starter = KernelStarter(Path(folder))
        running = starter(f"<docs><modules>{modules}</modules><rest><acl type='deny'/></rest></docs>")
        try:
            commands = tuple(sorted(_commands(running.service(Console)), key=lambda each: each.words))
            endpoints = tuple(
                Endpoint(
                    each.method,
                    each.base,
                    each.expression,
                    each.summary,
                    plugins.get(str(getattr(each.handler, "__module__", "")).partition(".")[0], ""),
                )
                for each in running.service(Rest).routes
            )
        finally:
            starter.stop_all()
    return Offered(commands, tuple(sorted(endpoints, key=lambda each: (each.base, each.expression, each.method))))


def _commands(console: Console) -> Iterator[Command]:
    def below(path: str, state: object) -> Iterator[Command]:
        for each in iter(state):  # type: ignore[call-overload]  # a mtev_telnet.tree.State, which is not public
            words = f"{path} {each.name}".strip()
            if each.state is not None:
                yield from below(words, each.state)
            elif each.name != "help" or not path:
                owner = re.match(r"plugin '([^']+)'", each.owner)
                yield Command(words, each.usage, each.summary, owner[1] if owner else "telnet")

    return below("", console.root)


def _plain(text: str) -> str:
    """A sentence from the code as Markdown takes it, in a table too: what looks like HTML or a column stays text."""
    return text.replace("<", "\\<").replace("|", "\\|")


def _package(found: Found) -> str:
    assert found.entry_point is not None
    return found.entry_point.module.partition(".")[0]


def _projects() -> Iterator[tuple[Path, dict[str, str]]]:
    """The distributions in the order of the workspace: their folder, and their `[project]`."""
    for member in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]:
        yield ROOT / member, tomllib.loads((ROOT / member / "pyproject.toml").read_text())["project"]


# The generated parts


def _hooks_index(_: str, page: Path) -> Iterator[str]:
    yield "| Hook | Of | Kind | Result |"
    yield "|---|---|---|---|"
    for hook in hook_points():
        facts = hook.facts
        yield f"| [`{facts.name}`](#{facts.name}) | `{facts.owner}` | {facts.kind} | {_result(hook)} |"


def _hooks(_: str, page: Path) -> Iterator[str]:
    owner = ""
    for hook in hook_points():
        if hook.facts.owner != owner:
            owner = hook.facts.owner
            yield f"## Of `{owner}` ({hook.distribution})\n"
        yield f"### `{hook.facts.name}`\n"
        keyword = "async def" if hook.facts.kind == "async" else "def"
        yield f"```python\n{keyword} {hook.facts.name}{_signature(hook.function)}: ...\n```\n"
        yield f"{hook.facts.kind.capitalize()}; {_result(hook)}.\n"
        yield from _documented(inspect.getdoc(hook.function) or "")


def _result(hook: Hook) -> str:
    options = hook.function.__mtev_spec__  # type: ignore[attr-defined]  # what the marker `hookspec` leaves
    if hook.facts.returns != "decision":
        return {"first": "the first that is not None", "all": "all that are not None"}[hook.facts.returns]
    return f"a decision; a failure counts as {options.on_error.name}"


def _signature(function: Callable[..., object]) -> str:
    return re.sub(r"'([^']*)'", r"\1", str(inspect.signature(function)))  # annotations are texts there


def _documented(text: str) -> Iterator[str]:
    """A docstring in Markdown: its sections become lists and paragraphs under their names."""
    yield _SECTION.split(text)[0].strip() + "\n"
    names = {"Args": "Arguments", "Returns": "Result", "Raises": "Raises", "Note": "Note", "Attributes": "Attributes"}
    for name, body in _SECTION.findall(text):
        lines = inspect.cleandoc(body)
        if name in ("Args", "Raises", "Attributes"):
            items = re.sub(r"\n\s+", " ", lines).splitlines()
            yield f"**{names[name]}**\n"
            yield "\n".join(re.sub(r"^([\w*]+):", r"- `\1`:", item) for item in items) + "\n"
        else:
            yield f"**{names[name]}**: {lines}\n"


def _options(_: str, page: Path) -> Iterator[str]:
    yield "| Option | Meaning |"
    yield "|---|---|"
    for action in build_parser()._actions:
        if action.option_strings:
            argument = f" {action.metavar}" if action.metavar else ""
            yield f"| {', '.join(f'`{each}{argument}`' for each in action.option_strings)} | {action.help} |"


def _subcommands(_: str, page: Path) -> Iterator[str]:
    (holder,) = (each for each in build_parser()._actions if isinstance(each, argparse._SubParsersAction))
    summaries = {each.dest: str(each.help) for each in holder._get_subactions()}
    for name, parser in holder.choices.items():
        yield f"### `mtev-kernel {name}`\n"
        yield f"{summaries[name][:1].upper()}{summaries[name][1:]}.\n"
        yield "| Argument | Meaning |"
        yield "|---|---|"
        for action in parser._actions:
            value = action.metavar or action.dest.upper()
            shown = value if not action.option_strings else ", ".join(action.option_strings)
            if action.option_strings and action.nargs != 0:
                shown += f" {value}"
            known = f": {', '.join(f'`{each}`' for each in action.choices)}" if action.choices else ""
            required = " (required)" if action.required and action.option_strings else ""
            yield f"| `{shown}` | {action.help}{known}{required} |"
        yield ""


def _exit_codes(_: str, page: Path) -> Iterator[str]:
    yield "| Code | Name | Meaning |"
    yield "|---|---|---|"
    (holder,) = (
        each
        for each in ast.parse(inspect.getsource(exitcodes)).body
        if isinstance(each, ast.ClassDef) and each.name == "ExitCode"
    )
    for statement, doc in zip(holder.body, holder.body[1:], strict=False):
        if isinstance(statement, ast.Assign) and isinstance(doc, ast.Expr):
            code = exitcodes.ExitCode[ast.unparse(statement.targets[0])]
            yield f"| {int(code)} | `{code.name}` | {' '.join(str(ast.literal_eval(doc.value)).split())} |"


def _limits(_: str, page: Path) -> Iterator[str]:
    yield "| Step | Limit in seconds | Attribute |"
    yield "|---|---|---|"
    for step, limit_s in Options().limits_s.items():
        if step != "run":
            yield f"| `{step}` | {limit_s:g} | `{step}-timeout` |"


def _configuration(plugin: str, page: Path) -> Iterator[str]:
    (found,) = (each for each in ours() if each.name == plugin)
    manifest = found.usable
    assert manifest is not None
    readme = next(folder for folder, project in _projects() if project["name"] == found.distribution) / "README.md"
    text = readme.read_text(encoding="utf-8")
    link = Path("../" * len(page.parent.relative_to(ROOT).parts), readme.relative_to(ROOT)).as_posix()
    yield f"{_plain(manifest.summary).rstrip('.')}. Plugin `{plugin}` of [{found.distribution}]({link}).\n"
    if manifest.stanzas:
        yield f"Enabled by: {', '.join(f'`{each}`' for each in manifest.stanzas)}.\n"
    if manifest.security:
        yield f"Security: {_plain(manifest.security)}.\n"
    title = _CONFIGURATION.search(text)
    assert title is not None, f"{readme} has no section about configuration"
    section = re.split(r"^## ", text[title.end() :], maxsplit=1, flags=re.MULTILINE)[0].strip()
    section = re.sub(r"^(#+) ", r"#\1 ", section, flags=re.MULTILINE)
    yield section + "\n"


def _commands_index(_: str, page: Path) -> Iterator[str]:
    yield "| Command | Plugin | Does |"
    yield "|---|---|---|"
    for each in offered().commands:
        shown = f"{each.words} {each.usage}".strip().replace("|", "\\|")
        yield f"| `{shown}` | `{each.plugin}` | {_plain(each.summary)} |"


def _endpoints_index(_: str, page: Path) -> Iterator[str]:
    yield "| Method | Base | Expression | Plugin | Shows |"
    yield "|---|---|---|---|---|"
    for each in offered().endpoints:
        expression = each.expression.replace("|", "\\|")
        yield f"| {each.method} | `{each.base}` | `{expression}` | `{each.plugin}` | {_plain(each.summary)} |"


def _distributions(_: str, page: Path) -> Iterator[str]:
    yield "| Distribution | What it is |"
    yield "|---|---|"
    for folder, project in _projects():
        link = Path("../" * len(page.parent.relative_to(ROOT).parts), folder.relative_to(ROOT), "README.md").as_posix()
        yield f"| [{project['name']}]({link}) | {_plain(project['description'].rstrip('.'))} |"


PARTS: dict[str, Callable[[str, Path], Iterator[str]]] = {
    "hooks-index": _hooks_index,
    "hooks": _hooks,
    "options": _options,
    "subcommands": _subcommands,
    "exit-codes": _exit_codes,
    "limits": _limits,
    "configuration": _configuration,
    "commands-index": _commands_index,
    "endpoints-index": _endpoints_index,
    "distributions": _distributions,
}
"""What can be generated: given the second word of the comment and the page, the lines."""


# Pages


def pages() -> list[Path]:
    """Every page that may have generated parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def fill(text: str, page: Path) -> str:
    """A page's text with its generated parts as they should be.

    Raises:
        KeyError: a part has a name that is not in `PARTS`.
    """

    def part(match: re.Match[str]) -> str:
        lines = PARTS[match["name"]](match["of"] or "", page)
        return match[1] + "\n" + "\n".join(lines).rstrip() + "\n\n" + match[4]

    return _PART.sub(part, text)


def stale() -> dict[Path, str]:
    """The pages that are out of date, with the text that they should have."""
    texts = {page: page.read_text(encoding="utf-8") for page in pages()}
    return {page: new for page, text in texts.items() if (new := fill(text, page)) != text}


def main(arguments: list[str]) -> int:
    """Write or name what is out of date."""
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    found = stale()
    for page, text in found.items():
        if not arguments:
            page.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{'out of date' if arguments else 'written'}: {page.relative_to(ROOT)}\n")
    return int(bool(arguments and found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
