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
    from .document import ConfigurationProvider, Document, ModuleRequest, OnError, Stanza
    from .errors import (
        ConfigurationError,
        HookError,
        LoadError,
        ManifestError,
        MissingRequirement,
        MtevError,
        RequirementCycle,
        ResolutionError,
        RetriableError,
        ServiceError,
        StepTimeout,
    )
    from .exitcodes import ExitCode
    from .hooks import Attachment, HookRegistry, HookSite, hookimpl, hookspec
    from .kernel import Kernel, Options, PluginRecord
    from .loader import Loader
    from .manifest import API_VERSION, Manifest
    from .plugin import Context, Factory, Plugin
    from .services import ServiceRegistry

__all__ = [
    "ABORT",
    "API_VERSION",
    "CONTINUE",
    "DONE",
    "Attachment",
    "ConfigurationError",
    "ConfigurationProvider",
    "Context",
    "Document",
    "ExitCode",
    "Factory",
    "Found",
    "HookError",
    "HookRegistry",
    "HookResult",
    "HookSite",
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
    "PluginRecord",
    "RequirementCycle",
    "ResolutionError",
    "RetriableError",
    "ServiceError",
    "ServiceRegistry",
    "Stanza",
    "StepTimeout",
    "discover",
    "hookimpl",
    "hookspec",
]

_HOMES = {
    "_compile": ("ABORT", "CONTINUE", "DONE", "HookResult"),
    "discovery": ("Found", "discover"),
    "document": ("ConfigurationProvider", "Document", "ModuleRequest", "OnError", "Stanza"),
    "errors": (
        "ConfigurationError",
        "HookError",
        "LoadError",
        "ManifestError",
        "MissingRequirement",
        "MtevError",
        "RequirementCycle",
        "ResolutionError",
        "RetriableError",
        "ServiceError",
        "StepTimeout",
    ),
    "exitcodes": ("ExitCode",),
    "hooks": ("Attachment", "HookRegistry", "HookSite", "hookimpl", "hookspec"),
    "kernel": ("Kernel", "Options", "PluginRecord"),
    "loader": ("Loader",),
    "manifest": ("API_VERSION", "Manifest"),
    "plugin": ("Context", "Factory", "Plugin"),
    "services": ("ServiceRegistry",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}



def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
