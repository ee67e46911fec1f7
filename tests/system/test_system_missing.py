"""Take any one distribution away: what needs it says what to install, and the rest works."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import pytest
from clients import Console, get
from environment import Environment, projects

REST, CONSOLE = "control_dispatch", "mtev_console"


@dataclass(frozen=True)
class Missing:
    """A distribution that is not there.

    Args:
        distribution: its name.
        uses: what has to go from the demo's configuration so that nothing in it needs the distribution.
        left: listeners that answer then.
        warns: whether a stanza of its own may stay, and is reported.
    """

    distribution: str
    uses: tuple[str, ...]
    left: tuple[str, ...] = (REST, CONSOLE)
    warns: bool = False

    def __str__(self) -> str:
        return self.distribution


CASES = [
    Missing("mtev-eventer", ("./modules", "./listeners", "./rest", "./http_auth"), left=(), warns=True),
    Missing("mtev-http", ("./modules", "./http_auth"), left=(CONSOLE,), warns=True),
    Missing("mtev-http-auth", (".//generic[@image='http.auth']",), warns=True),
    Missing("mtev-http-cookie", (".//generic[@image='http_hmac_cookie']",)),
    Missing("mtev-http-observer", (".//generic[@image='http_observer']",)),
    Missing("mtev-http2", (".//generic[@image='http2']",)),
    Missing("mtev-listener", ("./modules", "./rest", "./listeners/*", "./http_auth"), left=(), warns=True),
    Missing("mtev-log", (".//log[@type]",), warns=True),
    Missing("mtev-log-file", (".//log[@type='file']",)),
    Missing("mtev-log-jlog", (".//log[@type='jlog']",)),
    Missing("mtev-log-memory", (".//log[@type='memory']", ".//outlet[@name='internal']")),
    Missing("mtev-log-syslog", (".//log[@type='syslog']",)),
    Missing("mtev-stats", ("./eventer", "./modules", "./listeners", "./rest", "./stats", "./http_auth"), left=()),
    Missing("mtev-tls", ("./modules", "./listeners", "./rest", "./http_auth"), left=()),
    Missing("mtev-telnet", ("./listeners/consoles",), left=(REST,)),
]

of_each = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(scope="module")
def without(installed, tmp_path_factory):
    """The environment without a distribution, made once for each."""
    made: dict[str, Environment] = {}

    def without(distribution: str) -> Environment:
        if distribution not in made:
            made[distribution] = installed.without(distribution, tmp_path_factory.mktemp("without"))
        return made[distribution]

    return without


@pytest.fixture
def write(demo_text, tmp_path):
    """Write the demo's configuration, with a file, a journal, syslog and all of HTTP added, less some."""

    def write(*taken_out: str) -> Path:
        root = ET.fromstring(demo_text.encode())
        logs = root.find("logs")
        ET.SubElement(logs, "log", name="file", type="file", path=str(tmp_path / "demo.log"))
        ET.SubElement(logs, "log", name="journal", type="jlog", path=str(tmp_path / "journal"))
        ET.SubElement(logs, "log", name="syslog", type="syslog", path="udp://127.0.0.1:9")
        ET.SubElement(root.find("modules"), "generic", image="http.auth", name="http.auth")
        ET.SubElement(ET.SubElement(root, "http_auth"), "certificate")
        cookie = ET.SubElement(root.find("modules"), "generic", image="http_hmac_cookie", name="http_hmac_cookie")
        ET.SubElement(ET.SubElement(cookie, "config"), "key").text = base64.b64encode(bytes(32)).decode()
        ET.SubElement(root.find("modules"), "generic", image="http_observer", name="http_observer")
        ET.SubElement(root.find("modules"), "generic", image="http2", name="http2")
        for path in taken_out:
            gone = root.findall(path)
            assert gone
            for parent in list(root.iter()):
                for child in list(parent):
                    if child in gone:
                        parent.remove(child)
        path = tmp_path / "demo.conf"
        ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
        return path

    return write


def test_the_demo_uses_everything(installed, write):
    done = installed.run("--list-plugins", "--json", "-c", write())
    assert {each["state"] for each in json.loads(done.stdout)["plugins"]} == {"enabled"}


@of_each
def test_the_listing_has_all_the_others(without, case):
    done = without(case.distribution).run("--list-plugins", "--json", "--strict")
    assert (done.returncode, done.stderr) == (0, "")
    there = {each["distribution"] for each in json.loads(done.stdout)["plugins"]}
    assert there == {"mtev-demo", *projects()} - {"mtev-kernel", case.distribution}


@of_each
def test_what_needs_it_says_what_to_install(without, write, case):
    done = without(case.distribution).run("--check", "-c", write())
    assert done.returncode == 78
    problems = done.stdout.splitlines()
    assert problems
    assert all(f"pip install {case.distribution}" in problem for problem in problems)
    assert "Traceback" not in done.stderr


@of_each
def test_the_rest_works(without, write, case):
    with without(case.distribution).start("-c", write(*case.uses)) as daemon:
        daemon.wait_for("ready: ")
        told = [line for line in daemon.lines if f"pip install {case.distribution}" in line]
        assert bool(told) == case.warns
        for kind in case.left:
            port = int(daemon.wait_for(rf"{kind} listens on 127\.0\.0\.1:(\d+)")[1])
            if kind == REST:
                assert get(port, "/hello/you") == (200, "Hello, you.\n")
            else:
                with Console(port, "demo# ") as console:
                    assert "version" in console.ask("show version")
        assert daemon.stop() == 0


def test_without_the_configuration_nothing_runs_but_the_listing(without, write):
    bare = without("mtev-conf")
    assert bare.run("--version").returncode == 0
    assert bare.run("--list-plugins", "--strict").returncode == 0
    done = bare.run("-c", write())
    assert done.returncode == 69
    assert "no installed plugin can read a configuration" in done.stderr
    assert "pip install mtev-conf" in done.stderr
