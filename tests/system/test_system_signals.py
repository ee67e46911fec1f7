"""Signals: an orderly stop, an immediate one, and the configuration read again."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from clients import get
from daemon import Daemon

CONFIGURATION = """\
<app>
  <listeners>
    <listener type="http_rest_api" address="127.0.0.1" port="0"/>
  </listeners>
  <rest>
    <acl><rule type="{type}" ip="127.0.0.1/32"/></acl>
  </rest>
</app>
"""


@pytest.fixture
def configuration(tmp_path) -> Path:
    path = tmp_path / "app.conf"
    path.write_text(CONFIGURATION.format(type="deny"))
    return path


def port(daemon: Daemon) -> int:
    found = daemon.wait_for(r"http_rest_api listens on 127\.0\.0\.1:(\d+)")
    daemon.wait_for("ready: ")
    return int(found[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_the_first_signal_stops_in_order(installed, configuration, number):
    with installed.start("-c", configuration) as daemon:
        port(daemon)
        daemon.signal(number)
        assert daemon.end() == 0
    assert f"{number.name}: draining and stopping" in daemon.text
    assert daemon.lines[-1].endswith("stopped: exit code 0")
    assert "Traceback" not in daemon.text


def test_reading_the_configuration_again_takes_effect(installed, configuration):
    with installed.start("-c", configuration) as daemon:
        where = port(daemon)
        assert get(where, "/capa.json")[0] == 403
        configuration.write_text(CONFIGURATION.format(type="allow"))
        daemon.reload()
        status, body = get(where, "/capa.json")
        assert status == 200
        assert "http" in json.loads(body)["modules"]
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("<app>\n<listeners>\n</app>", r"reload failed, the configuration in force stays: .*app\.conf:3"),
        (None, r"reload failed, the configuration in force stays: .*app\.conf"),
    ],
    ids=["malformed", "missing"],
)
def test_a_broken_file_leaves_the_configuration_in_force(installed, configuration, broken, told):
    configuration.write_text(CONFIGURATION.format(type="allow"))
    with installed.start("-c", configuration) as daemon:
        where = port(daemon)
        if broken is None:
            configuration.unlink()
        else:
            configuration.write_text(broken)
        daemon.signal(signal.SIGHUP)
        daemon.wait_for(told)
        assert get(where, "/capa.json")[0] == 200

        configuration.write_text(CONFIGURATION.format(type="deny"))
        daemon.reload()
        assert get(where, "/capa.json")[0] == 403
        assert daemon.stop() == 0


def test_rules_that_make_no_sense_leave_the_old_ones_in_force(installed, configuration):
    configuration.write_text(CONFIGURATION.format(type="allow"))
    with installed.start("-c", configuration) as daemon:
        where = port(daemon)
        configuration.write_text(CONFIGURATION.format(type="perhaps"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_for(r"app\.conf:6.*perhaps")
        assert get(where, "/capa.json")[0] == 200
        assert daemon.stop() == 0
