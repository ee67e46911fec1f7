"""Hours of mixed traffic against the echo service: whether memory, descriptors and the log stay as they are.

Usage: python bench/soak.py [--minutes 60] [--clients 60] [--interval 30]

Needs the example installed (`uv pip install -e examples/echo`) and openssl. Clients echo over TCP, TLS and a unix
socket, come and go, leave with a reset or in the middle of a handshake, send garbage, and send without reading. The
service changes its configuration and its certificates meanwhile. Once per interval there is a line of figures. The exit
code is 1 if something was answered wrongly, an error was logged, or memory or descriptors have grown since the first
quarter.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import os
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

ALLOWED_GROWTH = 1.15
ALLOWED_KIB = 8_000
PATIENCE_S = 30.0

CONFIGURATION = """\
<echo>
  <modules><generic image="echo" name="echo"/></modules>
  <eventer><config><ssl_ctx_cache_expiry>2</ssl_ctx_cache_expiry></config></eventer>
  <listeners type="echo" address="127.0.0.1">
    <config><idle_timeout>20000</idle_timeout><handshake_timeout>2000</handshake_timeout></config>
    <listener port="0"/>
    <tls ssl="on">
      <sslconfig><certificate>{folder}/cert.pem</certificate><key>{folder}/key.pem</key></sslconfig>
      <listener port="0"/>
    </tls>
    <listener address="{folder}/echo.sock"/>
    {more}
  </listeners>
  <stats/>
</echo>
"""


class Service:
    """The service in a process of its own.

    Args:
        folder: where its files go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.errors: list[str] = []
        self.configure()
        self.certify()
        command = [sys.executable, "-m", "mtev_kernel", "-c", str(folder / "soak.conf")]
        self.process = subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True)
        ports = []
        for line in self.process.stdout:
            if found := re.search(r"echo listens on 127\.0\.0\.1:(\d+)", line):
                ports.append(int(found[1]))
            if "ready:" in line:
                break
        else:
            raise SystemExit("the service does not start; is the example installed? uv pip install -e examples/echo")
        self.plain, self.tls = ports
        os.set_blocking(self.process.stdout.fileno(), False)

    def configure(self, more: str = "") -> None:
        (self.folder / "soak.conf").write_text(CONFIGURATION.format(folder=self.folder, more=more))

    def certify(self) -> None:
        """Make a certificate, over the one that is there."""
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "30"]
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        files = ["-keyout", str(self.folder / "key.new"), "-out", str(self.folder / "cert.new")]
        subprocess.run(["openssl", "req", *kind, *subject, *files], check=True, capture_output=True)
        for name in ("key", "cert"):
            (self.folder / f"{name}.new").replace(self.folder / f"{name}.pem")

    def change(self, number: int) -> None:
        """Another configuration, or another certificate."""
        if number % 2:
            self.certify()
        else:
            self.configure(f'<listener address="{self.folder}/other.sock"/>' if number % 4 else "")
            self.process.send_signal(signal.SIGHUP)

    def read_log(self) -> None:
        for line in self.process.stdout.readlines():
            if " ERROR " in line or "Traceback" in line:
                self.errors.append(line.rstrip())

    @property
    def resident_kib(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

    @property
    def descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())


