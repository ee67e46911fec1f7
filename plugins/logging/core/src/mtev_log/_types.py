"""The kinds of backends that `<log type=>` may name, and how one of them becomes a sink."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mtev_kernel import ConfigurationError

from .backend import Backend, BackendFactory, BackendSettings
from .configuration import StreamSettings
from .errors import LogError
from .handover import Nesting, SinkOptions
from .sink import Sink, SinkReports, one_line

__all__ = ["BackendTypes"]

_MEMBERS = ("open", "write", "flush", "reopen", "close")


class BackendTypes:
    """What plugins registered. Not thread-safe."""

    def __init__(self) -> None:
        self._factories: dict[str, BackendFactory] = {}
        self._synchronous: set[str] = set()
        self._attributes: dict[str, frozenset[str]] = {}

    def register(
        self, name: str, factory: BackendFactory, *, synchronous: bool = False, attributes: Sequence[str] = ()
    ) -> None:
        """Register a factory.

        Args:
            name: what `<log type=>` says.
            factory: makes its backends.
            synchronous: they are to be written by the thread that logs.
            attributes: what it understands of `BackendSettings.options`.

        Raises:
            LogError: the name is empty or taken.
        """
        if not name:
            raise LogError("a log type needs a name")
        if name in self._factories:
            raise LogError(f"the log type '{name}' is registered already; two plugins cannot offer the same one")
        self._factories[name] = factory
        self._attributes[name] = frozenset(attributes)
        if synchronous:
            self._synchronous.add(name)

    def names(self) -> list[str]:
        """What there is, sorted."""
        return sorted(self._factories)

    def without_effect(self, wanted: StreamSettings) -> list[str]:
        """What a `<log>` says itself that its type does not understand; what it inherits may be for others."""
        known = self._attributes.get(wanted.backend.type, frozenset())
        kind = f"the type '{wanted.backend.type}' does" if wanted.backend.type else "a log without a type does"
        return [
            f"{wanted.section.where}: <log>: {name} has no effect: {kind} not know it"
            for name in wanted.backend.options
            if name not in known and name in wanted.section.attributes
        ]

    def options(self, wanted: StreamSettings) -> SinkOptions:
        """How lines are handed to the backend of a stream."""
        return replace(wanted.options, synchronous=wanted.backend.type in self._synchronous)

    def make(self, wanted: StreamSettings, reports: SinkReports, nesting: Nesting, hint: Callable[[str], str]) -> Sink:
        """Make the sink of a stream whose `<log>` has a type; not open.

        Args:
            wanted: the `<log>`.
            reports: told how the sink is.
            nesting: that of the service.
            hint: what to install for a type that nobody registered.

        Raises:
            ConfigurationError: nobody did, or the backend refuses the settings.
            LogError: the factory failed, or what it made is no backend.
        """
        settings = wanted.backend
        factory = self._factories.get(settings.type)
        if factory is None:
            have = ", ".join(f"'{name}'" for name in self.names()) or "none"
            advice = hint(settings.type) or "check its spelling, or enable the plugin that offers it"
            raise wanted.section.error(
                f"the log '{settings.name}' has type='{settings.type}', which no enabled plugin offers "
                f"(there are: {have}); {advice}"
            )
        return Sink(settings, _made(factory, settings), reports, nesting, self.options(wanted))


def _made(factory: BackendFactory, settings: BackendSettings) -> Backend:
    try:
        backend = factory(settings)
    except ConfigurationError:
        raise
    except Exception as error:  # a fault of the plugin that offers the type; say which log it concerns
        raise LogError(
            f"{settings.where}: the backend '{settings.type}' of the log '{settings.name}' cannot be made: "
            f"{one_line(error)}"
        ) from error
    missing = [name for name in _MEMBERS if not callable(getattr(backend, name, None))]
    if missing:
        raise LogError(f"the log type '{settings.type}' makes no backend: what it makes has no {', '.join(missing)}")
    return backend
