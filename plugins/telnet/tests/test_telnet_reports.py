"""What `show` says of the service."""

from __future__ import annotations

import logging
import os
from types import SimpleNamespace

import pytest

from mtev_kernel import PluginListing, PluginRecord, hookimpl, hookspec
from mtev_kernel.hooks import HookRegistry, PluginHooks
from mtev_kernel.services import PluginServices, ServiceRegistry
from mtev_listener import Listeners
from mtev_telnet import Console
from mtev_telnet.reports import Reports
from mtev_telnet.shell import Shell


@hookspec
def greeting_made(name):
    """A greeting was made. Further text."""


class Attached:
    @hookimpl
    def greeting_made(self, name):
        return None


class Listing:
    def plugins(self):
        return [
            PluginRecord(
                name="acme.greeter",
                plugin="acme.greeter",
                version="2.1",
                distribution="acme-greeter",
                origin="third-party",
                status="beta",
                state="failed",
                api="1.0",
                cause="no such greeting",
                where="app.conf:3",
                seconds={},
            )
        ]


@pytest.fixture
def kernel():
    hooks = HookRegistry(lambda failure: None)
    return SimpleNamespace(
        hooks=PluginHooks(hooks, "acme.greeter", "acme-greeter 2.1"),
        services=PluginServices(ServiceRegistry(), "kernel", "mtev-kernel"),
    )


@pytest.fixture
def show(kernel):
    console = Console()
    Reports(kernel).register(console)
    shell = Shell(console.root, "# ", logging.getLogger("test.reports"))
    return lambda words: list(shell.run(f"show {words}"))


def test_version_in_libmtevs_wording(show):
    lines = dict(line.split(":\t", 1) for line in show("version"))
    here = os.uname()
    fields = ["sysname", "nodename", "release", "version", "machine"]
    assert list(lines) == [
        *(f"build {field}" for field in fields),
        *(f"run {field}" for field in fields),
        "bitwidth",
        "version",
    ]
    assert [lines[f"run {field}"] for field in fields] == list(here)
    assert lines["build sysname"] == here.sysname
    assert lines["bitwidth"] in ("32bit", "64bit")


def test_version_names_the_features_of_the_service(kernel, show):
    listeners = Listeners()
    listeners.capabilities.add_feature("gzip", "1.3")
    listeners.capabilities.add_feature("h2")
    kernel.services.publish(Listeners, listeners)
    assert show("version")[-2:] == ["feature:\tgzip:1.3", "feature:\th2"]


def test_plugins(kernel, show):
    assert show("plugins") == ["the kernel that runs this service does not list its plugins"]
    kernel.services.publish(PluginListing, Listing())
    assert show("plugins") == [
        "NAME          STATE   DISTRIBUTION      CAUSE",
        "acme.greeter  failed  acme-greeter 2.1  no such greeting",
    ]


def test_hooks(kernel, show):
    kernel.hooks.declare(SimpleNamespace(greeting_made=greeting_made))
    kernel.hooks.attach(Attached())
    assert show("hooks greet") == [
        "greeting_made(name)",
        "  sync, decision, declared by 'acme.greeter': A greeting was made. Further text.",
        "  1. acme.greeter (acme-greeter 2.1)",
    ]
    assert show("hooks other") == []
    assert show("hooks a b") == ["one PREFIX of hook names at most"]


def test_services_where_the_kernel_lists_them(kernel, show):
    kernel.services = SimpleNamespace()
    assert show("services") == ["the kernel that runs this service does not list its services"]
    kernel.services = SimpleNamespace(describe=lambda: [("mtev_conf.Configuration", "conf")])
    assert show("services") == ["SERVICE                  PLUGIN", "mtev_conf.Configuration  conf"]


@pytest.mark.parametrize("command", ["version", "plugins", "services"])
def test_arguments_are_refused(show, command):
    assert show(f"{command} x") == ["no arguments allowed to this command."]