class Traffic:
    """What clients do, and how often it went as it should.

    Args:
        service: whom they do it to.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.done: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self._trusting = ssl.create_default_context()
        self._trusting.check_hostname = False
        self._trusting.verify_mode = ssl.CERT_NONE  # certificates change under it
        self._ways: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self.echo_plain, 6),
            (self.echo_tls, 3),
            (self.echo_unix, 3),
            (self.come_and_go, 6),
            (self.reset, 3),
            (self.garbage, 2),
            (self.half_a_handshake, 2),
            (self.deaf, 1),
        ]

    async def client(self, until: float) -> None:
        """Do one thing after the other, by lot."""
        ways, weights = zip(*self._ways, strict=True)
        while time.monotonic() < until:
            (way,) = random.choices(ways, weights)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await way()
                self.done[way.__name__] += 1
            except Exception as error:  # whatever it is, it is counted against the service
                self.wrong.append(f"{way.__name__}: {error!r}")
                await asyncio.sleep(0.1)

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(random.randint(1, 50)):
            data = os.urandom(random.choice((1, 64, 1500, 60_000)))
            writer.write(data)
            assert await reader.readexactly(len(data)) == data, "something else came back"
            if random.random() < 0.05:
                await asyncio.sleep(random.random())
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()

    async def echo_plain(self) -> None:
        await self.echo(*await asyncio.open_connection("127.0.0.1", self.service.plain))

    async def echo_tls(self) -> None:
        await self.echo(*await asyncio.open_connection("127.0.0.1", self.service.tls, ssl=self._trusting))

    async def echo_unix(self) -> None:
        await self.echo(*await asyncio.open_unix_connection(str(self.service.folder / "echo.sock")))

    async def come_and_go(self) -> None:
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", self.service.plain)
            writer.close()

    async def reset(self) -> None:
        for _ in range(10):
            _, writer = await asyncio.open_connection("127.0.0.1", self.service.plain)
            writer.write(b"x" * random.choice((1, 100_000)))
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def garbage(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.service.tls)
        writer.write(os.urandom(1000))
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async def half_a_handshake(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.service.tls)
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async def deaf(self) -> None:
        loop = asyncio.get_running_loop()
        client = socket.socket()
        client.setblocking(False)
        try:
            await loop.sock_connect(client, ("127.0.0.1", self.service.plain))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(3):
                    while True:
                        await loop.sock_sendall(client, b"x" * 100_000)
        finally:
            client.close()


async def soak(service: Service, options: argparse.Namespace) -> list[str]:
    """Have the clients at it, and watch; what is wrong in the end."""
    traffic = Traffic(service)
    began = time.monotonic()
    until = began + options.minutes * 60
    clients = [asyncio.create_task(traffic.client(until)) for _ in range(options.clients)]
    samples: list[tuple[int, int]] = []
    changes = 0
    print(f"{'minutes':>8} {'RSS KiB':>10} {'descriptors':>12} {'done':>10} {'wrong':>6} {'errors':>7}", flush=True)
    while time.monotonic() < until:
        await asyncio.sleep(min(options.interval, max(until - time.monotonic(), 0.1)))
        changes += 1
        await asyncio.to_thread(service.change, changes)
        service.read_log()
        samples.append((service.resident_kib, service.descriptors))
        minutes = (time.monotonic() - began) / 60
        counts = f"{traffic.done.total():10,} {len(traffic.wrong):6} {len(service.errors):7}"
        print(f"{minutes:8.1f} {samples[-1][0]:10,} {samples[-1][1]:12} {counts}", flush=True)
    await asyncio.gather(*clients)
    await asyncio.sleep(25)  # idle timeouts and handshakes come to their end
    service.read_log()
    print(", ".join(f"{name} {count:,}" for name, count in traffic.done.most_common()))
    problems = [f"wrong: {each}" for each in traffic.wrong[:10]] + [f"logged: {each}" for each in service.errors[:10]]
    early, late = samples[len(samples) // 4][0], service.resident_kib
    if late > early * ALLOWED_GROWTH + ALLOWED_KIB:
        problems.append(f"memory has grown from {early:,} to {late:,} KiB")
    print(f"at rest: {late:,} KiB, {service.descriptors} descriptors")
    if service.descriptors > 30:
        problems.append(f"{service.descriptors} descriptors are open although nobody is connected")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=60)
    parser.add_argument("--interval", type=float, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder))
        try:
            problems = asyncio.run(soak(service, options))
            service.process.send_signal(signal.SIGTERM)
            code = service.process.wait(PATIENCE_S)
            problems += [f"exit code {code}"] if code else []
        finally:
            service.process.kill()
    for each in problems:
        print(each)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
