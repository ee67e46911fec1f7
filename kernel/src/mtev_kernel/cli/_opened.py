"""Load the plugin that reads configurations, and perhaps open one, for commands that run nothing."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import anyio

from .._assembly import Assembly
from ..discovery import Found, hint
from ..document import Document
from ..errors import MissingRequirement, MtevError
from ..exitcodes import ExitCode
from ..kernel import Kernel
from ..lifecycle import Step
from ..records import Options

__all__ = ["NoInput", "assembly_for", "chosen", "opened", "provider", "unable"]


class NoInput(MtevError):
    """The configuration file does not exist or cannot be read."""

    exit_code = ExitCode.NO_INPUT


def assembly_for(path: str | None, options: Options) -> Assembly:
    """What is installed, as a service of that configuration, or of none in particular, would see it."""
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


def provider(assembly: Assembly, options: Options) -> object:
    """Load the plugin that reads configurations, and nothing else, for what it may be able to do besides.

    Args:
        assembly: what is installed.
        options: of these, the limit for loading.

    Raises:
        MissingRequirement: no plugin is installed that reads configurations.
        MtevError: it cannot be loaded.
    """
    return anyio.run(assembly.load_provider, options.limits_s[Step.LOAD])


def unable(assembly: Assembly, ability: str) -> MissingRequirement:
    """The error for a provider that was loaded and turns out not to have an optional ability.

    Args:
        assembly: what loaded it.
        ability: completes "it cannot ...".
    """
    who = assembly.reader.who if assembly.reader is not None else "the plugin that reads configurations"
    return MissingRequirement(f"{who} cannot {ability}: upgrade it")


def chosen(found: Sequence[Found], names: Sequence[str]) -> list[Found]:
    """The offers of these ids, each once, in the order in which they are asked for.

    Raises:
        MissingRequirement: one is not installed, or cannot be used. The message has a line for each such name.
    """
    problems, offers = [], []
    for name in dict.fromkeys(names):
        offer = next((each for each in found if each.name == name), None)
        if offer is None:
            near = get_close_matches(name, [each.name for each in found], n=1)
            advice = f"did you mean '{near[0]}'?" if near else hint("plugin", name)
            problems.append(f"no plugin '{name}' is installed" + (f"; {advice}" if advice else ""))
        elif not offer.usable:
            problems.append(f"plugin '{name}' ({offer.label}) cannot be used: {offer.error}")
        else:
            offers.append(offer)
    if problems:
        there = ", ".join(each.name for each in found if each.usable) or "none"
        raise MissingRequirement("\n".join([*problems, f"installed are: {there}"]))
    return offers
