"""Commands that may block, and modes, in sessions over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_kernel import HookSite
from mtev_telnet import Console, hookspecs
from mtev_telnet.desk import Desk, SessionCounter
from mtev_telnet.session import ConsoleSession
from mtev_telnet.workers import Workers

LOG = logging.getLogger("test.slow")
BANNER = b"mtev: (no auth)\napp# "
LONG_S = 30


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


class Held:
    """A command that stands still, in a way that nothing can interrupt, until the test lets it go on."""

    def __init__(self):
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.closed = threading.Event()
        self.threads = set()

    def __call__(self, words):
        self.threads.add(threading.current_thread())
        try:
            self.begun.set()
            assert self.gate.wait(LONG_S)
            yield "held"
            yield "done"
        finally:
            self.closed.set()


class Mode:
    prompt = "conf# "

    def __init__(self, held):
        self.held = held
        self.closed = threading.Event()
        self.closed_after_command = None

    def register(self, commands):
        commands.command("held", self.held, summary="waits", threaded=True)
        commands.command("ls", lambda words: ["listed"], summary="lists")

    def close(self):
        self.closed_after_command = self.held.closed.is_set()
        self.closed.set()


class Service:
    """A console that listens on an ephemeral port of this host."""

    def __init__(self, config, limit):
        self.config = config
        self.held = Held()
        self.modes = []
        self.console = console = Console(lambda function: "plugin 'test'")
        console.command("echo", lambda words: [" ".join(words)], summary="what was said")
        console.command("held", self.held, summary="waits", threaded=True)
        console.command("where", self.where, summary="which thread", threaded=True)
        console.command("who", self.who, summary="whose thread", session=True, threaded=True)
        console.command("refuse", self.refuse, summary="refuses", threaded=True)
        console.mode("configure", self.enter, summary="a mode")
        self.workers = Workers(limit)
        dispatch = HookSite(hookspecs.mtev_console_dispatch.__name__)
        self.desk = Desk(console.root, "app# ", dispatch, SessionCounter(), LOG, self.workers)
        self.connections = []
        self.sessions = []

    def where(self, words):
        return [threading.current_thread().name]

    def who(self, session, words):
        yield f"{session.name} {session.peer} {session.columns} {session.user or 'nobody'}"

    def refuse(self, words):
        yield "first"
        raise LookupError("no such thing")

    def enter(self, session, words):
        self.modes.append(Mode(self.held))
        return self.modes[-1]

    def session(self):
        connection = FakeConnection(self.config)
        self.connections.append(connection)
        self.sessions.append(WatchedSession(connection, self.desk))
        return self.sessions[-1]

    async def connect(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**26)
        self.clients.append(writer)
        return reader, writer

    async def begin(self, line=b"held\n"):
        """A session in which a command is held."""
        reader, writer = await self.connect()
        writer.write(line)
        assert await asyncio.to_thread(self.held.begun.wait, LONG_S)
        return reader, writer


@contextlib.asynccontextmanager
async def running(limit, config):
    service = Service(config, limit)
    server = await asyncio.get_running_loop().create_server(service.session, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    service.clients = []
    try:
        yield service
    finally:
        service.held.gate.set()
        server.close()
        for writer in service.clients:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        for session in service.sessions:
            await session.over.wait()
        assert await asyncio.to_thread(service.workers.stop, LONG_S) == []


def run(scenario, limit=4, **config):
    async def main():
        async with asyncio.timeout(LONG_S), running(limit, config) as service:
            await scenario(service)

    asyncio.run(main())


async def conversation(service, data):
    reader, writer = await service.connect()
    writer.write(data)
    writer.write_eof()
    return await reader.read()


def break_off(writer):
    """Reset the connection, so that the service does not take it for a client that is merely done."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def test_a_command_that_may_block_has_a_thread_of_its_own():
    async def scenario(service):
        answer = await conversation(service, b"where\necho a\nwho\nexit\n")
        assert answer == (BANNER + b"console/42 where\napp# a\napp# console/42 127.0.0.1:1 80 nobody\napp# ")

    run(scenario)


