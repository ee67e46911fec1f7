"""Sockets, timers and queues in libmtev's shapes."""

from __future__ import annotations

import re
import threading

import pytest

from mtev_eventer import JobQueueStatus, SocketInfo, SocketTable, TimerInfo
from mtev_eventer._listing import jobqs_json, jobqs_lines, sockets_lines, timers_json, timers_lines

LISTENING = SocketInfo("http_rest_api", 7, local=("127.0.0.1", 8080), loop="e:default/0")
ACCEPTED = SocketInfo("console", 9, "SSL", "read|write", "web", ("::1", 32322), ("::1", 50000))
UNIX = SocketInfo("control", 8, local="/run/x.sock")
TIMER = TimerInfo("sweep", 1700000000.25, "default", "e:default/1")
QUEUE = JobQueueStatus("default_queue", 1, 5, 0, 8, "gc", "FIFO", 12, 3, 1, 2, 0.5, 1.25)


def test_sockets_json():
    table = SocketTable()
    for each in (LISTENING, ACCEPTED, UNIX):
        assert table.add(each) is each
    assert table.describe() == [
        {
            "callback": "http_rest_api",
            "fd": 7,
            "local": {"address": "127.0.0.1", "port": 8080},
            "impl": "POSIX",
            "mask": 1,
            "eventer_pool": "default",
        },
        {
            "callback": "console",
            "fd": 9,
            "local": {"address": "::1", "port": 32322},
            "remote": {"address": "::1", "port": 50000},
            "impl": "SSL",
            "mask": 3,
            "eventer_pool": "web",
        },
        {"callback": "control", "fd": 8, "impl": "POSIX", "mask": 1, "eventer_pool": "default"},
    ]


def test_two_sockets_that_look_alike_are_two():
    table = SocketTable()
    first, second = (table.add(SocketInfo("x", 3)) for _ in range(2))
    table.remove(first)
    table.remove(first)
    assert table.entries() == [second]
    assert len(table) == 1


def test_sockets_come_and_go_while_somebody_looks():
    table = SocketTable()
    stop = threading.Event()

    def look():
        while not stop.is_set():
            table.describe()

    def work():
        for number in range(500):
            table.remove(table.add(SocketInfo("x", number)))

    looker = threading.Thread(target=look)
    workers = [threading.Thread(target=work) for _ in range(4)]
    for thread in (looker, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    stop.set()
    looker.join()
    assert len(table) == 0


def test_sockets_on_the_console():
    lines = [re.sub(r"0x[0-9a-f]+", "PTR", line) for line in sockets_lines([LISTENING, ACCEPTED, UNIX])]
    assert lines == [
        "  [PTR] fd: 7 t@default:0 [r---] -> http_rest_api(127.0.0.1:8080)",
        "  [PTR] fd: 9 t@web [rw--] -> console([::1]:32322 <- [::1]:50000)",
        "  [PTR] fd: 8 t@default [r---] -> control(/run/x.sock)",
    ]


def test_timers():
    assert timers_json([TIMER]) == [{"callback": "sweep", "whence": 1700000000250, "eventer_pool": "default"}]
    assert list(timers_lines([TIMER], now=1700000000.0)) == ["  fires: 0.250000s t@default:1 [---t] -> sweep"]


def test_queues():
    assert jobqs_json([QUEUE]) == {
        "default_queue": {
            "concurrency": 1,
            "mode": "FIFO",
            "desired_concurrency": 5,
            "min_concurrency": 0,
            "max_concurrency": 8,
            "total_jobs": 12,
            "backlog": 3,
            "inflight": 1,
            "timeouts": 2,
            "avg_wait_ms": 0.5,
            "avg_run_ms": 1.25,
            "floor": 0,
            "max_backlog": 0,
            "abandoned": 0,
            "subqueues": 0,
        }
    }
    assert list(jobqs_lines([QUEUE])) == [
        "=== default_queue ===",
        " safety: gc",
        " concurrency: 1/5",
        " mode: FIFO",
        " min/max: 0/8",
        " total jobs: 12",
        " backlog: 3",
        " inflight: 1",
        " timeouts: 2",
        " avg_wait_ms: 0.500000",
        " avg_run_ms: 1.250000",
        " floor: 0",
        " abandoned: 0",
    ]
    assert next(jobqs_lines([QUEUE], "default_queue")) == "=== default_queue ==="
    with pytest.raises(LookupError, match="no jobq found for 'io'"):
        list(jobqs_lines([QUEUE], "io"))
