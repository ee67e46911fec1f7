"""The demo, as a user would start it, over HTTP and telnet."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

import pytest
from clients import Console, get
from daemon import Daemon


@dataclass(frozen=True)
class Demo:
    daemon: Daemon
    http: int
    telnet: int

    def console(self) -> Console:
        return Console(self.telnet, "demo# ")


def ports(daemon: Daemon) -> Demo:
    """The ports that the demo tells its user."""
    http = daemon.wait_for(r"REST: curl http://127\.0\.0\.1:(\d+)/hello/you")
    telnet = daemon.wait_for(r"console: telnet 127\.0\.0\.1 (\d+)")
    daemon.wait_for(r"ready: \d+ plugins")
    return Demo(daemon, int(http[1]), int(telnet[1]))


@pytest.fixture(scope="module")
def running(installed, demo_text, tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "demo.conf"
    path.write_text(demo_text)
    with installed.start("-c", path) as daemon:
        yield ports(daemon)
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.text


def test_it_greets_over_http_and_counts_on_the_console(running):
    with running.console() as console:
        before = int(console.ask("show demo").partition(": ")[2])
        assert get(running.http, "/hello/you") == (200, "Hello, you.\n")
        assert get(running.http, "/hello") == (200, "Hello, world.\n")
        assert console.ask("show demo") == f"greetings: {before + 2}\n"


def test_capabilities_tell_who_is_there(running):
    status, body = get(running.http, "/capa.json")
    assert status == 200
    told = json.loads(body)
    assert {"conf", "demo", "eventer", "http", "listener", "log", "telnet"} <= set(told["modules"])


def test_the_listing_of_sockets_is_the_same_over_http_and_on_the_console(running):
    status, body = get(running.http, "/eventer/sockets.json")
    assert status == 200
    listening = {each["local"]["port"] for each in json.loads(body) if each["callback"] == "listener_acceptor"}
    assert listening == {running.http, running.telnet}
    with running.console() as console:
        shown = console.ask("show eventer debug sockets")
    assert all(f"listener_acceptor(127.0.0.1:{port})" in shown for port in listening)


def test_the_log_is_kept_in_memory(running):
    status, body = get(running.http, "/eventer/logs/internal.json")
    assert status == 200
    assert any("REST: curl http://127.0.0.1" in each["line"] for each in json.loads(body))


def test_what_is_not_there_is_said_so(running):
    status, body = get(running.http, "/nowhere")
    assert (status, json.loads(body)) == (404, {"error": "not found"})


def test_the_console_helps_and_ends(running):
    with running.console() as console:
        assert {"exit", "help", "show"} <= set(console.ask("?").split())
        assert "'show'" in console.ask("help")
        assert "version" in console.ask("sh ver")
        assert "frobnicate" in console.ask("frobnicate")
        console.ask("exit")
        assert console.rest() == ""


def test_the_second_instance_takes_its_words_from_the_environment(installed, demo):
    with installed.start("-c", demo, DEMO_GERMAN="1", DEMO_GREETING="Moin") as daemon:
        port = int(daemon.wait_for(r"REST: curl http://127\.0\.0\.1:(\d+)/hallo/you")[1])
        daemon.wait_for(r"ready: \d+ plugins")
        assert get(port, "/hallo/you") == (200, "Moin, you.\n")
        assert get(port, "/hello/you") == (200, "Hello, you.\n")
        assert daemon.stop() == 0


def test_open_connections_do_not_keep_it_from_stopping(installed, demo):
    with installed.start("-c", demo) as daemon, ports(daemon).console() as console:
        assert daemon.stop() == 0
        assert "stopping" in console.rest()


def test_an_installed_command_runs_it_too(installed, demo):
    """The script that installers make of the entry point."""
    command = [installed.folder / "bin" / "mtev-kernel", "--check", "-c", demo]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "0 errors, 0 warnings" in done.stderr


def test_in_safe_mode_the_listing_leaves_the_demo_out(installed, demo):
    done = installed.run("--list-plugins", "--safe-mode", "--json", "-c", demo)
    states = {each["name"]: each["state"] for each in json.loads(done.stdout)["plugins"]}
    assert states["demo"] not in ("enabled", "found")
    assert states["http"] == "enabled"
