"""The kinds of backends that `<log type=>` may name, and how one of them becomes a sink."""

from __future__ import annotations

from collections.abc import Callable

from mtev_kernel import ConfigurationError

from .backend import Backend, BackendFactory, BackendSettings
from .configuration import StreamSettings
from .errors import LogError
from .sink import Sink, SinkReports, one_line

__all__ = ["BackendTypes"]

_MEMBERS = ("open", "write", "flush", "reopen", "close")


class BackendTypes:
    """What plugins registered. Not thread-safe."""

    def __init__(self) -> None:
        self._factories: dict[str, BackendFactory] = {}

    def register(self, name: str, factory: BackendFactory) -> None:
        """Register a factory.

        Raises:
            LogError: the name is empty or taken.
        """
        if not name:
            raise LogError("a log type needs a name")
        if name in self._factories:
            raise LogError(f"the log type '{name}' is registered already; two plugins cannot offer the same one")
        self._factories[name] = factory

    def names(self) -> list[str]:
        """What there is, sorted."""
        return sorted(self._factories)

    def make(self, wanted: StreamSettings, reports: SinkReports, hint: Callable[[str], str]) -> Sink:
        """Make the sink of a stream whose `<log>` has a type; not open.

        Args:
            wanted: the `<log>`.
            reports: told how the sink is.
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
        return Sink(settings, _made(factory, settings), reports)


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
