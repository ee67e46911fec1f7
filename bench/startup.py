"""How long until it answers: the command line, and the demo service until its first HTTP response.

Usage: python bench/startup.py [--rounds 9]

The peer is a bare `aiohttp.web` application with one route, started in the same run.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEER = """
import sys
from aiohttp import web
async def hello(request):
    return web.Response(text="Hello, world.\\n")
app = web.Application()
app.router.add_get("/hello", hello)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
"""
REQUEST = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(REQUEST)
            return connection.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def until_first_answer(command: list[str], port: int) -> float:
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        while not answer(port):
            if process.poll() is not None or time.perf_counter() - began > 30:
                raise SystemExit(f"{command} did not come up")
            time.sleep(0.002)
        return time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def command_time(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "mtev_kernel", *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    config = (ROOT / "examples/demo/demo.conf").read_text(encoding="utf-8")
    samples: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            web, console = free_port(), free_port()
            path = Path(folder) / "demo.conf"
            path.write_text(config.replace('"8888"', f'"{web}"').replace('"32322"', f'"{console}"'), encoding="utf-8")
            ours = [sys.executable, "-m", "mtev_kernel", "-c", str(path)]
            peer_port = free_port()
            peer = [sys.executable, "-c", PEER, str(peer_port)]
            for name, seconds in (
                ("python -c pass", _timed([sys.executable, "-c", "pass"])),
                ("import mtev_kernel", _timed([sys.executable, "-c", "import mtev_kernel"])),
                ("import mtev_kernel.kernel", _timed([sys.executable, "-c", "import mtev_kernel.kernel"])),
                ("mtev-kernel --version", command_time("--version")),
                ("mtev-kernel --list-plugins", command_time("--list-plugins")),
                ("demo, start to first response", until_first_answer(ours, web)),
                ("aiohttp.web, start to first response", until_first_answer(peer, peer_port)),
            ):
                samples.setdefault(name, []).append(seconds * 1000)
    print(f"CPython {platform.python_version()}, {os.cpu_count()} cores, {rounds} interleaved rounds; ms")
    print(f"{'':40}{'median':>9}{'min':>9}{'max':>9}")
    for name, values in samples.items():
        print(f"{name:40}{statistics.median(values):9.0f}{min(values):9.0f}{max(values):9.0f}")


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
