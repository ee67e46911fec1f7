"""A whole daemon whose disk is full goes on, says so and recovers. A limit on the size of files stands for the disk."""

from __future__ import annotations

import json
import resource

import pytest
from clients import Console, get
from echo_service import until

LIMIT_BYTES, QUEUE_LINES, LINES = 20_000, 50, 300
STREAMS = """<logs>
  <log name="load" type="file" path="{folder}/made/load.log" queue_lines="{queue}">
    <config><make_directories>on</make_directories></config>
  </log>
</logs>"""


@pytest.fixture
def configuration(with_logs, tmp_path):
    return with_logs(STREAMS.format(folder=tmp_path, queue=QUEUE_LINES))


def test_a_full_disk_costs_only_what_the_queue_cannot_hold(installed, configuration, tmp_path):
    log = tmp_path / "made" / "load.log"
    with installed.start("-c", configuration) as daemon:
        http = int(daemon.wait_for(r"REST: curl http://127\.0\.0\.1:(\d+)/hello/you")[1])
        telnet = int(daemon.wait_for(r"console: telnet 127\.0\.0\.1 (\d+)")[1])
        daemon.wait_for(r"ready: \d+ plugins")
        _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (LIMIT_BYTES, hard))
        with Console(telnet, "demo# ") as console:
            for number in range(LINES):
                console.ask(f"log to load {number} {'x' * 200}")
            until(lambda: state_of_the_log(http) == "degraded", "the log is degraded")
            assert get(http, "/hello/you")[0] == 200, "it goes on serving"
            daemon.wait_for(r"mtev-log: log 'load' \(type 'file'\) fails: \[Errno 27\] File too large")
            assert log.stat().st_size == LIMIT_BYTES
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (hard, hard))
            daemon.wait_for(r"mtev-log: log 'load' works again; lost lines: [1-9]")
            until(lambda: state_of_the_log(http) == "running", "the log is well again")
            console.ask("log to load the-end")
        lost = figure(http, "lost")
        assert lost > 0
        assert figure(http, "failing") == 0
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.text
    found = [each.split() for each in log.read_text().splitlines()]
    whole = [int(each[0]) for each in found if each[-1] == "x" * 200]
    assert whole == sorted(set(whole)), "in order, and nothing twice"
    assert len(whole) == LINES - lost
    assert found[-1] == ["the-end"]
    others = [each for each in found[:-1] if each[-1] != "x" * 200]
    (half,) = [each for each in others if "lost:" not in each]
    assert int(half[0]) in whole, "what was cut short came again"
    told = [int(each[each.index("lines") - 1]) for each in others if "lost:" in each]
    assert sum(told) == lost


def state_of_the_log(http):
    """How the plugin `log` is."""
    (state,) = (each["state"] for each in json.loads(get(http, "/mtev/plugins.json")[1]) if each["name"] == "log")
    return state


def figure(http, name):
    """What the statistics say of the stream."""
    return json.loads(get(http, "/mtev/stats.json")[1])["mtev"]["log"][name]["load"]["_value"]
