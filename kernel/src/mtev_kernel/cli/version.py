"""`--version`: which kernel, which plugin API, which Python."""

from __future__ import annotations

import importlib.metadata
import json
import platform

from ..exitcodes import ExitCode
from ..manifest import API_VERSION
from ._arguments import Arguments
from ._terminal import out

__all__ = ["api_version", "kernel_version", "main"]


def kernel_version() -> str:
    """The version of mtev-kernel, or `unknown` when it runs without being installed."""
    try:
        return importlib.metadata.version("mtev-kernel")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def api_version() -> str:
    """The plugin API of this kernel, as `major.minor`."""
    return ".".join(map(str, API_VERSION))


def main(arguments: Arguments) -> int:
    """Print versions."""
    versions = {
        "name": "mtev-kernel",
        "version": kernel_version(),
        "api": api_version(),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
    }
    if arguments.json:
        out(json.dumps(versions, indent=2))
    else:
        out("{name} {version} (plugin API {api}, {implementation} {python})".format(**versions))
    return ExitCode.OK
