"""A daemon that stops, or reloads a listener away, under load: no request that it has accepted is lost."""

import http.client
import threading
import time
from dataclasses import dataclass, field

import pytest

CONFIG = """<app>
  <logs><log name="error"><outlet name="stderr"/></log></logs>
  <eventer><config><concurrency>2</concurrency></config></eventer>
  <listeners address="127.0.0.1">
    <listener type="http_rest_api" port="0" fanout="on"/>
  </listeners>
  <rest><acl><rule type="allow" ip="127.0.0.1"/></acl></rest>
</app>"""

CLIENTS = 16


@dataclass
class Load:
    """Clients that ask one thing after the other on a connection of their own, until that is closed."""

    port: int
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    farewells: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    busy: threading.Event = field(default_factory=threading.Event)

    def run(self) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        return threads

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.connect()
        connection.auto_open = 0
        try:
            while True:
                connection.request("GET", "/livez")
                answer = connection.getresponse()
                body = answer.read()
                last = answer.getheader("Connection", "").lower() == "close"
                with self.lock:
                    self.answered += 1
                    self.farewells += last
                    if (answer.status, body) not in ((200, b"ok\n"), (503, b"draining\n")):
                        self.failed.append(f"{answer.status} {body!r}")
                    if self.answered == 50 * CLIENTS:
                        self.busy.set()
                if last:
                    return
        except (OSError, http.client.HTTPException) as error:
            with self.lock:
                self.failed.append(repr(error))
        finally:
            connection.close()


@pytest.fixture
def daemon(installed, tmp_path):
    config = tmp_path / "app.conf"
    config.write_text(CONFIG)
    with installed.start("-c", config) as daemon:
        daemon.wait_for("ready: ")
        yield daemon


def test_a_service_that_stops_answers_what_it_has_accepted(daemon):
    load = Load(int(daemon.wait_for(r"http_rest_api listens on \S+:(\d+)")[1]))
    threads = load.run()
    assert load.busy.wait(30)
    began = time.monotonic()
    assert daemon.stop() == 0
    for thread in threads:
        thread.join(30)
    assert load.failed == []
    assert load.farewells == CLIENTS
    assert time.monotonic() - began < 30
