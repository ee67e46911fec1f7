"""Plain data that goes into a kernel and comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from .discovery import Found
from .exitcodes import ExitCode
from .lifecycle import RetryPolicy, Step
from .manifest import Manifest
from .plugin import Factory

__all__ = ["InlinePlugin", "Options", "PluginListing", "PluginOffers", "PluginRecord", "Problem", "ProblemListing"]

_LIMITS_S = dict.fromkeys(Step, 20.0) | {Step.START: 30.0, Step.POST_INIT: 30.0, Step.STOP: 10.0}


@dataclass(frozen=True, slots=True)
class Options:
    """How a kernel runs.

    Args:
        safe_mode: leave out third-party plugins.
        strict: turn isolation off: every failure is fatal, raising hooks propagate, warnings of a check are errors.
        shutdown_timeout_s: how long draining and stopping may take in all, in seconds.
        timed_hooks: record calls and time of every hook implementation.
        limits_s: time limit of each step, in seconds, where a `<generic>` states none of its own.
        retry: delays under `on-error="retry"`.
    """

    safe_mode: bool = False
    strict: bool = False
    shutdown_timeout_s: float = 30.0
    timed_hooks: bool = False
    limits_s: Mapping[Step, float] = field(default_factory=lambda: dict(_LIMITS_S))
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True, slots=True)
class InlinePlugin:
    """A plugin that is not installed but handed to the kernel: for tests and for embedding.

    Args:
        manifest: its manifest.
        factory: makes it.
        distribution: what messages call its distribution.
    """

    manifest: Manifest
    factory: Factory
    distribution: str = "inline"


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """What there is to know about one plugin; the same in every listing.

    Args:
        name: instance name.
        plugin: plugin id.
        version: version of the distribution.
        distribution: its name.
        origin: `first-party` or `third-party`.
        status: maturity, from the manifest.
        state: one of `lifecycle.State`.
        api: plugin API that it was written for.
        cause: why it is in this state, or `""`.
        where: what enabled it, or `""`.
        seconds: time taken by each step so far.
    """

    name: str
    plugin: str
    version: str
    distribution: str
    origin: str
    status: str
    state: str
    api: str
    cause: str
    where: str
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a configuration or an installation, as `--check` reports it.

    Args:
        message: what is wrong and what to do; opens with `file:line` where there is such a place.
        plugin: whose problem it is, or `""`.
        distribution: where that plugin comes from, or `""`.
        severity: `error` or `warning`.
        code: exit code that it leads to.
        where: what enabled the plugin: `file:line`, or a sentence; `""` where no plugin is concerned.
    """

    message: str
    plugin: str
    distribution: str
    severity: str
    code: ExitCode
    where: str = ""


@runtime_checkable
class PluginListing(Protocol):
    """A service of the kernel itself: who is there and how they are. Thread-safe."""

    def plugins(self) -> list[PluginRecord]:
        """Every plugin found, enabled or not, by name."""


@runtime_checkable
class PluginOffers(Protocol):
    """A service of the kernel itself: what is installed, with manifests and the files beside them. Thread-safe."""

    def offers(self) -> Sequence[Found]:
        """Every plugin that the kernel chooses from, enabled or not, refused ones included, by name."""


@runtime_checkable
class ProblemListing(Protocol):
    """A service of the kernel itself: what it has found wrong, so that nobody need say it a second time."""

    @property
    def problems(self) -> Sequence[Problem]:
        """Everything found wrong so far, in that order. It grows; read it, and copy it to keep it."""
