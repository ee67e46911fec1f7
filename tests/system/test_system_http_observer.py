"""libmtev's http_observer stanza, unchanged: a daemon that shows its requests over REST and on the console."""

from __future__ import annotations

import json

import pytest
from clients import Console, get
from echo_service import until

PATH = "/module/http_observer/requests.json"
MODULE = """<generic image="http_observer" name="http_observer"><config><max_count>100</max_count><max_age>60</max_age>
<header_in_user-agent>agent</header_in_user-agent></config></generic>"""


@pytest.fixture
def observed(demo_text, tmp_path):
    path = tmp_path / "demo.conf"
    path.write_text(demo_text.replace("<modules>", f"<modules>{MODULE}"))
    return path


def rows(port, query=""):
    status, text = get(port, f"{PATH}{query}")
    assert status == 200
    return json.loads(text)


def test_requests_are_shown_while_they_last_and_afterwards(installed, observed):
    with installed.start("-c", observed) as daemon:
        daemon.wait_for("ready: ")
        console = int(daemon.wait_for(r"mtev_console listens on \S+:(\d+)")[1])
        port = int(daemon.wait_for(r"control_dispatch listens on \S+:(\d+)")[1])
        assert get(port, "/hello/ann?x=1")[0] == 200
        until(lambda: rows(port, "?eq_uri=/hello/ann&eq_state=done"), "it is done with")
        (row,) = rows(port, "?eq_uri=/hello/ann")
        assert (row["status"], row["querystring"], row["host"]) == ("200", "x=1", f"127.0.0.1:{port}")
        assert (
            row["response_complete_offset_ns"] >= row["response_start_offset_ns"] >= row["request_complete_offset_ns"]
        )
        assert rows(port)[0]["uri"] == PATH
        assert rows(port)[0]["state"] == "live"
        assert get(port, f"{PATH}?re_uri=(")[0] == 400
        with Console(console, "demo# ") as session:
            shown = session.ask("show http requests uri=/hello/ann")
            assert "GET /hello/ann?x=1" in shown
            assert "expected FIELD=TEXT or FIELD~EXPRESSION" in session.ask("show http requests what")
        assert daemon.stop() == 0


def test_a_header_that_carries_secrets_is_refused_by_the_check(installed, observed):
    observed.write_text(observed.read_text().replace("header_in_user-agent", "header_in_authorization"))
    done = installed.run("--check", "-c", observed)
    assert done.returncode != 0
    assert "'authorization' carries secrets" in done.stdout + done.stderr
