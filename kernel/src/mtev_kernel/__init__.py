"""mtev-kernel: what a plugin is, in which order plugins start and stop, and how they reach each other.

The names below are the public API for plugin authors. They are imported on first use, so that commands which only read
metadata stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._compile import ABORT, CONTINUE, DONE, HookResult
    from .discovery import Found, discover
    from .document import (
        ConfigurationProvider,
        Document,
        Finding,
        Inspector,
        ModuleRequest,
        OnError,
        SampleComposer,
        SchemaComposer,
        Stanza,
    )
    from .errors import *
    from .exitcodes import ExitCode
    from .hooks import HookSite, hookimpl, hookspec
    from .kernel import Kernel
    from .loader import Loader
    from .manifest import API_VERSION, APPLY_POLICIES, Manifest
    from .plugin import Context, Factory, Plugin
    from .records import InlinePlugin, Options, PluginListing, PluginOffers, PluginRecord, Problem, ProblemListing

__all__ = [
    "ABORT",
    "API_VERSION",
    "APPLY_POLICIES",
    "CONTINUE",
    "DONE",
    "ConfigurationError",
    "ConfigurationProvider",
    "Context",
    "Document",
    "ExitCode",
    "Factory",
    "Finding",
    "Found",
    "HookError",
    "HookResult",
    "HookSite",
    "InlinePlugin",
    "Inspector",
    "Kernel",
    "LoadError",
    "Loader",
    "Manifest",
    "ManifestError",
    "MissingRequirement",
    "ModuleRequest",
    "MtevError",
    "OnError",
    "Options",
    "Plugin",
    "PluginListing",
    "PluginOffers",
    "PluginRecord",
    "Problem",
    "ProblemListing",
    "RequirementCycle",
    "ResolutionError",
    "RetriableError",
    "SampleComposer",
    "SchemaComposer",
    "ServiceError",
    "Stanza",
    "StepTimeout",
    "discover",
    "hookimpl",
    "hookspec",
]

_MODULES = (  # roughly from cheap to dear
    *("errors", "exitcodes", "manifest", "document", "discovery", "plugin", "_compile", "hooks"),
    *("loader", "records", "kernel"),
)


def __getattr__(name: str) -> object:
    if name in __all__:
        for module in _MODULES:
            home = import_module(f".{module}", __name__)
            if name in home.__all__:
                value: object = getattr(home, name)
                globals()[name] = value
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
