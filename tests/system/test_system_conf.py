"""A configuration that lives: changed over the console and over REST, written, reloaded and rolled back in a daemon."""

from __future__ import annotations

import http.client
import json
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from clients import Console, get
from daemon import Daemon

CONFIGURATION = """\
<?xml version="1.0" encoding="utf-8"?>
<!-- for the operators -->
<app>
  <conf rest_write="on"/>
  <logs>
    <console_output>
      <outlet name="stderr"/>
      <log name="error"/>
      <log name="notice"/>
      <log name="debug" disabled="on"/>
    </console_output>
  </logs>
  <listeners address="127.0.0.1">
    <listener type="mtev_console" port="0"/>   <!-- telnet -->
    <listener type="http_rest_api" port="0"/>
  </listeners>
  <rest>
    <acl>
      <rule type="allow" ip="127.0.0.1/32"/>
    </acl>
  </rest>
  <eventer implementation="uvloop"/>
  <acme limit="10" password="hunter2">
    <config><retries>3</retries></config>
  </acme>
</app>
"""


class Terminal(Console):
    """A console session that goes into modes and out of them."""

    def ask(self, command: str, prompt: str = "") -> str:
        """Give a command; what is said before the prompt. A prompt that is given is expected from now on."""
        if prompt:
            self._prompt = prompt.encode()
        return super().ask(command)

    def configure(self) -> None:
        assert self.ask("configure terminal", "mtev(conf:/)# ") == ""

    def go(self, section: str) -> None:
        assert self.ask(f"cd /{section}", f"mtev(conf:/{section})# ") == ""


