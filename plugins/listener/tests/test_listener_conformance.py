"""The suite for protocols, tried on protocols that pass it, and on some that must not."""

import asyncio
import subprocess
import sys
import textwrap

import pytest

from mtev_listener.testing import ListenerConformance


class Unhurried:
    """Reads no more while the peer does not read."""

    def pause_writing(self):
        self._transport.pause_reading()

    def resume_writing(self):
        self._transport.resume_reading()


class Shout(Unhurried, asyncio.Protocol):
    """Answers each line in capitals; finishes what it began when the service drains."""

    def __init__(self, connection):
        self._rest = b""

    def connection_made(self, transport):
        self._transport = transport
        transport.write(b"hi\n")

    def data_received(self, data):
        *lines, self._rest = (self._rest + data)[-1000:].split(b"\n")
        for line in lines:
            self._transport.write(line.upper() + b"\n")


class BufferedShout(Unhurried, asyncio.BufferedProtocol):
    """The same with a buffer of its own, and a small one."""

    def __init__(self, connection):
        self._buffer = bytearray(1000)
        self._line = b""
        connection.add_drain(lambda: self._transport.close())

    def connection_made(self, transport):
        self._transport = transport

    def get_buffer(self, sizehint):
        return self._buffer

    def buffer_updated(self, nbytes):
        *lines, self._line = (self._line + bytes(self._buffer[:nbytes]))[-1000:].split(b"\n")
        for line in lines:
            self._transport.write(line.upper() + b"\n")


class TestShout(ListenerConformance):
    hello, question, answer, command = b"hi\n", b"some words\n", b"SOME WORDS\n", b"some"

    def factory(self, connection):
        return Shout(connection)


class TestBufferedShout(ListenerConformance):
    question, answer, command = b"some words\n", b"SOME WORDS\n", b"some"

    def factory(self, connection):
        return BufferedShout(connection)


FAULTY = {
    "chokes on garbage": ("data.decode('ascii')", "test_survives_garbage"),
    "does not end when the service drains": (
        "self.connection.add_drain(lambda: None)",
        "test_ends_when_the_service_drains",
    ),
    "answers without end a peer that does not read": ("pass", "peers_that_read_nothing"),
    "forgets the answer when the peer ends its side": (
        "self.connection.loop.asyncio_loop.call_later(0.1, self.transport.write, data); data = b''",
        "ended_its_side",
    ),
    "expects a question in one piece": (
        "data = data if data.endswith(b'?') and len(data) > 1 else b''",
        "byte_by_byte",
    ),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_the_suite_finds(fault, tmp_path):
    statement, test = FAULTY[fault]
    (tmp_path / "test_faulty.py").write_text(
        textwrap.dedent(
            f"""
            import asyncio
            import mtev_listener.testing

            class Echo(asyncio.Protocol):
                def __init__(self, connection):
                    self.connection = connection

                def connection_made(self, transport):
                    self.transport = transport

                def data_received(self, data):
                    {statement}
                    self.transport.write(data)

            class TestEcho(mtev_listener.testing.ListenerConformance):
                question = answer = b"how?"
                patience_s = 0.5

                def factory(self, connection):
                    return Echo(connection)
            """
        )
    )
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-k", test, "test_faulty.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert "FAILED test_faulty.py::TestEcho::test_" in outcome.stdout
