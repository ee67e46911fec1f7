"""The error tree of the kernel, and the root of every plugin's own tree.

    MtevError
    ├── ManifestError          a plugin.toml that cannot be used
    ├── ConfigurationError     the operator's document is wrong; carries file:line
    ├── ResolutionError        the enabled plugins cannot be put in an order
    │   ├── MissingRequirement
    │   └── RequirementCycle
    ├── LoadError              a plugin's code cannot be imported or constructed
    ├── HookError              a specification or implementation that breaks its contract
    ├── ServiceError           a service is missing, doubled, or not what it promises
    ├── StepTimeout            a life-cycle step outlived its limit
    └── RetriableError         raised by a plugin: "try me again later"

A distribution derives its own root from `MtevError`. A message says what is wrong, where, what was expected, and what
to do. Which plugin and which distribution it concerns is added by whoever attributes it (see `attribution`).
"""

from __future__ import annotations

from collections.abc import Sequence

from .exitcodes import ExitCode

__all__ = [
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
    "attribution",
    "describe",
]


class MtevError(Exception):
    """Root of every error that mtev-kernel and its plugins raise on purpose.

    `retriable` says whether the same step may succeed later without anybody changing anything (a busy port, a peer
    that is not up yet). Only such errors are retried under `on-error="retry"`. Set it on a class or on an instance.
    """

    retriable: bool = False
    exit_code: ExitCode = ExitCode.FAILURE
    """What the process ends with when this error ends the service."""


class ManifestError(MtevError):
    """A `plugin.toml` is unreadable, or says something that it may not say."""


class ConfigurationError(MtevError):
    """The configuration is wrong. The message opens with `where` when the place is known.

    Args:
        message: what is wrong, what was expected, what to do.
        where: `file:line` of the element concerned, or `""` when there is no such place.
    """

    exit_code = ExitCode.CONFIG

    parts: tuple[ConfigurationError, ...] = ()

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where

    @classmethod
    def combined(cls, problems: Sequence[ConfigurationError]) -> ConfigurationError:
        """The one error that a step can raise for all that it found wrong: a single one as it is, none told twice.

        Of several, the message has a line for each, and `parts` keeps them.
        """
        distinct = {str(each): each for each in problems}
        if len(distinct) == 1:
            return problems[0]
        error = cls(f"{len(distinct)} problems:" + "".join(f"\n  {text}" for text in distinct))
        error.where, error.parts = problems[0].where, tuple(distinct.values())
        return error


class ResolutionError(MtevError):
    """The enabled plugins cannot be put in an order."""


class MissingRequirement(ResolutionError):
    """A plugin requires a name that no usable plugin carries or provides."""

    exit_code = ExitCode.UNAVAILABLE


class RequirementCycle(ResolutionError):
    """Plugins require each other in a circle; the message names the members in order."""


class LoadError(MtevError):
    """A plugin's code cannot be imported, or its factory does not make a plugin."""


class HookError(MtevError):
    """A hook specification or implementation breaks its contract, or names no known hook."""


class ServiceError(MtevError):
    """A service is missing, published twice, or lacks members that its Protocol promises."""


class StepTimeout(MtevError):
    """A life-cycle step did not end within its limit."""


class RetriableError(MtevError):
    """What a plugin raises when trying again later may help; see `on-error="retry"`."""

    retriable = True


def attribution(plugin: str, distribution: str) -> str:
    """Name a plugin as every message does: the plugin first, then the distribution that it came in."""
    return f"plugin '{plugin}' ({distribution})" if distribution else f"plugin '{plugin}'"


def describe(error: BaseException) -> str:
    """Put an error in one line for an operator: our own errors by their message, others with their type."""
    text = str(error).strip()
    kind = "" if isinstance(error, MtevError) and text else type(error).__name__
    return ": ".join(filter(None, (kind, text)))