@dataclass(frozen=True)
class Running:
    daemon: Daemon
    path: Path
    console: int
    http: int

    def terminal(self) -> Terminal:
        return Terminal(self.console, "app# ")

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, dict[str, str], str]:
        """A request; its status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=20)
        try:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body.encode() if body else None, fields)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read().decode()
        finally:
            connection.close()

    def reload(self, told: str) -> None:
        seen = len(self.daemon.lines)
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_for(told, after=seen)


@pytest.fixture
def running(installed, tmp_path):
    path = tmp_path / "app.conf"
    path.write_text(CONFIGURATION)
    with installed.start("-c", path) as daemon:
        console = int(daemon.wait_for(r"mtev_console listens on 127\.0\.0\.1:(\d+)")[1])
        http_port = int(daemon.wait_for(r"http_rest_api listens on 127\.0\.0\.1:(\d+)")[1])
        daemon.wait_for("ready: ")
        yield Running(daemon, path, console, http_port)
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.text
        assert "hunter2" not in daemon.text


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    """The lines that differ, old and new; the texts have equally many."""
    pairs = list(zip(before.splitlines(), after.splitlines(), strict=True))
    return [(old.strip(), new.strip()) for old, new in pairs if old != new]


def test_a_change_over_the_console_is_live_and_written_as_one_line(running):
    with running.terminal() as console:
        console.configure()
        console.go("logs/console_output/log[3]")
        assert console.ask("ls") == "== Section Settings ==\n@name: debug\n@disabled: on\n"
        seen = len(running.daemon.lines)
        assert console.ask("attribute disabled off") == ""
        with running.terminal() as other:  # opening a session is logged to "debug"
            assert "Looking for" in other.ask("show conf //log")
        running.daemon.wait_for("session opened from", after=seen)
        assert console.ask("diff") == '/app/logs[1]/console_output[1]/log[3]/@disabled ("debug"): "on" -> "off"\n'
        assert running.path.read_text() == CONFIGURATION
        written = console.ask("write file")
        assert written == f"{len(CONFIGURATION) + 1} bytes written.\n{running.path}\n"
        assert console.ask("diff") == "no changes\n"
        console.ask("exit", "app# ")
    assert changed_lines(CONFIGURATION, running.path.read_text()) == [
        ('<log name="debug" disabled="on"/>', '<log name="debug" disabled="off"/>')
    ]


def test_what_needs_a_restart_is_said_at_once_and_listed(running):
    with running.terminal() as console:
        assert console.ask("show conf pending") == "nothing waits for a restart\n"
        console.configure()
        console.go("eventer")
        told = "/app/eventer[1]/@implementation: in force once the service is restarted\n"
        assert console.ask("attribute implementation asyncio") == told
        console.ask("exit", "app# ")
        assert '/app/eventer[1]/@implementation: "uvloop" -> "asyncio"' in console.ask("show conf pending")
    (pending,) = json.loads(get(running.http, "/mtev/conf/pending")[1])
    assert (pending["path"], pending["policy"]) == ("/app/eventer[1]/@implementation", "restart-process")


def test_a_rollback_leaves_nothing_behind(running):
    with running.terminal() as console:
        console.configure()
        console.go("acme")
        assert console.ask("attribute limit 20") == ""
        assert console.ask('set greeting "good morning"') == ""
        assert "retries" in console.ask("ls config")
        console.ask("section config", "mtev(conf:/acme/config)# ")
        assert console.ask("set retries 5") == ""
        assert console.ask("rollback 1") == ""
        assert console.ask("diff") == "no changes\n"
        assert console.ask("history").splitlines()[-1].split()[3] == "rollback"
        assert console.ask("write file") == "0 bytes written.\n"
    assert running.path.read_text() == CONFIGURATION


def test_a_reload_of_a_broken_file_says_why_and_keeps_what_runs(running):
    running.path.write_text(CONFIGURATION.replace("</acme>", "</acne>"))
    running.reload(r"reload failed, the configuration in force stays: .*app\.conf:\d+:\d+: .*not well-formed")
    with running.terminal() as console:
        assert "== 1: /app/acme/@limit ==\n10" in console.ask("show conf //acme/@limit")
        shown = console.ask("configure reload").splitlines()
        assert "not well-formed" in shown[0]
        assert shown[-1] == "error loading config"
        running.path.write_text(CONFIGURATION.replace('limit="10"', 'limit="11"'))
        assert console.ask("configure reload") == "reload complete\n"
        assert "11" in console.ask("show conf //acme/@limit")
        assert [line.split()[3] for line in console.ask("show conf history").splitlines()] == ["load", "reload"]


def test_a_reload_does_not_lose_changes_unless_it_is_told_to(running):
    with running.terminal() as console:
        console.configure()
        console.go("acme")
        console.ask("attribute limit 20")
        console.ask("exit", "app# ")
        shown = console.ask("configure reload").splitlines()
        assert "would be lost" in shown[0]
        assert shown[-1] == "error loading config"
        assert "20" in console.ask("show conf //acme/@limit")
        assert console.ask("configure reload force") == "reload complete\n"
        assert "10" in console.ask("show conf //acme/@limit")


def test_what_a_plugin_cannot_work_with_is_refused_with_its_reasons(running):
    with running.terminal() as console:
        console.configure()
        console.go("logs/console_output/log[1]")
        told = console.ask("attribute format nonsense")
        assert "nonsense" in told
        assert console.ask("diff") == "no changes\n"
    path = "/mtev/conf/logs/console_output/log%5B1%5D"
    status, _, body = running.ask(
        "PUT", path, '<log name="error" format="nonsense"/>', content_type="application/xml", if_match="*"
    )
    assert status == 422
    assert any("nonsense" in reason for reason in json.loads(body)["reasons"])


def test_a_change_over_rest_is_one_line_of_the_file_and_a_stale_one_is_refused(running):
    status, headers, body = running.ask("GET", "/mtev/conf/acme/config")
    assert (status, body.splitlines()[1]) == (200, "<config><retries>3</retries></config>")
    for retries, expected in (("5", 200), ("7", 412)):
        status, _, answer = running.ask(
            "PUT",
            "/mtev/conf/acme/config?write=1",
            body.replace(">3<", f">{retries}<"),
            content_type="application/xml",
            if_match=headers["ETag"],
        )
        assert status == expected, answer
    assert running.ask("PUT", "/mtev/conf/acme/config", body, content_type="application/xml")[0] == 428
    assert changed_lines(CONFIGURATION, running.path.read_text()) == [
        ("<config><retries>3</retries></config>", "<config><retries>5</retries></config>")
    ]
    _, _, history = running.ask("GET", "/mtev/conf/history")
    last = json.loads(history)[-1]
    assert last["who"].startswith("rest 127.0.0.1:")
    assert last["changes"][0]["new"] == "5"


def test_changes_are_collected_on_the_console_and_carried_out_together(running):
    with running.terminal() as console:
        console.configure()
        console.go("acme")
        assert console.ask("begin", "mtev(conf:/acme*)# ").startswith("changes are collected from now on")
        assert console.ask("attribute limit 20") == ""
        assert console.ask("move /logs/console_output/log[2] to . first") == ""
        assert console.ask("ls").splitlines()[4:] == ["log", "config"]
        assert "10" in get(running.http, "/mtev/conf/acme/@limit")[1]
        assert len(console.ask("diff").splitlines()) == 2
        console.ask("attribute password swordfish")
        console.ask("abort", "mtev(conf:/acme)# ")
        console.ask("begin", "mtev(conf:/acme*)# ")
        console.ask("attribute limit 30")
        console.ask("cd /logs/console_output/log[1]", "mtev(conf:/logs/console_output/log[1]*)# ")
        console.ask("attribute format nonsense")
        told = console.ask("commit")
        assert "nonsense" in told
        assert told.endswith("nothing was changed; what is collected stays\n")
        console.ask("no attribute format")
        assert console.ask("commit as agreed", "mtev(conf:/logs/console_output/log[1])# ") == "generation 2: 1 change\n"
        assert console.ask("history").endswith("as agreed\n")
        console.ask("begin", "mtev(conf:/logs/console_output/log[1]*)# ")
        console.ask("attribute format other")
        console.ask("exit", "app# ")
    running.daemon.wait_for("1 change not committed, and forgotten")
    assert get(running.http, "/mtev/conf/acme/@limit")[1] == "30"


def test_a_set_of_changes_over_rest_is_one_generation_or_nothing(running):
    changes = [
        {"kind": "set", "path": "acme/@limit", "old": "10", "new": "20"},
        {"kind": "set", "path": "acme/@password", "old": "***", "new": "swordfish"},
        {"kind": "text", "path": "acme/config/retries", "old": "4", "new": "5"},
    ]

    def post():
        body = json.dumps({"changes": changes, "why": "as agreed", "generation": 1})
        status, _, answer = running.ask("POST", "/mtev/conf/?write=1", body, content_type="application/json")
        return status, json.loads(answer)

    status, answer = post()
    assert (status, answer["path"], answer["expected"]) == (409, "/app/acme[1]/config[1]/retries[1]", "4")
    assert running.path.read_text() == CONFIGURATION
    changes[2]["old"] = "3"
    status, answer = post()
    assert (status, answer["generation"], answer["written"]) == (200, 2, [str(running.path)])
    assert "swordfish" not in json.dumps(answer)
    assert changed_lines(CONFIGURATION, running.path.read_text()) == [
        ('<acme limit="10" password="hunter2">', '<acme limit="20" password="swordfish">'),
        ("<config><retries>3</retries></config>", "<config><retries>5</retries></config>"),
    ]
    assert post()[0] == 412
    assert json.loads(running.ask("GET", "/mtev/conf/history")[2])[-1]["why"] == "as agreed"
    assert "swordfish" not in running.daemon.text


def test_access_lists_that_are_changed_over_rest_are_live(running):
    path = "/mtev/conf/rest/acl/rule"
    status, headers, _ = running.ask("HEAD", path)
    assert status == 200
    rule = '<rule type="deny" ip="127.0.0.1/32"/>'
    assert running.ask("PUT", path, rule, content_type="application/xml", if_match=headers["ETag"])[0] == 200
    assert running.ask("GET", path)[0] == 403
    with running.terminal() as console:
        console.configure()
        assert console.ask("rollback 1") == ""
    assert running.ask("GET", path)[0] == 200


def test_an_edit_by_somebody_else_is_not_overwritten_unasked(running):
    edited = CONFIGURATION.replace("for the operators", "for everybody")
    with running.terminal() as console:
        console.configure()
        console.go("acme")
        console.ask("attribute limit 20")
        running.path.write_text(edited)
        assert str(running.path) in console.ask("write file")
        assert running.path.read_text() == edited
        status, _, body = running.ask(
            "PUT", "/mtev/conf/acme/@limit?write=1", "21", content_type="text/plain", if_match="*"
        )
        assert status == 409
        assert str(running.path) in json.loads(body)["reasons"][0]
        assert console.ask("write file force").endswith(f"{running.path}\n")
    assert changed_lines(CONFIGURATION, running.path.read_text()) == [
        ('<acme limit="10" password="hunter2">', '<acme limit="21" password="hunter2">')
    ]


def test_no_answer_shows_a_secret(running):
    for path in ("conf.xml", "conf.json", "conf/", "conf/acme", "conf/acme/@password", "conf/history"):
        status, body = get(running.http, f"/mtev/{path}")
        assert (status, "hunter2" in body) == (200, False), path
    with running.terminal() as console:
        for command in ("show conf -x /app", "show conf //@password", "write terminal"):
            assert "hunter2" not in console.ask(command)
        console.configure()
        console.go("acme")
        assert "@password: ***" in console.ask("ls")
    status, _, body = running.ask(
        "PUT", "/mtev/conf/acme", '<acme limit="1" password="***"/>', content_type="application/xml", if_match="*"
    )
    assert status == 422
    assert json.loads(body)["reasons"] == ["/app/acme[1]/@password"]


def test_rest_changes_nothing_unless_the_configuration_says_so(running):
    running.path.write_text(CONFIGURATION.replace(' rest_write="on"', ""))
    running.reload("configuration read again")
    status, _, body = running.ask("PUT", "/mtev/conf/acme/@limit", "1", content_type="text/plain", if_match="*")
    assert status == 403
    assert "rest_write" in json.loads(body)["error"]
    assert running.ask("DELETE", "/mtev/conf/acme", if_match="*")[0] == 403
    assert json.loads(get(running.http, "/mtev/conf/acme/@limit?format=json")[1])["value"] == "10"


def test_the_console_explains_its_commands(running):
    with running.terminal() as console:
        assert "show conf [-x] XPATH" in console.ask("help show conf")
        assert "from plugin 'conf'" in console.ask("help write file")
        assert {"reload", "terminal"} <= set(console.ask("configure ?").split())
        console.configure()
        expected = {"abort", "attribute", "begin", "cd", "commit", "diff", "exit", "ls", "move", "no", "rollback"}
        assert {*expected, "section", "set", "write"} <= set(console.ask("?").split())
        assert console.ask("cd ..") == "new path outside out tree [/app/..]\n"
        assert console.ask("section stray") == "manipulation of toplevel section disallowed\n"
        assert console.ask("exit", "app# ") == ""
