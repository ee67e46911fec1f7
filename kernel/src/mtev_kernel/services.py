"""Services: how one plugin obtains an object that another one made, by the type that it promises to be.

The key of a service is a Protocol or a class. The publisher's object is checked against it once, when it is published.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar, cast

from .errors import ServiceError, attribution

__all__ = ["PluginServices", "ServiceRegistry"]

T = TypeVar("T")


class ServiceRegistry:
    """Published services of one kernel. Thread-safe; nothing here blocks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._published: dict[object, tuple[object, str, str]] = {}

    def publish(self, key: object, service: object, plugin: str, distribution: str) -> None:
        """Publish an object under a type.

        Args:
            key: a Protocol or class.
            service: the object; must have every member that the key declares.
            plugin: who publishes.
            distribution: where the publisher comes from.

        Raises:
            ServiceError: the key is taken, or the object lacks members.
        """
        if missing := _missing_members(key, service):
            raise ServiceError(
                f"{attribution(plugin, distribution)} publishes an object of type {type(service).__name__} "
                f"as {_name(key)}, but it has no {', '.join(missing)}"
            )
        with self._lock:
            if taken := self._published.get(key):
                raise ServiceError(
                    f"{attribution(plugin, distribution)} publishes {_name(key)}, "
                    f"which {attribution(taken[1], taken[2])} publishes already"
                )
            self._published[key] = (service, plugin, distribution)

    def find(self, key: object) -> object | None:
        """The service published under a type, or None."""
        with self._lock:
            entry = self._published.get(key)
        return None if entry is None else entry[0]

    def withdraw(self, plugin: str) -> None:
        """Take back all that a plugin published."""
        with self._lock:
            self._published = {key: entry for key, entry in self._published.items() if entry[1] != plugin}

    def describe(self) -> list[tuple[str, str]]:
        """Each service's name with the plugin that publishes it, by name."""
        with self._lock:
            return sorted((_name(key), entry[1]) for key, entry in self._published.items())


class PluginServices:
    """A plugin's own handle on the registry."""

    def __init__(self, registry: ServiceRegistry, plugin: str, distribution: str) -> None:
        self._registry = registry
        self._plugin = plugin
        self._distribution = distribution

    def publish(self, key: type, service: object) -> None:
        """Publish an object under a Protocol or class, until the plugin stops.

        Raises:
            ServiceError: the key is taken, or the object lacks members that it declares.
        """
        self._registry.publish(key, service, self._plugin, self._distribution)

    def require(self, key: Callable[..., T]) -> T:
        """The service published under a Protocol or class.

        Args:
            key: the type; its publisher's plugin belongs in the manifest's `requires`.

        Raises:
            ServiceError: nobody published it.
        """
        service = self._registry.find(key)
        if service is None:
            raise ServiceError(
                f"{attribution(self._plugin, self._distribution)} needs the service {_name(key)}, which no running "
                "plugin publishes; name its publisher in 'requires' of the manifest"
            )
        return cast("T", service)

    def find(self, key: Callable[..., T]) -> T | None:
        """The service published under a Protocol or class, or None."""
        return cast("T | None", self._registry.find(key))

    def describe(self) -> list[tuple[str, str]]:
        """Each service's name with the plugin that publishes it, by name."""
        return self._registry.describe()


def _name(key: object) -> str:
    package = getattr(key, "__module__", "").partition(".")[0]
    return f"{package}.{getattr(key, '__qualname__', key)}"


def _missing_members(key: object, service: object) -> list[str]:
    if isinstance(key, type) and not getattr(key, "_is_protocol", False):
        return [] if isinstance(service, key) else [f"base class {key.__qualname__}"]
    members: set[str] = set()
    for base in getattr(key, "__mro__", ()):
        if getattr(base, "_is_protocol", False):
            members.update(vars(base), vars(base).get("__annotations__", {}))
    return sorted(name for name in members if not name.startswith("_") and not hasattr(service, name))
