"""Whether the service is ready, and which plugin is not."""

import json

import pytest

from mtev_http._health import livez, readyz
from mtev_kernel import PluginRecord


def record(name, state="running", cause="", where="app.conf:1"):
    return PluginRecord(name, name, "1", f"mtev-{name}", "first-party", "beta", state, "1.0", cause, where, {})


GOOD = [record("conf"), record("http"), record("lua", "found", where=""), record("telnet", "disabled", "require_env")]
DEGRADED = [*GOOD, record("log.syslog", "degraded", "cannot reach\n loghost\x1b[2J: refused")]


def test_alive_is_who_answers():
    assert livez() == (200, b"ok\n", "text/plain; charset=utf-8")
    assert livez(json=True) == (200, b'{"status":"ok"}\n', "application/json")


def test_ready_when_every_enabled_plugin_runs():
    assert readyz(GOOD)[:2] == (200, b"ok\n")
    assert readyz(GOOD, verbose=True)[:2] == (200, b"[+]conf ok\n[+]http ok\nreadyz check passed\n")


@pytest.mark.parametrize(
    "state", ["loaded", "configured", "started", "degraded", "retrying", "draining", "stopped", "failed", "refused"]
)
def test_not_ready_while_one_does_not_run(state):
    status, body, _ = readyz([*GOOD, record("late", state, "because")], verbose=True)
    assert (status, body) == (503, f"[+]conf ok\n[+]http ok\n[-]late {state}: because\nreadyz check failed\n".encode())


def test_a_refused_plugin_that_nobody_wants_does_not_count():
    assert readyz([*GOOD, record("odd", "refused", "wrong API", where="")]).status == 200


def test_the_short_form_says_nothing_of_plugins():
    assert readyz(DEGRADED)[:2] == (503, b"not ready\n")
    assert json.loads(readyz(DEGRADED, json=True).body) == {"status": "not ready"}
    assert readyz(GOOD, draining=True)[:2] == (503, b"draining\n")


def test_causes_are_one_printable_bounded_line():
    assert b"[-]log.syslog degraded: cannot reach loghost?[2J: refused\n" in readyz(DEGRADED, verbose=True).body
    long = readyz([record("x", "failed", "y" * 10_000)], verbose=True)
    assert len(long.body) < 400


def test_what_is_excluded_does_not_count():
    status, body, _ = readyz(DEGRADED, verbose=True, exclude=["log.syslog", "unknown"])
    assert status == 200
    assert b"[+]log.syslog excluded: degraded: cannot reach" in body
    assert body.endswith(b"readyz check passed\n")


def test_a_service_that_ends_is_not_ready():
    status, body, _ = readyz(GOOD, draining=True, verbose=True, exclude=["service"])
    assert (status, body) == (503, b"[+]conf ok\n[+]http ok\n[-]service draining\nreadyz check failed\n")


def test_the_same_as_json():
    status, body, kind = readyz(DEGRADED, verbose=True, json=True, exclude=["http"])
    assert (status, kind) == (503, "application/json")
    assert json.loads(body) == {
        "status": "not ready",
        "plugins": [
            {"name": "conf", "ready": True, "state": "running"},
            {"name": "http", "ready": True, "state": "running", "excluded": True},
            {"name": "log.syslog", "ready": False, "state": "degraded", "cause": "cannot reach loghost?[2J: refused"},
        ],
    }
