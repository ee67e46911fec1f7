"""Syslog in a running service."""

from __future__ import annotations

import importlib.resources
import logging
import re
import socket
from xml.etree import ElementTree

import pytest

from mtev_kernel import ConfigurationError
from mtev_kernel.testing import NotReady, PluginConformance
from mtev_log import Logs
from mtev_log_syslog.plugin import LogSyslogPlugin


class TestConformance(PluginConformance):
    plugin = "log.syslog"
    config = "<app><logs><log name='x' type='syslog' path='udp://127.0.0.1:9'/></logs></app>"


def service(path, type="syslog", config=""):
    return f"""<app>
      <logs>
        <log name="out" path="{path}" type="{type}"><config>{config}</config></log>
        <log name="error"><outlet name="out"/></log>
      </logs></app>"""


def test_lines_are_sent_in_the_name_of_the_service(mtev_kernel, datagrams):
    receiver = datagrams(socket.AF_INET, ("127.0.0.1", 0))
    running = mtev_kernel(service(f"udp://127.0.0.1:{receiver.address[1]}", config="<hostname>h</hostname>"))
    logging.getLogger("acme").error("boom")
    assert running.service(Logs).flush()
    running.stop()
    (message,) = receiver.all()
    assert message.startswith(b"<27>1 ")
    assert b" h app " in message
    assert message.endswith(b" error/acme - boom")


def test_lines_reach_the_journal(mtev_kernel, datagrams, tmp_path):
    receiver = datagrams(socket.AF_UNIX, str(tmp_path / "journal"))
    running = mtev_kernel(service(receiver.address, "journald"))
    logging.getLogger("acme").error("boom")
    running.stop()
    (entry,) = receiver.all()
    assert entry.startswith(b"MESSAGE=boom\nPRIORITY=3\n")
    assert b"\nSYSLOG_IDENTIFIER=app\n" in entry


def test_no_line_is_lost_while_the_receiver_is_away(mtev_kernel, streams, monkeypatch, capfd):
    monkeypatch.setattr("mtev_log.sink.RETRY_S", 0.0)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = bound.getsockname()
    running = mtev_kernel(service(f"tcp://127.0.0.1:{address[1]}"))
    logs = running.service(Logs)
    stream = logs.stream("error/acme")
    for number in range(500):
        stream.log("%d", number)
    assert not logs.flush()
    receiver = streams(socket.AF_INET, address)
    for number in range(500, 1000):
        stream.log("%d", number)
    for _ in range(1000):
        if logs.flush():
            break
    running.stop()
    received = b"".join(receiver.ended()).decode()
    numbers = []
    rest = received
    while match := re.match(r"(\d+) ", rest):
        end = match.end() + int(match[1])
        numbers.append(int(rest[match.end() : end].rpartition(" ")[2]))
        rest = rest[end:]
    assert numbers == list(range(1000))
    assert "log 'out' (type 'syslog') fails: tcp://127.0.0.1" in capfd.readouterr().err


def test_a_bad_option_is_refused_with_its_place(mtev_kernel):
    with pytest.raises(NotReady, match=r"service.conf:3: <log>: 'out': facility='x': there is no facility 'x'"):
        mtev_kernel(service("", config="<facility>x</facility>"))


def test_a_missing_authority_stops_the_start(mtev_kernel, tmp_path):
    with pytest.raises(NotReady, match=r"service.conf:3: <log>: 'out': it cannot be opened: ca_chain='.*missing'"):
        mtev_kernel(service("tls://127.0.0.1:1", config=f"<ca_chain>{tmp_path / 'missing'}</ca_chain>"))


def test_options_in_a_generic_are_refused(make_context):
    with pytest.raises(ConfigurationError, match="'log.syslog' has no options"):
        LogSyslogPlugin(make_context("log.syslog", config={"a": "1"})).configure()


def test_the_sample_is_well_formed():
    ElementTree.fromstring(importlib.resources.files("mtev_log_syslog").joinpath("sample.xml").read_text())
