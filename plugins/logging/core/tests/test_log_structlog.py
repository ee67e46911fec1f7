"""structlog on top of the streams, with the real structlog."""

from __future__ import annotations

import logging

import pytest
import structlog

from mtev_kernel import HookSite
from mtev_log import BackendSettings, Logs
from mtev_log.configuration import StreamSettings
from mtev_log.structlog import StreamLogger, StreamLoggers, as_fields


class Kept:
    def __init__(self, settings):
        self.records = []

    def open(self): ...
    def flush(self): ...
    def reopen(self): ...
    def close(self): ...

    def write(self, records):
        self.records += records


@pytest.fixture
def logs():
    made = Logs(HookSite("mtev_log_line"))
    made.register_backend("kept", Kept, synchronous=True)
    made.configure([StreamSettings(BackendSettings("k", type="kept"), True, None, None, None, (), None)])
    for name in ("error", "debug"):
        made.connect(name, "k")
        made.disconnect(name, "stderr")
    made.open()
    structlog.configure(processors=[as_fields], logger_factory=StreamLoggers(made), cache_logger_on_first_use=False)
    yield made
    structlog.reset_defaults()
    made.close()


def records(logs):
    return logs.backend("k").records


def test_events_become_lines_of_streams_by_level_and_name(logs):
    log = structlog.get_logger("acme.peer").bind(peer="a")
    log.info("served", status=200, names=["x"])
    log.error("failed")
    log.warning("odd")
    log.debug("not material")
    logs.set_flags("debug", enabled=True)
    log.debug("material")
    assert [(each.facility, each.message, each.level) for each in records(logs)] == [
        ("notice/acme/peer", "served", logging.INFO),
        ("error/acme/peer", "failed", logging.ERROR),
        ("notice/acme/peer", "odd", logging.WARNING),
        ("debug/acme/peer", "material", logging.DEBUG),
    ]
    assert records(logs)[0].fields == {"peer": "a", "status": 200, "names": ["x"]}
    assert {each.file for each in records(logs)} == {__file__}


def test_an_exception_comes_with_its_traceback(logs):
    try:
        raise ValueError("why")
    except ValueError:
        structlog.get_logger().exception("failed", n=1)
    (record,) = records(logs)
    assert record.facility == "error"
    assert record.exception.endswith("ValueError: why")
    assert record.fields == {"n": 1}


def test_a_method_that_structlog_does_not_know(logs):
    with pytest.raises(AttributeError, match="has no method 'shout'"):
        StreamLogger(logs, "x").shout("hello")
