"""Open a configuration without running anything, for commands that only look at it."""

from __future__ import annotations

from .._assembly import Assembly
from ..document import Document
from ..errors import MtevError
from ..exitcodes import ExitCode
from ..kernel import Kernel
from ..lifecycle import Step
from ..records import Options

__all__ = ["NoInput", "assembly_for", "opened"]


class NoInput(MtevError):
    """The configuration file does not exist or cannot be read."""

    exit_code = ExitCode.NO_INPUT


def assembly_for(path: str, options: Options) -> Assembly:
    """What is installed, as a service of that configuration would see it."""
    kernel = Kernel(path, options=options)
    return Assembly(None, (), options, kernel.hooks, kernel.services, kernel)


async def opened(assembly: Assembly, path: str, options: Options) -> Document:
    """Read a configuration through the plugin that can; that one is imported, and no other.

    Raises:
        MtevError: it is malformed, cannot be read, or nobody can read it; `exit_code` says which.
    """
    try:
        return await assembly.open(path, options.limits_s[Step.LOAD])
    except OSError as error:
        raise NoInput(f"{error.filename or path}: {error.strerror}") from error
