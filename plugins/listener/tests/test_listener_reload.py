"""The stanza changes while the service runs: what stays, what goes, and what is refused."""

import asyncio
import contextlib
import socket
import time
from importlib import resources

import pytest

from mtev_conf import ChangeRefused, Configuration
from mtev_conf.plugin import ConfPlugin
from mtev_eventer import Eventer
from mtev_eventer.plugin import EventerPlugin
from mtev_kernel import Plugin
from mtev_kernel.testing import inline
from mtev_listener import Listeners
from mtev_listener.plugin import ListenerPlugin
from mtev_stats import Stats
from mtev_stats.plugin import StatsPlugin
from mtev_tls.plugin import TlsPlugin


def manifest_of(package):
    return (resources.files(package) / "plugin.toml").read_text()


class Echo(asyncio.Protocol):
    def __init__(self, connection):
        self.connection = connection

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Application(Plugin):
    manifest = """
        id = "app"
        summary = "for a test"
        api = "1.0"
        requires = ["listener"]
    """

    def configure(self):
        listeners = self.context.services.require(Listeners)
        listeners.register_type("echo", Echo)
        listeners.register_type("other", Echo)


PLUGINS = (
    inline(ConfPlugin, manifest_of("mtev_conf")),
    inline(StatsPlugin, manifest_of("mtev_stats")),
    inline(EventerPlugin, manifest_of("mtev_eventer")),
    inline(TlsPlugin, manifest_of("mtev_tls")),
    inline(ListenerPlugin, manifest_of("mtev_listener")),
    inline(Application),
)


@pytest.fixture
def service(mtev_kernel, tmp_path):
    """A service with two listeners on unix sockets, and ways to change them."""

    class Service:
        def __init__(self):
            self.one, self.two, self.three = (str(tmp_path / f"{name}.sock") for name in ("one", "two", "three"))
            self.running = mtev_kernel(
                f"""<app><modules><generic image="app" name="app"/></modules>
                <listeners>
                  <listener type="echo" address="{self.one}"/>
                  <listener type="echo" address="{self.two}"/>
                </listeners></app>""",
                plugins=[*PLUGINS],
                installed=(),
            )
            self.listeners = self.running.service(Listeners)
            self.configuration = self.running.service(Configuration)

        def change(self):
            return self.configuration.transaction("test")

        def stanza(self):
            return self.configuration.section("listeners")

        def listener(self, number):
            return self.configuration.sections("listeners/listener")[number]

        def connect(self, path):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(10)
            try:
                client.connect(path)
            except OSError:
                client.close()
                raise
            return client

        def state(self):
            self.running.call(asyncio.sleep, 0)  # the kernel hears of it on its own loop
            return self.running.plugin("listener")

    return Service()


def ask(client):
    client.sendall(b"?")
    return client.recv(1)


def addresses(service):
    return [bound.address for bound in service.listeners.bound]


def test_a_listener_that_is_added_listens_and_the_others_keep_their_connections(service):
    with service.connect(service.one) as old:
        assert ask(old) == b"?"
        with service.change() as change:
            change.add_xml(service.stanza(), f'<listener type="echo" address="{service.three}"/>')
        assert addresses(service) == [service.one, service.two, service.three]
        with service.connect(service.three) as new:
            assert ask(new) == ask(old) == b"?"


def test_a_listener_that_is_removed_drains_and_the_others_stay(service):
    with service.connect(service.one) as going, service.connect(service.two) as staying:
        assert ask(going) == ask(staying) == b"?"
        with service.change() as change:
            change.remove(service.listener(0))
        assert addresses(service) == [service.two]
        assert going.recv(1) == b""
        assert ask(staying) == b"?"
        with pytest.raises(FileNotFoundError):
            service.connect(service.one)


def test_limits_change_for_new_connections_without_a_new_socket(service):
    before = service.listeners._groups[0]
    with service.connect(service.one) as old:
        assert ask(old) == b"?"
        with service.change() as change:
            change.add_xml(service.listener(0), "<config><max_connections>2</max_connections></config>")
        assert service.listeners._groups[0] is before
        with service.connect(service.one) as second, service.connect(service.one) as refused:
            assert ask(second) == ask(old) == b"?"
            with contextlib.suppress(OSError):  # closed, or reset
                assert refused.recv(1) == b""
    assert before.describe()["refused"] == 1


