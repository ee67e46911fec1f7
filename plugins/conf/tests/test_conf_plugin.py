"""The plugin, with a context made by hand."""

from __future__ import annotations

import importlib.resources
import logging
import subprocess
import sys
from dataclasses import replace

import pytest

from mtev_conf import Configuration
from mtev_conf._settings import read_settings
from mtev_conf.plugin import ConfPlugin
from mtev_kernel.document import ConfigurationProvider
from mtev_kernel.errors import ConfigurationError
from mtev_kernel.hooks import HookRegistry, PluginHooks
from mtev_kernel.manifest import parse_manifest
from mtev_kernel.plugin import Context
from mtev_kernel.services import PluginServices, ServiceRegistry


class Control:
    def warn(self, plugin, distribution, message): ...
    def degraded(self, plugin, reason): ...
    def healthy(self, plugin): ...
    def request_stop(self, reason): ...
    def spawn(self, plugin, function, name): ...


def manifest():
    return parse_manifest(importlib.resources.files("mtev_conf").joinpath("plugin.toml").read_text())


def context(config=None):
    return Context(
        name="conf",
        manifest=manifest(),
        distribution="mtev-conf 0.1.0",
        config=config or {},
        where="app.conf:3",
        hooks=PluginHooks(HookRegistry(lambda failure: None), "conf", "mtev-conf 0.1.0"),
        services=PluginServices(ServiceRegistry(), "conf", "mtev-conf 0.1.0"),
        control=Control(),
    )


@pytest.fixture
def plugin():
    return ConfPlugin(context())


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "app.conf"
    file.write_text("<app b='1'><modules><generic image='i' name='n'/></modules></app>")
    return file


def test_the_manifest_says_what_it_provides():
    assert manifest().id == "conf"
    assert manifest().names == {"conf", "configuration"}
    assert manifest().stanzas == ("config", "conf")


def test_it_is_a_provider_and_publishes_the_configuration_at_once(plugin):
    assert isinstance(plugin, ConfigurationProvider)
    assert plugin.context.services.require(Configuration) is plugin.configuration
    plugin.configure()


def test_options_are_refused():
    with pytest.raises(ConfigurationError, match=r"^app.conf:3: the plugin 'conf' has no options, .* has colour; "):
        ConfPlugin(context({"colour": "red"})).configure()


def test_open_gives_the_document_and_puts_it_in_force(plugin, path):
    document = plugin.open(str(path))
    assert document.path == plugin.configuration.path == str(path)
    assert [each.name for each in document.modules()] == ["n"]
    assert plugin.configuration.root_name == "app"
    assert plugin.configuration.generation == 1


def test_reload_swaps_the_document_in_the_same_object(plugin, path):
    first = plugin.open(str(path))
    configuration, old = plugin.configuration, plugin.configuration.root
    path.write_text("<app b='2'/>")
    second = plugin.reload()
    assert plugin.context.services.require(Configuration) is configuration
    assert (old.string("b"), configuration.root.string("b"), configuration.generation) == ("1", "2", 2)
    assert len(first.modules()) == 1
    assert len(second.modules()) == 0


def test_reload_reads_the_environment_again(plugin, path, monkeypatch):
    path.write_text("<app b='{{ENV:unset:{MTEV_CONF_TEST}}}'/>")
    plugin.open(str(path))
    monkeypatch.setenv("MTEV_CONF_TEST", "set")
    assert plugin.configuration.root.string("b") == "unset"
    plugin.reload()
    assert plugin.configuration.root.string("b") == "set"


def test_reload_follows_the_path_and_not_the_working_directory(plugin, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    plugin.open(path.name)
    monkeypatch.chdir("/")
    assert plugin.reload().path == str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<app>", "not well-formed"),
        ("<app><modules><generic image='i'/></modules></app>", "name is missing"),
        ("<app><x require_env='A~('/></app>", "regular expression"),
        ("<app><include file='x'/></app>", "No such file"),
        ("<other/>", "the root element was <app> before"),
    ],
)
def test_a_broken_document_leaves_the_old_one_in_force(plugin, path, text, message):
    plugin.open(str(path))
    path.write_text(text)
    for _ in range(3):
        with pytest.raises(ConfigurationError, match=message):
            plugin.reload()
        assert plugin.configuration.root.string("b") == "1"
        assert plugin.configuration.generation == 1
    path.write_text("<app b='3'/>")
    plugin.reload()
    assert plugin.configuration.root.string("b") == "3"


def test_a_file_that_is_gone_leaves_the_old_document_in_force(plugin, path):
    plugin.open(str(path))
    path.unlink()
    with pytest.raises(FileNotFoundError):
        plugin.reload()
    assert plugin.configuration.root.string("b") == "1"


def test_reload_before_open_is_an_error(plugin):
    with pytest.raises(ConfigurationError, match="none has been opened"):
        plugin.reload()


def test_notices_are_logged_as_warnings(plugin, path, caplog):
    path.write_text("<app><modules directory='/x'/></app>")
    with caplog.at_level(logging.WARNING, "mtev.conf"):
        plugin.open(str(path)).modules()
    assert [record.getMessage().startswith(f"{path}:1: <modules directory") for record in caplog.records] == [True]


def test_importing_it_brings_in_nothing_heavy():
    code = (
        "import sys, mtev_conf\n"
        "heavy = {'asyncio', 'anyio', 'pluggy', 'stevedore', 'ssl', 'http', 'xml', 'xmlschema', 'lxml.html'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def test_the_sample_is_what_goes_without_saying():
    sample = importlib.resources.files("mtev_conf").joinpath("sample.xml").read_text()
    plain = read_settings(Configuration.parse("<app/>", "/app.conf", {}))
    shown = read_settings(Configuration.parse(f"<app>{sample}</app>", "/app.conf", {}))
    assert replace(shown, where="") == plain


def test_a_malformed_stanza_is_told_when_the_plugin_is_configured(plugin, path):
    path.write_text("<app>\n<conf history='many'/></app>")
    plugin.open(str(path))
    with pytest.raises(ConfigurationError, match=r"app\.conf:2: <conf>: history: 'many' is not an integer"):
        plugin.configure()
    with pytest.raises(ConfigurationError, match="nothing is written"):
        plugin.configuration.write()
