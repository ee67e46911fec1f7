"""The plugin in a running kernel."""

from __future__ import annotations

import gc
import sys
from importlib import resources

import pytest

from mtev_conf.plugin import ConfPlugin
from mtev_kernel import Plugin, hookspec
from mtev_kernel.testing import NotReady, PluginConformance, inline
from mtev_stats import Stats
from mtev_stats.plugin import StatsPlugin
from mtev_tls import EngineError, Material, MaterialError, ServerTls, Tls, TlsSettings
from mtev_tls.plugin import TlsPlugin
from mtev_tls.testing import own, pem


class TestConformance(PluginConformance):
    plugin = "tls"
    config = "<app><modules><generic image='tls' name='tls'/></modules></app>"


class Specs:
    @hookspec
    def mtev_rest_routes(rest):
        """What mtev-http declares."""

    @hookspec
    def mtev_console_commands(console):
        """What mtev-telnet declares."""


class Above(Plugin):
    """Stands for HTTP and the console."""

    manifest = """
        id = "above"
        summary = "for a test"
        api = "1.0"
        requires = ["tls"]
        hooks = ["mtev_rest_routes", "mtev_console_commands"]
    """

    def __init__(self, context):
        super().__init__(context)
        context.hooks.declare(Specs)
        self.views, self.commands = {}, {}
        context.services.publish(Above, self)

    def start(self):
        self.context.hooks.site(Specs.mtev_rest_routes).call(self)
        self.context.hooks.site(Specs.mtev_console_commands).call(self)

    def resource(self, method, base, expression, function, **options):
        """The configuration's routes."""

    def mode(self, words, enter, **options):
        """The configuration's mode."""

    def view(self, base, expression, function, *, summary):
        self.views[base + expression] = function

    def command(self, words, function, **options):
        self.commands[words] = function

    def say(self, words, *arguments):
        return list(self.commands[words](arguments))


def manifest_of(package):
    return (resources.files(package) / "plugin.toml").read_text()


PLUGINS = (
    inline(ConfPlugin, manifest_of("mtev_conf")),
    inline(StatsPlugin, manifest_of("mtev_stats")),
    inline(TlsPlugin, manifest_of("mtev_tls")),
    inline(Above),
)


@pytest.fixture
def service(mtev_kernel):
    def start(stanza=""):
        document = f'<app><modules><generic image="above" name="above"/></modules>\n{stanza}\n</app>'
        return mtev_kernel(document, plugins=[*PLUGINS], installed=())

    return start


@pytest.fixture
def settings(tmp_path, localhost):
    for name, text in zip(("c.pem", "k.pem"), pem(localhost), strict=True):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return TlsSettings(
        certificate=Material("certificate", str(tmp_path / "c.pem")),
        key=Material("key", str(tmp_path / "k.pem")),
        where="app.conf:2",
    )


def test_contexts_in_use_are_shown_and_forgotten_with_their_owner(service, settings):
    running = service()
    tls, above = running.service(Tls), running.service(Above)
    server = tls.server(settings)
    (shown,) = above.views[r"/tls/^certificates\.json$"]({})
    assert shown["where"] == "app.conf:2"
    assert shown["certificates"][0]["subject"].endswith("/CN=localhost")
    first, second = above.say("show tls")
    assert first == "app.conf:2 server verify=none reloads=0"
    assert "/CN=localhost until " in second
    del server
    assert above.say("show tls") == []


def test_changed_files_are_taken_up_in_time(service, settings, authority, tmp_path):
    running = service("<eventer><config><ssl_ctx_cache_expiry>0.01</ssl_ctx_cache_expiry></config></eventer>")
    server = running.service(Tls).server(settings)
    before = server.certificates[0].facts.fingerprint
    renewed = authority.issue_cert("localhost")
    for name, text in zip(("c.pem", "k.pem"), pem(renewed), strict=True):
        (tmp_path / f"{name}.new").write_text(text)
        (tmp_path / f"{name}.new").replace(tmp_path / name)
    while not server.reloads:
        pass
    assert server.certificates[0].facts.fingerprint != before


def test_changed_files_are_taken_up_when_told_to(service, settings, authority, tmp_path, caplog):
    running = service("<eventer><config><ssl_ctx_cache_expiry>0</ssl_ctx_cache_expiry></config></eventer>")
    above = running.service(Above)
    server = running.service(Tls).server(settings)
    assert above.say("tls refresh") == ["nothing has changed"]
    (tmp_path / "c.pem").unlink()
    (told,) = above.say("tls refresh")
    assert told.endswith("c.pem; the old certificates stay in use")
    assert told in caplog.text
    assert above.say("show tls")[-1].strip() in told
    for name, text in zip(("c.pem", "k.pem"), pem(authority.issue_cert("localhost")), strict=True):
        (tmp_path / name).write_text(text)
    assert above.say("tls refresh") == ["app.conf:2: the certificates were renewed; new connections get them"]
    assert server.reloads == 1


def test_when_certificates_expire_is_among_the_statistics(service, settings):
    running = service()
    stats, tls = running.service(Stats), running.service(Tls)

    def shown():
        return [entry for entry in stats.entries() if entry.path[-1] == "not_after"]

    assert shown() == []
    held = tls.server(settings)
    (entry,) = shown()
    assert entry.path[:3] == ("mtev", "tls", "certificates")
    assert entry.path[3] == f"{settings.where} default"
    assert entry.metric.value == held.certificates[0].facts.not_after > 0
    assert entry.tags["mtev-subject"] == held.certificates[0].facts.subject[:120]
    assert stats.find(("mtev", "tls", "faults")).value == 0
    del held
    gc.collect()
    assert shown() == [], "it is not in use any more"


@pytest.mark.parametrize("words", ["show tls", "tls refresh"])
def test_commands_take_no_arguments(service, words):
    with pytest.raises(ValueError, match="takes no arguments"):
        service().service(Above).say(words, "x")


def test_a_period_that_is_none_is_refused(service):
    with pytest.raises(NotReady, match=r"\.conf:2: <eventer>: ssl_ctx_cache_expiry: "):
        service("<eventer><config><ssl_ctx_cache_expiry>soon</ssl_ctx_cache_expiry></config></eventer>")


def test_what_cannot_be_loaded_is_not_among_those_in_use(service, settings, tmp_path):
    tls = service().service(Tls)
    (tmp_path / "c.pem").unlink()
    with pytest.raises(MaterialError):
        tls.server(settings)
    with pytest.raises(MaterialError):
        tls.client(TlsSettings(side="client", ca=Material("ca_chain", "/nowhere"), verify="required"))
    assert tls.describe() == []


def test_without_pyopenssl_what_needs_it_says_what_to_install(localhost, monkeypatch):
    for name in [each for each in sys.modules if each.split(".")[0] == "OpenSSL" or each == "mtev_tls._openssl"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "OpenSSL", None)
    with pytest.raises(EngineError, match=r'pip install "mtev-tls\[openssl\]"'):
        ServerTls(TlsSettings(**own(localhost), optional_no_ca=True, verify="optional")).load()
    ServerTls(TlsSettings(**own(localhost))).load()
