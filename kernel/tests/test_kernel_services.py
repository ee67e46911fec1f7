"""Services: published once, checked against what they promise, found by type."""

from typing import Protocol

import pytest

from mtev_kernel import ServiceError
from mtev_kernel.services import PluginServices, ServiceRegistry


class Named(Protocol):
    title: str


class Counter(Named, Protocol):
    def count(self) -> int: ...


class Fine:
    title = "fine"

    def count(self) -> int:
        return 3


@pytest.fixture
def registry():
    return ServiceRegistry()


@pytest.fixture
def services(registry):
    return PluginServices(registry, "p", "p-dist 1.0")


def test_what_is_published_is_found_by_its_type(services):
    service = Fine()
    services.publish(Counter, service)
    assert services.require(Counter) is service
    assert services.find(Counter) is service


def test_what_is_missing_names_who_needs_it_and_the_remedy(services):
    assert services.find(Counter) is None
    with pytest.raises(ServiceError, match=r"plugin 'p' \(p-dist 1.0\) needs the service .*Counter.*'requires'"):
        services.require(Counter)


def test_an_object_that_lacks_promised_members_is_refused_by_name(services):
    with pytest.raises(ServiceError, match="has no count, title"):
        services.publish(Counter, object())


def test_a_class_as_key_asks_for_an_instance(services):
    services.publish(Fine, Fine())
    with pytest.raises(ServiceError, match="no base class ServiceRegistry"):
        services.publish(ServiceRegistry, Fine())


def test_a_key_is_published_once_and_both_are_named(registry, services):
    services.publish(Fine, Fine())
    with pytest.raises(ServiceError, match=r"plugin 'q' .*which plugin 'p' \(p-dist 1.0\) publishes already"):
        PluginServices(registry, "q", "q-dist").publish(Fine, Fine())


def test_what_a_plugin_published_goes_with_it(registry, services):
    services.publish(Fine, Fine())
    assert [(plugin) for _, plugin in registry.describe()] == ["p"]
    registry.withdraw("p")
    assert services.find(Fine) is None
    assert registry.describe() == []