def test_another_type_on_the_same_address_takes_over(service):
    with service.connect(service.one) as old:
        assert ask(old) == b"?"
        with service.change() as change:
            change.set(service.listener(0), "type", "other")
        assert old.recv(1) == b""
        assert [bound.type for bound in service.listeners.bound] == ["other", "echo"]
        with service.connect(service.one) as new:
            assert ask(new) == b"?"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("type", "nobody", "no enabled plugin speaks it"),
        ("fanout_pool", "nowhere", "there is no pool 'nowhere'"),
        ("backlog", "-1", "backlog"),
        ("ssl", "on", "there is no <certificate>"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_changes(service, name, value, reason):
    with service.connect(service.one) as old:
        with pytest.raises(ChangeRefused, match=reason), service.change() as change:
            change.set(service.listener(0), name, value)
        assert addresses(service) == [service.one, service.two]
        assert ask(old) == b"?"


def test_a_certificate_that_cannot_be_used_is_refused(service, tmp_path):
    files = f"<sslconfig><certificate>{tmp_path}/nowhere.pem</certificate><key>{tmp_path}/k.pem</key></sslconfig>"

    def change():
        with service.change() as change:
            change.set(service.listener(0), "ssl", "on")
            change.add_xml(service.listener(0), files)

    with pytest.raises(ChangeRefused, match=r"nowhere.pem.*cannot be read"):
        change()
    assert [bound.tls for bound in service.listeners.bound] == [False, False]


def test_an_address_that_is_taken_leaves_that_listener_out_and_can_be_mended(service, tmp_path):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(service.three)
        other.listen()
        with service.connect(service.one) as old:
            with service.change() as change:
                change.add_xml(service.stanza(), f'<listener type="echo" address="{service.three}"/>')
            assert addresses(service) == [service.one, service.two]
            assert ask(old) == b"?"
            record = service.state()
            assert record.state == "degraded"
            assert "another process listens there" in record.cause
    (tmp_path / "three.sock").unlink()
    with service.change() as change:
        change.set(service.listener(2), "backlog", "5")
    assert addresses(service) == [service.one, service.two, service.three]
    assert service.state().state == "running"


def test_stopping_ends_what_was_removed_and_has_not_gone_yet(service):
    with service.connect(service.one) as going:
        assert ask(going) == b"?"
        (connection,) = service.listeners.members()
        connection.loop.call(connection.add_drain, lambda: None)  # it does not think of ending
        with service.change() as change:
            change.remove(service.listener(0))
        assert ask(going) == b"?"
        assert len(service.listeners.members()) == 1
        assert service.listeners.stop() == 0
        assert going.recv(1) == b""


def idle_timers(service):
    eventer = service.running.service(Eventer)
    return [timer for timer in eventer.timers() if timer.name == "listener_idle"]


def wait_for(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_another_idle_timeout_counts_for_new_connections(service):
    def idle_timeout(timeout_ms):
        with service.change() as change:
            for config in service.listener(0).sections("config"):
                change.remove(config)
            change.add_xml(service.listener(0), f"<config><idle_timeout>{timeout_ms}</idle_timeout></config>")

    idle_timeout(3_600_000)
    with service.connect(service.one) as patient:
        assert ask(patient) == b"?"
        idle_timeout(40)
        with service.connect(service.one) as hasty:
            assert ask(hasty) == b"?"
            assert len(idle_timers(service)) == 2
            assert hasty.recv(1) == b"", "it is closed after its own timeout, not the one before"
        assert service.listeners.describe()[0]["idle"] == 1
        assert ask(patient) == b"?"
        wait_for(lambda: len(idle_timers(service)) == 1)


def test_figures_go_with_their_listener(service):
    stats = service.running.service(Stats)
    with service.connect(service.one) as client:
        assert ask(client) == b"?"
        assert stats.find(("mtev", "listener", service.one, "accepted")).value == 1
        assert stats.find(("mtev", "listener", service.one, "connections")).value == 1
        with service.change() as change:
            change.set(service.listener(0), "type", "other")
        assert client.recv(1) == b""
    accepted = stats.find(("mtev", "listener", service.one, "accepted"))
    assert accepted.value == 0, "it is another listener now"
    with service.change() as change:
        change.remove(service.listener(0))
    assert stats.find(("mtev", "listener", service.one, "accepted")) is None
    assert stats.find(("mtev", "listener", service.two, "accepted")).value == 0


def test_nothing_is_left_of_a_listener_that_was_removed(service):
    with service.change() as change:
        change.add_xml(service.listener(0), "<config><idle_timeout>40</idle_timeout></config>")
    with service.connect(service.one) as going:
        assert ask(going) == b"?"
        assert len(idle_timers(service)) == 1
        with service.change() as change:
            change.remove(service.listener(0))
        assert going.recv(1) == b""
    wait_for(lambda: not idle_timers(service))
