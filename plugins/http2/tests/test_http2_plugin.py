"""The plugin: what it registers, and that it keeps to the plugin contract."""

from importlib import resources

import pytest

from mtev_http2.plugin import Http2Plugin
from mtev_kernel import ConfigurationError
from mtev_kernel.testing import PluginConformance, inline


def manifest_of(package):
    return (resources.files(package) / "plugin.toml").read_text()


def others():
    from mtev_conf.plugin import ConfPlugin
    from mtev_eventer.plugin import EventerPlugin
    from mtev_http.plugin import HttpPlugin
    from mtev_listener.plugin import ListenerPlugin

    kinds = {
        "mtev_conf": ConfPlugin,
        "mtev_eventer": EventerPlugin,
        "mtev_listener": ListenerPlugin,
        "mtev_http": HttpPlugin,
    }
    return [inline(kind, manifest_of(package)) for package, kind in kinds.items()]


def test_options_are_refused_since_it_has_none(make_context):
    with pytest.raises(ConfigurationError, match=r"'http2' has no options, but its <config> has streams"):
        Http2Plugin(make_context("http2", config={"streams": "1"})).configure()


class TestConformance(PluginConformance):
    manifest = manifest_of("mtev_http2")
    factory = Http2Plugin
    config = """<app>
      <modules><generic image="http2" name="http2"/></modules>
      <listeners address="127.0.0.1"><listener type="http_rest_api" port="0"/></listeners>
      <rest/>
    </app>"""

    @pytest.fixture(autouse=True)
    def _others(self, mtev_kernel, monkeypatch):
        """The plugins that this one requires, without having them installed."""
        original = mtev_kernel.kernel

        def kernel(config=None, *, plugins=(), **options):
            return original(config, plugins=[*others(), *plugins], **options)

        monkeypatch.setattr(mtev_kernel, "kernel", kernel)
