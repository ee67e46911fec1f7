"""An echo server's throughput: a listener of ours beside bare protocols, trio, Twisted and gevent.

Usage: python bench/echo.py [--tls] [--rounds 7] [--seconds 1.0] [--connections 32] [--size 64]

Every server is a process of its own on the first processor, and stopped (SIGSTOP) while another is measured; the client
is on the second one and keeps one message under way on each connection. Ratios are taken round by round, to a bare
protocol on uvloop; the median counts. The processor time that a server takes for a message is the steadiest column: it
does not depend on how fast the client is. Peers that are not installed are left out, with a sentence.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import select
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

TICKS_S = os.sysconf("SC_CLK_TCK")


class Echo(asyncio.Protocol):
    """Says everything again."""

    def __init__(self, connection=None):
        pass

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


# Servers: each prints its port and serves until it is killed.


def announce(port):
    print(port, flush=True)


def server_context(directory):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(directory, "cert.pem"), Path(directory, "key.pem"))
    return context


def serve_bare(tls, loop):
    async def main():
        server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=server_context(tls) if tls else None)
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    loop.run_until_complete(main())


def serve_uvloop(tls):
    import uvloop

    serve_bare(tls, uvloop.new_event_loop())


def serve_asyncio(tls):
    serve_bare(tls, asyncio.new_event_loop())


def serve_ours(tls, *, implementation="uvloop", profile=False):
    from mtev_eventer import Eventer, EventerSettings, PoolSettings
    from mtev_listener import Listeners
    from mtev_listener._address import TcpAddress
    from mtev_listener._settings import ListenerSettings
    from mtev_tls import Material, Tls, TlsSettings

    eventer = Eventer(EventerSettings(implementation=implementation, pools=(PoolSettings("default", profile=profile),)))
    listeners = Listeners()
    listeners.register_type("echo", Echo)
    material = {
        name: Material(name, str(Path(tls, file))) for name, file in (("certificate", "cert.pem"), ("key", "key.pem"))
    }
    settings = ListenerSettings("echo", TcpAddress("127.0.0.1", 0), tls=TlsSettings(**material) if tls else None)
    problems = listeners.prepare([settings], Tls())
    assert not problems, problems
    eventer.start()
    listeners.open([settings], eventer)
    listeners.accept()
    announce(listeners.bound[0].port)
    signal.pause()


def serve_trio(tls):
    import trio

    async def echo(stream):
        with contextlib.suppress(trio.BrokenResourceError):
            async for data in stream:
                await stream.send_all(data)

    async def main():
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        announce(listeners[0].socket.getsockname()[1])
        if tls:
            listeners = [trio.SSLListener(each, server_context(tls), https_compatible=True) for each in listeners]
        await trio.serve_listeners(echo, listeners)

    trio.run(main)


def serve_twisted(tls):
    from twisted.internet import protocol, reactor
    from twisted.internet import ssl as twisted_ssl

    class TwistedEcho(protocol.Protocol):
        def dataReceived(self, data):  # noqa: N802  # Twisted's name
            self.transport.write(data)

    factory = protocol.Factory.forProtocol(TwistedEcho)
    if tls:
        context = twisted_ssl.DefaultOpenSSLContextFactory(str(Path(tls, "key.pem")), str(Path(tls, "cert.pem")))
        port = reactor.listenSSL(0, factory, context, interface="127.0.0.1")
    else:
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    announce(port.getHost().port)
    reactor.run()


def serve_gevent(tls):
    from gevent.server import StreamServer

    def echo(client, address):
        while data := client.recv(65536):
            client.sendall(data)

    files = {"certfile": str(Path(tls, "cert.pem")), "keyfile": str(Path(tls, "key.pem"))} if tls else {}
    server = StreamServer(("127.0.0.1", 0), echo, **files)
    server.start()
    announce(server.server_port)
    server.serve_forever()


SERVERS: dict[str, Callable[[str], None]] = {
    "uvloop": serve_uvloop,
    "ours": serve_ours,
    "ours, profiled": lambda tls: serve_ours(tls, profile=True),
    "asyncio": serve_asyncio,
    "ours on asyncio": lambda tls: serve_ours(tls, implementation="asyncio"),
    "ours on asyncio, profiled": lambda tls: serve_ours(tls, implementation="asyncio", profile=True),
    "trio": serve_trio,
    "twisted": serve_twisted,
    "gevent": serve_gevent,
}


class Server:
    """One server in a process of its own."""

    def __init__(self, name: str, tls: str) -> None:
        self.name = name
        command = [sys.executable, __file__, "--serve", name, "--certificates", tls]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ImportError((self.process.communicate()[1].strip().splitlines() or ["it ended"])[-1])
        self.port = int(line)
        self.stop()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_S

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def running_servers(*, secured: bool) -> Iterator[tuple[list[Server], str]]:
    """Every server that can be started, stopped for the time being; this process moves to another processor.

    Yields:
        The servers, and the folder of their certificates; "" without TLS.
    """
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        tls = directory if secured else ""
        if tls:
            certificates(tls)
        servers = []
        for name in SERVERS:
            try:
                servers.append(Server(name, tls))
                stack.callback(servers[-1].kill)
            except ImportError as error:
                print(f"{name}: left out ({error})")
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        yield servers, tls


def connect(port: int, tls: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls:
        context = ssl.create_default_context(cafile=Path(tls, "ca.pem"))
        client = context.wrap_socket(client, server_hostname="localhost")
    client.setblocking(False)
    return client


def warm_up(client: socket.socket, message: bytes) -> None:
    """One echo, with patience.

    Raises:
        TimeoutError: there is none for five seconds.
    """
    poll = select.poll()
    poll.register(client, select.POLLIN)
    client.send(message)
    missing = len(message)
    while missing > 0:
        if not poll.poll(5_000):
            raise TimeoutError
        with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError):
            data = client.recv(missing)
            assert data, "the server hung up"
            missing -= len(data)


def measure(server: Server, tls: str, options: argparse.Namespace) -> tuple[float, float]:
    """Messages per second, and microseconds of the server's processor time for each."""
    server.go_on()
    clients = [connect(server.port, tls) for _ in range(options.connections)]
    message = b"x" * options.size
    for client in clients:  # a server that was stopped may take its time to notice that it goes on
        warm_up(client, message)
    waiting = {client.fileno(): [client, 0] for client in clients}
    poll = select.epoll()
    for client in clients:
        poll.register(client, select.EPOLLIN)
        client.send(message)
    began_cpu_s, began_s = server.cpu_s(), time.perf_counter()
    count, until = 0, began_s + options.seconds
    while time.perf_counter() < until:
        for descriptor, _ in poll.poll(1):
            state = waiting[descriptor]
            with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError):
                while state[1] < options.size:
                    try:
                        data = state[0].recv(65536)
                    except ConnectionError:
                        data = b""
                    assert data, f"{server.name} hung up"
                    state[1] += len(data)
            if state[1] >= options.size:
                state[1] = 0
                state[0].send(message)
                count += 1
    took_s, cpu_s = time.perf_counter() - began_s, server.cpu_s() - began_cpu_s
    for client in clients:
        client.close()
    poll.close()
    server.stop()
    return count / took_s, cpu_s / max(count, 1) * 1e6