@pytest.mark.parametrize(
    ("peer", "shown"),
    [(("::1", 7), b"[::1]:7"), ("/run/x", b"/run/x"), (None, b"unnamed"), (("10.0.0.1", 80), b"10.0.0.1:80")],
)
def test_where_the_operator_comes_from(peer, shown):
    async def scenario(service):
        reader, writer = await service.connect()
        await reader.readuntil(b"# ")
        service.connections[0].peer = peer
        service.sessions[0].user = "ann"
        writer.write(b"who\n")
        assert await reader.readuntil(b"# ") == b"console/42 " + shown + b" 80 ann\napp# "

    run(scenario)


def test_a_refusal_and_a_failure_are_told_as_ever(caplog):
    def fail(words):
        raise RuntimeError("broken")

    async def scenario(service):
        service.console.command("fail", fail, summary="fails", threaded=True)
        answer = await conversation(service, b"refuse\nfail\necho ok\n")
        assert answer.startswith(BANNER + b"first\nno such thing\napp# Internal error ")
        assert answer.endswith(b"\napp# ok\napp# ")

    run(scenario)
    (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert record.exc_info[0] is RuntimeError
    assert "console command 'fail' failed (id " in record.getMessage()


def test_the_loop_goes_on_while_a_command_blocks_and_lines_stay_in_order():
    async def scenario(service):
        reader, _ = await service.begin(b"held\necho after\n")
        assert await conversation(service, b"echo other\n") == BANNER + b"other\napp# "
        assert not service.held.closed.is_set()
        service.held.gate.set()
        assert await reader.readuntil(b"after\napp# ") == BANNER + b"held\ndone\napp# after\napp# "

    run(scenario)


def test_lines_go_out_as_they_are_made():
    steps = [threading.Event(), threading.Event()]

    def stepwise(words):
        for number, step in enumerate(steps):
            yield str(number)
            assert step.wait(LONG_S)

    async def scenario(service):
        service.console.command("stepwise", stepwise, summary="steps", threaded=True)
        reader, writer = await service.connect()
        writer.write(b"stepwise\n")
        assert await reader.readuntil(b"0\n") == BANNER + b"0\n"
        steps[0].set()
        assert await reader.readuntil(b"1\n") == b"1\n"
        steps[1].set()
        assert await reader.readuntil(b"# ") == b"app# "

    run(scenario)


def test_many_lines_come_over_whole():
    async def scenario(service):
        service.console.command("many", lambda words: map(str, range(100_000)), summary="many", threaded=True)
        answer = await conversation(service, b"many\n")
        assert answer == BANNER + b"".join(b"%d\n" % number for number in range(100_000)) + b"app# "

    run(scenario)


def test_ctrl_c_gives_the_prompt_back_and_the_next_line_waits_for_the_command():
    async def scenario(service):
        reader, writer = await service.begin(b"held\necho never\n")
        await reader.readuntil(b"# ")
        writer.write(b"\x03")
        assert await reader.readuntil(b"# ") == b"\napp# "
        writer.write(b"echo next\n")
        writer.write(b"\x03")  # takes the line back, and tells why it waits
        assert await reader.readuntil(b"# ") == (
            b"\n'console/42 held' is still running, and cannot be interrupted just now.\napp# "
        )
        writer.write(b"where\necho at last\n")
        await asyncio.to_thread(lambda: None)
        assert not service.held.closed.is_set()
        service.held.gate.set()
        assert await reader.readuntil(b"last\napp# ") == b"console/42 where\napp# at last\napp# "
        assert service.held.closed.is_set()
        assert len(service.held.threads) == 1

    run(scenario)


def test_ctrl_c_ends_an_endless_listing():
    closed = threading.Event()

    def tick(words):
        try:
            while True:
                yield "tick"
        finally:
            closed.set()

    async def scenario(service):
        service.console.command("tick", tick, summary="ticks", threaded=True)
        reader, writer = await service.connect()
        writer.write(b"tick\necho never\n")
        await reader.readuntil(b"tick\ntick\n")
        writer.write(b"\x03echo after\n")
        rest = await reader.readuntil(b"after\napp# ")
        assert rest.endswith(b"tick\n\napp# after\napp# ")
        assert b"never" not in rest
        assert closed.is_set()

    run(scenario)


def test_what_fails_after_ctrl_c_is_in_the_log_under_the_name_of_its_command(caplog):
    held = Held()

    def fail_in_closing(words):
        try:
            yield from held(words)
        finally:
            raise RuntimeError("in closing")

    async def scenario(service):
        service.console.command("fail", fail_in_closing, summary="fails", threaded=True)
        reader, writer = await service.connect()
        writer.write(b"fail\n")
        assert await asyncio.to_thread(held.begun.wait, LONG_S)
        writer.write(b"\x03echo next\n")
        held.gate.set()
        assert (await reader.readuntil(b"next\napp# ")).endswith(b"\napp# next\napp# ")

    run(scenario)
    (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert "console command 'fail' failed" in record.getMessage()
    assert str(record.exc_info[1]) == "in closing"


def test_a_client_that_does_not_read_holds_up_its_command_and_is_cut_off(caplog):
    made = []
    closed = threading.Event()

    def flood(words):
        try:
            while True:
                made.append(1)
                yield "x" * 1000
        finally:
            closed.set()

    async def scenario(service):
        service.console.command("flood", flood, summary="floods", threaded=True)
        reader, writer = await service.connect()
        await reader.readuntil(b"# ")
        writer.transport.pause_reading()
        writer.write(b"flood\n")
        await service.sessions[0].over.wait()
        assert await asyncio.to_thread(closed.wait, LONG_S)
        assert len(made) * 1000 < 64 * 1024 * 1024, "what the kernel's socket buffers hold, and little more"

    run(scenario, stall_timeout="100")
    assert "did not read its output for 0.1 s and was cut off" in caplog.text


def test_what_waits_is_bounded_while_a_command_blocks():
    async def scenario(service):
        _, writer = await service.begin()
        session = service.sessions[0]
        writer.write(b"x" * 4000 + b"\n")
        writer.write((b"y" * 4000 + b"\n") * 2000)
        while session._transport is None or session._transport.is_reading():
            await asyncio.to_thread(lambda: None)
        assert sum(len(line.text) for line in session._waiting) < 3 * 64 * 1024
        assert len(session._unparsed) <= 512 * 1024

    run(scenario)


def test_ctrl_c_is_seen_behind_many_pieces_while_a_command_blocks():
    async def scenario(service):
        reader, writer = await service.begin()
        await reader.readuntil(b"# ")
        writer.write(b"echo never\n" * 40 + b" " * 60_000 + b"\x03")
        assert await reader.readuntil(b"# ") == b"\napp# "

    run(scenario)


def test_the_session_of_a_client_that_is_done_ends_with_its_command():
    async def scenario(service):
        reader, writer = await service.begin()
        writer.write_eof()
        service.held.gate.set()
        assert await reader.read() == BANNER + b"held\ndone\napp# "

    run(scenario)


def test_a_draining_service_lets_the_command_finish():
    async def scenario(service):
        reader, _ = await service.begin(b"held\necho never\n")
        (drain,) = service.connections[0].drains
        drain()
        service.held.gate.set()
        assert await reader.read() == BANNER + b"held\ndone\n"

    run(scenario)


def test_a_draining_service_does_not_wait_for_what_was_let_go():
    async def scenario(service):
        reader, writer = await service.begin()
        await reader.readuntil(b"# ")
        writer.write(b"\x03")
        await reader.readuntil(b"\napp# ")
        (drain,) = service.connections[0].drains
        drain()
        assert b"The service is stopping.\n" in await reader.read()

    run(scenario)


def test_only_so_many_commands_run_at_one_time():
    async def scenario(service):
        reader, _ = await service.begin()
        answer = await conversation(service, b"where\necho ok\n")
        assert answer == BANNER + (
            b"1 commands that take their time are running already, which is the most: console/42 held. "
            b"Try again when one has ended.\napp# ok\napp# "
        )
        service.held.gate.set()
        await reader.readuntil(b"done\napp# ")
        assert await conversation(service, b"where\n") == BANNER + b"console/42 where\napp# "

    run(scenario, limit=1)


def test_modes_in_a_session():
    async def scenario(service):
        answer = await conversation(service, b"configure\nls\necho x\nexit\necho y\n")
        assert answer == BANNER + b"conf# listed\nconf# No such command: 'echo'\nconf# app# y\napp# "
        assert service.modes[0].closed.is_set()

    run(scenario)


def test_ctrl_d_leaves_a_mode_and_then_the_session():
    async def scenario(service):
        answer = await conversation(service, b"configure\n\x04\x04echo never\n")
        assert answer == BANNER + b"conf# \napp# \n"
        assert service.modes[0].closed.is_set()

    run(scenario)


def test_interceptors_see_the_lines_of_modes():
    seen = []

    async def scenario(service):
        service.desk.dispatch.call = lambda session, line: seen.append(line)
        await conversation(service, b"configure\nls\n")
        assert seen == ["configure", "ls"]

    run(scenario)


@pytest.mark.parametrize("farewell", [b"", b"\x03"])
def test_a_mode_is_closed_when_its_session_breaks_but_after_its_command(farewell):
    async def scenario(service):
        reader, writer = await service.begin(b"configure\nheld\n")
        await reader.readuntil(b"conf# ")
        if farewell:
            writer.write(farewell)
            await reader.readuntil(b"conf# ")
        break_off(writer)
        await service.sessions[0].over.wait()
        (mode,) = service.modes
        assert not mode.closed.is_set()
        service.held.gate.set()
        assert await asyncio.to_thread(mode.closed.wait, LONG_S)
        assert mode.closed_after_command is True

    run(scenario)


def test_exit_waits_for_what_was_let_go_in_the_mode():
    async def scenario(service):
        reader, writer = await service.begin(b"configure\nheld\n")
        await reader.readuntil(b"conf# ")
        writer.write(b"\x03")
        await reader.readuntil(b"conf# ")
        writer.write(b"exit\n\x04")
        service.held.gate.set()
        assert await reader.read() == b"app# \n"
        assert service.modes[0].closed_after_command is True

    run(scenario)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"step 0\n", b"step 3\n", b"step 2000\n", b"echo a\n", b"refuse\n", b"\x03", b"nonsense\n"])
        | st.sampled_from([b"configure\n", b"step 50\n", b"exit\n", b"\x04", b"ls\n"]),
        max_size=30,
    ),
    st.integers(1, 400),
)
def test_whatever_is_typed_one_command_runs_at_a_time_and_the_session_comes_to_its_end(typed, size):
    lock = threading.Lock()
    overlaps = []
    left = []

    def step(words):
        if not lock.acquire(blocking=False):
            overlaps.append(words)
            return
        try:
            for number in range(int(words[0])):
                yield str(number)
        finally:
            lock.release()
            left.append(words)

    async def scenario(service):
        service.console.command("step", step, summary="some lines", threaded=True)
        reader, writer = await service.connect()
        data = b"".join(typed)
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            await writer.drain()
        with contextlib.suppress(ConnectionError):
            writer.write_eof()
            await reader.read()
        await service.sessions[0].over.wait()
        assert await asyncio.to_thread(service.workers.stop, LONG_S) == []
        assert overlaps == []
        assert not lock.locked()
        for mode in service.modes:
            assert mode.closed.is_set()
        assert await conversation(service, b"echo still here\n") == BANNER + b"still here\napp# "

    run(scenario)


def test_a_command_that_outlives_the_loop_of_its_session_harms_nobody():
    held = Held()

    async def main():
        service = Service({}, 4)
        service.console.command("outlive", held, summary="waits", threaded=True)
        server = await asyncio.get_running_loop().create_server(service.session, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"outlive\n")
        assert await asyncio.to_thread(held.begun.wait, LONG_S)
        break_off(writer)
        await service.sessions[0].over.wait()
        server.close()
        return service

    service = asyncio.run(main())
    held.gate.set()
    assert service.workers.stop(LONG_S) == []
    assert held.closed.is_set()
