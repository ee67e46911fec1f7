"""`--list-plugins`: every plugin that is installed, working or not, as a table for people or as JSON for programs.

The JSON document is described by `schemas/list-plugins.schema.json` in this package.
"""

from __future__ import annotations

import dataclasses
import json

from ..exitcodes import ExitCode
from ._arguments import Arguments
from ._listing import Hook, Listing, Plugin, installed
from ._terminal import Row, err, out, printable, table, width
from .version import api_version, kernel_version

__all__ = ["as_document", "main"]

FORMAT = 1
"""Raised when the JSON document changes in a way that breaks its readers."""

_COLUMNS = ("ID", "VERSION", "DISTRIBUTION", "ORIGIN", "STATUS", "STATE", "API")


def main(arguments: Arguments) -> int:
    """Print the listing. Broken plugins are part of it, and no failure but under `--strict`."""
    listing = _listing(arguments)
    if arguments.json:
        out(json.dumps(as_document(listing, hooks=arguments.hooks), indent=2))
    else:
        for line in _plugin_lines(listing, width()):
            out(line)
        if arguments.hooks:
            for line in _hook_lines(listing):
                out(line)
    for trouble in listing.trouble:
        err(f"mtev-kernel: {trouble}")
    if listing.code is not ExitCode.OK:
        return listing.code
    return ExitCode.FAILURE if arguments.strict and listing.broken else ExitCode.OK


def as_document(listing: Listing, *, hooks: bool) -> dict[str, object]:
    """The listing as JSON-able data, after the published schema."""
    document: dict[str, object] = {
        "format": FORMAT,
        "kernel": {"version": kernel_version(), "api": api_version()},
        "configuration": listing.configuration,
        "trouble": list(listing.trouble),
        "plugins": [dataclasses.asdict(each) for each in listing.plugins],
    }
    if hooks:
        document["hooks"] = [dataclasses.asdict(each) for each in listing.hooks]
    return document


def _listing(arguments: Arguments) -> Listing:
    if arguments.config is None:
        return installed(hooks=arguments.hooks)
    import anyio

    from ..records import Options
    from ._listing import checked, planned
    from ._logging import quiet

    quiet(debug=arguments.debug)
    options = Options(safe_mode=arguments.safe_mode, strict=arguments.strict)
    return anyio.run(checked if arguments.hooks else planned, arguments.config, options)


def _plugin_lines(listing: Listing, columns: int) -> list[str]:
    if not listing.plugins:
        return ["no plugins are installed"]
    rows = [_row(each) for each in listing.plugins]
    note = "ERROR" if listing.configuration is None else "WHY"
    return table((*_COLUMNS, note), rows, columns)


def _row(plugin: Plugin) -> Row:
    shown = plugin.name if plugin.name == plugin.id else f"{plugin.name} ({plugin.id})"
    cells = (shown, plugin.version, plugin.distribution, plugin.origin, plugin.status, plugin.state, plugin.api)
    where = f" [{plugin.where}]" if plugin.error and plugin.where else plugin.where
    return cells, f"{plugin.error}{where}"


def _hook_lines(listing: Listing) -> list[str]:
    lines = ["", "HOOK POINTS"]
    if listing.configuration is None:
        lines.append("(from manifests: no calling order, and details of the kernel's own only; -c FILE tells all)")
    for hook in listing.hooks:
        facts = " ".join(filter(None, (hook.kind, hook.returns)))
        owner = f"of {hook.owner}" if hook.owner else "which no installed plugin declares"
        lines.append(printable(f"{hook.name}  {owner}" + (f", {facts}" if facts else "")))
        if hook.summary:
            lines.append(printable(f"    {hook.summary}"))
        lines += _attached_lines(hook)
    return lines


def _attached_lines(hook: Hook) -> list[str]:
    return [
        printable(f"    {f'{number}.' if hook.ordered else '-'} {each.plugin} ({each.distribution})")
        for number, each in enumerate(hook.attached, start=1)
    ] or ["    nobody is attached"]