def tried(server: Server, tls: str, options: argparse.Namespace) -> tuple[float, float] | None:
    """The same, or nothing where the server does not answer: gevent's does not always after it was stopped."""
    try:
        return measure(server, tls, options)
    except TimeoutError:
        server.stop()
        return None


def certificates(directory: str) -> None:
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    Path(directory, "ca.pem").write_bytes(authority.cert_pem.bytes())
    Path(directory, "key.pem").write_bytes(certificate.private_key_pem.bytes())
    Path(directory, "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--certificates", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        SERVERS[options.serve](options.certificates)
        return
    with running_servers(secured=options.tls) as (servers, tls):
        rounds = [{each.name: tried(each, tls, options) for each in servers} for _ in range(options.rounds)]
    what = "TLS" if options.tls else "TCP"
    setting = f"{what}, {options.size} B, {options.connections} connections, {options.rounds} rounds"
    print(f"Python {platform.python_version()}, {setting}")
    print(f"{'server':28} {'msg/s':>10} {'of uvloop':>10} {'CPU us/msg':>11} {'of uvloop':>10}")
    for server in servers:
        clean = [(each[server.name], each["uvloop"]) for each in rounds if each[server.name] and each["uvloop"]]
        if not clean:
            print(f"{server.name:28} did not answer")
            continue
        speeds, costs = zip(*(own for own, _ in clean), strict=True)
        faster = statistics.median(own[0] / bare[0] for own, bare in clean)
        dearer = statistics.median(own[1] / bare[1] for own, bare in clean)
        speed, cost = statistics.median(speeds), statistics.median(costs)
        print(f"{server.name:28} {speed:10,.0f} {faster:10.2f} {cost:11.2f} {dearer:10.2f}")


if __name__ == "__main__":
    main()
