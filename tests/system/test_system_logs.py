"""The log of a whole daemon under load: rotation of its own and by others, a journal, and what the statistics say."""

from __future__ import annotations

import json
import threading

import pytest
from clients import Console, get
from echo_service import until

CONSOLES, LINES = 3, 600
STREAMS = """<logs>
  <log name="rotated" type="file" path="{folder}/rotated.log" rotate_bytes="102400"/>
  <log name="moved" type="file" path="{folder}/moved.log"/>
  <log name="journal" type="jlog" path="{folder}/journal(reader)" stats="on">
    <config><segment_size>20000</segment_size><durability>batch</durability></config>
  </log>
  <log name="some" type="file" path="{folder}/some.log"/>
  <log name="load">
    <outlet name="rotated"/><outlet name="moved"/><outlet name="journal"/>
    <outlet name="some" filter="message ~ '^1 '"/>
  </log>
</logs>"""


@pytest.fixture
def configuration(with_logs, tmp_path):
    return with_logs(STREAMS.format(folder=tmp_path))


def numbers(lines):
    """The numbers of the lines of each console, in the order in which they were written."""
    found = {str(each): [] for each in range(CONSOLES)}
    for line in lines:
        console, number, _ = line.split()
        found[console].append(int(number))
    return found


def test_no_line_is_lost_or_doubled_however_files_are_rotated(installed, configuration, tmp_path):
    everything = {str(each): list(range(LINES)) for each in range(CONSOLES)}
    with installed.start("-c", configuration) as daemon:
        http = int(daemon.wait_for(r"REST: curl http://127\.0\.0\.1:(\d+)/hello/you")[1])
        telnet = int(daemon.wait_for(r"console: telnet 127\.0\.0\.1 (\d+)")[1])
        daemon.wait_for(r"ready: \d+ plugins")
        done = threading.Event()

        def load(name):
            with Console(telnet, "demo# ") as console:
                for number in range(LINES):
                    console.ask(f"log to load {name} {number} {'x' * 200}")

        def move():
            count = 0
            while not done.wait(0.05):
                (tmp_path / "moved.log").rename(tmp_path / f"moved.{count:04}")
                until(lambda: (tmp_path / "moved.log").exists() or done.is_set(), "the file is made again")
                count += 1

        threads = [threading.Thread(target=load, args=(each,)) for each in range(CONSOLES)]
        mover = threading.Thread(target=move)
        for thread in (*threads, mover):
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        mover.join()
        until(lambda: figure(http, "written", "journal") == CONSOLES * LINES, "the journal has every line")
        assert figure(http, "lines", "journal") == CONSOLES * LINES
        assert figure(http, "lost", "rotated") == figure(http, "failing", "moved") == 0
        assert figure(http, "written", "some") == LINES
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.text
    rotated = sorted(tmp_path.glob("rotated.log.*"), key=lambda path: int(path.suffix[1:]))
    assert len(rotated) >= 2
    lines = [line for path in [*rotated, tmp_path / "rotated.log"] for line in path.read_text().splitlines()]
    assert numbers(lines) == everything
    moved = sorted(tmp_path.glob("moved.0*"))
    assert moved
    lines = [
        line for path in [*moved, tmp_path / "moved.log"] if path.exists() for line in path.read_text().splitlines()
    ]
    assert numbers(lines) == everything
    assert numbers((tmp_path / "some.log").read_text().splitlines()) == {**everything, "0": [], "2": []}
    done = installed.run_module("mtev_log_jlog.cli", "read", tmp_path / "journal", "reader", "--commit")
    assert (done.returncode, done.stderr) == (0, "")
    assert numbers(done.stdout.splitlines()) == everything
    assert len(list((tmp_path / "journal").glob("0*"))) == 1, "what is consumed is removed"


def figure(http, name, stream):
    """What the statistics say of a stream."""
    status, body = get(http, "/mtev/stats.json")
    assert status == 200
    return json.loads(body)["mtev"]["log"][name][stream]["_value"]
