"""The console's own commands: what runs here, as the kernel and the interpreter know it."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Protocol, runtime_checkable

from mtev_kernel import Context, PluginListing
from mtev_listener import Listeners

from .hookspecs import CommandRegistry

__all__ = ["Reports"]

_UNAME_FIELDS = ("sysname", "nodename", "release", "version", "machine")


@runtime_checkable
class _ServiceListing(Protocol):
    """A kernel whose registry of services can be listed by plugins."""

    def describe(self) -> list[tuple[str, str]]: ...


class Reports:
    """Commands under `show` that belong to no other plugin.

    Args:
        context: where plugins, hooks and services are found.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def register(self, console: CommandRegistry) -> None:
        """Register them all."""
        console.command("show version", self.version, summary="what this service was built for and runs on")
        console.command("show plugins", self.plugins, summary="each plugin's state, distribution and cause")
        console.command("show hooks", self.hooks, summary="hook points and who is attached", usage="[PREFIX]")
        console.command("show services", self.services, summary="published services and who publishes them")

    def version(self, words: Sequence[str]) -> Iterator[str]:
        """`show version`, in libmtev's wording. Python knows for what it was built, but not on which host."""
        _no_arguments(words)
        system, _, machine = sysconfig.get_platform().partition("-")
        build = f"{platform.python_implementation()} {' '.join(sys.version.split())}"
        known = (system.capitalize(), "unknown", "unknown", build, machine.rpartition("-")[2])
        for field, value in zip(_UNAME_FIELDS, known, strict=True):
            yield f"build {field}:\t{value}"
        here = os.uname()
        for field in _UNAME_FIELDS:
            yield f"run {field}:\t{getattr(here, field)}"
        yield f"bitwidth:\t{64 if sys.maxsize > 2**32 else 32}bit"
        yield f"version:\t{_version('mtev-kernel')}"
        listeners = self._context.services.find(Listeners)
        features = {} if listeners is None else listeners.capabilities.features()
        for name, version in features.items():
            yield f"feature:\t{name}:{version}" if version else f"feature:\t{name}"

    def plugins(self, words: Sequence[str]) -> Iterator[str]:
        """`show plugins`."""
        _no_arguments(words)
        listing = self._context.services.find(PluginListing)
        if listing is None:
            raise LookupError("the kernel that runs this service does not list its plugins")
        rows = [
            (each.name, each.state, f"{each.distribution} {each.version}".strip(), each.cause)
            for each in listing.plugins()
        ]
        yield from _table(("NAME", "STATE", "DISTRIBUTION", "CAUSE"), rows)

    def hooks(self, words: Sequence[str]) -> Iterator[str]:
        """`show hooks`: each point, then its implementations in calling order."""
        if len(words) > 1:
            raise ValueError("one PREFIX of hook names at most")
        for point in self._context.hooks.describe():
            if words and not point.name.startswith(words[0]):
                continue
            yield f"{point.name}{point.signature}"
            yield f"  {point.kind}, {point.returns}, declared by '{point.owner}': {point.summary}"
            for place, each in enumerate(point.attached, start=1):
                failures = f", {each.failures} failures" if each.failures else ""
                yield f"  {place}. {each.plugin} ({each.distribution}){failures}"

    def services(self, words: Sequence[str]) -> Iterator[str]:
        """`show services`."""
        _no_arguments(words)
        services: object = self._context.services
        if not isinstance(services, _ServiceListing):
            raise LookupError("the kernel that runs this service does not list its services")
        yield from _table(("SERVICE", "PLUGIN"), services.describe())


def _no_arguments(words: Sequence[str]) -> None:
    if words:
        raise ValueError("no arguments allowed to this command.")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns two blanks apart, each as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
