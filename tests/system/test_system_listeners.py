"""Listeners of a whole service that change, come from systemd, or have a loop that does not turn."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import textwrap
from pathlib import Path

import pytest
import trustme
from daemon import Daemon
from echo_service import DEADLINE_S, ECHO, EchoService, echoed, read_to_end, until
from wheel_writer import write_wheel

PLAIN = '<listener type="echo" port="0"/>'


def over(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(DEADLINE_S)
    client.connect(str(path))
    return client


def test_listeners_come_go_and_change_and_the_others_go_on(echoing, tmp_path):
    def unix(name, config=""):
        return f'<listener type="echo" address="{tmp_path / name}">{config}</listener>'

    with (
        EchoService(echoing, tmp_path, {"stays": PLAIN, "goes": unix("goes")}) as service,
        service.connect("stays") as staying,
    ):
        with over(tmp_path / "goes") as going:
            assert echoed(staying)
            assert echoed(going)
            service.write({"stays": PLAIN, "comes": unix("comes")})
            service.daemon.reload()
            with over(tmp_path / "comes") as new:
                assert echoed(new)
            assert read_to_end(going) == b""
            assert not (tmp_path / "goes").exists()
            assert echoed(staying)

        limit = "<config><max_connections>1</max_connections></config>"
        service.write({"stays": PLAIN, "comes": unix("comes", limit)})
        service.daemon.reload()
        with over(tmp_path / "comes") as one, over(tmp_path / "comes") as refused:
            assert echoed(one)
            assert read_to_end(refused) == b""
        assert echoed(staying)

        service.write({"stays": '<listener type="nobody" port="0"/>'})
        service.faults = ("no enabled plugin speaks it",)
        service.daemon.signal(signal.SIGHUP)
        service.daemon.wait_for("no enabled plugin speaks it")
        assert echoed(staying)
        with over(tmp_path / "comes") as still:
            assert echoed(still)
        service.write({"stays": PLAIN})


def test_a_certificate_that_is_replaced_is_used_for_new_connections(echoing, tmp_path):
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def issue() -> None:
        issued = authority.issue_cert("localhost")
        for path, data in ((key, issued.private_key_pem.bytes()), (certificate, issued.cert_chain_pems[0].bytes())):
            new = path.with_suffix(".new")
            new.touch(mode=0o600)
            new.write_bytes(data)
            new.rename(path)

    def connect() -> ssl.SSLSocket:
        return context.wrap_socket(service.connect("tls"), server_hostname="localhost")

    issue()
    secured = f"<sslconfig><certificate>{certificate}</certificate><key>{key}</key></sslconfig>"
    tls = {"tls": f'<tls>{secured}<listener type="echo" port="0" ssl="on"/></tls>'}
    with EchoService(echoing, tmp_path, tls, eventer="<ssl_ctx_cache_expiry>0.2</ssl_ctx_cache_expiry>") as service:
        with connect() as old:
            before = old.getpeercert(binary_form=True)
            issue()
            service.daemon.wait_for("the certificates were renewed")
            with connect() as new:
                assert new.getpeercert(binary_form=True) != before
                assert echoed(new)
            assert echoed(old)
        with service.console() as console:
            assert "reloads=1" in console.ask("show tls")


def test_a_socket_of_systemd_is_taken_over(echoing, tmp_path):
    """A small program stands for systemd: it opens the socket, and becomes the service."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        (tmp_path / "echo.conf").write_text(
            f"""<echo>
              <modules><generic image="echo" name="echo"/></modules>
              <listeners><listener type="echo" address="127.0.0.1" port="{port}" systemd="echo"/></listeners>
            </echo>"""
        )
        activator = tmp_path / "activator.py"
        activator.write_text(
            textwrap.dedent(
                """
                import os, sys

                os.dup2(int(sys.argv[1]), 3, inheritable=True)
                os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "echo"}
                os.execv(sys.argv[2], sys.argv[2:])
                """
            )
        )
        descriptor = listening.fileno()
        listening.set_inheritable(True)
        command = [str(echoing.python), "-m", "mtev_kernel", "-c", str(tmp_path / "echo.conf")]
        argv = [sys.executable, str(activator), str(descriptor), *command]
        with Daemon(argv, env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path, pass_fds=(descriptor,)) as daemon:
            daemon.wait_for(rf"echo listens on 127\.0\.0\.1:{port}")
            listening.close()
            daemon.wait_for("ready: ")
            with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as client:
                assert echoed(client)
            assert daemon.stop() == 0


BLOCKER = """
import asyncio, pathlib

from mtev_kernel import Plugin
from mtev_listener import Listeners


class Blocker(asyncio.Protocol):
    def __init__(self, connection):
        pass

    def data_received(self, data):
        pathlib.Path(data.decode()).read_text()


class BlockerPlugin(Plugin):
    def configure(self):
        self.context.services.require(Listeners).register_type("blocker", Blocker)
"""


@pytest.fixture(scope="module")
def with_blocker(environment, own_wheels, tmp_path_factory):
    """Everything of ours, the echo, and a plugin that blocks its loop until somebody writes into a named pipe."""
    project = tmp_path_factory.mktemp("blocker")
    package = project / "src" / "acme_blocker"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(BLOCKER)
    (package / "plugin.toml").write_text(
        'id = "acme.blocker"\nsummary = "for a test"\napi = "1.0"\nrequires = ["listener"]\n'
    )
    (project / "pyproject.toml").write_text(
        textwrap.dedent(
            """
            [project]
            name = "acme-blocker"
            version = "1.0"
            description = "for a test"
            requires-python = ">=3.11"

            [project.entry-points."mtev.manifests"]
            "acme.blocker" = "acme_blocker:plugin.toml"

            [project.entry-points."mtev.plugins"]
            "acme.blocker" = "acme_blocker:BlockerPlugin"
            """
        )
    )
    wheels = tmp_path_factory.mktemp("wheels")
    return environment(own_wheels, [write_wheel(ECHO, wheels), write_wheel(project, wheels)])


def state_of_the_eventer(service: EchoService) -> str:
    (state,) = (each["state"] for each in service.json("/mtev/plugins.json") if each["name"] == "eventer")
    return state


def test_a_loop_that_does_not_turn_is_named_and_the_others_go_on(with_blocker, tmp_path):
    listeners = {"plain": PLAIN, "blocker": '<listener type="blocker" port="0" fanout_pool="slow"/>'}
    module = '<generic image="acme.blocker" name="acme.blocker"/>'
    keys = "<loop_slow>1</loop_slow><blocked_threshold>200</blocked_threshold>"
    with EchoService(with_blocker, tmp_path, listeners, eventer=keys, modules=module) as service:
        service.faults = ("has not turned for",)
        with service.connect("blocker") as client, service.connect("plain") as other:
            pipe = tmp_path / "pipe"
            os.mkfifo(pipe)
            client.sendall(str(pipe).encode())
            line = service.daemon.wait_for(r"the loop (e:slow/\d+) has not turned for .*; it is at (.*)")
            assert "data_received" in line[2]
            assert echoed(other)
            until(lambda: state_of_the_eventer(service) == "degraded", "the eventer is degraded")
            pipe.write_text("go on")
            service.daemon.wait_for(rf"the loop {line[1]} turns again, after")
            until(lambda: state_of_the_eventer(service) == "running", "the eventer is well again")
