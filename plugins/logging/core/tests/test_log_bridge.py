"""The standard library's logging, led into the streams."""

from __future__ import annotations

import logging
import threading
import warnings

import pytest

from mtev_kernel.hooks import HookRegistry
from mtev_log import LogHandler, Logs, bridge, hookspecs
from mtev_log.backend import BackendSettings
from mtev_log.configuration import StreamSettings


class Kept:
    def __init__(self, settings):
        self.records = []
        self.on_write = lambda: None

    def open(self): ...
    def flush(self): ...
    def reopen(self): ...
    def close(self): ...

    def write(self, records):
        self.records += records
        self.on_write()


class Setup:
    def __init__(self):
        registry = HookRegistry(lambda failure: None)
        registry.declare("log", "mtev-log", hookspecs)
        self.logs = Logs(registry.site(hookspecs.mtev_log_line))
        self.complaints = []
        self.logs.complain = self.complaints.append
        self.logs.register_backend("kept", Kept, synchronous=True)
        self.logs.configure([StreamSettings(BackendSettings("kept", type="kept"), True, None, None, None, (), None)])
        for name in ("error", "debug"):
            self.logs.connect(name, "kept")
            self.logs.disconnect(name, "stderr")
        self.logs.open()
        self.kept = self.logs.backend("kept")
        self.bridge = bridge.Bridge(self.logs)

    def said(self):
        return [(record.facility, record.message) for record in self.kept.records]


@pytest.fixture
def setup():
    made = Setup()
    made.bridge.install()
    yield made
    made.bridge.remove()
    made.logs.close()


def test_levels_and_loggers_become_streams(setup):
    logger = logging.getLogger("acme.peer")
    logger.critical("a %s", "critical")
    logger.error("an error")
    logger.warning("a warning")
    logger.info("an info")
    logger.debug("not shown")
    assert setup.said() == [
        ("error/acme/peer", "a critical"),
        ("error/acme/peer", "an error"),
        ("notice/acme/peer", "a warning"),
        ("notice/acme/peer", "an info"),
    ]
    assert [record.level for record in setup.kept.records] == [50, 40, 30, 20]


def test_records_keep_their_data(setup):
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("acme").exception("it failed", extra={"peer": "192.0.2.1"})
    (record,) = setup.kept.records
    assert record.fields == {"peer": "192.0.2.1"}
    assert record.exception.endswith("ValueError: why")
    assert record.file == __file__
    assert record.thread_id == threading.get_native_id()
    assert record.thread_name == threading.current_thread().name


def test_debug_is_let_through_while_a_debug_stream_is_material(setup):
    logger = logging.getLogger("acme.debug")
    assert not logger.isEnabledFor(logging.DEBUG)
    setup.logs.set_flags("debug", enabled=True)
    logger.debug("shown")
    logging.getLogger("mtev.acme").debug("shown too")
    setup.logs.set_flags("debug", enabled=False)
    logger.debug("not shown")
    assert setup.said() == [("debug/acme/debug", "shown"), ("debug/acme", "shown too")]


def test_everything_is_put_back():
    root, ours = logging.getLogger(), logging.getLogger("mtev")
    ours.setLevel(logging.ERROR)
    root.setLevel(logging.CRITICAL)
    before = list(root.handlers)
    made = Setup()
    made.bridge.remove()
    made.bridge.install()
    made.bridge.install()
    assert len(root.handlers) == len(before) + 1
    assert ours.getEffectiveLevel() == logging.INFO
    made.bridge.remove()
    made.bridge.remove()
    assert root.handlers == before
    assert (root.level, ours.level) == (logging.CRITICAL, logging.ERROR)
    made.logs.set_flags("debug", enabled=True)
    assert root.level == logging.CRITICAL
    root.setLevel(logging.WARNING)
    ours.setLevel(logging.NOTSET)


def test_arguments_that_do_not_fit_cost_no_line_and_no_exception(setup):
    # Straight to the handler: pytest's own raises for such a record.
    setup.bridge._handler.handle(logging.LogRecord("acme", 40, __file__, 1, "%d apples", ("no",), None))
    ((_, message),) = setup.said()
    assert message.startswith("%d apples ('no',) (cannot be formatted: ")


def test_a_backend_that_logs_makes_no_loop(setup):
    def chatter():
        logging.getLogger("client").info("sending")
        logging.getLogger("client").warning("slow")

    setup.kept.on_write = chatter
    for _ in range(2):
        logging.getLogger("acme").error("once")
    assert setup.said() == [("error/acme", "once")] * 2
    assert setup.complaints == ["logged while logging, not said again: client: slow"]
    assert setup.logs.nested == 3


def test_a_backend_that_logs_in_one_thread_while_another_logs_cannot_deadlock(setup):
    setup.kept.on_write = lambda: logging.getLogger("client").error("while writing")
    threads = [
        threading.Thread(target=lambda: [logging.getLogger("acme").error("x") for _ in range(100)], name=f"t{number}")
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(setup.kept.records) == 400


def test_loggers_without_end_share_a_stream(setup, monkeypatch):
    monkeypatch.setattr(bridge, "MAX_LOGGERS", 2)
    for number in range(4):
        record = logging.LogRecord(f"peer-{number}", logging.ERROR, __file__, 1, "x", None, None)
        logging.getLogger().handle(record)
    assert [facility for facility, _ in setup.said()] == ["error/peer-0", "error/peer-1", "error", "error"]


def test_a_logger_whose_name_no_stream_can_have(setup):
    logging.getLogger().handle(logging.LogRecord("a\nb", logging.ERROR, __file__, 1, "x", None, None))
    assert setup.said() == [("error", "x")]


def test_a_stream_can_be_a_handler_of_the_standard_library(setup):
    logger = logging.getLogger("acme.audit")
    logger.propagate = False
    handler = LogHandler(setup.logs.stream("error/audit"), logging.WARNING)
    logger.addHandler(handler)
    try:
        logger.warning("who %s", "where", extra={"user": ["a"]})
        logger.info("too low")
        handler.addFilter(lambda record: False)
        logger.error("filtered")
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
    (record,) = setup.kept.records
    assert (record.facility, record.message, record.level) == ("error/audit", "who where", logging.WARNING)
    assert record.fields == {"user": ["a"]}


def test_warnings_are_captured_while_it_is_installed():
    made = Setup()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        shown = warnings.showwarning
        made.bridge.install()
        warnings.warn("odd", UserWarning, stacklevel=1)
        made.bridge.remove()
        assert warnings.showwarning is shown
    (said,) = made.said()
    assert said[0] == "notice/py/warnings"
    assert "UserWarning: odd" in said[1]


def test_what_a_record_holds_is_copied(setup):
    peers = ["a"]
    logging.getLogger("acme").error("x", extra={"peers": peers})
    peers.append("b")
    assert setup.kept.records[0].fields == {"peers": ["a"]}
