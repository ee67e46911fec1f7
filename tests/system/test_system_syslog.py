"""A whole daemon whose syslog receiver is dead, then slow, then works: it serves, says so, and loses nothing."""

from __future__ import annotations

import json
import re
import socket
import threading

import pytest
from clients import Console, get
from echo_service import DEADLINE_S, until

DEAD, SLOW, WORKING = range(100), range(100, 400), range(400, 500)
STREAMS = """<logs>
  <log name="load"><outlet name="loghost"/></log>
  <log name="loghost" type="syslog" path="tcp://127.0.0.1:{port}">
    <config><write_timeout>200ms</write_timeout><connect_timeout>1s</connect_timeout></config>
  </log>
</logs>"""


def listening(port=0, **options):
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for name, value in options.items():
        made.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    made.bind(("127.0.0.1", port))
    made.settimeout(DEADLINE_S)
    made.listen()
    return made


class Receiver:
    """Reads everything of every connection; each is kept apart."""

    def __init__(self, port):
        self.streams = []
        self._listening = listening(port)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            read(accepted, self.streams)

    def stop(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    @property
    def numbers(self):
        return [number for stream in list(self.streams) for number in numbers(stream)]


def read(accepted, streams):
    """Read a connection to its end, on a thread."""
    mine = bytearray()
    streams.append(mine)

    def run():
        with accepted:
            accepted.settimeout(DEADLINE_S)
            try:
                while data := accepted.recv(65536):
                    mine.extend(data)
            except OSError:
                pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def numbers(stream):
    """The numbers in the whole messages of a stream."""
    found, rest = [], bytes(stream)
    while match := re.match(rb"(\d+) <", rest):
        start = match.end() - 1
        end = start + int(match[1])
        if end > len(rest):
            break
        message = re.fullmatch(rb"<\d+>1 \S+ \S+ demo \d+ load - number-(\d+)-x*", rest[start:end])
        assert message, rest[start:end]
        found.append(int(message[1]))
        rest = rest[end:]
    return found


def figure(http, name):
    status, body = get(http, "/mtev/stats.json")
    assert status == 200
    return json.loads(body)["mtev"]["log"][name]["loghost"]["_value"]


@pytest.fixture
def port():
    with listening() as bound:
        return bound.getsockname()[1]


@pytest.fixture
def configuration(with_logs, port):
    return with_logs(STREAMS.format(port=port))


def test_a_receiver_that_is_dead_then_slow_then_works(installed, configuration, port):
    with installed.start("-c", configuration) as daemon:
        http = int(daemon.wait_for(r"REST: curl http://127\.0\.0\.1:(\d+)/hello/you")[1])
        telnet = int(daemon.wait_for(r"console: telnet 127\.0\.0\.1 (\d+)")[1])
        daemon.wait_for(r"ready: \d+ plugins")
        with Console(telnet, "demo# ") as console:

            def log(some):
                for number in some:
                    console.ask(f"log to load number-{number}-{'x' * 7000}")

            log(DEAD)
            daemon.wait_for(rf"log 'loghost' \(type 'syslog'\) fails: tcp://127\.0\.0\.1:{port}: .*Connection refused")
            assert get(http, "/hello/you")[0] == 200

            slow = listening(port, SO_RCVBUF=4096)
            accepted, _ = slow.accept()
            log(SLOW)
            for each in range(400):  # until the sockets are full, however large the system makes them
                if figure(http, "failing"):
                    break
                log([1000 + each] * 10)
            assert get(http, "/hello/you")[0] == 200
            daemon.wait_for(
                rf"log 'loghost' \(type 'syslog'\) fails: tcp://127\.0\.0\.1:{port}: .*(too slow|reset|closed)"
            )
            slow.close()
            first = []
            reading = read(accepted, first)
            reading.join(DEADLINE_S)

            receiver = Receiver(port)
            log(WORKING)
            until(lambda: WORKING[-1] in receiver.numbers, "the last line arrives")
            daemon.wait_for("log 'loghost' works again; lost lines: 0")
            until(lambda: not figure(http, "failing"), "it does not fail any more")
        assert figure(http, "lost") == 0
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.text
    receiver.stop()
    arrived = [number for number in [*numbers(first[0]), *receiver.numbers] if number < 1000]
    assert arrived == [*DEAD, *SLOW, *WORKING]
