"""What was acknowledged outlives the process: changes in a journal, changes that are gathered, includes and stores."""

from __future__ import annotations

import http.client
import signal
from contextlib import contextmanager

import pytest

CONFIGURATION = """\
<app>
  <conf rest_write="on" write_back="{mode}" write_delay="10ms"/>
  <include file="parts/*.conf"/>
  <rest><acl><rule type="allow" ip="127.0.0.1/32"/></acl></rest>
  <shop backingstore="store"/>
</app>
"""
PART = """\
<part address="127.0.0.1">
  <listeners><listener type="http_rest_api" port="0"/></listeners>
  <acme   limit='10'/>
</part>
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/a.conf").write_text(PART)
    return tmp_path / "app.conf"


@contextmanager
def service(installed, path):
    with installed.start("-c", path) as daemon:
        port = int(daemon.wait_for(r"http_rest_api listens on 127\.0\.0\.1:(\d+)")[1])
        daemon.wait_for("ready: ")
        yield daemon, port


def ask(port, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Content-Type": "text/plain", **fields} if body else {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_a_journalled_change_is_there_after_a_kill(installed, path):
    path.write_text(CONFIGURATION.format(mode="journal"))
    part = path.parent / "parts/a.conf"
    with service(installed, path) as (daemon, port):
        assert ask(port, "PUT", "/mtev/conf/include/acme/@limit", "20", If_Match="*")[0] == 200
        assert ask(port, "PUT", "/mtev/conf/shop/item", "<item n='1'/>", Content_Type="application/xml")[0] == 201
        daemon.signal(signal.SIGKILL)
        daemon.end()
    assert part.read_text() == PART
    assert (path.parent / ".app.conf.journal").exists()
    with service(installed, path) as (daemon, port):
        assert ask(port, "GET", "/mtev/conf/include/acme/@limit") == (200, "20")
        assert ask(port, "GET", "/mtev/conf/shop/item/@n") == (200, "1")
        assert daemon.stop() == 0
    # An orderly stop writes what is in the journal, and takes it away.
    assert part.read_text() == PART.replace("limit='10'", "limit='20'")
    assert (path.parent / "store/item#1/.attrs").exists()
    assert not (path.parent / ".app.conf.journal").exists()


def test_gathered_changes_are_written_by_themselves(installed, path):
    path.write_text(CONFIGURATION.format(mode="coalesced"))
    with service(installed, path) as (daemon, port):
        assert ask(port, "PUT", "/mtev/conf/include/acme/@limit", "20", If_Match="*")[0] == 200
        daemon.wait_for(r"configuration written: .*parts/a\.conf")
        assert (path.parent / "parts/a.conf").read_text() == PART.replace("limit='10'", "limit='20'")
        assert daemon.stop() == 0
