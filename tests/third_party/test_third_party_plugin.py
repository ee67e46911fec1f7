"""A stranger's plugin, built into a wheel and installed beside ours, has the standing of ours."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from clients import Console, get
from wheel_writer import write_wheel

PROJECT = Path(__file__).resolve().parents[2] / "examples" / "third_party" / "acme-mtev-uptime"

NEEDED = ("conf", "stats", "eventer", "tls", "listener", "http", "telnet")
ALL = ("mtev-kernel", *(f"mtev-{name}" for name in NEEDED))

CONFIG = """
<shop>
  <uptime label="till 4"><milestone seconds="0.05"/><milestone seconds="86400"/></uptime>
  <listeners address="127.0.0.1">
    <listener type="mtev_console" port="0"/>
    <listener type="http_rest_api" port="0"/>
  </listeners>
  <rest><acl><rule type="allow" ip="127.0.0.1"/></acl></rest>
</shop>
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return write_wheel(PROJECT, tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def installed(environment, wheel):
    return environment(ALL, [wheel])


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    file = tmp_path_factory.mktemp("config") / "shop.conf"
    file.write_text(CONFIG)
    return file


def port(daemon, kind):
    return int(daemon.wait_for(rf"{kind} listens on 127\.0\.0\.1:(\d+)")[1])


def test_the_listing_shows_it_like_ours(installed, config):
    done = installed.run("--list-plugins", "--json", "-c", config)
    assert done.returncode == 0, done.stderr
    listed = {each["id"]: each for each in json.loads(done.stdout)["plugins"]}
    stranger, ours = listed["acme.uptime"], listed["http"]
    assert stranger["distribution"] == "acme-mtev-uptime"
    assert (stranger["origin"], ours["origin"]) == ("third-party", "first-party")
    assert stranger["state"] == ours["state"] == "enabled"
    assert stranger["where"] == f"{config}:3"
    assert stranger.keys() == ours.keys()
    table = installed.run("--list-plugins").stdout
    assert ["acme.uptime", "1.0.0", "acme-mtev-uptime", "third-party", "stable", "found", "1.0"] in [
        line.split() for line in table.splitlines()
    ]


def test_its_hook_point_is_listed_with_who_is_attached(installed, config):
    done = installed.run("--list-plugins", "--hooks", "--json", "-c", config)
    hooks = {each["name"]: each for each in json.loads(done.stdout)["hooks"]}
    assert hooks["acme_uptime_reached"]["owner"] == "acme.uptime"
    for name in ("mtev_rest_routes", "mtev_console_commands", "mtev_conf_changed"):
        assert "acme.uptime" in {each["plugin"] for each in hooks[name]["attached"]}


def test_it_answers_over_http_and_on_the_console_and_tells_of_milestones(installed, config):
    with installed.start("-c", config) as daemon:
        daemon.wait_for("till 4 has been up for 0.05 s")
        status, body = get(port(daemon, "http_rest_api"), "/acme/uptime.json")
        told = json.loads(body)
        assert status == 200
        assert (told["label"], told["reached"], told["ahead"]) == ("till 4", [0.05], [86400])
        with Console(port(daemon, "mtev_console"), "shop# ") as console:
            assert console.ask("show uptime").startswith("label: till 4\n")
            assert "plugin 'acme.uptime' (acme-mtev-uptime 1.0.0)" in console.ask("help show uptime")
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.text


def test_it_works_with_nothing_but_what_it_declares(environment, wheel, tmp_path):
    alone = environment(("mtev-kernel", "mtev-conf"), [wheel])
    file = tmp_path / "shop.conf"
    file.write_text('<shop><uptime label="till 4"><milestone seconds="0.05"/></uptime></shop>')
    with alone.start("-c", file) as daemon:
        daemon.wait_for("till 4 has been up for 0.05 s")
        assert daemon.stop() == 0


def test_safe_mode_leaves_it_out(installed, config):
    listed = json.loads(installed.run("--list-plugins", "--json", "-c", config, "--safe-mode").stdout)["plugins"]
    (stranger,) = [each for each in listed if each["id"] == "acme.uptime"]
    assert stranger["state"] == "refused"
    assert "--safe-mode" in stranger["error"]
    checked = installed.run("--check", "-c", config, "--safe-mode")
    assert checked.returncode == 0, "the service comes up without it"
    assert f"{config}:3: warning" in checked.stdout


def test_its_own_tests_pass_where_nothing_is_built(tmp_path):
    project = tmp_path / "acme-mtev-uptime"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=project, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b\d+ passed", done.stdout), done.stdout
