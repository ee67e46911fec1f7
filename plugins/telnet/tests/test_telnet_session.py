"""Sessions over real sockets, with a listener that is just enough of one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_kernel import ABORT, CONTINUE, DONE, HookSite
from mtev_telnet import Console, hookspecs
from mtev_telnet.desk import Desk, SessionCounter
from mtev_telnet.session import ConsoleSession
from mtev_telnet.settings import Settings

LOG = logging.getLogger("test.session")
BANNER = b"mtev: (no auth)\napp# "


@dataclass
class FakeConnection:
    config: dict
    peer: object = ("127.0.0.1", 1)
    tls: object = None
    remote_cn: str = ""
    where: str = "app.conf:7"
    info: object = field(default_factory=lambda: SimpleNamespace(fd=42))
    drains: list = field(default_factory=list)

    def add_drain(self, callback):
        self.drains.append(callback)


class WatchedSession(ConsoleSession):
    """A session that says when it is over."""

    def __init__(self, connection, desk):
        super().__init__(connection, desk)
        self.over = asyncio.Event()

    def connection_lost(self, exc):
        super().connection_lost(exc)
        self.over.set()


class Service:
    """A console that listens on an ephemeral port of this host."""

    def __init__(self, config):
        self.config = config
        self.console = Console(lambda function: "plugin 'test'")
        self.console.command("show version", lambda words: ["1.0"], summary="the version")
        self.console.command("echo", lambda words: [" ".join(words)], summary="what was said")
        self.dispatch = HookSite(hookspecs.mtev_console_dispatch.__name__)
        self.desk = Desk(self.console.root, "app# ", self.dispatch, SessionCounter(), LOG)
        self.connections = []
        self.sessions = []

    def session(self):
        connection = FakeConnection(self.config)
        self.connections.append(connection)
        self.sessions.append(WatchedSession(connection, self.desk))
        return self.sessions[-1]

    async def connect(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**26)
        self.clients.append(writer)
        return reader, writer


@contextlib.asynccontextmanager
async def running(**config):
    service = Service(config)
    server = await asyncio.get_running_loop().create_server(service.session, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    service.clients = []
    try:
        yield service
    finally:
        server.close()
        for writer in service.clients:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        for session in service.sessions:
            await session.over.wait()


def run(scenario, **config):
    async def main():
        async with asyncio.timeout(30), running(**config) as service:
            await scenario(service)

    asyncio.run(main())


async def conversation(service, data):
    """Send everything, close our side as `nc -N` does, and read until the service closes its own."""
    reader, writer = await service.connect()
    writer.write(data)
    writer.write_eof()
    return await reader.read()


def test_pipelined_lines_are_answered_in_order():
    async def scenario(service):
        answer = await conversation(service, b"show version\necho a b\r\necho c\nexit\necho never\n")
        assert answer == BANNER + b"1.0\napp# a b\napp# c\napp# "

    run(scenario)


def test_the_session_ends_with_the_last_line_of_a_client_that_is_done():
    async def scenario(service):
        assert await conversation(service, b"echo a\n") == BANNER + b"a\napp# "
        assert await conversation(service, b"") == BANNER

    run(scenario)


def test_a_line_without_an_end_is_not_carried_out():
    async def scenario(service):
        answer = await conversation(service, b"echo safe\necho dan")
        assert answer == BANNER + b"safe\napp# The last line was ignored: it has no line end.\n"

    run(scenario)


def test_telnet_negotiates_and_ends_lines_with_cr_lf():
    async def scenario(service):
        reader, writer = await service.connect()
        assert await reader.readuntil(b"app# ") == b"\xff\xfd\x1fmtev: (no auth)\r\napp# "
        writer.write(b"\xff\xfb\x1f\xff\xfa\x1f\x00\x84\x00\x2b\xff\xf0\xff\xfd\x22show ver\r\n")
        assert await reader.readuntil(b"app# ") == b"\xff\xfc\x221.0\r\napp# "
        assert service.sessions[0].columns == 132
        writer.write(b"dangerous\xff\xf4\xff\xfd\x06echo fine\r\0\xff\xf6")
        assert await reader.readuntil(b"fine\r\napp# ") == b"\xff\xfb\x06\r\n[Yes]\r\n\r\napp# fine\r\napp# "
        writer.write(b"exit\r\n")
        assert await reader.read() == b""

    run(scenario, line_protocol="TELNET")


def test_urgent_data_stays_in_the_stream():
    async def scenario(service):
        reader, writer = await service.connect()
        await reader.readuntil(b"app# ")
        writer.get_extra_info("socket")._sock.send(b"dangerous\xff\xf4\xff\xf2", socket.MSG_OOB)
        assert await reader.readuntil(b"app# ") == b"\r\napp# "
        writer.write(b"echo fine\r\n")
        assert await reader.readuntil(b"app# ") == b"fine\r\napp# "

    run(scenario, line_protocol="telnet")


def test_a_telnet_client_in_character_mode_sees_what_it_types():
    async def scenario(service):
        reader, writer = await service.connect()
        await reader.readuntil(b"app# ")
        writer.write(b"\xff\xfd\x03\xff\xfd\x01")
        assert await reader.readexactly(6) == b"\xff\xfb\x03\xff\xfb\x01"
        writer.write(b"eco\x7fho hi\r\0")
        assert await reader.readuntil(b"app# ") == b"eco\b \bho hi\r\nhi\r\napp# "

    run(scenario, line_protocol="telnet")


def test_ctrl_d_and_exit_end_the_session():
    async def scenario(service):
        for farewell in (b"\x04", b"exit\n"):
            reader, writer = await service.connect()
            writer.write(farewell)
            assert (await reader.read()).startswith(BANNER)

    run(scenario)


def test_a_line_that_is_too_long_is_reported_and_dropped():
    async def scenario(service):
        answer = await conversation(service, b"x" * 70_000 + b"\necho ok\n")
        assert answer == BANNER + (b"Line too long: it had more than 65536 bytes and was ignored.\napp# ok\napp# ")

    run(scenario)


def test_a_failing_command_does_not_harm_the_session(caplog):
    def fail(words):
        raise RuntimeError("broken")

    async def scenario(service):
        service.console.command("fail", fail, summary="fails")
        answer = await conversation(service, b"fail\necho ok\n")
        assert answer.startswith(BANNER + b"Internal error ")
        assert answer.endswith(b"\napp# ok\napp# ")

    run(scenario)
    assert caplog.records[0].exc_info[0] is RuntimeError


def test_output_goes_out_as_it_is_made_and_ctrl_c_ends_it():
    closed = []

    def tick(words):
        try:
            while True:
                yield "tick"
        finally:
            closed.append(True)

    async def scenario(service):
        service.console.command("tick", tick, summary="ticks")
        reader, writer = await service.connect()
        writer.write(b"tick\necho never\n")
        await reader.readuntil(b"tick\ntick\n")
        writer.write(b"\x03echo after\n")
        rest = await reader.readuntil(b"after\napp# ")
        assert rest.endswith(b"tick\n\napp# after\napp# ")
        assert b"never" not in rest
        assert closed == [True]

    run(scenario)


def test_a_long_listing_does_not_hold_up_other_sessions():
    async def scenario(service):
        service.console.command("long", lambda words: iter(lambda: "x" * 100, None), summary="endless")
        reader, writer = await service.connect()
        writer.write(b"long\n")
        await reader.readuntil(b"x\n")
        assert await conversation(service, b"echo ok\n") == BANNER + b"ok\napp# "

    run(scenario)


def test_a_client_that_does_not_read_holds_up_its_command_and_is_cut_off(caplog):
    made = []
    closed = []

    def flood(words):
        try:
            while True:
                made.append(1)
                yield "x" * 1000
        finally:
            closed.append(True)

    async def scenario(service):
        service.console.command("flood", flood, summary="floods")
        reader, writer = await service.connect()
        await reader.readuntil(b"# ")
        writer.transport.pause_reading()
        writer.write(b"flood\n" + b"echo more\n" * 100_000)
        await service.sessions[0].over.wait()
        assert closed == [True]
        assert len(service.sessions[0]._waiting) == 0
        assert len(made) * 1000 < 64 * 1024 * 1024, "what the kernel's socket buffers hold, and little more"

    run(scenario, stall_timeout="100")
    assert "did not read its output for 0.1 s and was cut off" in caplog.text


def test_a_client_that_never_takes_the_last_output_is_cut_off(caplog):
    async def scenario(service):
        service.console.command("big", lambda words: ["x" * 30_000_000], summary="big")
        reader, writer = await service.connect()
        await reader.readuntil(b"# ")
        writer.transport.pause_reading()
        writer.write(b"big\nexit\n")
        await service.sessions[0].over.wait()

    run(scenario, stall_timeout="100")
    assert "cut off" in caplog.text


def test_what_waits_is_bounded_while_a_command_runs():
    async def scenario(service):
        service.console.command("busy", lambda words: iter(lambda: "tick", None), summary="busy")
        reader, writer = await service.connect()
        writer.write(b"busy\n" + b"x" * 4000 + b"\n")
        writer.write((b"x" * 4000 + b"\n") * 2000)
        for _ in range(200):
            await reader.read(65536)
            session = service.sessions[0]
            assert sum(len(line.text) for line in session._waiting) < 3 * 64 * 1024
            assert len(session._unparsed) <= 512 * 1024

    run(scenario)


def test_sessions_are_counted_per_listener(caplog):
    async def scenario(service):
        first = [await service.connect() for _ in range(2)]
        for reader, _ in first:
            await reader.readuntil(b"# ")
        for _ in range(3):
            reader, _ = await service.connect()
            assert await reader.read() == b"Too many sessions: all 2 are in use. Try again later.\n"
        first[0][1].write(b"exit\n")
        await first[0][0].read()
        reader, _ = await service.connect()
        assert await reader.readuntil(b"# ") == BANNER

    run(scenario, max_sessions="2")
    assert [record.levelname for record in caplog.records if "turned away" in record.message] == ["WARNING"]
    assert "app.conf:7" in caplog.text


def test_draining_ends_idle_sessions_at_once_and_others_after_their_command():
    gate = {"open": False}

    def wait(words):
        while not gate["open"]:
            yield "."
        yield "done"

    async def scenario(service):
        service.console.command("wait", wait, summary="waits")
        idle, _ = await service.connect()
        busy, writer = await service.connect()
        await idle.readuntil(b"# ")
        writer.write(b"wait\necho never\n")
        await busy.readuntil(b".\n")
        for connection in service.connections:
            (drain,) = connection.drains
            drain()
        assert await idle.read() == b"\nThe service is stopping.\n"
        gate["open"] = True
        assert (await busy.read()).endswith(b"done\n")

    run(scenario)


def test_interceptors_see_every_line_and_may_swallow_or_answer_it():
    seen = []

    def intercept(session, line):
        seen.append((session.name, session.peer, line))
        if line == "secret":
            session.write("not here")
            return DONE
        return ABORT if line == "quiet" else CONTINUE

    async def scenario(service):
        service.dispatch.call = intercept
        answer = await conversation(service, b"echo a\nsecret\nquiet\n")
        assert answer == BANNER + b"a\napp# not here\napp# app# "
        assert seen[1] == ("console/42", ("127.0.0.1", 1), "secret")

    run(scenario)


def test_a_strict_kernel_whose_interceptor_raises_does_not_harm_the_session(caplog):
    def intercept(session, line):
        raise RuntimeError("strict")

    async def scenario(service):
        service.dispatch.call = intercept
        answer = await conversation(service, b"echo a\n")
        assert answer.startswith(BANNER + b"Internal error ")
        assert answer.endswith(b"app# ")

    run(scenario)


def test_the_banner_names_the_client_certificate():
    async def scenario(service):
        made = service.session

        def session():
            protocol = made()
            service.connections[-1].tls = object()
            service.connections[-1].remote_cn = "ops\n"
            return protocol

        server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.readuntil(b"# ") == b"mtev(secure): ops\\n\napp# "
        writer.close()
        server.close()

    run(scenario)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.binary(max_size=200) | st.sampled_from([b"\xff\xf4", b"show ?\r\n", b"\x03", b"exit\n"]), max_size=10)
)
def test_garbage_never_breaks_a_session(pieces):
    async def scenario(service):
        reader, writer = await service.connect()
        for piece in pieces:
            writer.write(piece)
        writer.write(b"\xff\xff\xff\xf0\x15\n")
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        reader, writer = await service.connect()
        await reader.readuntil(b"# ")

    run(scenario, line_protocol="telnet")


@pytest.mark.skipif(shutil.which("nc") is None, reason="there is no nc on this machine")
def test_the_nc_command():
    async def scenario(service):
        process = await asyncio.create_subprocess_exec(
            "nc", "127.0.0.1", str(service.port), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate(b"show version\nexit\n")
        assert output == BANNER + b"1.0\napp# "

    run(scenario)


@pytest.mark.skipif(shutil.which("telnet") is None, reason="there is no telnet on this machine")
def test_the_telnet_command():
    async def scenario(service):
        process = await asyncio.create_subprocess_exec(
            "telnet",
            "127.0.0.1",
            str(service.port),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await process.stdout.readuntil(b"app# ")
        process.stdin.write(b"show version\n")
        assert b"1.0" in await process.stdout.readuntil(b"app# ")
        process.stdin.write(b"exit\n")
        await process.stdout.read()
        await process.wait()

    run(scenario, line_protocol="telnet")


def test_plain_blocking_sockets_work_too():
    def talk(port):
        with socket.create_connection(("127.0.0.1", port)) as client, client.makefile("rwb", buffering=0) as stream:
            stream.write(b"show version\n")
            return [stream.readline(), stream.readline()]

    async def scenario(service):
        assert await asyncio.to_thread(talk, service.port) == [b"mtev: (no auth)\n", b"app# 1.0\n"]

    run(scenario)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"line_protocol": "ssh"}, "line_protocol 'ssh' is neither 'telnet' nor 'raw'"),
        ({"max_sessions": "0"}, "max_sessions: "),
        ({"max_sessions": "many"}, "max_sessions: "),
        ({"stall_timeout": "5"}, "stall_timeout: "),
    ],
)
def test_wrong_options(config, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Settings.parse(config)


def test_right_options():
    assert Settings.parse({"acl": "not ours"}) == Settings(False, 32, 30.0)
    assert Settings.parse({"line_protocol": " Telnet ", "max_sessions": "4", "stall_timeout": "1500"}) == Settings(
        True, 4, 1.5
    )
