"""A document as libmtev's example1 has it: elements and attributes under the names that they have there."""

from __future__ import annotations

import json

import pytest
from clients import Console, get

# Of libmtev's: lock file and watchdog are the supervisor's, the module directory and TLS belong to C. The ports are
# free ones instead of fixed ones, and the address is loopback.
DOCUMENT = """\
<?xml version="1.0" encoding="utf8" standalone="yes"?>
<example1 lockfile="/var/run/example1.lock" text_size_limit="512">
  <watchdog glider="/usr/bin/true" tracedir="/var/tmp"/>
  <eventer implementation="epoll">
    <config>
      <concurrency>2</concurrency>
      <default_queue_threads>10</default_queue_threads>
      <rlim_nofiles>256</rlim_nofiles>
    </config>
  </eventer>
  <logs>
    <log name="internal" type="memory" path="10000,100000"/>
    <console_output>
      <outlet name="stderr"/>
      <outlet name="internal"/>
      <log name="error" disabled="false" timestamps="true"/>
      <log name="notice" timestamps="true"/>
      <log name="debug" disabled="true"/>
    </console_output>
    <components>
      <error>
        <outlet name="error"/>
        <log name="error/example1"/>
      </error>
      <debug>
        <outlet name="debug"/>
        <log name="debug/example1" disabled="true"/>
      </debug>
    </components>
  </logs>
  <modules directory="/usr/libexec/mtev">
    <generic image="zipkin_fq" name="zipkin_fq" require_env="ZIPKIN"/>
  </modules>
  <listeners>
    <sslconfig>
      <optional_no_ca>false</optional_no_ca>
      <certificate_file>/etc/example1/server.crt</certificate_file>
      <key_file>/etc/example1/server.key</key_file>
    </sslconfig>
    <consoles type="mtev_console">
      <listener address="127.0.0.1" port="0">
        <config><line_protocol>telnet</line_protocol></config>
      </listener>
    </consoles>
    <web type="control_dispatch">
      <config><document_root>/var/www</document_root></config>
      <listener address="127.0.0.1" port="0" ssl="off"/>
    </web>
  </listeners>
  <rest>
    <acl>
      <rule type="allow"/>
    </acl>
  </rest>
</example1>
"""


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "example1.conf"
    path.write_text(DOCUMENT)
    return path


def test_it_checks_without_errors_and_says_what_has_no_effect(installed, document):
    done = installed.run("--check", "-c", document)
    assert done.returncode == 0
    assert f"{document}:3: warning: no installed plugin owns <watchdog>" in done.stdout


def test_it_runs(installed, document):
    with installed.start("-c", document) as daemon:
        daemon.wait_for("ready: ")
        console = int(daemon.wait_for(r"mtev_console listens on \S+:(\d+)")[1])
        web = int(daemon.wait_for(r"control_dispatch listens on \S+:(\d+)")[1])
        status, body = get(web, "/capa.json")
        assert status == 200
        assert {"listener", "http", "telnet"} <= set(json.loads(body)["modules"])
        assert get(web, "/eventer/logs/internal.json")[0] == 200
        with Console(console, "example1# ") as session:
            assert "default_queue" in session.ask("show eventer debug jobq")
        assert daemon.stop() == 0
