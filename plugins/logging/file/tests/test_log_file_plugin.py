"""Log files in a running service."""

from __future__ import annotations

import importlib.resources
import json
import logging
import shutil
import threading
from xml.etree import ElementTree

import pytest

from mtev_kernel import ConfigurationError, ExitCode
from mtev_kernel.testing import NotReady, PluginConformance
from mtev_log import Logs
from mtev_log_file.plugin import LogFilePlugin


class TestConformance(PluginConformance):
    plugin = "log.file"
    config = "<app><logs><log name='x' type='file' path='/dev/null'/></logs></app>"


def service(path, attributes="type='file'"):
    return f"""<app>
      <logs>
        <log name="out" path="{path}" facility="on" {attributes}/>
        <log name="error"><outlet name="out"/></log>
      </logs></app>"""


def test_lines_are_in_a_synchronous_file_when_the_call_returns(mtev_kernel, tmp_path):
    path = tmp_path / "x.log"
    running = mtev_kernel(service(path, "type='file_synch'"))
    logging.getLogger("acme").error("boom")
    assert path.read_text() == "[error/acme] boom\n"
    running.stop()


def test_lines_are_in_the_file_when_the_service_has_stopped(mtev_kernel, tmp_path):
    path = tmp_path / "x.log"
    running = mtev_kernel(service(path))
    for number in range(1000):
        logging.getLogger("acme").error("boom %d", number)
    running.stop()
    assert path.read_text().splitlines() == [f"[error/acme] boom {number}" for number in range(1000)]


def test_rotation_loses_no_line_and_doubles_none(mtev_kernel, tmp_path):
    path = tmp_path / "x.log"
    running = mtev_kernel(service(path, "type='file' rotate_bytes='102400' overflow='block'"))
    stream = running.service(Logs).stream("error/acme")
    threads = [
        threading.Thread(target=lambda each=each: [stream.log("%d %d %s", each, n, "x" * 80) for n in range(3000)])
        for each in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running.stop()
    files = sorted(tmp_path.glob("x.log*"), key=lambda each: int(each.suffix[1:]) if each.suffix != ".log" else 10**12)
    assert len(files) > 3
    lines = [line.split()[1:3] for each in files for line in each.read_text().splitlines()]
    for each in range(4):
        assert [int(number) for thread, number in lines if int(thread) == each] == list(range(3000))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("rotate_bytes='100'", "rotate_bytes='100' is too small; at least 102400 bytes"),
        ("rotate_seconds='1m'", "rotate_seconds='1m' is not a whole number of seconds"),
    ],
)
def test_a_rotation_that_is_not_allowed_is_refused_with_its_place(mtev_kernel, tmp_path, attributes, message):
    with pytest.raises(NotReady, match=rf"service.conf:3: <log>: 'out': {message}"):
        mtev_kernel(service(tmp_path / "x.log", f"type='file' {attributes}"))


def test_json_with_fields(mtev_kernel, tmp_path):
    path = tmp_path / "x.log"
    running = mtev_kernel(service(path, "type='file' format='json'"))
    running.service(Logs).stream("error/acme").log("boom", peer="192.0.2.1")
    assert running.service(Logs).flush()
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["peer"] == "192.0.2.1"


def test_a_missing_directory_stops_the_start_with_the_place(mtev_kernel, tmp_path):
    with pytest.raises(NotReady) as caught:
        mtev_kernel(service(tmp_path / "missing" / "x.log"))
    text = str(caught.value)
    assert "service.conf:3: <log>: 'out': it cannot be opened: [Errno 2] No such file or directory" in text
    assert caught.value.running.wait() == ExitCode.CONFIG


def test_no_path_is_refused_by_a_check(mtev_kernel):
    with pytest.raises(NotReady, match=r"service.conf:1: <log>: 'x': type='file' needs to know where to write"):
        mtev_kernel("<app><logs><log name='x' type='file'/></logs></app>")


def test_a_vanished_directory_degrades_the_service_and_its_return_heals_it(mtev_kernel, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("mtev_log_file.backend.CHECK_S", 0.0)
    monkeypatch.setattr("mtev_log.sink.RETRY_S", 0.0)
    directory = tmp_path / "logs"
    directory.mkdir()
    path = directory / "x.log"
    running = mtev_kernel(service(path))
    stream = running.service(Logs).stream("error/acme")
    stream.log("before")
    logs = running.service(Logs)
    assert logs.flush()
    shutil.rmtree(directory)
    stream.log("during")
    assert not logs.flush()
    while running.plugin("log").state != "degraded":
        threading.Event().wait(0.001)
    assert "No such file or directory" in running.plugin("log").cause
    directory.mkdir()
    stream.log("after")
    while not (logs.flush() and running.plugin("log").state == "running"):
        threading.Event().wait(0.001)
    assert path.read_text().splitlines()[:2] == ["[error/acme] during", "[error/acme] after"]
    told = [line for line in capfd.readouterr().err.splitlines() if "mtev-log:" in line]
    assert [line.partition("mtev-log: log 'out' ")[2].split(":")[0] for line in told] == [
        "(type 'file') fails",
        "works again; lost lines",
    ]
    assert told[1].endswith("lost lines: 0")


def test_options_in_a_generic_are_refused(make_context):
    with pytest.raises(ConfigurationError, match="'log.file' has no options"):
        LogFilePlugin(make_context("log.file", config={"a": "1"})).configure()


def test_the_sample_is_well_formed():
    ElementTree.fromstring(importlib.resources.files("mtev_log_file").joinpath("sample.xml").read_text())
